"""`samvad bench goal`: the upper tier that Meta gives one number, all of it at once and by the clock.

So many sends a second, three statuses of each, and an inbound message for each fifth, as signed webhooks: each
due at its moment, whether or not earlier ones were answered. The stand-in for Meta lives in this process.
"""

import asyncio
import heapq
import itertools
import time
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from samvad.bench.floors import Floor, Floors
from samvad.bench.ingest import FIRST_PHONE, PEOPLE, SILENT
from samvad.bench.load import ANSWER_WITHIN_S, TICK_S, Generator, Latency, Loaded, percentiles, post
from samvad.bench.options import LONGEST_S, Options, bounded
from samvad.bench.result import Machine, database_of
from samvad.bench.rig import APP_SECRET, DISPLAY, PHONE_NUMBER_ID, WABA_ID, Party, Place, Rig, Tell, rig
from samvad.bench.send import wamid_of
from samvad.bench.standin import StandIn, wamid_of_order
from samvad.bench.verify import Verdict, count_twice_told, count_went_back, verify
from samvad.bench.watching import Look, load_average, machine_cpu_s, watching
from samvad.kit.clock import system_clock
from samvad.kit.errors import BadRequest
from samvad.whatsapp.signature import sign

STATUSES = (("sent", 0.1), ("delivered", 0.25), ("read", 0.5))
"""What Meta tells of a message, and how many seconds after its answer: as in `bench send`."""

INBOUND_PER_SEND = 0.2
MOST_SENDS_PER_S = 4_000.0
MOST_SENDS = 150_000  # of one run; each stands for 4.2 operations

FEWEST_CONNECTIONS, MOST_CONNECTIONS = 16, 512
FLOOR_CALLERS = 64
BEFORE_S = 1.0  # how long the machine is watched before anything is asked of it

STEP = 1.25
STEPS_AT_MOST = 12
HELD_P99_MS = 250.0
"""With --step: statuses are acknowledged within this, or the rate was not held."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run at one rate, or, with `step`, one after another until a rate is not held."""

    sends_per_s: float
    seconds: float
    step: bool = False
    floor_s: float = 2.0
    place: Place = field(default_factory=Place)

    def __post_init__(self) -> None:
        bounded("--sends", self.sends_per_s, MOST_SENDS_PER_S)
        bounded("--seconds", self.seconds, LONGEST_S)
        if self.sends_per_s * self.seconds > MOST_SENDS:
            raise BadRequest(f"--sends times --seconds must be at most {MOST_SENDS:,} messages.")

    @property
    def command(self) -> str:
        """What brings this run again."""
        words = f"samvad bench goal --sends {self.sends_per_s:g} --seconds {self.seconds:g}"
        words += " --database postgresql://…" if self.place.postgres else ""
        return words + (" --step" if self.step else "")


@dataclass(frozen=True, slots=True)
class Stream:
    """One of the three kinds of requests: what was due and what came of it."""

    due: int
    acknowledged: int
    refused: dict[int, int]
    """Answers other than 200, by status."""

    unanswered: int
    posted_again: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    """From the moment a request was due to its answer."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What was asked a second, and what was acknowledged: of each kind from its first due moment to its last answer."""

    asked_sends: float
    sends: float
    statuses: float
    inbound: float


@dataclass(frozen=True, slots=True)
class GoalFloors:
    """What the machine can do at all, measured in the same run."""

    bare_asgi_per_s: float
    bare_asgi_before_per_s: float
    bare_asgi_after_per_s: float
    fsync_per_s: float
    hmac_and_json_per_s: float
    status_share_of_bare_asgi: float
    """The acknowledged statuses a second, as a part of what a bare application could answer."""


@dataclass(frozen=True, slots=True)
class Second:
    """What was due in one second of the load, and what was used in it."""

    at_s: int
    sends: int
    statuses: int
    inbound: int
    send_p50_ms: float
    send_p99_ms: float
    status_p50_ms: float
    status_p99_ms: float
    inbound_p99_ms: float
    server_cores: float
    machine_cores: float | None
    rss_mb: float | None


