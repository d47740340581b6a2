"""What is ours and has no counterpart at ChakraHQ: the test chat, and the log of webhook deliveries."""

from samvad.api import wire
from samvad.api.call import DEFAULT_PAGE, LONGEST_PAGE, Call, Fields
from samvad.asgi.replies import Reply, data
from samvad.domain.doctor import operations as doctor
from samvad.domain.events import operations as events
from samvad.domain.messages import test_chat
from samvad.kit import phones
from samvad.kit.errors import BadRequest

FARTHEST = 2**62  # of a moment and of an event's id: what both databases hold
LONGEST_TEXT = 4_096  # characters, as for a text that is sent


async def receive_test_message(call: Call) -> Reply:
    """Pretend that somebody wrote to us."""
    sender = await call.services.directory.sender(call.ctx.team_id, call.path["phoneNumberId"])
    body = await call.json()
    fields = Fields(body)
    phone, message = fields.phone("from"), body.get("message")
    fields.done()
    if ("text" in body) == ("message" in body):
        raise BadRequest(
            "Give either `text`, or `message` with a message object as Meta's webhooks carry it."
        )
    if "text" in body:
        text = fields.text("text")
        fields.done()
        if len(text) > LONGEST_TEXT:
            raise BadRequest(f"text has {len(text):,} characters; {LONGEST_TEXT:,} is the most.")
        message = {"type": "text", "text": {"body": text}}
    if not isinstance(message, dict) or not isinstance(message.get("type"), str) or not message["type"]:
        raise BadRequest('`message` must be an object with a `type`, like {"type": "text", "text": {…}}.')
    number = phones.digits(phone, name="from")
    return data({"externalId": await test_chat.receive(call.ctx, sender, phone=number, message=message)})


async def list_events(call: Call) -> Reply:
    """The event log, newest first: what happened here, and what Meta says of accounts."""
    query = call.query()
    bounds = {
        name: int(value) if value.isascii() and value.isdigit() and len(value) < 20 else value
        for name, value in query.items()
    }
    fields = Fields(bounds)
    limit = fields.number("limit", DEFAULT_PAGE, least=1, most=LONGEST_PAGE)
    since, until, before = (
        fields.number(name, 0, least=0, most=FARTHEST) if name in query else None
        for name in ("from", "to", "before")
    )
    fields.done()
    page, more = await events.list_events(
        call.ctx,
        limit=limit,
        name=query.get("name") or None,
        subject_id=query.get("subject") or None,
        since=since,
        until=until,
        before=before,
    )
    return data([wire.event(row) for row in page], _meta={"hasMore": more})


async def show_doctor(call: Call) -> Reply:
    findings = await doctor.examine_team(call.ctx, plugin_id=call.query().get("pluginId"))
    return data([wire.finding(it) for it in findings])
