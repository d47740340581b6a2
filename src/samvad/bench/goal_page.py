"""One run of `samvad bench goal` as one page."""

from html import escape

from samvad.bench.goal import HELD_P99_MS, Goal, Stream
from samvad.bench.pages import Line, document, latencies, origin, plot, problems


def page(it: Goal) -> str:
    """The whole page."""
    title = f"samvad bench goal: {it.rate.sends:,.0f} sends a second on {it.database}"
    return document(title, _body(it))


def _body(it: Goal) -> str:
    others = (
        "" if it.others_cpu is None else f" Everything else on it took {it.others_cpu:.2f} cores meanwhile."
    )
    return f"""<h1>{it.rate.sends:,.0f} sends and {it.rate.statuses:,.0f} statuses a second on {
        escape(it.database)
    }</h1>
<p><strong{"" if it.holds else ' class="bad"'}>{it.lost:,} lost</strong> of {it.verdict.acknowledged:,}
acknowledged operations. {it.refused:,} were refused or not answered.</p>
{problems((*it.verdict.named, *it.problems))}
<p class="dim">{
        origin(it.command, it.at, it.machine, it.load_average)
    } The generator and its stand-in for Meta
took {it.generator_cpu:.2f} cores of the same machine.{others}</p>
<h2>What was asked, and how long the answer took</h2>
{_streams(it)}
<h2>Latency by the second</h2>
{latencies(it.timeline)}
<h2>What was due in the second, and acknowledged</h2>
{
        plot(
            it.timeline,
            "a second",
            (
                Line("sends", lambda s: s.sends),
                Line("statuses", lambda s: s.statuses),
                Line("inbound", lambda s: s.inbound),
            ),
        )
    }
<h2>Processor</h2>
{
        plot(
            it.timeline,
            "cores",
            (
                Line("server", lambda s: s.server_cores),
                Line("all of the machine", lambda s: s.machine_cores),
            ),
        )
    }
<h2>Memory of the server</h2>
{plot(it.timeline, "MB", (Line("resident", lambda s: s.rss_mb),))}
<h2>What was used, and the floors of the same run</h2>
{_figures(it)}
{_steps(it)}
"""


def _streams(it: Goal) -> str:
    def row(name: str, stream: Stream, per_s: float) -> str:
        return (
            f"<tr><td>{name}</td><td>{stream.due:,}</td><td>{stream.acknowledged:,}</td><td>{per_s:,.0f}</td>"
            f"<td>{stream.p50_ms:,.1f}</td><td>{stream.p99_ms:,.1f}</td><td>{stream.max_ms:,.1f}</td></tr>"
        )

    rows = row("sends", it.send, it.rate.sends) + row("statuses", it.status, it.rate.statuses)
    rows += row("inbound", it.inbound, it.rate.inbound)
    head = "<th></th><th>due</th><th>acknowledged</th><th>a second</th><th>p50 ms</th><th>p99 ms</th><th>max ms</th>"
    return (
        f"<table><tr>{head}</tr>{rows}</table><p class='dim'>Milliseconds count from the moment a request was due. "
        "Those of a send hold the 80 ms that the stand-in for Meta takes.</p>"
    )


def _figures(it: Goal) -> str:
    def memory(value: float | None) -> str:
        return "unknown" if value is None else f"{value:,.0f} MB"

    floors = it.floors
    both = f"{floors.bare_asgi_before_per_s:,.0f} before, {floors.bare_asgi_after_per_s:,.0f} after"
    rows = (
        ("server, cpu", f"{it.cpu:.2f} cores", ""),
        ("server, rss", memory(it.rss_mb), f"{memory(it.rss_idle_mb)} idle"),
        ("catch-up", f"{it.catch_up_s:.2f} s", "from the last answer until every webhook was folded"),
        ("floor: bare ASGI", f"{floors.bare_asgi_per_s:,.0f} a second", both),
        ("statuses, as a part of it", f"{floors.status_share_of_bare_asgi:.1%}", ""),
        ("floor: fsync", f"{floors.fsync_per_s:,.0f} a second", "4 KiB each"),
        ("floor: HMAC and JSON", f"{floors.hmac_and_json_per_s:,.0f} a second", "of one body"),
    )
    cells = "".join(f"<tr><td>{a}</td><td>{b}</td><td class='dim'>{c}</td></tr>" for a, b, c in rows)
    return f"<table>{cells}</table>"


def _steps(it: Goal) -> str:
    if not it.steps:
        return ""
    rows = "".join(
        f"<tr><td>{step.sends_per_s:,.0f}</td><td>{step.status_p99_ms:,.1f}</td><td>{step.refused:,}</td>"
        f"<td>{step.lost:,}</td><td>{'yes' if step.held else 'no'}</td></tr>"
        for step in it.steps
    )
    head = "<th>sends a second</th><th>status p99 ms</th><th>refused</th><th>lost</th><th>held</th>"
    return (
        f"<h2>Step by step</h2><table><tr>{head}</tr>{rows}</table><p class='dim'>A rate is held while nothing is "
        f"refused or lost and the p99 of statuses is at most {HELD_P99_MS:g} ms. The figures above are of the last "
        "that held, or of the first, if none did.</p>"
    )