@dataclass(frozen=True, slots=True)
class Tried:
    """One step of --step."""

    sends_per_s: float
    status_p99_ms: float
    refused: int
    lost: int
    held: bool


@dataclass(frozen=True, slots=True)
class Goal:
    """One run; with --step the last that held."""

    command: str
    at: str
    database: str
    machine: Machine
    load_average: float | None
    """Before the run, of the last minute: who else was on the machine."""

    machine_cores_before: float | None
    """What was busy just before the load, the bench's own processes being idle."""

    lost: int
    """Acknowledged, and not there; or there twice, or gone back."""

    seconds: float
    rate: Rate
    send: Stream
    status: Stream
    inbound: Stream
    cpu: float
    """Cores of the server process while the load lasted."""

    generator_cpu: float
    """Cores of the generator, the stand-in for Meta included."""

    others_cpu: float | None
    """Cores of everything else meanwhile: a PostgreSQL server, and whoever shares the machine."""

    rss_mb: float | None
    """The most the server held at any look."""

    rss_idle_mb: float | None
    """What it held before the load."""

    catch_up_s: float
    """From the last answer until every webhook was folded."""

    floors: GoalFloors
    verdict: Verdict
    sent_twice: int
    went_back: int
    timeline: tuple[Second, ...]
    problems: tuple[str, ...]
    steps: tuple[Tried, ...] = ()

    @property
    def holds(self) -> bool:
        """Nothing acknowledged was lost, doubled or undone, in no step, and the books agree."""
        return not (self.lost or self.problems or any(it.lost for it in self.steps))

    @property
    def refused(self) -> int:
        """Whatever was due and not answered with 200, a connection that broke included."""
        return sum(it.due - it.acknowledged for it in (self.send, self.status, self.inbound))

    @property
    def held(self) -> bool:
        return self.holds and not self.refused and self.status.p99_ms <= HELD_P99_MS


async def run(plan: Plan, tell: Tell) -> Goal:
    """The whole bench. With --step also what was tried, and the last that held (the first, if none did)."""
    if not plan.step:
        return await run_once(plan, plan.sends_per_s, tell)
    best: Goal | None = None
    tried: list[Tried] = []
    sends_per_s = plan.sends_per_s
    most = min(MOST_SENDS_PER_S, MOST_SENDS / plan.seconds)
    while len(tried) < STEPS_AT_MOST and sends_per_s <= most:
        found = await run_once(plan, sends_per_s, tell)
        lost = found.lost + len(found.problems)
        tried.append(Tried(sends_per_s, found.status.p99_ms, found.refused, lost, found.held))
        best = found if found.held or best is None else best
        if not found.held:
            break
        sends_per_s = round(sends_per_s * STEP, 1)
    assert best is not None, "at least one rate is tried"
    return replace(best, steps=tuple(tried))


async def run_once(plan: Plan, sends_per_s: float, tell: Tell) -> Goal:
    """One rate against a server of its own, floors and audit included."""
    was_loaded, at = load_average(), datetime.now(UTC).isoformat(timespec="seconds")
    async with StandIn() as stand_in:
        settings = {"SAMVAD_GRAPH_URL": f"http://127.0.0.1:{stand_in.port}"}
        async with rig(
            plan.place, sandbox_settings=SILENT, with_relay=False, tell=tell, settings=settings
        ) as running:
            options = Options(plan.seconds, FLOOR_CALLERS, floor_s=plan.floor_s, place=plan.place)
            tell("measuring the floors", None)
            floor = Floor(running.folder, running.echo, sample_webhooks(running.party), options)
            await floor.before()
            busy_before = await _busy_cores(BEFORE_S)
            driven = await drive(running, stand_in, sends_per_s, plan.seconds, tell)
            ended = time.perf_counter()
            tell("waiting for the fold", None)
            settled = await running.settled()
            catch_up_s = time.perf_counter() - ended
            await running.swept()
            tell("stopping the server", None)
            stopped = await running.server.stop()
            tell("measuring the floor again", None)
            floors = await floor.after()
            tell("looking for everything that was acknowledged", None)
            audited = await audit(running, driven)
    problems = problems_of(driven, audited, settled=settled, stopped_in_order=stopped)
    return Goal(
        command=plan.command,
        at=at,
        database=database_of(plan.place),
        machine=Machine(),
        load_average=was_loaded,
        machine_cores_before=busy_before,
        lost=audited.verdict.lost + audited.verdict.doubled + driven.sent_twice + audited.went_back,
        catch_up_s=round(catch_up_s, 3),
        floors=_floors(floors, driven),
        verdict=audited.verdict,
        sent_twice=driven.sent_twice,
        went_back=audited.went_back,
        problems=problems,
        **_measured(driven, sends_per_s),
    )


