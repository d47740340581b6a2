"""What happens in a run that is repeated: people write, we write to them, all of it known beforehand."""

import random
from typing import NamedTuple

MOST_MESSAGES = 50_000
MESSAGES_OF_ONE = 25  # of each person, on average

TROUBLE = ("accept_then_drop", "drop", "500", "throttle")
"""How Meta may fail a send: accepted and the answer lost, lost, an error of its own, or `not now`."""


class Step(NamedTuple):
    """One thing that happens, after the steps of the same person before it."""

    number: int
    person: str
    """The digits we dial; WhatsApp may know the person by others."""
    deed: str
    """send, text, image, reaction, edit or echo."""
    about: int | None = None
    """The number of the step whose message is quoted, reacted to or edited."""
    hidden: bool = False
    """The person shows no phone number."""
    trouble: str | None = None
    """What Meta does to this send when there is chaos."""

    @property
    def words(self) -> str:
        return f"{self.deed} {self.number}"


class Script(NamedTuple):
    """Everybody's steps, in order."""

    steps: dict[str, list[Step]]
    unreachable: tuple[str, ...]
    """Who is not on WhatsApp any more: what we send them fails, though they write."""

    @property
    def messages(self) -> int:
        return sum(map(len, self.steps.values()))


def write(messages: int, *, seed: int) -> Script:
    """The same script for the same seed."""
    chance = random.Random(seed)
    people = max(4, messages // MESSAGES_OF_ONE)
    digits = [_digits(it) for it in range(people)]
    steps: dict[str, list[Step]] = {it: [] for it in digits}
    for number in range(messages):
        at = number if number < people else chance.randrange(people)
        person = digits[at]
        steps[person].append(_next(chance, number, person, steps[person], is_shy=at % 5 == 3))
    return Script(steps, tuple(digits[9::20]))


def _next(chance: random.Random, number: int, person: str, before: list[Step], *, is_shy: bool) -> Step:
    hidden = is_shy and len(before) < 3 + chance.randrange(6)  # until the person shows the number, perhaps
    if not before:  # opens the window
        return Step(number, person, "text", hidden=hidden)
    theirs = [it for it in before if it.deed == "text"]
    edited = {it.about for it in before if it.deed == "edit"}
    match chance.choices(("send", "text", "image", "reaction", "edit", "echo"), (55, 20, 8, 8, 3, 6))[0]:
        case "send":
            quoted = chance.choice(theirs).number if chance.random() < 0.3 else None
            trouble = chance.choice(TROUBLE) if chance.random() < 0.03 else None
            return Step(number, person, "send", quoted, trouble=trouble)
        case "reaction":
            target = chance.choice([it for it in before if it.deed in ("text", "send", "image")])
            return Step(number, person, "reaction", target.number, hidden)
        case "edit" if fresh := [it for it in theirs if it.number not in edited]:
            return Step(number, person, "edit", chance.choice(fresh).number, hidden)
        case "image":
            return Step(number, person, "image", None, hidden)
        case "echo":
            return Step(number, person, "echo")
        case _:
            return Step(number, person, "text", None, hidden)


def _digits(at: int) -> str:
    """Every tenth person is in Brazil, and known there without the ninth digit of the number we dial."""
    return f"55919{87_000_000 + at}" if at % 10 == 7 else str(919_700_000_000 + at)
