"""`samvad bench processes`: whether lists and writes stay as quick among a million leads as among ten thousand."""

import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from samvad.bench.asking import QUESTIONS, Measured, Question, Times, ask
from samvad.bench.leads import Leads, fill, prepare
from samvad.bench.result import Machine
from samvad.bench.rig import Place, Rig, Tell, rig
from samvad.bench.updating import SHARE_AT_LEAST, Bulk, update
from samvad.domain.context import Context
from samvad.domain.processes.bulk import MOST_ITEMS
from samvad.kit.errors import BadRequest

FEWEST, MOST = 1_000, 10_000_000


@dataclass(frozen=True, slots=True)
class Options:
    """One run: asked among `small` leads and among `processes`, in turn; then `bulk` of these are updated."""

    processes: int = 1_000_000
    small: int = 10_000
    bulk: int = 10_000
    repeat: int = 200
    turns: int = 4
    """In how many parts of its repetitions a question goes from one side to the other."""

    place: Place = field(default_factory=Place)

    def __post_init__(self) -> None:
        if not FEWEST <= self.small < self.processes <= MOST:
            raise BadRequest(
                f"--small must be at least {FEWEST:,} and less than --processes, which is at most {MOST:,}; "
                f"got {self.small:,} and {self.processes:,}."
            )
        most = min(MOST_ITEMS, self.processes // 3)
        if not 1 <= self.bulk <= most:
            raise BadRequest(
                f"--bulk must be from 1 to {MOST_ITEMS:,} and at most a third of --processes; got {self.bulk:,}."
            )


@dataclass(frozen=True, slots=True)
class Scaled:
    """One run of the bench."""

    database: str
    processes: int
    small: int
    repeat: int
    machine: Machine
    fill_s: float
    """What it took to make all leads and their indexes."""

    questions: tuple[Measured, ...]
    bulk: Bulk
    problems: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Nothing was lost, and everything is quick enough."""
        is_fast = all(it.is_within for it in self.questions) and self.bulk.share_of_floor >= SHARE_AT_LEAST
        return is_fast and not self.bulk.lost and not self.problems


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """A server with its leads, and its database once more in this process."""

    running: Rig
    leads: Leads
    ctx: Context


async def run(options: Options, tell: Tell) -> Scaled:
    """Raises BadRequest where the database named is none."""
    problems: list[str] = []
    began = time.perf_counter()
    async with (
        _side(options, options.small, tell) as few,
        _side(options, options.processes, tell) as many,
    ):
        fill_s = time.perf_counter() - began
        measured = []
        for number, question in enumerate(QUESTIONS):
            tell(f"asking: {question.name}", number / len(QUESTIONS))
            answered, found = await _compare(question, few, many, options)
            measured.append(answered)
            problems += found
        bulk, found = await update(many.running, many.ctx.resources, many.leads, options.bulk, tell)
        problems += found
    return Scaled(
        database="postgresql" if options.place.postgres else "sqlite",
        processes=options.processes,
        small=options.small,
        repeat=options.repeat,
        machine=Machine(),
        fill_s=round(fill_s, 1),
        questions=tuple(measured),
        bulk=bulk,
        problems=tuple(problems),
    )


@asynccontextmanager
async def _side(options: Options, count: int, tell: Tell) -> AsyncIterator[Side]:
    """A server whose team has so many leads, made while it was stopped: a SQLite file has one owner."""
    words = f"making {count:,} leads"
    async with rig(options.place, sandbox_settings={}, with_relay=False, tell=tell) as running:
        await running.server.stop()
        async with running.resources() as res:
            leads = await prepare(res, running.party, total=count)
            for upto in sorted({options.small, count}):  # so that the oldest of both are alike
                await fill(res, leads, upto=upto, progress=lambda part: tell(words, part))
        await running.server.start()
        async with running.resources() as res:
            ctx = Context(running.party.team_id, running.party.user_id, None, "ADMIN", res)
            yield Side(running, leads, ctx)


async def _compare(question: Question, few: Side, many: Side, options: Options) -> tuple[Measured, list[str]]:
    """Ask both sides in turn, some at a time, so that whatever else the machine does meets both of them."""
    took: dict[Side, Times] = {few: Times(), many: Times()}
    problems: list[str] = []
    size = max(1, options.repeat // options.turns)
    for turn in range(options.turns):
        for side, times in took.items():
            rng = random.Random(f"{turn}/{question.name}")
            problems += await ask(
                side.running, side.ctx, side.leads, question, repeat=size, rng=rng, times=times
            )
    measured = Measured.of(question.name, *(it.medians() for it in took.values()))
    return measured, problems[:1]
