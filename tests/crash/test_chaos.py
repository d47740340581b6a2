"""Chaos, small: whatever order, copies, losses and kills there were, the end is the same as on a calm day."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from samvad.bench import script, told
from samvad.bench.chaos import Options, prove
from samvad.bench.customer import Book, Heard
from samvad.bench.rig import Place
from samvad.bench.state import Left, State
from samvad.kit.errors import BadRequest

MESSAGES = 150
KILLS = 2


def quiet(what: str, part: float | None) -> None:
    """Nobody watches."""


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    postgres = request.getfixturevalue("postgres_url") if request.param == "postgresql" else None
    yield Place(tmp_path, postgres)
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


async def test_chaos_and_kills_end_in_the_state_of_a_calm_day_and_nothing_is_lost_or_doubled(place: Place):
    options = Options(MESSAGES, seed=3, kill_every_s=0.7, most_kills=KILLS, unkilled=False, place=place)

    proof = await prove(options, quiet)

    assert proof.holds, (proof.differences, [it.problems for it in proof.runs])
    calm, killed = proof.runs
    assert (killed.state, killed.told) == (calm.state, calm.told)
    assert killed.kills == KILLS
    assert killed.sent_twice == 0
    assert killed.attempts > killed.events, "the customer's server never failed"
    assert killed.webhooks_from_meta > calm.webhooks_from_meta, "nothing was duplicated"


def test_the_same_seed_writes_the_same_script_and_every_deed_is_in_it():
    one = script.write(500, seed=1)

    assert one == script.write(500, seed=1)
    assert one != script.write(500, seed=2)
    assert one.messages == 500
    deeds = {step.deed for steps in one.steps.values() for step in steps}
    assert deeds == {"send", "text", "image", "reaction", "edit", "echo"}
    for steps in one.steps.values():
        numbers = [it.number for it in steps]
        assert all(it.about in numbers[: numbers.index(it.number)] for it in steps if it.about is not None)


def test_a_lost_an_invented_and_an_overtaken_event_are_problems_each():
    first, second, lost, late = (heard(attempts=1, first_at=at) for at in (2, 1, None, 3))
    late.attempts = 3
    book = Book({"1": first, "2": second, "3": late, "9": lost})
    state = State([], [], [], [], [])
    log = dict.fromkeys(("1", "2", "3", "4"), ("endpoint", "a chat", "DELIVERED"))
    log["0"] = ("endpoint", "a chat", "EXHAUSTED")

    problems = sorted(told.problems_of({"/meta": book}, {"endpoint": "/meta"}, Left(state, [], log)))

    assert problems == [
        "/meta: 0 is EXHAUSTED",
        "/meta: 0 was never told",
        "/meta: 1 was overtaken by 2 in a chat after 1 attempts",
        "/meta: 4 was never told",
        "/meta: 9 was told and is not in the log",
    ]


def test_states_that_differ_say_in_what():
    calm = State([(1, "sent"), (2, "read")], [], [], [], [])
    other = State([(1, "read"), (2, "read")], [], [], [], [])

    assert calm.hash != other.hash
    assert calm.differences(other) == [
        "messages: (1, 'sent') is missing",
        "messages: (1, 'read') is too much",
    ]


@pytest.mark.parametrize("wrong", [{"messages": 0}, {"messages": 10**6}, {"kill_every_s": -1.0}])
def test_a_proof_is_bounded(wrong):
    with pytest.raises(BadRequest):
        Options(**wrong)


def heard(*, attempts: int, first_at: int | None, body: dict[str, str] | None = None) -> Heard:
    return Heard(b"", body or {}, attempts, 0 if first_at is None else 1, first_at)
