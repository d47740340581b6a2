"""`samvad bench chaos`: the same messages three times, calm, in chaos, and in chaos with kill -9.

Evidence and not speed: each run has to end in the same state, and to have told the customer's server the same
events. What a kill or Meta leaves ambiguous is named, and counted.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from samvad.bench import script, state, told
from samvad.bench.actors import Acted, Actors, Stuck
from samvad.bench.customer import CALM, FAILING, Customer
from samvad.bench.rig import Place, Rig, Tell, rig
from samvad.bench.script import Script
from samvad.bench.state import Left, Line, State
from samvad.domain.accounts.operations import webhook_secret
from samvad.domain.audit import audit
from samvad.domain.waba.model import EVENTS
from samvad.domain.webhooks import queries as webhooks
from samvad.domain.webhooks.model import ECHO_FIELD
from samvad.domain.webhooks.tables import endpoints
from samvad.kit.clock import system_clock
from samvad.kit.errors import BadRequest
from samvad.storage import Tx, every_team

LOOK_EVERY_S = 0.3
NAMED = 20  # differences and problems that are named one by one

PATHS = {"/meta": ("meta", (ECHO_FIELD,)), "/chakra": ("chakra", EVENTS)}
"""The customer's endpoints: format, and the events of ours that each wants."""

UPSTREAM_TIMEOUT_S = 3.0
SERVER = {
    "SAMVAD_ALLOW_PRIVATE_WEBHOOKS": "1",
    # Many steps, all of them short: nothing may be given up, and nobody waits for an hour.
    "SAMVAD_WEBHOOK_BACK_OFF_S": ",".join(["0.05", "0.1", "0.2", "0.5"] + ["1"] * 12),
    "SAMVAD_UPSTREAM_TIMEOUT_S": str(UPSTREAM_TIMEOUT_S),
    "SAMVAD_LOG_FORMAT": "console",
}
QUICKLY = {"sent_ms": 30, "delivered_ms": 120, "read_ms": 300}
WILD: dict[str, Any] = {
    "delays": QUICKLY,
    "duplicates": 1.3,
    "shuffle": True,
    "drop": 0.2,
    "drop_attempts": 2,
    "jitter_ms": 1_500,
    "retry": {"first_s": 0.2, "max_s": 1.0},
}


@dataclass(frozen=True, slots=True)
class Options:
    """One proof: a calm run, one in chaos, and one in chaos where the server is killed as well."""

    messages: int = 10_000
    seed: int = 1
    kill_every_s: float = 5.0
    """0 leaves the last run out."""
    most_kills: int = 1_000
    unkilled: bool = True
    """False leaves the second run out: the last one has all the chaos too."""
    place: Place = field(default_factory=Place)

    def __post_init__(self) -> None:
        if not 1 <= self.messages <= script.MOST_MESSAGES:
            raise BadRequest(f"--messages must be from 1 to {script.MOST_MESSAGES:,}; got {self.messages}.")
        if not 0 <= self.kill_every_s <= 600:
            raise BadRequest(f"--kill-every must be from 0 to 600 seconds; got {self.kill_every_s:g}.")

    @property
    def settle_within_s(self) -> float:
        return 120.0 + self.messages / 20


@dataclass(frozen=True, slots=True)
class Run:
    """What is known after one run."""

    name: str
    seconds: float
    state: str
    """The hash of what matters in the database."""
    told: str
    """The hash of what the customer's server was told."""
    kills: int
    webhooks_from_meta: int
    """Posts the sandbox made that were answered with 200, copies included."""
    webhooks_lost: int
    """Posts of it that got lost or were not answered with 200."""
    events: int
    """Distinct events the customer's server was told, in both formats."""
    attempts: int
    """Posts of ours to it."""
    answers: dict[str, int]
    """How it met them."""
    repeated: int
    """Sends that were asked for again under their key."""
    ambiguous: int
    """Sends that never reached Meta and that the product names as ambiguous."""
    sent_twice: int
    problems: tuple[str, ...]

    @property
    def attempts_failed(self) -> int:
        return sum(count for how, count in self.answers.items() if how not in ("well", "slow"))