@dataclass(slots=True)
class Driven:
    """A load that is over, the server still running."""

    began: float
    sends: Loaded
    statuses: Loaded
    inbound: Loaded
    sends_due: int
    told: Sequence[tuple[str, str]]
    """What each status request was about: a wamid and Meta's word."""

    inbound_wamids: Sequence[str]
    orders: Counter[int]
    looks: Sequence[Look]

    @property
    def elapsed_s(self) -> float:
        ends = [it.acknowledged_at_s[-1] for it in self.streams if it.acknowledged_at_s]
        return max(ends) - self.began if ends else 0.0

    @property
    def streams(self) -> tuple[Loaded, Loaded, Loaded]:
        return self.sends, self.statuses, self.inbound

    @property
    def refused(self) -> int:
        """Whatever was due and not answered with 200, a connection that broke included."""
        due = self.sends_due + len(self.told) + len(self.inbound_wamids)
        return due - sum(len(it.acknowledged) for it in self.streams)

    @property
    def sent_twice(self) -> int:
        """Orders that reached Meta more than once, though each was asked for once."""
        return sum(times - 1 for times in self.orders.values())


async def drive(
    running: Rig, stand_in: StandIn, sends_per_s: float, seconds: float, tell: Tell, *, keyed: bool = False
) -> Driven:
    """All three streams at once; ends when the last status of the last message was answered.

    `keyed` gives each send an idempotency key.
    """
    party, port = running.party, running.server.port
    count = max(1, round(sends_per_s * seconds))
    inbound_per_s = sends_per_s * INBOUND_PER_SEND
    inbound_count = round(inbound_per_s * seconds)
    statuses = _Statuses(party)
    stand_in.on_accepted = statuses.follow
    sending = Generator(port, Sends(party, keyed=keyed), again=False, keep=True)
    telling = Generator(port, statuses, again=True, keep=False)
    arriving = Generator(port, Inbound(party, inbound_per_s), again=True, keep=False)
    lines_open = 0
    all_open, sends_done = asyncio.Event(), asyncio.Event()

    async def together() -> None:
        """Waits until every stream has its connections, so that one clock counts for all."""
        nonlocal lines_open
        lines_open += 1
        if lines_open == 3:
            all_open.set()
        await all_open.wait()

    def by_clock(generator: Generator, rate: float, total: int) -> Callable[[], Any]:
        async def schedule() -> None:
            await together()
            began, given = time.perf_counter(), 0
            while given < total:
                due = min(total, int((time.perf_counter() - began) * rate) + 1)
                for index in range(given, due):
                    generator.give(index, began + index / rate)
                given = due
                await asyncio.sleep(TICK_S)

        return schedule

    async def as_they_fall_due() -> None:
        await together()
        while statuses.waiting or not sends_done.is_set():
            for index, due in statuses.due():
                telling.give(index, due)
            await asyncio.sleep(TICK_S)

    async def send() -> Loaded:
        try:
            return await sending.run(
                connections_for(sends_per_s), seconds, schedule=by_clock(sending, sends_per_s, count)
            )
        finally:
            sends_done.set()

    tell("sending, telling and receiving", 0.0)
    async with watching(running.server) as looks, asyncio.TaskGroup() as group:
        sent = group.create_task(send())
        lasts_s = seconds + ANSWER_WITHIN_S
        told = group.create_task(
            telling.run(connections_for(sends_per_s * len(STATUSES)), lasts_s, schedule=as_they_fall_due)
        )
        arrived = group.create_task(
            arriving.run(
                connections_for(inbound_per_s),
                seconds,
                schedule=by_clock(arriving, inbound_per_s, inbound_count),
                progress=lambda part: tell("sending, telling and receiving", part),
            )
        )
        await all_open.wait()
        began = time.perf_counter()
    return Driven(
        began,
        sent.result(),
        told.result(),
        arrived.result(),
        count,
        statuses.told,
        [inbound_wamid(it) for it in range(inbound_count)],
        stand_in.orders,
        looks,
    )


