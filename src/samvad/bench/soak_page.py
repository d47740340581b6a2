"""One run of `samvad bench soak` as one page."""

from html import escape

from samvad.bench.pages import Line, document, latencies, origin, plot, problems
from samvad.bench.sampling import Sample
from samvad.bench.soak import Soak
from samvad.bench.soak_rules import Judged

WORDS = {True: "held", False: "not held", None: "not judged"}


def page(it: Soak) -> str:
    """The whole page."""
    title = f"samvad bench soak: {it.minutes:g} minutes on {it.database}"
    return document(title, _body(it))


def _body(it: Soak) -> str:
    queues: tuple[Line[Sample], ...] = (
        Line("unfolded inbound events", lambda s: s.inbound_waiting),
        Line("pending deliveries", lambda s: s.deliveries_pending),
        Line("jobs", lambda s: s.jobs),
        Line("parked statuses", lambda s: s.parked_statuses),
    )
    sizes: tuple[Line[Sample], ...] = (
        Line("database", lambda s: s.database_mb),
        Line("WAL", lambda s: s.wal_mb),
    )
    return f"""<h1>{it.sends_per_s:g} sends a second for {it.minutes:g} minutes on {escape(it.database)}</h1>
<p><strong{"" if it.holds else ' class="bad"'}>{
        "Everything held" if it.holds else "Not everything held"
    }</strong>:
{it.lost:,} lost of {it.acknowledged:,} acknowledged operations, {it.refused:,} refused or not answered,
{it.delivered:,} webhooks delivered. What waited after the last answer had {it.drain_s:,.1f} s more.</p>
{problems((*it.verdict.named, *it.problems))}
<p class="dim">{origin(it.command, it.at, it.machine, it.load_average)}</p>
<h2>What was judged</h2>
<table><tr><th></th><th></th></tr>{"".join(_row(judged) for judged in it.judged)}</table>
<h2>Memory of the server</h2>
{plot(it.samples, "MB", (Line("resident", lambda s: s.rss_mb),))}
<h2>Size of the database</h2>
{plot(it.samples, "MB", sizes)}
<h2>What waits</h2>
{plot(it.samples, "rows", queues)}
<h2>Descriptors and threads of the server</h2>
{
        plot(
            it.samples,
            "open",
            (
                Line("descriptors", lambda s: s.descriptors),
                Line("threads", lambda s: s.threads),
            ),
        )
    }
<h2>Latency</h2>
{latencies(it.windows)}
{_tables(it)}
"""


def _row(judged: Judged) -> str:
    colour = " class='bad'" if judged.holds is False else ""
    return f"<tr><td{colour}>{escape(judged.said)}</td><td{colour}>{WORDS[judged.holds]}</td></tr>"


def _tables(it: Soak) -> str:
    if not it.after.tables_mb:
        return ""
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{size:,.1f}</td></tr>" for name, size in it.after.tables_mb.items()
    )
    return f"<h2>Tables at the end, with their indexes</h2><table><tr><th></th><th>MB</th></tr>{rows}</table>"