@dataclass(frozen=True, slots=True)
class Proof:
    """The runs beside each other."""

    database: str
    messages: int
    seed: int
    runs: tuple[Run, ...]
    differences: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Every run ended as the calm one did, and nothing in it does not fit together."""
        return not self.differences and not any(it.problems for it in self.runs)


@dataclass(frozen=True, slots=True)
class Seen:
    """A run, and what it is compared by."""

    run: Run
    state: State
    told: list[Line]


async def prove(options: Options, tell: Tell) -> Proof:
    """Every run, and how the later ones differ from the first."""
    played = script.write(options.messages, seed=options.seed)
    runs = [await _run("calm", played, options, tell, wild=False)]
    if options.unkilled:
        runs.append(await _run("chaos", played, options, tell, wild=True))
    if options.kill_every_s:
        killed = await _run("chaos, killed", played, options, tell, wild=True, most_kills=options.most_kills)
        runs.append(killed)
    calm, *others = runs
    return Proof(
        database="postgresql" if options.place.postgres else "sqlite",
        messages=options.messages,
        seed=options.seed,
        runs=tuple(it.run for it in runs),
        differences=tuple(
            f"{it.run.name}: {words}"
            for it in others
            for words in (*calm.state.differences(it.state, most=NAMED), *_differences(calm.told, it.told))
        ),
    )


async def _run(
    name: str, played: Script, options: Options, tell: Tell, *, wild: bool, most_kills: int = 0
) -> Seen:
    settings: dict[str, Any] = WILD if wild else {"delays": QUICKLY}
    settings = {**settings, "not_on_whatsapp": played.unreachable}
    moods = FAILING if wild else CALM
    began = time.perf_counter()

    def progress(part: float | None) -> None:
        tell(f"{name}: {'acting' if part is not None else 'waiting until nothing is left to do'}", part)

    async with (
        Customer(lambda _: moods, seed=options.seed) as customer,
        rig(
            options.place, sandbox_settings=settings, with_relay=False, tell=tell, settings=SERVER,
            seed=options.seed,
        ) as running,
    ):  # fmt: skip
        await _listen(running, customer)
        actors = Actors(running, played, troubled=wild, certain_after_s=UPSTREAM_TIMEOUT_S + 1)
        problems: list[str] = []
        async with _killing(running, options.kill_every_s, most_kills) as kills:
            try:
                acted = await actors.play(progress)
            except* Stuck as stuck:
                problems += [str(it) for it in stuck.exceptions]
                acted = actors.acted
        progress(None)
        if not await _settled(running, options.settle_within_s):
            problems.append("Not everything came to rest in time.")
        stats = await running.control("GET", "/stats")
        async with running.database() as db:
            left = await db.read(state.read, acted.numbers)
            books = await db.read(audit, now=system_clock() + 3_600_000)
            paths = await db.read(_paths)
        sent_twice = await _sent_twice(running, played)
        problems += _problems(acted, left, books, stats, sent_twice)
        problems += told.problems_of(customer.books, paths, left)
    heard = [
        line for path, book in customer.books.items() for line in told.lines_of(path, book, acted.numbers)
    ]
    run = Run(
        name=name,
        seconds=round(time.perf_counter() - began, 1),
        state=left.state.hash,
        told=state.hash_of(sorted(heard, key=repr)),
        kills=kills[0],
        webhooks_from_meta=stats["webhooks"]["delivered"],
        webhooks_lost=stats["webhooks"]["failed_attempts"],
        events=sum(len(it.heard) for it in customer.books.values()),
        attempts=sum(one.attempts for it in customer.books.values() for one in it.heard.values()),
        answers=dict(sum((Counter(it.answers) for it in customer.books.values()), Counter())),
        repeated=acted.repeated,
        ambiguous=len(left.sending),
        sent_twice=len(sent_twice),
        problems=tuple(problems[:NAMED]),
    )
    return Seen(run, left.state, heard)


async def _listen(running: Rig, customer: Customer) -> None:
    """Make the customer's server the team's endpoint in both formats."""
    party = running.party
    async with running.resources() as res:
        customer.secret = await webhook_secret(res, party.team_id)
        for path, (format, events) in PATHS.items():
            await res.db.team(party.team_id).write(
                webhooks.set_endpoint,
                plugin_id=party.plugin_id,
                format=format,
                url=customer.url(path),
                events=events,
                at=system_clock(),
            )


@contextlib.asynccontextmanager
async def _killing(running: Rig, every_s: float, most: int) -> AsyncIterator[list[int]]:
    """SIGKILLs the server again and again while something happens within; yields how often it did so far."""
    kills = [0]
    over = asyncio.Event()

    async def kill() -> None:
        while kills[0] < most and not over.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), every_s)
            await running.restart_after_a_crash()  # once more when all is said, while much is still under way
            kills[0] += 1

    killing = asyncio.create_task(kill())
    try:
        yield kills
        over.set()
        await killing
    finally:
        killing.cancel()


async def _settled(running: Rig, within_s: float) -> bool:
    """Waits until nothing is under way, on Meta's side and on ours; False: something still is."""
    async with running.database() as db:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while True:
                    stats = await running.control("GET", "/stats")
                    if not (stats["scheduled"] or stats["webhooks"]["pending"]):
                        books = await db.read(audit, now=0)
                        waits = (
                            books["inboundEventsWaiting"]
                            + books["parkedStatuses"]
                            + books["deliveriesPending"]
                        )
                        if not waits and not await db.read(state.working):
                            return True
                    await asyncio.sleep(LOOK_EVERY_S)
    return False


