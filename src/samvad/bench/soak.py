"""`samvad bench soak`: a moderate load for as long as one likes, and a judgement of what grew meanwhile.

The load is that of `samvad bench goal`, with an idempotency key on every send, and a customer's endpoint that is told
of everything in Meta's words.
"""

import asyncio
import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from samvad.bench.goal import (
    INBOUND_PER_SEND,
    STATUSES,
    Driven,
    audit,
    by_window,
    drive,
    latency_at,
    problems_of,
)
from samvad.bench.ingest import SILENT
from samvad.bench.options import bounded
from samvad.bench.result import Machine, database_of
from samvad.bench.rig import SETTLE_WITHIN_S, Place, Rig, Tell, rig
from samvad.bench.sampling import Looks, Sample, sampling, size_mb, sqlite_file, sqlite_tables, wal_of
from samvad.bench.soak_rules import JOBS_LEFT, Judged, judge
from samvad.bench.standin import StandIn, Taker
from samvad.bench.verify import Verdict
from samvad.bench.watching import load_average
from samvad.domain.webhooks import queries as webhooks
from samvad.kit.clock import system_clock
from samvad.kit.errors import BadRequest

MOST_MINUTES = 24 * 60.0
MOST_SENDS = 500_000  # of one run: a kilobyte of each stays in the generator until it was looked for
MOST_SENDS_PER_S = 1_000.0

EVERY_S = 5.0  # between two looks; of a short load more often
LOOKS = 40
DRAIN_LOOK_S = 0.5
SERVER = {"SAMVAD_ALLOW_PRIVATE_WEBHOOKS": "1"}


@dataclass(frozen=True, slots=True)
class Plan:
    """One run."""

    minutes: float = 30.0
    sends_per_s: float = 50.0
    place: Place = field(default_factory=Place)

    def __post_init__(self) -> None:
        bounded("--minutes", self.minutes, MOST_MINUTES)
        bounded("--sends", self.sends_per_s, MOST_SENDS_PER_S)
        if self.sends_per_s * self.seconds > MOST_SENDS:
            raise BadRequest(f"--sends times --minutes must be at most {MOST_SENDS:,} messages.")

    @property
    def seconds(self) -> float:
        return self.minutes * 60

    @property
    def every_s(self) -> float:
        return min(EVERY_S, self.seconds / LOOKS)

    @property
    def command(self) -> str:
        """What brings this run again."""
        words = f"samvad bench soak --minutes {self.minutes:g} --sends {self.sends_per_s:g}"
        return words + (" --database postgresql://…" if self.place.postgres else "")


@dataclass(frozen=True, slots=True)
class Window:
    """What was due between two looks and acknowledged, and how long it took."""

    at_s: float
    sends: int
    statuses: int
    inbound: int
    send_p50_ms: float
    send_p99_ms: float
    status_p50_ms: float
    status_p99_ms: float
    inbound_p99_ms: float


@dataclass(frozen=True, slots=True)
class Soak:
    """One run, and what was judged."""

    command: str
    at: str
    database: str
    machine: Machine
    load_average: float | None
    """Before the run, of the last minute: who else was on the machine."""

    minutes: float
    sends_per_s: float
    acknowledged: int
    lost: int
    """Acknowledged, and not there; or there twice, or gone back."""

    refused: int
    """Whatever was due and not answered with 200."""

    delivered: int
    """POSTs that the customer's endpoint took."""

    drain_s: float
    """From the last answer until nothing waited any more, or until we waited no longer."""

    judged: tuple[Judged, ...]
    verdict: Verdict
    problems: tuple[str, ...]
    samples: tuple[Sample, ...]
    after: Sample
    """Once nothing waited any more, the server still running."""

    windows: tuple[Window, ...]

    @property
    def holds(self) -> bool:
        """Nothing grew that must not, and nothing acknowledged was lost, doubled or undone."""
        return not (self.lost or self.problems or any(it.holds is False for it in self.judged))


