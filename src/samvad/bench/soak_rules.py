"""What must not grow while a load lasts: pure functions of what was sampled, each judging one thing in a sentence.

A load's first half is warm-up: caches fill, connections open, people write for the first time. Growth is judged over
the second, by the median of the slopes between all pairs of looks (Theil-Sen), which single spikes do not move.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

from samvad.bench.sampling import Sample
from samvad.storage.sqlite import WAL_KEPT

JUDGED_FROM_S = 240.0
"""A shorter load is all warm-up: what grows is not judged, only what is left at its end."""

FEWEST_LOOKS = 8  # in the half that is judged
MOST_LOOKS = 200  # of which slopes are taken; more are put together, by their median

MEMORY_MORE_MB, MEMORY_MORE_PART = 10.0, 0.05
"""Memory may grow by the larger of the two in the second half: the allocator keeps what a busy moment took."""

WAL_MOST_MB = 64.0
"""SQLite is told to move commits into the file when 16 MB wait: four times that means that it could not."""

WAL_LOOKS = 3  # in a row above it
WAL_AFTER_MB = WAL_KEPT / 2**20
"""Once nothing happens any more: no more than is left for use again."""

BACKLOG_S = 10.0  # of what the load brings: a queue longer than that by the end is growing
JOBS_LEFT = 5  # those that are promised for later, such as a sync of templates
JOBS_MORE = 20.0
DESCRIPTORS_MORE = 16.0
THREADS_MORE = 4.0
BYTES_RATIO = 1.2
FILE_JUDGED_FROM_MB = 32.0  # of growth in each half; a SQLite file grows in steps of 16

Series = Sequence[tuple[float, float]]
"""Moments (or counts of messages), ascending, and what there was at each."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One rule and what came of it."""

    rule: str
    holds: bool | None
    """None: there was nothing to judge it by, and `said` tells why."""

    said: str


def judge(
    samples: Sequence[Sample],
    *,
    after: Sample,
    messages: Sequence[int],
    webhooks_per_s: float,
    wal_at_the_end_mb: float | None,
) -> tuple[Judged, ...]:
    """All rules. `messages` counts those known at each sample; `after` is a look once nothing waited any more."""
    backlog = BACKLOG_S * webhooks_per_s
    return (
        memory_is_flat(series(samples, lambda it: it.rss_mb)),
        is_flat("descriptors", series(samples, lambda it: it.descriptors), more=DESCRIPTORS_MORE),
        is_flat("threads", series(samples, lambda it: it.threads), more=THREADS_MORE),
        wal_is_moved([it.wal_mb for it in samples], after_mb=after.wal_mb, stopped_mb=wal_at_the_end_mb),
        is_flat("jobs", series(samples, lambda it: it.jobs), more=JOBS_MORE),
        is_flat(
            "unfolded inbound events",
            series(samples, lambda it: it.inbound_waiting),
            more=backlog,
        ),
        is_flat("pending deliveries", series(samples, lambda it: it.deliveries_pending), more=backlog),
        is_flat("parked statuses", series(samples, lambda it: it.parked_statuses), more=backlog),
        nothing_is_left(after),
        file_grows_evenly(
            [(float(count), it.database_mb) for count, it in zip(messages, samples, strict=True)]
        ),
    )


def series(samples: Sequence[Sample], of: Callable[[Sample], float | None]) -> Series:
    """What could be told, over time."""
    return [(it.at_s, float(value)) for it in samples if (value := of(it)) is not None]


def memory_is_flat(values: Series) -> Judged:
    """The server's memory, once it is warm."""
    usual = median([it for _, it in values]) if values else 0.0
    return is_flat("memory", values, more=max(MEMORY_MORE_MB, MEMORY_MORE_PART * usual), unit=" MB")


def is_flat(what: str, values: Series, *, more: float, unit: str = "") -> Judged:
    """What may grow by so much at most from the middle of the load to its end."""
    why_not = _too_little(values)
    if why_not:
        return Judged(what, None, f"{what.capitalize()}: {why_not}")
    grown = growth(values)
    half = second_half(values)
    per_h = grown / (half[-1][0] - half[0][0]) * 3600
    return Judged(
        what,
        grown <= more,
        f"{what.capitalize()}: {half[0][1]:,.0f}{unit} in the middle of the load, {half[-1][1]:,.0f}{unit} at its "
        f"end; it grew by {grown:,.1f}{unit} in that half ({per_h:+,.0f}{unit} an hour), and {more:,.1f}{unit} are "
        "allowed.",
    )


