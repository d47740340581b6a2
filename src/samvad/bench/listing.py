"""`samvad bench list`: whether a page is as quick, and ingest as fast, among ten million messages as among few."""

import random
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from samvad.bench import ingest
from samvad.bench.asking import PAGE, WARM, Measured, Times, request
from samvad.bench.conversations import Conversations, fill
from samvad.bench.load import closed_loop
from samvad.bench.result import Machine
from samvad.bench.rig import Place, Rig, Tell, rig
from samvad.domain.chats.model import Wanted
from samvad.domain.context import Context
from samvad.domain.messages import inbox
from samvad.domain.messages import operations as messages
from samvad.kit.errors import BadRequest

FEWEST, MOST = 1_000, 50_000_000
CALLERS = 32
INGEST_AT_LEAST = 0.7
"""How fast ingest among many must be, as a share of that among few."""
SEED_CALL = "/v1/ext/plugin/whatsapp/list-chat-messages-for-phone-number"


@dataclass(frozen=True, slots=True)
class Options:
    """One run: asked among `small` messages and among `messages`, in turn."""

    messages: int = 10_000_000
    small: int = 10_000
    repeat: int = 200
    turns: int = 4
    """In how many parts of its repetitions a question goes from one side to the other."""

    webhooks: int = 4_000
    """That each side takes in one turn, of two more turns than these."""

    place: Place = field(default_factory=Place)

    def __post_init__(self) -> None:
        if not FEWEST <= self.small < self.messages <= MOST:
            raise BadRequest(
                f"--small must be at least {FEWEST:,} and less than --messages, which is at most {MOST:,}; "
                f"got {self.small:,} and {self.messages:,}."
            )


@dataclass(frozen=True, slots=True)
class Taken:
    """Webhooks a second that were acknowledged and folded: medians of the turns."""

    webhooks: int
    small_per_s: float
    large_per_s: float
    ratio: float

    @property
    def is_within(self) -> bool:
        return self.ratio >= INGEST_AT_LEAST


@dataclass(frozen=True, slots=True)
class Listed:
    """One run of the bench."""

    database: str
    messages: int
    small: int
    repeat: int
    machine: Machine
    fill_s: float
    questions: tuple[Measured, ...]
    ingest: Taken
    problems: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        return all(it.is_within for it in self.questions) and self.ingest.is_within and not self.problems


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """A server with its conversations, and its database once more in this process."""

    running: Rig
    its: Conversations
    ctx: Context


class Asked(NamedTuple):
    """One question: as a request, as an operation, and how much of what it has to find."""

    path: str
    body: dict[str, Any]
    call: Callable[[Context], Awaitable[Any]]
    least: int
    phone: str | None


def of_person(its: Conversations, person: int, *, page: int = 1) -> Asked:
    phone = its.phone(person)

    async def call(ctx: Context) -> Any:
        return (await messages.list_with(ctx, phone, limit=PAGE, skip=(page - 1) * PAGE))[0]

    body = {"customerPhoneNumber": phone, "limit": PAGE, "page": page}
    return Asked(SEED_CALL, body, call, 1 if page > 1 or person else PAGE, phone)


def of_busiest(its: Conversations, rng: random.Random) -> Asked:
    return of_person(its, 0)


def of_somebody(its: Conversations, rng: random.Random) -> Asked:
    return of_person(its, rng.randrange(1, len(its.chats)))


def second_page(its: Conversations, rng: random.Random) -> Asked:
    return of_person(its, 0, page=2)


def newest_chats(its: Conversations, rng: random.Random) -> Asked:
    wanted = Wanted("lastMessageAt", True, PAGE, 0, None, None)

    async def call(ctx: Context) -> Any:
        return (await inbox.list_chats(ctx, wanted))[0].chats

    return Asked(
        "/v1/ext/chat", {"orderField": "lastMessageAt", "limit": PAGE}, call, min(PAGE, len(its.chats)), None
    )


def of_chat(its: Conversations, rng: random.Random) -> Asked:
    chat_id = its.chats[0]

    async def call(ctx: Context) -> Any:
        return (await inbox.list_messages(ctx, chat_id, limit=PAGE, skip=0))[0]

    return Asked(f"/v1/ext/chat/{chat_id}/message", {"limit": PAGE}, call, PAGE, its.phone(0))


QUESTIONS: tuple[tuple[str, Callable[[Conversations, random.Random], Asked]], ...] = (
    ("messages with the busiest person", of_busiest),
    ("messages with somebody", of_somebody),
    ("second page of the busiest person", second_page),
    ("newest chats", newest_chats),
    ("messages of the busiest chat", of_chat),
)


async def run(options: Options, tell: Tell) -> Listed:
    """Raises BadRequest where the database named is none."""
    problems: list[str] = []
    began = time.perf_counter()
    async with (
        _side(options, options.small, tell) as few,
        _side(options, options.messages, tell) as many,
    ):
        fill_s = time.perf_counter() - began
        measured = []
        for number, (name, make) in enumerate(QUESTIONS):
            tell(f"asking: {name}", number / len(QUESTIONS))
            answered, found = await _compare(name, make, few, many, options)
            measured.append(answered)
            problems += found
        taken = await _take_in(few, many, options, problems, tell)
    return Listed(
        database="postgresql" if options.place.postgres else "sqlite",
        messages=options.messages,
        small=options.small,
        repeat=options.repeat,
        machine=Machine(),
        fill_s=round(fill_s, 1),
        questions=tuple(measured),
        ingest=taken,
        problems=tuple(problems),
    )