class _Statuses:
    """The status webhooks of what the stand-in accepted, each with the moment it is due.

    Like all requests of this load they are made when they go out: those of hours would not go into memory.
    """

    def __init__(self, party: Party) -> None:
        self.told: list[tuple[str, str]] = []
        self.waiting: list[tuple[float, int, str, str, str, str]] = []
        self._party = party
        self._number = itertools.count()
        self._more: list[tuple[str, str, int]] = []

    def __getitem__(self, index: int) -> bytes:
        """To the byte the same whenever it is asked for, as Meta repeats itself."""
        (wamid, word), (to, traced, second) = self.told[index], self._more[index]
        return status_webhook(self._party, wamid, word, to, traced, second)

    def follow(self, wamid: str, to: str, traced: str) -> None:
        """Meta has answered: from now on it tells."""
        now = time.perf_counter()
        for word, after_s in STATUSES:
            heapq.heappush(self.waiting, (now + after_s, next(self._number), wamid, word, to, traced))

    def due(self) -> Sequence[tuple[int, float]]:
        """What is due by now; the index of each request, and its moment."""
        now, second, found = time.perf_counter(), _now_s(), []
        while self.waiting and self.waiting[0][0] <= now:
            due, _, wamid, word, to, traced = heapq.heappop(self.waiting)
            found.append((len(self.told), due))
            self.told.append((wamid, word))
            self._more.append((to, traced, second))
        return found


@dataclass(frozen=True, slots=True)
class Audited:
    """What the database says."""

    verdict: Verdict
    went_back: int
    twice_told: int


async def audit(running: Rig, driven: Driven) -> Audited:
    """Look for everything that was acknowledged, for statuses that went back, and for events told twice."""
    async with running.database() as db:
        verdict = await verify(
            db,
            inbound=[driven.inbound_wamids[it] for it in driven.inbound.acknowledged],
            told=[driven.told[it] for it in driven.statuses.acknowledged],
            sends=answered_wamids(driven.sends),
            now=system_clock(),
        )
        return Audited(verdict, await db.read(count_went_back), await db.read(count_twice_told))


def answered_wamids(sends: Loaded) -> list[str]:
    return [wamid_of(sends.answers[index]) for index in sends.acknowledged]


def problems_of(
    driven: Driven, audited: Audited, *, settled: bool, stopped_in_order: bool
) -> tuple[str, ...]:
    """Whatever does not fit together, in sentences."""
    problems, verdict = [], audited.verdict
    if not settled:
        problems.append("The fold did not catch up in time.")
    wrong = sum(
        wamid != wamid_of_order(index)
        for index, wamid in zip(driven.sends.acknowledged, answered_wamids(driven.sends), strict=True)
    )
    if wrong:
        problems.append(f"{wrong} sends were answered with the wamid of another.")
    accepted = sum(driven.orders.values())
    if verdict.outbound_with_wamid != accepted:
        problems.append(f"Meta accepted {accepted} sends, and {verdict.outbound_with_wamid} are known here.")
    if audited.twice_told:
        problems.append(f"{audited.twice_told} events of a message are in the log more than once.")
    if verdict.parked:
        problems.append(f"{verdict.parked} statuses wait for a message though each was sent.")
    if verdict.inbound_problems:
        problems.append(f"{verdict.inbound_problems} webhooks were not understood.")
    if not stopped_in_order:
        problems.append("The server did not end in order when it was told to.")
    return tuple(problems)