def wal_is_moved(
    during_mb: Sequence[float | None], *, after_mb: float | None, stopped_mb: float | None
) -> Judged:
    """Whether SQLite's WAL is emptied into the file while the load lasts, and is small after it."""
    sizes = [it for it in during_mb if it is not None]
    if after_mb is None or not sizes:
        return Judged("wal", None, "WAL: only SQLite has the file.")
    stays = _longest_run([it > WAL_MOST_MB for it in sizes])
    said = f"WAL: {max(sizes):,.0f} MB at most, {after_mb:,.0f} MB after the load"
    said += "" if stopped_mb is None else f", {stopped_mb:,.0f} MB once the server had ended"
    holds = stays < WAL_LOOKS and after_mb <= WAL_AFTER_MB and not stopped_mb
    return Judged(
        "wal",
        holds,
        f"{said}; it may be above {WAL_MOST_MB:g} MB for less than {WAL_LOOKS} looks in a row, and at most "
        f"{WAL_AFTER_MB:g} MB after the load.",
    )


def nothing_is_left(after: Sample) -> Judged:
    """Once the load is over and everything had its time: no queue holds what is done."""
    left = {
        "jobs": (after.jobs, JOBS_LEFT),
        "unfolded inbound events": (after.inbound_waiting, 0),
        "pending deliveries": (after.deliveries_pending, 0),
        "parked statuses": (after.parked_statuses, 0),
        "unanswered sends": (after.sends_unanswered, 0),
        "promises past their time": (after.promises_overdue, 0),
    }
    too_many = [f"{count:,} {what}" for what, (count, most) in left.items() if count > most]
    if too_many:
        return Judged("nothing left", False, f"Left after the load: {', '.join(too_many)}.")
    return Judged("nothing left", True, f"Nothing is left after the load (jobs: {after.jobs}).")


def file_grows_evenly(values: Series) -> Judged:
    """The database over the messages in it: a message of the second half costs what one of the first does."""
    if len(values) < 2 * FEWEST_LOOKS:
        return Judged("database", None, "Database: too few looks to judge its growth.")
    middle = len(values) // 2
    halves = values[: middle + 1], values[middle:]
    if any(half[-1][1] - half[0][1] < FILE_JUDGED_FROM_MB for half in halves):
        grown = values[-1][1] - values[0][1]
        return Judged(
            "database", None, f"Database: it grew by {grown:,.0f} MB, too little to compare its halves."
        )
    first, second = (slope(half) * 2**20 for half in halves)
    ratio = second / first if first > 0 else float("inf")
    return Judged(
        "database",
        ratio <= BYTES_RATIO,
        f"Database: {first:,.0f} bytes a message in the first half, {second:,.0f} in the second; {ratio:.2f} times as "
        f"much, at most {BYTES_RATIO:g} is allowed.",
    )


def growth(values: Series) -> float:
    """By how much it grew over the second half."""
    half = second_half(values)
    return slope(half) * (half[-1][0] - half[0][0])


def second_half(values: Series) -> Series:
    middle = (values[0][0] + values[-1][0]) / 2
    return [it for it in values if it[0] >= middle]


def slope(values: Series) -> float:
    """The median of the slopes between all pairs."""
    slopes = [
        (after - before) / (later - sooner)
        for (sooner, before), (later, after) in combinations(thinned(values), 2)
        if later > sooner
    ]
    return median(slopes) if slopes else 0.0


def thinned(values: Series) -> Series:
    """At most so many, each the median of its neighbours, since the pairs of thousands are millions."""
    size = -(-len(values) // MOST_LOOKS)
    groups = [values[at : at + size] for at in range(0, len(values), size)]
    return [(median(at for at, _ in group), median(it for _, it in group)) for group in groups]


def _too_little(values: Series) -> str:
    if not values:
        return "not known on this system."
    lasted = values[-1][0] - values[0][0]
    if lasted < JUDGED_FROM_S or len(second_half(values)) < FEWEST_LOOKS:
        return f"not judged, since {lasted:,.0f} s are all warm-up; give it {JUDGED_FROM_S / 60:g} minutes or more."
    return ""


def _longest_run(flags: Sequence[bool]) -> int:
    longest = now = 0
    for flag in flags:
        now = now + 1 if flag else 0
        longest = max(longest, now)
    return longest