async def _sent_twice(running: Rig, played: Script) -> list[str]:
    """Words that a phone shows more than once from us."""
    said: Counter[str] = Counter()
    for person in played.steps:
        shown = await running.control("GET", f"/phones/{person}/messages")
        said.update(
            it["text"]["body"]
            for it in shown["messages"]
            if it["direction"] == "business" and it["type"] == "text"
        )
    return [words for words, times in said.items() if times > 1]


def _problems(
    acted: Acted, left: Left, books: dict[str, Any], stats: dict[str, Any], sent_twice: list[str]
) -> list[str]:
    problems = [f"“{words}” was sent twice." for words in sent_twice]
    sending = Counter(words for _, words in left.sending)
    if sending != Counter(f"send {number}" for number in acted.abandoned):
        problems.append(f"Still sending: {sorted(sending)}; never at Meta: {sorted(acted.abandoned)}.")
    if {id for id, _ in left.sending} != {it["id"] for it in books["ambiguousSends"]}:
        problems.append("The audit does not name the sends that are ambiguous.")
    if books["withWamid"] != books["distinctWamids"]:
        problems.append("Some wamids have several rows.")
    problems += [f"Not understood: {it['problem']}" for it in books["inboundProblems"]]
    for what in ("deliveriesExhausted", "jobsThatGaveUp"):
        if books[what]:
            problems.append(f"{what}: {books[what]}")
    if stats["webhooks"]["given_up"]:
        problems.append(f"The sandbox gave up {stats['webhooks']['given_up']} webhooks.")
    return problems


def _paths(tx: Tx) -> dict[str, str]:
    """Which path an endpoint has, by its id."""
    paths = {format: path for path, (format, _) in PATHS.items()}
    return {row.id: paths[row.format] for row in tx.all(every_team.select(endpoints))}


def _differences(calm: list[Line], other: list[Line]) -> list[str]:
    missing, extra = Counter(calm) - Counter(other), Counter(other) - Counter(calm)
    found = [f"told: {line!r} is missing" for line in sorted(missing, key=repr)]
    found += [f"told: {line!r} is too much" for line in sorted(extra, key=repr)]
    return found[:NAMED]
