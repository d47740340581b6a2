"""Refusals of a send that come from other areas: who is blocked, who is in a group, who may be asked to call."""

from samvad.sandbox import blocklist
from samvad.sandbox.calls import Switchboard
from samvad.sandbox.errors import GraphError
from samvad.sandbox.model import Json
from samvad.sandbox.number_settings import calling_of
from samvad.sandbox.world import Number, World


def check(world: World, number: Number, payload: Json, digits: str) -> None:
    """Refuse what Meta would refuse of a message that is well formed."""
    if blocklist.is_blocked(world, number, digits):
        raise GraphError(130403, "The recipient is blocked by this number.")
    if _asks_to_call(payload):
        _may_ask_to_call(world, number, digits)


def noted(world: World, number: Number, payload: Json, digits: str) -> None:
    """Count what has limits, once the message is accepted."""
    if _asks_to_call(payload):
        board = world.area(Switchboard)
        board.requests.setdefault((number.id, digits), []).append(world.clock())


def _asks_to_call(payload: Json) -> bool:
    return (
        payload.get("type") == "interactive" and payload["interactive"]["type"] == "call_permission_request"
    )


def _may_ask_to_call(world: World, number: Number, digits: str) -> None:
    board, now, pair = world.area(Switchboard), world.clock(), (number.id, digits)
    if calling_of(world, number)["status"] != "ENABLED":
        raise GraphError(138000, "Calling is not enabled for this phone number.")
    if board.permission(pair, now)[0] == "permanent":
        raise GraphError(138017, "The user has given permission for ever.")
    if not board.may_ask(pair, now):
        raise GraphError(138009, "Too many requests for permission to this user.")
