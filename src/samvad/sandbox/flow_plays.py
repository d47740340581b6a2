"""What people do with flows on their phones: fill one in and send it."""

import json

from samvad.sandbox import inbound
from samvad.sandbox.inbound import BadRequest
from samvad.sandbox.model import Json
from samvad.sandbox.plays import Play, only
from samvad.sandbox.world import World


def complete(world: World, digits: str, given: Json) -> Json:
    """{data: {…}, message_id?}: the person completes the flow of a message, the latest if none is named."""
    only(given, "data", "message_id")
    data = given.get("data", {})
    if not isinstance(data, dict):
        raise BadRequest("data must be an object")
    for message in reversed(world.phone(digits).messages):
        content = message.payload.get("interactive", {})
        if content.get("type") == "flow" and given.get("message_id") in (None, message.wamid):
            break
    else:
        raise LookupError("this phone shows no such flow")
    token = content["action"]["parameters"].get("flow_token", "unused")
    answers = json.dumps({**data, "flow_token": token})
    reply = {"name": "flow", "body": "Sent", "response_json": answers}
    kept, sent = inbound.receive(
        world,
        digits,
        {
            "type": "interactive",
            "interactive": {"type": "nfm_reply", "nfm_reply": reply},
            "context": {"id": message.wamid},
            "phone_number_id": message.number_id,
        },
    )
    return {"wamid": kept.wamid, "message": sent}


PLAYS: dict[str, Play] = {"/phones/{digits}/flow-answer": complete}
