"""Groups a business number made: who is in them, who asks to be, and the webhooks that tell of it."""

import base64
from dataclasses import dataclass, field
from typing import Any

from samvad.sandbox.errors import GraphError, status_error
from samvad.sandbox.model import Json
from samvad.sandbox.news import tell_of_number
from samvad.sandbox.statuses import Participant
from samvad.sandbox.world import Account, Number, World

MAX_PARTICIPANTS = 8
MAX_GROUPS = 10_000
MAX_SUBJECT, MAX_DESCRIPTION = 128, 2_048
LIFECYCLE, PARTICIPANTS, SETTINGS = (
    "group_lifecycle_update",
    "group_participants_update",
    "group_settings_update",
)


@dataclass(slots=True, eq=False)
class Group:
    """One group; `participants` are digits, the business not among them; `requests` are digits by request id."""

    id: str
    number: Number
    subject: str
    description: str
    approval: str
    created_at: int
    invite_link: str
    participants: list[str] = field(default_factory=list)
    requests: dict[str, tuple[str, int]] = field(default_factory=dict)


@dataclass
class Groups:
    by_id: dict[str, Group] = field(default_factory=dict)

    def of_account(self, account: Account, group_id: str) -> Group | None:
        group = self.by_id.get(group_id)
        return group if group is not None and group.number.account is account else None


def new_group_id(world: World, number: Number) -> str:
    raw = f"capi_group:{number.display}:{world.identities.object_id()}"
    return base64.urlsafe_b64encode(raw.ljust(-(-len(raw) // 3) * 3, "Z").encode()).decode()


def new_link(world: World) -> str:
    return f"https://chat.whatsapp.com/{world.identities.trace()}"


def new_request_id(world: World) -> str:
    return f"{world.chance.getrandbits(128):032X}"


def tell(world: World, group: Group, update: str, kind: str, **rest: Any) -> None:
    """Post one thing that happened to a group."""
    told = {"timestamp": str(int(world.clock())), "group_id": group.id, "type": kind, **rest}
    tell_of_number(world, group.number, update, {"groups": [told]}, (group.id,))


def as_participant(world: World, group: Group, digits: str) -> Json:
    """A person as group calls and webhooks name them."""
    bsuid = world.user_id(group.number.account, digits)
    return {"user_id": bsuid} if world.phone(digits).hidden else {"wa_id": digits, "user_id": bsuid}


def admit(world: World, group: Group, digits: str, **why: Any) -> None:
    """Let someone in, and tell; the caller has seen that there is room."""
    group.participants.append(digits)
    added = [as_participant(world, group, digits)]
    tell(world, group, PARTICIPANTS, "group_participants_add", added_participants=added, **why)


def remove(
    world: World, group: Group, gone: list[str], by: str, failed: tuple[Json, ...] = (), **rest: Any
) -> None:
    """Take people out, and tell who went and who was not there."""
    for digits in gone:
        group.participants.remove(digits)
    if gone:
        rest["removed_participants"] = [as_participant(world, group, digits) for digits in gone]
    if failed:
        errors = [status_error(131212, "The user is not in the group.")]
        rest["failed_participants"] = [{**one, "errors": errors} for one in failed]
    tell(world, group, PARTICIPANTS, "group_participants_remove", initiated_by=by, **rest)


def receiving(world: World, number: Number, group_id: str) -> Group:
    """The group a message of this number goes to; refuses what Meta would refuse."""
    group = world.area(Groups).by_id.get(group_id)
    if group is None or group.number is not number:
        raise GraphError(131041, "The group does not exist or this number is not a member of it.")
    if not group.participants:
        raise GraphError(131020, "The group has no member but this number.")
    return group


def participants_of(world: World, group: Group) -> tuple[Participant, ...]:
    """The people whose phones tell what became of a message."""
    return tuple(
        Participant(digits, world.user_id(group.number.account, digits), hidden=world.phone(digits).hidden)
        for digits in group.participants
    )
