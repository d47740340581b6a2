"""Graph calls about voice calls, and the webhooks that tell how a call went."""

import base64
from functools import partial
from typing import Any

from samvad.sandbox import checks
from samvad.sandbox.blocklist import is_blocked
from samvad.sandbox.calls import (
    CALLS_PER_DAY,
    CONCURRENT,
    DAY_S,
    REQUESTS_PER_DAY,
    REQUESTS_PER_WEEK,
    RING_S,
    WEEK_S,
    PhoneCall,
    Switchboard,
    session_description,
)
from samvad.sandbox.errors import GraphError, parameter, parameter_is_required
from samvad.sandbox.model import Json
from samvad.sandbox.news import tell_of_number
from samvad.sandbox.nodes import Call, NumberCalls, must_be_whatsapp
from samvad.sandbox.number_settings import calling_of
from samvad.sandbox.people import contact, person
from samvad.sandbox.world import Number, World

ACTIONS = ("connect", "pre_accept", "accept", "reject", "terminate")
MEMBERS = (
    "messaging_product",
    "action",
    "to",
    "recipient",
    "call_id",
    "session",
    "biz_opaque_callback_data",
    "recording",
    "transcription",
)


async def act(call: Call, number: Number) -> Json:
    """POST /{phone-number-id}/calls."""
    given = await call.parameters()
    must_be_whatsapp(given)
    checks.members(given, "calls", MEMBERS)
    action = given.get("action")
    if action not in ACTIONS:
        raise parameter("action", f"must be one of {{{', '.join(ACTIONS).upper()}}}.")
    world = call.world
    if calling_of(world, number)["status"] != "ENABLED":
        raise GraphError(138000, "Calling is not enabled for this phone number.")
    if calling_of(world, number).get("sip", {}).get("status") == "ENABLED":
        raise GraphError(131055, "Graph API calls are not available for a number with SIP enabled.")
    if action == "connect":
        made = _connect(world, number, given)
        return {"messaging_product": "whatsapp", "calls": [{"id": made.id}]}
    known = world.area(Switchboard).calls.get(checks.text(given.get("call_id"), "call_id", 512))
    if known is None or known.number_id != number.id:
        raise parameter("call_id", "is not a call of this phone number.")
    if known.state == "ended":
        raise GraphError(131009, "The call has ended.")
    if action == "terminate":
        end(world, known)
    elif known.by_business:
        raise GraphError(131009, f"Action {action} is for calls that a user began.")
    elif action == "reject":
        if known.state == "connected":
            raise GraphError(131009, "The call was accepted; it can be terminated.")
        end(world, known)
    else:
        _answer(world, known, action, given)
    return {"messaging_product": "whatsapp", "success": True}


async def read_permission(call: Call, number: Number) -> Json:
    """GET /{phone-number-id}/call_permissions: may this number call that person, and may it ask to."""
    world, query = call.world, call.query
    digits = person(
        world, number, query.get("user_wa_id"), query.get("recipient"), ("user_wa_id", "recipient")
    )
    board, now, pair = world.area(Switchboard), world.clock(), (number.id, digits)
    status, until = board.permission(pair, now)
    permission: Json = {"status": status}
    if until is not None:
        permission["expiration_time"] = until
    asked, called = board.requests, board.connected
    calls = _limit(board, called, pair, now, ("PT24H", DAY_S, CALLS_PER_DAY))
    may_call = status != "no_permission" and calls["current_usage"] < CALLS_PER_DAY
    return {
        "messaging_product": "whatsapp",
        "permission": permission,
        "actions": [
            {
                "action_name": "send_call_permission_request",
                "can_perform_action": status != "permanent" and board.may_ask(pair, now),
                "limits": [
                    _limit(board, asked, pair, now, ("PT24H", DAY_S, REQUESTS_PER_DAY)),
                    _limit(board, asked, pair, now, ("P7D", WEEK_S, REQUESTS_PER_WEEK)),
                ],
            },
            {"action_name": "start_call", "can_perform_action": may_call, "limits": [calls]},
        ],
    }


NUMBER_CALLS: NumberCalls = {("POST", "calls"): act, ("GET", "call_permissions"): read_permission}


def ring(world: World, call: PhoneCall) -> None:
    """Keep a new call, and give up on it when nobody answers."""
    world.area(Switchboard).keep(call)
    world.timeline.after(RING_S, partial(_give_up, world, call))


def new_call_id(world: World, digits: str) -> str:
    """An id in the shape of Meta's, `wacid.` and base64."""
    raw = f"{digits}:{world.identities.object_id()}".encode()
    return "wacid." + base64.b64encode(raw).decode()


def connect(world: World, call: PhoneCall, answer: str | None) -> None:
    """The phone takes a call of the business: its SDP answer, then ACCEPTED."""
    call.answer = answer or session_description(world.chance.getrandbits(60))
    _connected(world, call)
    tell(world, call, "connect", session={"sdp_type": "answer", "sdp": call.answer})
    tell_status(world, call, "ACCEPTED")


def end(world: World, call: PhoneCall) -> None:
    """The call is over, whoever hung up."""
    completed = call.state == "connected"
    call.state = "ended"
    rest: Json = {"status": "COMPLETED" if completed else "FAILED"}
    if call.started_at is not None:
        now = int(world.clock())
        started = call.started_at
        rest |= {"start_time": str(started), "end_time": str(now), "duration": now - started}
    tell(world, call, "terminate", **rest)


