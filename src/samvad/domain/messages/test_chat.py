"""The built-in test chat: a message as if Meta had delivered it, through the same door."""

import uuid
from typing import Any

import msgspec

from samvad.domain.context import Context
from samvad.domain.inbound.queries import Body
from samvad.domain.messages.model import TEST_PREFIX
from samvad.domain.waba.model import Sender


async def receive(ctx: Context, sender: Sender, *, phone: str, message: dict[str, Any]) -> str:
    """Somebody writes to this number; returns the message's id, `TEST.` and a UUID.

    The body is Meta's, is kept and folded like Meta's, and reaches customers' webhooks like Meta's.
    """
    external_id = f"{TEST_PREFIX}{uuid.uuid4()}"
    ours = {"from": phone, "id": external_id, "timestamp": str(ctx.now() // 1000)}
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "", "phone_number_id": sender.phone_number_id},
        "contacts": [{"profile": {"name": "Test chat"}, "wa_id": phone}],
        "messages": [message | ours],
    }
    change = {"field": "messages", "value": value}
    body = {"object": "whatsapp_business_account", "entry": [{"id": sender.waba_id, "changes": [change]}]}
    kept = Body(ctx.team_id, sender.plugin_id, msgspec.json.encode(body), ctx.now())
    await ctx.resources.inbound.put(kept)
    ctx.resources.bells.inbound.ring()
    return external_id
