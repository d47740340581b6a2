"""A receiver that somebody made with pywa, for Meta's own webhooks, takes our pass-through deliveries as they are."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pywa.client import WhatsApp
from pywa.handlers import MessageHandler, MessageStatusHandler
from pywa.types.message import Message
from pywa.types.message_status import MessageStatus

from tests.harness import PERSON, Product, until
from tests.sandbox.wire import served


class PywaReceiver:
    """pywa behind a small ASGI application. Meta's signature is not relayed, so it does not ask for one."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.answers: list[int] = []
        self._whatsapp = WhatsApp(server=None, verify_token="of the receiver", validate_updates=False)
        self._whatsapp.add_handlers(MessageHandler(self._on_message), MessageStatusHandler(self._on_status))

    def _on_message(self, _: WhatsApp, message: Message) -> None:
        self.heard.append((message.type.value, message.text or (message.image and message.image.id)))
        assert message.from_user.wa_id == PERSON

    def _on_status(self, _: WhatsApp, status: MessageStatus[Any]) -> None:
        self.heard.append((status.status.value, status.id))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            part = await receive()
            body, more = body + part.get("body", b""), part.get("more_body", False)
        said, code = await asyncio.to_thread(self._whatsapp.webhook_update_handler, body)
        self.answers.append(code)
        await send({"type": "http.response.start", "status": code, "headers": []})
        await send({"type": "http.response.body", "body": said.encode()})


@pytest.fixture
async def pywa() -> AsyncIterator[tuple[PywaReceiver, str]]:
    receiver = PywaReceiver()
    async with served(receiver) as url:
        yield receiver, f"{url}/"


async def test_pywa_hears_messages_and_statuses_and_accepts_every_delivery(
    product: Product, pywa: tuple[PywaReceiver, str]
):
    receiver, url = pywa
    config = {"passThroughWebhookUrl": url, "enableMessageEchoesForPassThroughWebhook": True}
    await product.api.post(product.plugin("update-config"), json=config)

    await product.customer_writes("hello")
    sent = await product.send_text("hello back")
    wamid = sent.json()["_data"]["whatsappMessageId"]
    await until(lambda: ("text", "hello") in receiver.heard and ("delivered", wamid) in receiver.heard)

    async def echoed():
        log = await product.api.get("/v1/samvad/webhook-delivery", params={"event": "smb_message_echoes"})
        return [it for it in log.json()["_data"] if it["state"] == "DELIVERED"]

    await until(echoed)
    assert set(receiver.answers) == {200}
