"""What people do with calls on their phones: call, accept, reject, hang up, allow to be called."""

from typing import Any

from samvad.sandbox import inbound
from samvad.sandbox.calling import connect, end, new_call_id, ring, tell, tell_status
from samvad.sandbox.calls import PERMISSION_S, PhoneCall, Switchboard, session_description
from samvad.sandbox.inbound import BadRequest
from samvad.sandbox.model import Json
from samvad.sandbox.number_settings import calling_of
from samvad.sandbox.plays import Play, only
from samvad.sandbox.world import WINDOW_S, Number, World


def call_business(world: World, digits: str, given: Json) -> Json:
    """{phone_number_id?, sdp?}: a person calls; answers the call."""
    only(given, "phone_number_id", "sdp", "name")
    number = inbound.chosen_number(world, given.get("phone_number_id"))
    settings = calling_of(world, number)
    if settings["status"] != "ENABLED":
        raise BadRequest("calling is not enabled for this number, so the phone shows no call button")
    board = world.area(Switchboard)
    if any(one.digits == digits for one in board.live(number.id)):
        raise BadRequest("there is a call between the two already")
    offer = _sdp(given) or session_description(world.chance.getrandbits(60))
    call = PhoneCall(new_call_id(world, digits), number.id, digits, False, offer)
    ring(world, call)
    world.phone(digits).windows[number.id] = world.clock() + WINDOW_S
    tell(world, call, "connect", session={"sdp_type": "offer", "sdp": offer})
    if settings.get("callback_permission_status") == "ENABLED":
        _permit(world, number, digits, {"response": "accept"}, None, source="automatic")
    return _shown(call)


def accept_call(world: World, digits: str, given: Json) -> Json:
    """{call_id?, sdp?}: take the call of the business."""
    only(given, "call_id", "sdp")
    call = _ringing(world, digits, given)
    connect(world, call, _sdp(given))
    return _shown(call)


def reject_call(world: World, digits: str, given: Json) -> Json:
    """{call_id?}: refuse the call of the business."""
    only(given, "call_id")
    call = _ringing(world, digits, given)
    tell_status(world, call, "REJECTED")
    end(world, call)
    return _shown(call)


def hang_up(world: World, digits: str, given: Json) -> Json:
    """{call_id?}: end the call, whoever began it."""
    only(given, "call_id")
    call = _find(world, digits, given, ("ringing", "pre_accepted", "connected"))
    end(world, call)
    return _shown(call)


def answer_request(world: World, digits: str, given: Json) -> Json:
    """{response: accept|reject, is_permanent?, message_id?}: answer the latest request for permission."""
    only(given, "response", "is_permanent", "message_id", "phone_number_id")
    if given.get("response") not in ("accept", "reject"):
        raise BadRequest("response must be accept or reject")
    asked = [
        message
        for message in world.phone(digits).messages
        if message.payload.get("interactive", {}).get("type") == "call_permission_request"
        and given.get("message_id") in (None, message.wamid)
    ]
    if not asked:
        raise LookupError("nobody asked this phone for permission to call")
    number = world.numbers[asked[-1].number_id]
    return _permit(world, number, digits, given, asked[-1].wamid, source="user_action")


PLAYS: dict[str, Play] = {
    "/phones/{digits}/call": call_business,
    "/phones/{digits}/call/accept": accept_call,
    "/phones/{digits}/call/reject": reject_call,
    "/phones/{digits}/call/hang-up": hang_up,
    "/phones/{digits}/call-permission": answer_request,
}


def _permit(
    world: World, number: Number, digits: str, given: Json, request: str | None, *, source: str
) -> Json:
    board, pair = world.area(Switchboard), (number.id, digits)
    permanent = given.get("is_permanent") is True
    reply: Json = {"response": given["response"], "response_source": source}
    if given["response"] == "accept":
        until = None if permanent else world.clock() + PERMISSION_S
        board.allowed_until[pair] = until
        reply["is_permanent"] = permanent
        if until is not None:
            reply["expiration_timestamp"] = int(until)
    else:
        board.allowed_until.pop(pair, None)
    message: Json = {
        "type": "interactive",
        "interactive": {"type": "call_permission_reply", "call_permission_reply": reply},
        "phone_number_id": number.id,
    }
    if request is not None:
        message["context"] = {"id": request}
    kept, sent = inbound.receive(world, digits, message)
    return {"wamid": kept.wamid, "message": sent}


def _ringing(world: World, digits: str, given: Json) -> PhoneCall:
    call = _find(world, digits, given, ("ringing",))
    if not call.by_business:
        raise BadRequest("the phone itself made this call")
    return call


def _find(world: World, digits: str, given: Json, states: tuple[str, ...]) -> PhoneCall:
    """The call that was named, else the latest of the phone, if it is in one of these states."""
    wanted = given.get("call_id")
    for call in reversed(world.area(Switchboard).calls.values()):
        if call.digits == digits and call.state in states and wanted in (None, call.id):
            return call
    raise LookupError(f"this phone has no call that is {' or '.join(states)}")


def _sdp(given: Json) -> str | None:
    sdp: Any = given.get("sdp")
    if sdp is not None and not isinstance(sdp, str):
        raise BadRequest("sdp must be a string")
    return sdp


def _shown(call: PhoneCall) -> Json:
    return {
        "call_id": call.id,
        "phone_number_id": call.number_id,
        "state": call.state,
        "offer": call.offer,
        "answer": call.answer,
    }
