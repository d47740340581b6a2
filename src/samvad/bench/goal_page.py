"""One run as one page: plots drawn here as SVG, nothing loaded from anywhere, readable in light and dark."""

from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple

from samvad.bench.goal import HELD_P99_MS, Goal, Second, Stream

WIDTH, HEIGHT = 720, 220
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 12, 28
TICKS = 4

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --dim: #667; --paper: #fff; --rule: #d8dce2;
  --a: #0b62c4; --b: #c2410c; --c: #15803d; --d: #7e22ce; --bad: #b91c1c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --dim: #9aa3af; --paper: #14171c;
  --rule: #333a44; --a: #6cb2ff; --b: #fb923c; --c: #4ade80; --d: #d8b4fe; --bad: #f87171; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 760px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p.dim, td.dim, figcaption { color: var(--dim); } code { overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; } figure { margin: 0; }
th, td { text-align: right; padding: .25rem .5rem; border-bottom: 1px solid var(--rule); }
th:first-child, td:first-child { text-align: left; } .bad { color: var(--bad); }
svg { width: 100%; height: auto; } svg text { fill: var(--dim); font-size: 12px; }
.rule { stroke: var(--rule); } .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.a { stroke: var(--a); } .b { stroke: var(--b); } .c { stroke: var(--c); } .d { stroke: var(--d); }
.key { display: inline-block; width: .8em; height: .2em; vertical-align: middle; margin: 0 .3em 0 .8em; }
.key.a { background: var(--a); } .key.b { background: var(--b); } .key.c { background: var(--c); }
.key.d { background: var(--d); }
"""


class Line(NamedTuple):
    """One line of a plot."""

    name: str
    of: Callable[[Second], float | None]


def page(it: Goal) -> str:
    """The whole page."""
    others = (
        "" if it.others_cpu is None else f" Everything else on it took {it.others_cpu:.2f} cores meanwhile."
    )
    before = "unknown" if it.load_average is None else f"{it.load_average:g}"
    problems = "".join(f'<p class="bad">{escape(words)}</p>' for words in (*it.verdict.named, *it.problems))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>samvad bench goal: {it.rate.sends:,.0f} sends a second on {escape(it.database)}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{it.rate.sends:,.0f} sends and {it.rate.statuses:,.0f} statuses a second on {escape(it.database)}</h1>
<p><strong{"" if it.holds else ' class="bad"'}>{it.lost:,} lost</strong> of {it.verdict.acknowledged:,}
acknowledged operations. {it.refused:,} were refused or not answered.</p>
{problems}
<p class="dim"><code>{escape(it.command)}</code><br>
<time datetime="{escape(it.at)}">{escape(it.at)}</time>; {it.machine.cores} cores, {
        escape(it.machine.system)
    },
Python {escape(it.machine.python)}; load average before the run: {
        before
    }. The generator and its stand-in for Meta
took {it.generator_cpu:.2f} cores of the same machine.{others}</p>
<h2>What was asked, and how long the answer took</h2>
{_streams(it)}
<h2>Latency by the second</h2>
{
        _plot(
            it.timeline,
            "ms",
            (
                Line("status p50", lambda s: s.status_p50_ms),
                Line("status p99", lambda s: s.status_p99_ms),
                Line("send p50", lambda s: s.send_p50_ms),
                Line("send p99", lambda s: s.send_p99_ms),
            ),
        )
    }
<h2>What was due in the second, and acknowledged</h2>
{
        _plot(
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
        _plot(
            it.timeline,
            "cores",
            (
                Line("server", lambda s: s.server_cores),
                Line("all of the machine", lambda s: s.machine_cores),
            ),
        )
    }
<h2>Memory of the server</h2>
{_plot(it.timeline, "MB", (Line("resident", lambda s: s.rss_mb),))}
<h2>What was used, and the floors of the same run</h2>
{_figures(it)}
{_steps(it)}
</body>
</html>
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


def _plot(seconds: Sequence[Second], unit: str, lines: Sequence[Line]) -> str:
    """Lines over the seconds of the load, from zero up."""
    values = [[line.of(second) for second in seconds] for line in lines]
    top = max((it for line in values for it in line if it is not None), default=0.0) * 1.05 or 1.0
    last = max((second.at_s for second in seconds), default=0) or 1

    def x(at_s: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * at_s / last

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top

    drawn, keys = [], []
    for tick in range(TICKS + 1):
        value, at_s = top * tick / TICKS, last * tick / TICKS
        drawn.append(
            f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
            f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{_short(value)}</text>'
            f'<text x="{x(at_s):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{_short(at_s)} s</text>'
        )
    for colour, line, row in zip("abcd", lines, values, strict=False):
        points = " ".join(
            f"{x(second.at_s):.1f},{y(value):.1f}"
            for second, value in zip(seconds, row, strict=True)
            if value is not None
        )
        drawn.append(f'<polyline class="line {colour}" points="{points}"/>')
        keys.append(f'<span class="key {colour}"></span>{escape(line.name)}')
    names = ", ".join(line.name for line in lines)
    return (
        f'<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(names)} in {unit}">'
        f"{''.join(drawn)}</svg><figcaption>{unit}: {''.join(keys)}</figcaption></figure>"
    )


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2f}"