def connections_for(rate: float) -> int:
    """A second's requests at once; more would rest so long that the server hangs up."""
    return min(MOST_CONNECTIONS, max(FEWEST_CONNECTIONS, round(rate)))


@dataclass(frozen=True, slots=True)
class Sends:
    """The orders, by their number."""

    party: Party
    keyed: bool = False
    """Whether each has an idempotency key."""

    def __getitem__(self, number: int) -> bytes:
        headers = [f"Authorization: Bearer {self.party.token}"]
        if self.keyed:
            headers.append(f"Idempotency-Key: order-{number}")
        body = (
            f'{{"messaging_product":"whatsapp","to":"{_phone(number)}","type":"text",'
            f'"text":{{"body":"Order {number} is on its way."}}}}'
        )
        return post(self.party.send, body.encode(), *headers)


@dataclass(frozen=True, slots=True)
class Inbound:
    """Signed webhooks of what customers write, by their number."""

    party: Party
    per_s: float
    began_s: int = field(default_factory=lambda: _now_s())

    def __getitem__(self, number: int) -> bytes:
        phone, second = _phone(number), self.began_s + int(number / self.per_s)
        return _webhook(
            self.party,
            f'"contacts":[{{"profile":{{"name":"Customer {phone % PEOPLE}"}},"wa_id":"{phone}"}}],'
            f'"messages":[{{"from":"{phone}","id":"{inbound_wamid(number)}","timestamp":"{second}",'
            f'"text":{{"body":"Is order {number} on its way?"}},"type":"text"}}]',
        )


def inbound_wamid(number: int) -> str:
    return f"wamid.GOALIN{number:010d}"


def status_webhook(party: Party, wamid: str, word: str, to: str, traced: str, second: int) -> bytes:
    return _webhook(
        party,
        f'"statuses":[{{"id":"{wamid}","status":"{word}","timestamp":"{second}","recipient_id":"{to}",'
        f'"biz_opaque_callback_data":"{traced}","pricing":{{"billable":true,"pricing_model":"PMP",'
        '"category":"utility","type":"regular"}}]',
    )


def sample_webhooks(party: Party) -> list[bytes]:
    """Of the size of those of the load, for the bare application."""
    traced, second = "0" * 36, _now_s()
    return [
        status_webhook(party, wamid_of_order(it), "sent", str(_phone(it)), traced, second)
        for it in range(PEOPLE)
    ]


def _webhook(party: Party, said: str) -> bytes:
    body = (
        f'{{"object":"whatsapp_business_account","entry":[{{"id":"{WABA_ID}","changes":[{{"value":'
        f'{{"messaging_product":"whatsapp","metadata":{{"display_phone_number":"{DISPLAY}",'
        f'"phone_number_id":"{PHONE_NUMBER_ID}"}},{said}}},"field":"messages"}}]}}]}}'
    ).encode()
    return post(party.callback, body, f"X-Hub-Signature-256: {sign(APP_SECRET, body)}")


def _phone(number: int) -> int:
    return FIRST_PHONE + number % PEOPLE


def _now_s() -> int:
    return system_clock() // 1000


async def _busy_cores(seconds: float) -> float | None:
    before, began = machine_cpu_s(), time.perf_counter()
    await asyncio.sleep(seconds)
    after = machine_cpu_s()
    if before is None or after is None:
        return None
    return round((after - before) / (time.perf_counter() - began), 2)


def _floors(floors: Floors, driven: Driven) -> GoalFloors:
    share = _rate_of(driven.statuses) / floors.bare_asgi_per_s
    rounded = {name: round(rate, 1) for name, rate in asdict(floors).items()}
    return GoalFloors(**rounded, status_share_of_bare_asgi=round(share, 4))


