"""Free entry points: who came by an ad and was answered within a day is written to for free for 72 hours."""

from dataclasses import dataclass, field

from samvad.sandbox.identity import stable_id
from samvad.sandbox.statuses import wire_json
from samvad.sandbox.world import Number, World

ANSWER_WITHIN_S = 24 * 3600
FREE_S = 72 * 3600
PRICING = (
    ',"pricing":{"billable":false,"pricing_model":"PMP","type":"free_entry_point",'
    '"category":"referral_conversion"}'
)


@dataclass
class EntryPoints:
    """By phone number id and digits: when someone came by an ad, and until when that makes messages free."""

    came_at: dict[tuple[str, str], float] = field(default_factory=dict)
    free_until: dict[tuple[str, str], float] = field(default_factory=dict)


def came_by_ad(world: World, number: Number, digits: str) -> None:
    world.area(EntryPoints).came_at[number.id, digits] = world.clock()


def free_until(world: World, number: Number, digits: str) -> float | None:
    """Until when messages to this person are free; the first answer to someone from an ad opens the time."""
    points, pair, now = world.area(EntryPoints), (number.id, digits), world.clock()
    came = points.came_at.pop(pair, None)
    if came is not None and now - came < ANSWER_WITHIN_S:
        points.free_until.setdefault(pair, 0)
        points.free_until[pair] = max(points.free_until[pair], now + FREE_S)
    until = points.free_until.get(pair, 0)
    return until if until > now else None


def told_with(number: Number, digits: str, until: float) -> tuple[str, str]:
    """The `conversation` and pricing of a status: the first with its end, as `sent` alone tells it."""
    conversation = {
        "id": stable_id("conversation", number.id, digits, str(int(until))),
        "expiration_timestamp": str(int(until)),
        "origin": {"type": "referral_conversion"},
    }
    ending = f',"conversation":{wire_json(conversation)}{PRICING}'
    del conversation["expiration_timestamp"]
    return ending, f',"conversation":{wire_json(conversation)}{PRICING}'