async def _take_in(few: Side, many: Side, options: Options, problems: list[str], tell: Tell) -> Taken:
    """Post webhooks to both sides in turn, and wait each time until all are folded."""
    rates: dict[Side, list[float]] = {few: [], many: []}
    acknowledged: dict[Side, list[ingest.Post]] = {few: [], many: []}
    for turn in range(options.turns + 1):
        for side, its in rates.items():
            rate, taken = await _turn(side, turn * options.webhooks, options, problems, tell)
            acknowledged[side] += taken
            if turn:  # the first fills the caches
                its.append(rate)
    for side, posts in acknowledged.items():  # at the end, for it counts whole tables
        tell(f"looking for what was acknowledged among {side.its.total:,} messages", None)
        async with side.running.database() as db:
            verdict = await ingest.verdict_on(db, posts)
        if verdict.lost:
            problems.append(
                f"{verdict.lost} webhooks were acknowledged and are not there: {verdict.named[0]}"
            )
    small, large = (statistics.median(it) for it in rates.values())
    return Taken(options.webhooks, round(small, 1), round(large, 1), round(large / small, 2))


async def _turn(
    side: Side, first: int, options: Options, problems: list[str], tell: Tell
) -> tuple[float, list[ingest.Post]]:
    """How many a second, and those that were acknowledged."""
    running = side.running
    posts = ingest.make_posts(running.party, options.webhooks, first=first)
    await ingest.make_known(running, posts, lambda words, part: None)
    tell(f"posting webhooks beside {side.its.total:,} messages", None)
    began = time.perf_counter()
    loaded = await closed_loop(running.server.port, [it.request for it in posts], callers=CALLERS)
    if not await running.settled():
        problems.append("The fold did not catch up in time.")
    rate = len(loaded.acknowledged) / (time.perf_counter() - began)
    return rate, [posts[it] for it in loaded.acknowledged]


@asynccontextmanager
async def _side(options: Options, count: int, tell: Tell) -> AsyncIterator[Side]:
    """A server whose team has so many messages, made while it was stopped: a SQLite file has one owner."""
    words = f"making {count:,} messages"
    async with rig(options.place, sandbox_settings={}, with_relay=False, tell=tell) as running:
        await running.server.stop()
        async with running.resources() as res:
            its = Conversations(running.party, count, res.clock())
            await fill(res, its, upto=count, progress=lambda part: tell(words, part))
        await running.server.start()
        async with running.resources() as res:
            ctx = Context(running.party.team_id, running.party.user_id, None, "ADMIN", res)
            yield Side(running, its, ctx)


async def _compare(
    name: str, make: Callable[[Conversations, random.Random], Asked], few: Side, many: Side, options: Options
) -> tuple[Measured, list[str]]:
    """Ask both sides in turn, some at a time, so that whatever else the machine does meets both of them."""
    took: dict[Side, Times] = {few: Times(), many: Times()}
    problems: list[str] = []
    size = max(1, options.repeat // options.turns)
    for turn in range(options.turns):
        for side, times in took.items():
            rng = random.Random(f"{turn}/{name}")
            problems += await _ask(side, [make(side.its, rng) for _ in range(size)], times)
    measured = Measured.of(name, *(it.medians() for it in took.values()))
    return measured, [f"{name}: {it}" for it in problems[:1]]


async def _ask(side: Side, questions: list[Asked], times: Times) -> list[str]:
    """One after the other, over HTTP and then in this process; says what was wrong with the answers."""
    asked = [*questions[:WARM], *questions]
    requests = [request("POST", it.path, it.body, side.running.party.token) for it in asked]
    loaded = await closed_loop(side.running.server.port, requests, callers=1, keep=True)
    times.over_http_s += loaded.latencies_s[WARM:]
    problems = [
        _problem(it, msgspec.json.decode(loaded.answers[n]).get("_data") if n in loaded.answers else None)
        for n, it in enumerate(asked)
    ]
    for number, it in enumerate(asked):
        began = time.perf_counter()
        found = await it.call(side.ctx)
        if number >= WARM:
            times.inside_s.append(time.perf_counter() - began)
        if len(found) < it.least:
            problems.append(f"{it.path} found {len(found)} where there are {it.least}.")
    return [it for it in problems if it]


def _problem(asked: Asked, answer: list[dict[str, Any]] | None) -> str | None:
    if not answer or len(answer) < asked.least:
        return f"{asked.path} of {asked.body} was not answered, or found too little."
    if asked.phone is not None:
        moments = [it["timestamp"] for it in answer]
        if moments != sorted(moments, reverse=True):
            return f"{asked.path} of {asked.body} was not answered newest first."
    return None