def _measured(driven: Driven, sends_per_s: float) -> dict[str, Any]:
    first, last = driven.looks[0], driven.looks[-1]
    lasted = last.at_s - first.at_s
    own = (last.own_cpu_s - first.own_cpu_s) / lasted
    server = (last.server_cpu_s - first.server_cpu_s) / lasted
    machine = _per_s(first, last, lasted)
    held = [it.server_rss_mb for it in driven.looks if it.server_rss_mb is not None]
    return {
        "seconds": round(driven.elapsed_s, 3),
        "rate": Rate(sends_per_s, *(round(_rate_of(it), 1) for it in driven.streams)),
        "send": _stream(driven.sends, driven.sends_due),
        "status": _stream(driven.statuses, len(driven.told)),
        "inbound": _stream(driven.inbound, len(driven.inbound_wamids)),
        "cpu": round(server, 3),
        "generator_cpu": round(own, 3),
        "others_cpu": None if machine is None else round(max(0.0, machine - server - own), 3),
        "rss_mb": max(held, default=None),
        "rss_idle_mb": first.server_rss_mb,
        "timeline": timeline(driven),
    }


def _rate_of(loaded: Loaded) -> float:
    """Acknowledged a second, from the moment the first was due to the last answer."""
    if not loaded.acknowledged:
        return 0.0
    moments = zip(loaded.acknowledged_at_s, loaded.latencies_s, strict=True)
    first_due = min(answered_at - took for answered_at, took in moments)
    return len(loaded.acknowledged) / (loaded.acknowledged_at_s[-1] - first_due)


def _stream(loaded: Loaded, due: int) -> Stream:
    it = loaded.latency
    return Stream(
        due=due,
        acknowledged=len(loaded.acknowledged),
        refused=dict(loaded.refused),
        unanswered=len(loaded.unanswered) + loaded.not_begun,
        posted_again=loaded.posted_again,
        p50_ms=it.p50_ms,
        p90_ms=it.p90_ms,
        p99_ms=it.p99_ms,
        max_ms=it.max_ms,
    )


def timeline(driven: Driven) -> tuple[Second, ...]:
    """Second by second, each request in the one in which it was due."""
    sends, statuses, inbound = (by_window(it, driven.began, 1.0) for it in driven.streams)
    seconds = []
    for before, after in itertools.pairwise(driven.looks):
        lasted = after.at_s - before.at_s
        if lasted < 0.5:  # the rest of a second says nothing of it
            continue
        at = max(0, round(before.at_s - driven.began))
        send, status, arrived = (latency_at(it, at) for it in (sends, statuses, inbound))
        machine = _per_s(before, after, lasted)
        seconds.append(
            Second(
                at_s=at,
                sends=send.count,
                statuses=status.count,
                inbound=arrived.count,
                send_p50_ms=send.p50_ms,
                send_p99_ms=send.p99_ms,
                status_p50_ms=status.p50_ms,
                status_p99_ms=status.p99_ms,
                inbound_p99_ms=arrived.p99_ms,
                server_cores=round((after.server_cpu_s - before.server_cpu_s) / lasted, 3),
                machine_cores=None if machine is None else round(machine, 3),
                rss_mb=after.server_rss_mb,
            )
        )
    return tuple(seconds)


def _per_s(before: Look, after: Look, lasted: float) -> float | None:
    if before.machine_cpu_s is None or after.machine_cpu_s is None:
        return None
    return (after.machine_cpu_s - before.machine_cpu_s) / lasted


def by_window(loaded: Loaded, began: float, window_s: float) -> dict[int, "array[float]"]:
    """Latencies by the number of the window in which each acknowledged request was due."""
    found: dict[int, array[float]] = {}
    for answered_at, took in zip(loaded.acknowledged_at_s, loaded.latencies_s, strict=True):
        found.setdefault(max(0, int((answered_at - took - began) / window_s)), array("d")).append(took)
    return found


def latency_at(windows: dict[int, "array[float]"], number: int) -> Latency:
    nothing: Collection[float] = ()
    return percentiles(list(windows.get(number, nothing)))
