"""Sending messages and listing them."""

from samvad.api import wire
from samvad.api.call import Call, Fields, page_of
from samvad.asgi.replies import Reply, data, json_reply
from samvad.domain.messages import operations as messages
from samvad.domain.messages.model import Message
from samvad.domain.processes import sending
from samvad.domain.templates.values import TemplateValues
from samvad.kit import phones
from samvad.kit.errors import BadRequest
from samvad.whatsapp.cloud_api import is_version

SENT = {"success": True}


async def send_message(call: Call) -> Reply:
    """Send a message in Meta's own words."""
    return await send(call, call.path["whatsappPhoneNumberId"])


async def send(call: Call, phone_number_id: str, *, edge: str = "messages") -> Reply:
    """The same through every door: the plugin may be named in the path, or is the number's own."""
    version = call.path["whatsappApiVersion"]
    if not is_version(version):
        raise BadRequest(f"The API version must look like v25.0; got {version!r:.40}.")
    payload = await call.json()
    sender = await call.services.directory.sender(
        call.ctx.team_id, phone_number_id, plugin_id=call.path.get("pluginId")
    )
    sent = await messages.send(
        call.ctx, sender, payload, version=version, edge=edge, idempotency_key=call.idempotency_key()
    )
    if sent is None:
        return data(SENT, success=True)
    return json_reply({"_data": {"whatsappMessageId": sent.wamid}, **sent.answer})


async def send_template_message(call: Call) -> Reply:
    """Send an approved template to one person."""
    to = phones.digits(call.path["phoneNumber"], name="The phone number in the path")
    return data(wire.sent_message(await _send_template(call, to), call.res.public_url))


async def send_template_message_for_process(call: Call) -> Reply:
    """Send an approved template to the person a process is about."""
    path = call.path
    word = path.get("primaryKeyOrId") or path["processId"]
    whom = await sending.addressee(call.ctx, word, procedure=path.get("procedureShortId"))
    message = await _send_template(call, whom.phone)
    return data(wire.sent_message(message, call.res.public_url) | {"process": whom.process_id})


async def _send_template(call: Call, to: str) -> Message:
    body = await call.json()
    fields = Fields(body)
    sender_id = fields.text("whatsappPhoneNumberId")
    name = fields.text("templateName")
    language = fields.optional_text("language")
    fields.done()
    values = TemplateValues.from_wire(body)
    sender = await call.services.directory.sender(
        call.ctx.team_id, sender_id, plugin_id=call.path["pluginId"]
    )
    return await sending.send_template_to_phone(
        call.ctx,
        sender,
        to=to,
        name=name,
        language=language,
        values=values,
        idempotency_key=call.idempotency_key(),
    )


async def list_chat_messages_for_phone_number(call: Call) -> Reply:
    """What was said with one person, newest first, over all plugins of the team."""
    body = await call.json()
    fields = Fields(body)
    phone = fields.phone("customerPhoneNumber")
    limit, skip = page_of(body, fields)
    fields.done()
    phone = phones.digits(phone, name="customerPhoneNumber")
    page, more = await messages.list_with(call.ctx, phone, limit=limit, skip=skip)
    return data([wire.message(it, call.res.public_url) for it in page], _meta={"hasMore": more})
