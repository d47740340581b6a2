"""What people do with groups on their phones: join by link, ask to join, leave."""

import base64

from samvad.sandbox.groups import (
    MAX_PARTICIPANTS,
    PARTICIPANTS,
    Group,
    Groups,
    admit,
    as_participant,
    remove,
    tell,
)
from samvad.sandbox.inbound import BadRequest
from samvad.sandbox.model import Json
from samvad.sandbox.plays import Play, only
from samvad.sandbox.world import World


def join(world: World, digits: str, given: Json) -> Json:
    """{invite_link}: join the group, or ask to where the business approves."""
    only(given, "invite_link", "name")
    if isinstance(given.get("name"), str) and given["name"]:
        world.phone(digits).name = given["name"]
    link = given.get("invite_link")
    group = next((one for one in world.area(Groups).by_id.values() if one.invite_link == link), None)
    if group is None:
        raise LookupError("the link leads to no group")
    if digits in group.participants:
        raise BadRequest("this phone is in the group already")
    if group.approval == "approval_required":
        return _ask(world, group, digits)
    if len(group.participants) >= MAX_PARTICIPANTS:
        raise BadRequest("the group is full")
    admit(world, group, digits, reason="invite_link")
    return {"group_id": group.id, "joined": True}


def withdraw(world: World, digits: str, given: Json) -> Json:
    """{group_id}: take back the request to join."""
    only(given, "group_id")
    group = _group(world, given)
    for request_id, (who, _) in group.requests.items():
        if who == digits:
            del group.requests[request_id]
            about = {"join_request_id": request_id, **as_participant(world, group, digits)}
            tell(world, group, PARTICIPANTS, "group_join_request_revoked", **about)
            return {"join_request_id": request_id}
    raise LookupError("this phone did not ask to join that group")


def leave(world: World, digits: str, given: Json) -> Json:
    """{group_id}: leave the group."""
    only(given, "group_id")
    group = _group(world, given)
    if digits not in group.participants:
        raise LookupError("this phone is not in that group")
    remove(world, group, [digits], "participant")
    return {"group_id": group.id, "joined": False}


PLAYS: dict[str, Play] = {
    "/phones/{digits}/groups/join": join,
    "/phones/{digits}/groups/withdraw": withdraw,
    "/phones/{digits}/groups/leave": leave,
}


def _ask(world: World, group: Group, digits: str) -> Json:
    if any(who == digits for who, _ in group.requests.values()):
        raise BadRequest("this phone has asked to join already")
    at = int(world.clock())
    request_id = base64.b64encode(f"{digits}:{world.identities.object_id()}".encode()).decode()
    group.requests[request_id] = (digits, at)
    about = {"join_request_id": request_id, **as_participant(world, group, digits)}
    tell(world, group, PARTICIPANTS, "group_join_request_created", **about)
    return {"group_id": group.id, "joined": False, "join_request_id": request_id}


def _group(world: World, given: Json) -> Group:
    wanted = given.get("group_id")
    group = world.area(Groups).by_id.get(wanted) if isinstance(wanted, str) else None
    if group is None:
        raise LookupError("there is no such group")
    return group
