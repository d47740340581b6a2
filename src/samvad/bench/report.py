"""A result for people, and for programs."""

from collections.abc import Callable, Sequence

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from samvad.bench.asking import PAGE, Measured
from samvad.bench.asking import RATIO_AT_MOST as SLOWER_AT_MOST
from samvad.bench.chaos import Proof, Run
from samvad.bench.goal import HELD_P99_MS, Goal, Stream
from samvad.bench.listing import INGEST_AT_LEAST, Listed
from samvad.bench.load import Latency
from samvad.bench.processes import Scaled
from samvad.bench.receivers import RATIO_AT_MOST, Comparison, Phase
from samvad.bench.result import Result
from samvad.bench.soak import Soak
from samvad.bench.updating import SHARE_AT_LEAST

AnyResult = Result | Proof | Comparison | Scaled | Listed | Goal | Soak

WIDTH = 100  # columns, where it is not a terminal that says so


def as_json(result: AnyResult) -> bytes:
    """The result and its verdict `holds`, indented; units stand at the end of the names."""
    return msgspec.json.format(msgspec.json.encode({"holds": result.holds, **_fields(result)}), indent=2)


def show(result: Result, console: Console) -> None:
    """A table of what was measured, and a sentence on what was lost."""
    title = f"samvad bench {result.bench}: {result.database}, {_loop(result)}"
    table = Table(title=title, show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    load, floors, server, verdict = result.load, result.floors, result.server, result.verdict

    table.add_row("acknowledged", f"{load.acknowledged:,}", f"in {load.seconds:.1f} s")
    if load.refused or load.unanswered or load.posted_again or load.not_begun:
        refused = ", ".join(f"{count:,} × {status}" for status, count in sorted(load.refused.items()))
        table.add_row("refused", refused or "0", "")
        table.add_row("unanswered", f"{load.unanswered:,}", f"{load.posted_again:,} posted again")
        table.add_row("never begun", f"{load.not_begun:,}", "")
    table.add_row("acknowledged a second", f"{load.acknowledged_per_s:,.0f}", "")
    table.add_row("catch-up", f"{result.catch_up_s:.2f} s", "until nothing waited")
    table.add_row(
        "sustained a second", f"{result.sustained_per_s:,.0f}", f"{result.share_of_floor:.1%} of the floor"
    )
    table.add_row("latency", _latency(load.latency), "p50 / p90 / p99 / max, ms")
    if result.status_webhooks is not None:
        table.add_row("status webhooks", _latency(result.status_webhooks), "p50 / p90 / p99 / max, ms")
        table.add_row("statuses acknowledged", f"{result.status_webhooks_acknowledged:,}", "")
        table.add_row("accepted by the sandbox", f"{result.sandbox_accepted:,}", "")
    table.add_section()
    cost = f"{server.cpu_us_per_acknowledged:,.0f} µs for each acknowledged"
    table.add_row("server", f"{server.cores_during_load:.2f} cores", cost)
    table.add_row("server's memory", "–" if server.rss_mb is None else f"{server.rss_mb:,.0f} MB", "")
    if server.sandbox_cores is not None:
        table.add_row("sandbox", f"{server.sandbox_cores:.2f} cores", "")
    table.add_row("generator", f"{load.generator_cores:.2f} cores", f"of {result.machine.cores}")
    table.add_section()
    both = f"{floors.bare_asgi_before_per_s:,.0f} before, {floors.bare_asgi_after_per_s:,.0f} after"
    table.add_row("floor: bare ASGI a second", f"{floors.bare_asgi_per_s:,.0f}", both)
    table.add_row("floor: fsync a second", f"{floors.fsync_per_s:,.0f}", "4 KiB each")
    table.add_row("floor: HMAC and JSON a second", f"{floors.hmac_and_json_per_s:,.0f}", "of one body")
    table.add_section()
    colour = "green" if not verdict.lost else "red"
    table.add_row(
        "lost acknowledged operations",
        f"[{colour}]{verdict.lost:,}[/{colour}]",
        f"of {verdict.acknowledged:,}",
    )
    table.add_row("doubled", f"{verdict.doubled:,}", "")
    table.add_row("parked", f"{verdict.parked:,}", "statuses of unknown messages")
    table.add_row("ambiguous sends", f"{verdict.ambiguous:,}", "named, never repeated")
    console.print(table)
    for words in (*verdict.named, *result.problems):
        console.print(f"[red]{words}[/red]", highlight=False)


def show_proof(proof: Proof, console: Console) -> None:
    """The runs side by side, and a sentence for each thing that is not as it was in the first."""
    title = f"samvad bench chaos: {proof.database}, {proof.messages:,} messages, seed {proof.seed}"
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for run in proof.runs:
        table.add_column(run.name, justify="right")

    def line(name: str, of: Callable[[Run], object]) -> None:
        values = [of(run) for run in proof.runs]
        table.add_row(name, *(f"{it:,}" if isinstance(it, int) else str(it) for it in values))

    line("state", lambda run: run.state[:16])
    line("told to the customer", lambda run: run.told[:16])
    table.add_section()
    line("kill -9", lambda run: run.kills)
    line("webhooks taken from Meta", lambda run: run.webhooks_from_meta)
    line("lost or refused on the way", lambda run: run.webhooks_lost)
    line("events for the customer", lambda run: run.events)
    line("attempts to tell them", lambda run: run.attempts)
    line("of these failed", lambda run: run.attempts_failed)
    table.add_section()
    line("sends asked for again", lambda run: run.repeated)
    line("ambiguous, and named", lambda run: run.ambiguous)
    line("sent twice", lambda run: run.sent_twice)
    line("seconds", lambda run: run.seconds)
    console.print(table)
    for words in (*proof.differences, *(f"{run.name}: {it}" for run in proof.runs for it in run.problems)):
        console.print(f"[red]{escape(words)}[/red]", highlight=False)


def show_comparison(found: Comparison, console: Console) -> None:
    """The phases side by side, and how much later the healthy receiver heard in trouble than in calm."""
    title = f"samvad bench receivers: {found.database}, {found.rate:g} webhooks a second"
    table = Table(title=title, title_justify="left")
    for name in ("", "alone", "calm", "troubled", "troubled to calm"):
        table.add_column(name, justify="right" if name else "left")
    phases = (found.alone, found.calm, found.troubled)
    within = found.p99_ratio <= RATIO_AT_MOST
    colour = "green" if within else "red"

    def line(name: str, of: Callable[[Phase], float], ratio: str = "") -> None:
        values = [of(it) for it in phases]
        table.add_row(name, *(f"{it:,}" if isinstance(it, int) else f"{it:,.1f}" for it in values), ratio)

    line("acknowledged", lambda it: it.acknowledged)
    line("for the healthy receiver", lambda it: it.expected)
    line("arrived there", lambda it: it.arrived)
    line("POSTs left hanging", lambda it: it.hanging)
    line("POSTs answered with 500", lambda it: it.failed)
    table.add_section()
    line("p50, ms", lambda it: it.delay.p50_ms, f"{found.p50_ratio:.2f}")
    line("p99, ms", lambda it: it.delay.p99_ms, f"[{colour}]{found.p99_ratio:.2f}[/{colour}]")
    line("max, ms", lambda it: it.delay.max_ms)
    console.print(table)
    console.print("Milliseconds are from our 200 to the arrival at the healthy receiver.")
    is_it = "is" if within else "is not"
    console.print(f"Its p99 in trouble {is_it} within {RATIO_AT_MOST:g} times the calm one.", highlight=False)
    for problem in found.problems:
        console.print(f"[red]{escape(problem)}[/red]", highlight=False)


def show_scaled(found: Scaled, console: Console) -> None:
    """Each question among few leads and among many, and the bulk update beside its floor."""
    title = f"samvad bench processes: {found.database}, made in {found.fill_s:,.0f} s"
    _show_questions(
        found.questions, console, title=title, repeat=found.repeat, sizes=(found.small, found.processes)
    )
    bulk = found.bulk
    colour = "green" if bulk.share_of_floor >= SHARE_AT_LEAST else "red"
    console.print(
        f"Bulk update of {bulk.rows:,}: {bulk.rows_per_s:,.0f} rows a second from the PATCH to the end of its job, "
        f"[{colour}]{bulk.share_of_floor:.0%}[/{colour}] of the bare driver's {bulk.floor_per_s:,.0f} "
        f"({bulk.floor_before_per_s:,.0f} before, {bulk.floor_after_per_s:,.0f} after), {bulk.chunk} rows to a commit; "
        f"lost: {bulk.lost:,}.",
        highlight=False,
    )
    for problem in found.problems:
        console.print(f"[red]{escape(problem)}[/red]", highlight=False)


def show_listed(found: Listed, console: Console) -> None:
    """Each question among few messages and among many."""
    title = f"samvad bench list: {found.database}, made in {found.fill_s:,.0f} s"
    _show_questions(
        found.questions, console, title=title, repeat=found.repeat, sizes=(found.small, found.messages)
    )
    its, colour = found.ingest, "green" if found.ingest.is_within else "red"
    console.print(
        f"Webhooks taken in and folded: {its.small_per_s:,.0f} a second beside {found.small:,} messages, "
        f"{its.large_per_s:,.0f} beside {found.messages:,}: [{colour}]{its.ratio:.2f}[/{colour}] of it; "
        f"at least {INGEST_AT_LEAST:g}.",
        highlight=False,
    )
    for problem in found.problems:
        console.print(f"[red]{escape(problem)}[/red]", highlight=False)


def _show_questions(
    questions: Sequence[Measured], console: Console, *, title: str, repeat: int, sizes: tuple[int, int]
) -> None:
    small, large = sizes
    table = Table(title=title, title_justify="left")
    table.add_column(f"p50 of {repeat}, ms")
    for where in ("HTTP", "inside"):
        table.add_column(f"{where} {small:,}", justify="right")
        table.add_column(f"{large:,}", justify="right")
        table.add_column("ratio", justify="right")

    def ratio(value: float) -> str:
        colour = "green" if value <= SLOWER_AT_MOST else "red"
        return f"[{colour}]{value:.2f}[/{colour}]"

    for it in questions:
        table.add_row(
            it.question,
            f"{it.small.over_http_ms:.2f}",
            f"{it.large.over_http_ms:.2f}",
            ratio(it.over_http_ratio),
            f"{it.small.inside_ms:.2f}",
            f"{it.large.inside_ms:.2f}",
            ratio(it.inside_ratio),
        )
    console.print(table)
    console.print(
        f"Lists are of the newest {PAGE}. Inside is the operation without HTTP around it. Each ratio must be at most "
        f"{SLOWER_AT_MOST:g}.",
        highlight=False,
    )


def show_goal(found: Goal, console: Console) -> None:
    """The three streams, what they took, the floors, and a sentence for whatever was lost."""
    table = Table(title=f"{found.command}: {found.database}", title_justify="left")
    for name in ("", "due", "acknowledged", "a second", "p50 ms", "p99 ms", "max ms"):
        table.add_column(name, justify="right" if name else "left")

    def line(name: str, it: Stream, per_s: float) -> None:
        counts = (f"{it.due:,}", f"{it.acknowledged:,}", f"{per_s:,.0f}")
        table.add_row(name, *counts, *(f"{ms:,.1f}" for ms in (it.p50_ms, it.p99_ms, it.max_ms)))

    line("sends", found.send, found.rate.sends)
    line("statuses", found.status, found.rate.statuses)
    line("inbound", found.inbound, found.rate.inbound)
    console.print(table)
    colour = "red" if found.lost else "green"
    floors, others = found.floors, found.others_cpu
    sentences = [
        f"Lost: [{colour}]{found.lost:,}[/{colour}] of {found.verdict.acknowledged:,}; refused or unanswered: "
        f"{found.refused:,}; everything folded {found.catch_up_s:.2f} s after the last answer.",
        f"Server: {found.cpu:.2f} cores, {found.rss_mb or 0:,.0f} MB at most ({found.rss_idle_mb or 0:,.0f} idle). "
        f"Generator and stand-in: {found.generator_cpu:.2f} cores"
        + (f", everything else {others:.2f}." if others is not None else "."),
        f"Load average before the run: {found.load_average}, on {found.machine.cores} cores.",
        f"Floors: bare ASGI {floors.bare_asgi_per_s:,.0f} a second, of which the statuses are "
        f"{floors.status_share_of_bare_asgi:.1%}; fsync {floors.fsync_per_s:,.0f}.",
    ]
    for step in found.steps:
        held = "held" if step.held else f"not held (p99 at most {HELD_P99_MS:g} ms, nothing refused)"
        sentences.append(
            f"{step.sends_per_s:,.0f} sends a second: {held}; status p99 {step.status_p99_ms:,.1f} ms, "
            f"refused {step.refused:,}, lost {step.lost:,}."
        )
    for words in sentences:
        console.print(words, highlight=False)
    for words in (*found.verdict.named, *found.problems):
        console.print(f"[red]{escape(words)}[/red]", highlight=False)


def show_soak(found: Soak, console: Console) -> None:
    """A line for each rule, and a sentence for whatever was lost."""
    table = Table(title=f"{found.command}: {found.database}", title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column()
    marks = {True: "[green]held[/green]", False: "[red]not held[/red]", None: "[dim]not judged[/dim]"}
    for it in found.judged:
        table.add_row(marks[it.holds], escape(it.said))
    console.print(table)
    colour = "red" if found.lost else "green"
    p99s = sorted(it.status_p99_ms for it in found.windows)
    for words in (
        f"Lost: [{colour}]{found.lost:,}[/{colour}] of {found.acknowledged:,}; refused or unanswered: "
        f"{found.refused:,}; {found.delivered:,} webhooks delivered. What waited had {found.drain_s:.1f} s more.",
        f"Status p99 of a stretch: {p99s[len(p99s) // 2]:,.1f} ms usually, {p99s[-1]:,.1f} ms at worst. Load average "
        f"before the run: {found.load_average}, on {found.machine.cores} cores.",
    ):
        console.print(words, highlight=False)
    for words in (*found.verdict.named, *found.problems):
        console.print(f"[red]{escape(words)}[/red]", highlight=False)


def _fields(result: AnyResult) -> dict[str, object]:
    fields: dict[str, object] = msgspec.to_builtins(result, str_keys=True)
    return fields


def _latency(it: Latency) -> str:
    return f"{it.p50_ms:,.1f} / {it.p90_ms:,.1f} / {it.p99_ms:,.1f} / {it.max_ms:,.1f}"


def _loop(result: Result) -> str:
    how = f"{result.rate:g} a second" if result.rate else f"{result.callers} callers"
    return f"{how}, the server killed once" if result.killed else how
