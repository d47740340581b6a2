"""What is asked of many leads, and how long the answer takes: over HTTP, and beside that of the operation alone.

Over HTTP there is a millisecond of everything else in each answer, which hides what the database costs. So each
question is asked twice: of the server on loopback, and of the same operation in the process of the bench.
"""

import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from samvad.bench.leads import HIGHEST_SCORE, Leads
from samvad.bench.load import closed_loop, percentiles
from samvad.bench.rig import Rig
from samvad.domain.context import Context
from samvad.domain.procedures.model import LEAD
from samvad.domain.processes import operations as processes
from samvad.domain.processes.writing import Target

PAGE = 50
WARM = 2  # of a turn, which are asked once more before the clock starts
RATIO_AT_MOST = 3.0

PATH = f"/v1/ext/procedure/{LEAD}/process"
Shown = dict[str, Any]


class Asked(NamedTuple):
    """One question: as a request, as an operation, and what every lead of its answer has to be."""

    method: str
    path: str
    body: Shown | None
    call: Callable[[Context], Awaitable[Any]]
    fits: Callable[[Shown], bool]


class Question(NamedTuple):
    """A kind of question; each repetition is about another value."""

    name: str
    make: Callable[[Leads, random.Random], Asked]


@dataclass(frozen=True, slots=True)
class Answered:
    """Medians of one question among so many leads."""

    over_http_ms: float
    inside_ms: float


@dataclass(frozen=True, slots=True)
class Measured:
    """Medians of one question among few rows and among many, over HTTP and of the operation alone."""

    question: str
    small: Answered
    large: Answered
    over_http_ratio: float
    inside_ratio: float

    @staticmethod
    def of(question: str, small: Answered, large: Answered) -> "Measured":
        return Measured(
            question,
            small,
            large,
            round(large.over_http_ms / small.over_http_ms, 2),
            round(large.inside_ms / small.inside_ms, 2),
        )

    @property
    def is_within(self) -> bool:
        return max(self.over_http_ratio, self.inside_ratio) <= RATIO_AT_MOST


@dataclass(slots=True)
class Times:
    """How long each answer took."""

    over_http_s: list[float] = field(default_factory=list)
    inside_s: list[float] = field(default_factory=list)

    def medians(self) -> Answered:
        return Answered(percentiles(self.over_http_s).p50_ms, percentiles(self.inside_s).p50_ms)


def listed(where: Shown, fits: Callable[[Shown], bool]) -> Asked:
    async def call(ctx: Context) -> Any:
        return (await processes.list_processes(ctx, LEAD, where, limit=PAGE, skip=0)).processes

    return Asked("POST", f"{PATH}/list", {"where": where, "limit": PAGE}, call, fits)


def by_city(city: str) -> Asked:
    return listed({"city": city}, lambda it: it["data"]["city"] == city)


def from_hamlet(leads: Leads, rng: random.Random) -> Asked:
    return by_city(leads.hamlet(rng))


def from_city(leads: Leads, rng: random.Random) -> Asked:
    return by_city(leads.city(rng))


def by_score(leads: Leads, rng: random.Random) -> Asked:
    """Between a tenth and half of all leads."""
    least = rng.randrange(HIGHEST_SCORE // 2)
    most = least + HIGHEST_SCORE // 4
    return listed({"score": {">=": least, "<": most}}, lambda it: least <= it["data"]["score"] < most)


def newest(leads: Leads, rng: random.Random) -> Asked:
    return listed({}, lambda it: True)


def by_state(leads: Leads, rng: random.Random) -> Asked:
    state = rng.choice(leads.plan.definition.states)
    return listed({"state": state.short_id}, lambda it: it["state"] == state.id)


def by_assignee(leads: Leads, rng: random.Random) -> Asked:
    person = rng.randrange(len(leads.people))
    return listed(
        {"assignedTo": leads.people[person]}, lambda it: it["assignedTo"] == leads.people_ids[person]
    )


def by_id(leads: Leads, rng: random.Random) -> Asked:
    process_id = leads.ids[leads.number(rng)]

    async def call(ctx: Context) -> Any:
        return await processes.get_process(ctx, LEAD, process_id)

    return Asked("GET", f"{PATH}/{process_id}", None, call, lambda it: it["id"] == process_id)


def by_key(leads: Leads, rng: random.Random) -> Asked:
    key = leads.key(leads.number(rng))
    return listed({"lead_id": key}, lambda it: it["data"]["lead_id"] == key)


def update_by_key(leads: Leads, rng: random.Random) -> Asked:
    key, name = leads.key(leads.number(rng)), f"Name {rng.randrange(10**9)}"
    body = {"data": {"name": name}}

    async def call(ctx: Context) -> Any:
        target = Target(key, by="key", called="lead_id")
        return await processes.update_process(ctx, LEAD, target, body)

    def fits(it: Shown) -> bool:
        return bool(it["data"]["lead_id"] == key and it["data"]["name"] == name)

    return Asked("PUT", f"{PATH}/lead_id/{key}", body, call, fits)


QUESTIONS = (
    Question("list by a rare city", from_hamlet),
    Question("list by a common city", from_city),
    Question("list by a range of scores", by_score),
    Question("list all", newest),
    Question("list by state", by_state),
    Question("list by assignee", by_assignee),
    Question("fetch by id", by_id),
    Question("list by primary key", by_key),
    Question("update by primary key", update_by_key),
)


async def ask(
    running: Rig,
    ctx: Context,
    leads: Leads,
    question: Question,
    *,
    repeat: int,
    rng: random.Random,
    times: Times,
) -> list[str]:
    """Ask it so often, one after the other; says what was wrong with the answers."""
    over_http = [question.make(leads, rng) for _ in range(repeat)]
    inside = [question.make(leads, rng) for _ in range(repeat)]
    asked_again = [*over_http[:WARM], *over_http]
    requests = [request(it.method, it.path, it.body, running.party.token) for it in asked_again]
    loaded = await closed_loop(running.server.port, requests, callers=1, keep=True)
    times.over_http_s += loaded.latencies_s[WARM:]
    answers = {index: msgspec.json.decode(body)["_data"] for index, body in loaded.answers.items()}
    problems = [_problem(asked, answers.get(index)) for index, asked in enumerate(asked_again)]
    for number, asked in enumerate((*inside[:WARM], *inside)):
        began = time.perf_counter()
        answer = await asked.call(ctx)
        if number >= WARM:
            times.inside_s.append(time.perf_counter() - began)
        problems.append(_problem(asked, answer))
    return [f"{question.name}: {problem}" for problem in problems if problem]


def request(method: str, path: str, given: Shown | None, token: str) -> bytes:
    body = b"" if given is None else msgspec.json.encode(given)
    lines = (
        f"{method} {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {token}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _problem(asked: Asked, answer: Any) -> str | None:
    """What is wrong with an answer: it has leads, all of them fit, the newest stands first."""
    if not answer:
        return f"{asked.method} {asked.path} of {asked.body} was not answered, or found nothing."
    rows: Sequence[Mapping[str, Any]] = answer if isinstance(answer, list) else [answer]
    if not all(asked.fits(dict(it)) for it in rows):
        return f"{asked.method} {asked.path} of {asked.body} was answered with a lead that does not fit."
    moments = [it["createdAt"] for it in rows]
    if moments != sorted(moments, reverse=True):
        return f"{asked.method} {asked.path} of {asked.body} was not answered newest first."
    return None
