"""Refusals of a send that come from other areas: who is blocked, who is in a group, who may be asked to call."""

from samvad.sandbox import blocklist, checks, standing
from samvad.sandbox.calls import Switchboard
from samvad.sandbox.errors import GraphError, parameter
from samvad.sandbox.groups import receiving
from samvad.sandbox.model import Json
from samvad.sandbox.number_settings import calling_of
from samvad.sandbox.templates import Template
from samvad.sandbox.world import Number, World


def check(world: World, number: Number, payload: Json, digits: str) -> None:
    """Refuse what Meta would refuse of a message that is well formed."""
    standing.check(world, number)
    if payload.get("recipient_type") == "group":
        group = receiving(world, number, digits)
        if payload.get("type") == "interactive" or _is_for_one(number, payload):
            raise GraphError(131051, f"This message cannot be sent to a group such as {group.subject}.")
        return
    if blocklist.is_blocked(world, number, digits):
        raise GraphError(130403, "The recipient is blocked by this number.")
    if _asks_to_call(payload):
        _may_ask_to_call(world, number, digits)


def _is_for_one(number: Number, payload: Json) -> bool:
    """Whether it is an authentication template, whose code is nobody else's."""
    if payload.get("type") != "template":
        return False
    sent = payload["template"]
    template = number.account.templates.get((sent["name"], sent["language"]["code"]))
    return template is not None and template.category == "AUTHENTICATION"


def check_marketing(payload: Json, template: Template | None) -> None:
    """Refuse what the call for marketing messages does not take."""
    if template is None:
        raise GraphError(131055, "Only template messages can be sent by this call.")
    if template.category != "MARKETING":
        raise GraphError(134100, "Only templates of category MARKETING can be sent by this call.")
    if payload.get("product_policy", "CLOUD_API_FALLBACK") not in ("CLOUD_API_FALLBACK", "STRICT"):
        raise parameter("product_policy", "must be one of {CLOUD_API_FALLBACK, STRICT}.")
    checks.flag(payload.get("message_activity_sharing"), "message_activity_sharing")


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
