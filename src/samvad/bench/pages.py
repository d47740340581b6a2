"""What the pages of runs share: plots drawn here as SVG, nothing loaded from anywhere, readable in light and dark."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Generic, Protocol, TypeVar

from samvad.bench.result import Machine

WIDTH, HEIGHT = 720, 220
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 12, 28
TICKS = 4
MINUTES_FROM_S = 180  # a longer load is told in minutes

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


class Moment(Protocol):
    """Something of the load that has its time."""

    @property
    def at_s(self) -> float: ...


M = TypeVar("M", bound=Moment)


@dataclass(frozen=True)
class Line(Generic[M]):
    """One line of a plot."""

    name: str
    of: Callable[[M], float | None]


def document(title: str, body: str) -> str:
    """The whole page; `title` is plain text."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
{body}
</body>
</html>
"""


def origin(command: str, at: str, machine: Machine, load_average: float | None) -> str:
    """Which run this is, and where it was."""
    before = "unknown" if load_average is None else f"{load_average:g}"
    return (
        f'<code>{escape(command)}</code><br>\n<time datetime="{escape(at)}">{escape(at)}</time>; '
        f"{machine.cores} cores, {escape(machine.system)},\nPython {escape(machine.python)}; "
        f"load average before the run: {before}."
    )


def problems(words: Sequence[str]) -> str:
    return "".join(f'<p class="bad">{escape(it)}</p>' for it in words)


def plot(moments: Sequence[M], unit: str, lines: Sequence[Line[M]]) -> str:
    """Lines over the time of the load, from zero up."""
    values = [[line.of(moment) for moment in moments] for line in lines]
    top = max((it for line in values for it in line if it is not None), default=0.0) * 1.05 or 1.0
    last = max((moment.at_s for moment in moments), default=0) or 1

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
            f'<text x="{x(at_s):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{_clock(at_s, last)}</text>'
        )
    for colour, line, row in zip("abcd", lines, values, strict=False):
        points = " ".join(
            f"{x(moment.at_s):.1f},{y(value):.1f}"
            for moment, value in zip(moments, row, strict=True)
            if value is not None
        )
        drawn.append(f'<polyline class="line {colour}" points="{points}"/>')
        keys.append(f'<span class="key {colour}"></span>{escape(line.name)}')
    names = ", ".join(line.name for line in lines)
    return (
        f'<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(names)} in {unit}">'
        f"{''.join(drawn)}</svg><figcaption>{unit}: {''.join(keys)}</figcaption></figure>"
    )


class Waited(Moment, Protocol):
    """How long was waited around a moment."""

    @property
    def status_p50_ms(self) -> float: ...
    @property
    def status_p99_ms(self) -> float: ...
    @property
    def send_p50_ms(self) -> float: ...
    @property
    def send_p99_ms(self) -> float: ...


def latencies(moments: Sequence[Waited]) -> str:
    """How long statuses and sends waited, over the time of the load."""
    return plot(
        moments,
        "ms",
        (
            Line("status p50", lambda it: it.status_p50_ms),
            Line("status p99", lambda it: it.status_p99_ms),
            Line("send p50", lambda it: it.send_p50_ms),
            Line("send p99", lambda it: it.send_p99_ms),
        ),
    )


def _clock(at_s: float, last_s: float) -> str:
    """A moment of the load; in minutes where it lasts for some."""
    return f"{_short(at_s)} s" if last_s < MINUTES_FROM_S else f"{at_s / 60:.1f} min"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2f}"