async def run(plan: Plan, tell: Tell) -> Soak:
    """The whole bench, on a server of its own."""
    was_loaded, at = load_average(), datetime.now(UTC).isoformat(timespec="seconds")
    async with StandIn() as stand_in, Taker() as customer:
        settings = {**SERVER, "SAMVAD_GRAPH_URL": f"http://127.0.0.1:{stand_in.port}"}
        async with rig(
            plan.place, sandbox_settings=SILENT, with_relay=False, tell=tell, settings=settings
        ) as running:
            await listen(running, customer.url)
            async with sampling(running, every_s=plan.every_s) as looks:
                driven = await drive(running, stand_in, plan.sends_per_s, plan.seconds, tell, keyed=True)
                samples = tuple(looks.samples)
                tell("waiting until nothing waits any more", None)
                ended = time.perf_counter()
                settled = await running.settled()
                await drained(looks)
                drain_s = time.perf_counter() - ended
                after = await looks.look()
            tell("stopping the server", None)
            stopped = await running.server.stop()
            file = sqlite_file(running)
            wal_at_the_end_mb = None
            if file is not None:
                wal_at_the_end_mb = size_mb(wal_of(file))
                after = replace(after, tables_mb=sqlite_tables(file))
            tell("looking for everything that was acknowledged", None)
            audited = await audit(running, driven)
    problems = problems_of(driven, audited, settled=settled, stopped_in_order=stopped)
    heard_of = len(driven.statuses.acknowledged) + len(driven.inbound.acknowledged)
    if customer.taken < heard_of:
        problems += (f"Of {heard_of:,} webhooks {customer.taken:,} were delivered to the customer.",)
    return Soak(
        command=plan.command,
        at=at,
        database=database_of(plan.place),
        machine=Machine(),
        load_average=was_loaded,
        minutes=plan.minutes,
        sends_per_s=plan.sends_per_s,
        acknowledged=audited.verdict.acknowledged,
        lost=audited.verdict.lost + audited.verdict.doubled + driven.sent_twice + audited.went_back,
        refused=driven.refused,
        delivered=customer.taken,
        drain_s=round(drain_s, 3),
        judged=judge(
            samples,
            after=after,
            messages=messages_known(driven, looks.began, samples),
            webhooks_per_s=plan.sends_per_s * (len(STATUSES) + INBOUND_PER_SEND),
            wal_at_the_end_mb=wal_at_the_end_mb,
        ),
        verdict=audited.verdict,
        problems=problems,
        samples=samples,
        after=after,
        windows=windows(driven, plan.every_s),
    )


async def listen(running: Rig, url: str) -> None:
    """Have a customer's endpoint told of everything, in Meta's words."""
    party = running.party
    async with running.resources() as res:
        await res.db.team(party.team_id).write(
            webhooks.set_endpoint,
            plugin_id=party.plugin_id,
            format="meta",
            url=url,
            events=(),
            at=system_clock(),
        )


async def drained(looks: Looks) -> None:
    """Waits until no job, delivery or parked status is left, or for so long that this is a finding."""
    ends = time.monotonic() + SETTLE_WITHIN_S
    while time.monotonic() < ends:
        it = await looks.look()
        if not (it.deliveries_pending or it.parked_statuses or it.jobs > JOBS_LEFT):
            return
        await asyncio.sleep(DRAIN_LOOK_S)


def messages_known(driven: Driven, began: float, samples: Sequence[Sample]) -> list[int]:
    """How many sends and inbound messages had been acknowledged at each sample."""
    return [
        sum(bisect_right(it.acknowledged_at_s, began + sample.at_s) for it in (driven.sends, driven.inbound))
        for sample in samples
    ]


def windows(driven: Driven, every_s: float) -> tuple[Window, ...]:
    """Stretch by stretch, each request in the one in which it was due."""
    sends, statuses, inbound = (by_window(it, driven.began, every_s) for it in driven.streams)
    found = []
    for number in sorted(sends.keys() | statuses.keys() | inbound.keys()):
        send, status, arrived = (latency_at(it, number) for it in (sends, statuses, inbound))
        found.append(
            Window(
                at_s=round(number * every_s, 3),
                sends=send.count,
                statuses=status.count,
                inbound=arrived.count,
                send_p50_ms=send.p50_ms,
                send_p99_ms=send.p99_ms,
                status_p50_ms=status.p50_ms,
                status_p99_ms=status.p99_ms,
                inbound_p99_ms=arrived.p99_ms,
            )
        )
    return tuple(found)
