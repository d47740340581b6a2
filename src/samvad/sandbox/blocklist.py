"""Whom a number has blocked: they cannot write to it, nor it to them."""

from dataclasses import dataclass, field
from typing import Any

from samvad.sandbox import checks
from samvad.sandbox.errors import GraphError, parameter_is_required
from samvad.sandbox.model import Json
from samvad.sandbox.nodes import Call, NumberCalls, must_be_whatsapp, page
from samvad.sandbox.people import by_user_id, digits_of
from samvad.sandbox.world import Number, World

MAX_BLOCKED = 64_000
MAX_AT_ONCE = 1_000


@dataclass
class Blocklist:
    """The digits of the blocked, by phone number id, in the order they were blocked."""

    by_number: dict[str, dict[str, None]] = field(default_factory=dict)


def is_blocked(world: World, number: Number, digits: str) -> bool:
    return digits in world.area(Blocklist).by_number.get(number.id, ())


async def block(call: Call, number: Number) -> Json:
    """POST /{phone-number-id}/block_users: only people who wrote within the last 24 hours can be blocked."""
    blocked = call.world.area(Blocklist).by_number.setdefault(number.id, {})
    added: list[Json] = []
    failed: list[Json] = []
    for user in await _users(call):
        given, digits = _named(call.world, number, user)
        if digits is None:
            failed.append(_failure(given, None, 131009, "The user is not a valid WhatsApp user."))
        elif digits in blocked:
            added.append({"input": given, "wa_id": digits})
        elif len(blocked) >= MAX_BLOCKED:
            failed.append(_failure(given, digits, 139101, "The block list is full."))
        elif not call.world.window_is_open(number, digits):
            failed.append(
                _failure(
                    given, digits, 131047, "The user has not written to this number in the last 24 hours."
                )
            )
        else:
            blocked[digits] = None
            added.append({"input": given, "wa_id": digits})
    return _answer("added_users", added, failed)


async def unblock(call: Call, number: Number) -> Json:
    """DELETE /{phone-number-id}/block_users; who is not blocked counts as done."""
    blocked = call.world.area(Blocklist).by_number.setdefault(number.id, {})
    removed: list[Json] = []
    failed: list[Json] = []
    for user in await _users(call):
        given, digits = _named(call.world, number, user)
        if digits is None:
            failed.append(_failure(given, None, 131009, "The user is not a valid WhatsApp user."))
        else:
            blocked.pop(digits, None)
            removed.append({"input": given, "wa_id": digits})
    return _answer("removed_users", removed, failed)


async def list_blocked(call: Call, number: Number) -> Json:
    """GET /{phone-number-id}/block_users."""
    blocked = call.world.area(Blocklist).by_number.get(number.id, {})
    return page(call, [(digits, {"messaging_product": "whatsapp", "wa_id": digits}) for digits in blocked])


NUMBER_CALLS: NumberCalls = {
    ("GET", "block_users"): list_blocked,
    ("POST", "block_users"): block,
    ("DELETE", "block_users"): unblock,
}


async def _users(call: Call) -> list[Any]:
    given = await call.parameters()
    must_be_whatsapp(given)
    return checks.items(given.get("block_users"), "block_users", 1, MAX_AT_ONCE)


def _named(world: World, number: Number, user: Any) -> tuple[str, str | None]:
    """What the caller wrote, and whose digits that is."""
    one = checks.members(user, "block_users", ("user", "user_id"))
    if one.get("user") is not None:
        return str(one["user"]), digits_of(one["user"])
    if one.get("user_id") is None:
        raise parameter_is_required("block_users['user']")
    return str(one["user_id"]), by_user_id(world, number.account, one["user_id"])


def _failure(given: str, digits: str | None, code: int, details: str) -> Json:
    wa_id: Json = {} if digits is None else {"wa_id": digits}
    error = {"message": "User cannot be blocked", "code": code, "error_data": {"details": details}}
    return {"input": given, **wa_id, "errors": [error]}


def _answer(what: str, done: list[Json], failed: list[Json]) -> Json:
    """Meta answers a call that succeeded in part with an error, and says beside it what was done."""
    answer: Json = {"messaging_product": "whatsapp", "block_users": {what: done}}
    if failed:
        answer["block_users"]["failed_users"] = failed
        raise GraphError(139100, "Failed to block or unblock some users.", beside=answer)
    return answer