def tell(world: World, call: PhoneCall, event: str, **rest: Any) -> None:
    """Post one event of a call."""
    number = world.numbers[call.number_id]
    caller, called = (number.display, call.digits) if call.by_business else (call.digits, number.display)
    told: Json = {
        "id": call.id,
        "from": caller,
        "to": called,
        "event": event,
        "timestamp": str(int(world.clock())),
        "direction": "BUSINESS_INITIATED" if call.by_business else "USER_INITIATED",
        **rest,
    }
    if call.opaque is not None:
        told["biz_opaque_callback_data"] = call.opaque
    value = {"contacts": [contact(world, number, call.digits)], "calls": [told]}
    tell_of_number(world, number, "calls", value, (call.id,))


def tell_status(world: World, call: PhoneCall, status: str) -> None:
    """Post RINGING, ACCEPTED or REJECTED of a call the business began."""
    number = world.numbers[call.number_id]
    told: Json = {
        "id": call.id,
        "timestamp": str(int(world.clock())),
        "type": "call",
        "status": status,
        "recipient_id": call.digits,
        "recipient_user_id": world.user_id(number.account, call.digits),
    }
    if call.opaque is not None:
        told["biz_opaque_callback_data"] = call.opaque
    value = {"contacts": [contact(world, number, call.digits)], "statuses": [told]}
    tell_of_number(world, number, "calls", value, (call.id,))


def _connect(world: World, number: Number, given: Json) -> PhoneCall:
    digits = person(world, number, given.get("to"), given.get("recipient"), ("to", "recipient"))
    offer = _session(given, "offer")
    opaque = given.get("biz_opaque_callback_data")
    if opaque is not None:
        checks.text(opaque, "biz_opaque_callback_data", 512, empty=True)
    board, now, pair = world.area(Switchboard), world.clock(), (number.id, digits)
    if digits in world.settings.not_on_whatsapp:
        raise GraphError(138001, "The receiver cannot take calls.")
    if is_blocked(world, number, digits):
        raise GraphError(130403, "The recipient is blocked by this number.")
    live = list(board.live(number.id))
    if any(one.digits == digits for one in live):
        raise GraphError(138003, "A call with this user is already in progress.")
    if len(live) >= CONCURRENT:
        raise GraphError(138002, "Too many calls at the same time.")
    if board.permission(pair, now)[0] == "no_permission":
        raise GraphError(138006, "The user has not given permission to be called.")
    if len(board.since(board.connected, pair, now, DAY_S)) >= CALLS_PER_DAY:
        raise GraphError(138012, f"At most {CALLS_PER_DAY} connected calls in 24 hours.")
    call = PhoneCall(new_call_id(world, digits), number.id, digits, True, offer, opaque)
    ring(world, call)
    world.timeline.after(world.settings.delays.sent_ms / 1000, partial(_phone_rings, world, call))
    return call


def _phone_rings(world: World, call: PhoneCall) -> None:
    if call.state != "ringing":
        return
    tell(world, call, "call_created")
    tell_status(world, call, "RINGING")
    if world.settings.takes_calls == "accept":
        connect(world, call, None)
    elif world.settings.takes_calls == "reject":
        tell_status(world, call, "REJECTED")
        end(world, call)


def _answer(world: World, call: PhoneCall, action: str, given: Json) -> None:
    if call.state == "connected" or (action == "pre_accept" and call.state == "pre_accepted"):
        raise GraphError(131009, "The call was accepted before.")
    answer = _session(given, "answer")
    if call.answer is not None and call.answer != answer:
        raise GraphError(131009, "The SDP must be the one of pre_accept.")
    call.answer = answer
    if action == "pre_accept":
        call.state = "pre_accepted"
        return
    opaque = given.get("biz_opaque_callback_data")
    call.opaque = opaque if isinstance(opaque, str) else None
    _connected(world, call)


def _connected(world: World, call: PhoneCall) -> None:
    call.state = "connected"
    call.started_at = int(world.clock())
    if call.by_business:
        board = world.area(Switchboard)
        board.connected.setdefault(call.pair, []).append(world.clock())
        board.requests.pop(call.pair, None)  # a call that connected gives new requests free


def _give_up(world: World, call: PhoneCall) -> None:
    if call.state in ("ringing", "pre_accepted"):
        end(world, call)


def _session(given: Json, kind: str) -> str:
    session = given.get("session")
    if session is None:
        raise parameter_is_required("session")
    checks.members(session, "session", ("sdp_type", "sdp"), ("sdp_type", "sdp"))
    if session["sdp_type"] != kind:
        raise parameter("session['sdp_type']", f"must be {kind}.")
    sdp: Any = session["sdp"]
    if not isinstance(sdp, str) or not sdp.startswith("v=0") or "m=" not in sdp:
        raise parameter("session['sdp']", "is not a session description (RFC 8866).")
    return sdp


def _limit(
    board: Switchboard,
    times: dict[tuple[str, str], list[float]],
    pair: tuple[str, str],
    now: float,
    period: tuple[str, float, int],
) -> Json:
    name, period_s, most = period
    used = board.since(times, pair, now, period_s)
    limit: Json = {"time_period": name, "max_allowed": most, "current_usage": len(used)}
    if used:
        limit["limit_expiration_time"] = int(used[0] + period_s)
    return limit
