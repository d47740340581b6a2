"""What Meta says no to, what it says no to later, and what it says nothing to."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.api.asking import at_meta, refuse_next, send_template, sentence
from tests.harness import Product, running, until

CODES = {131009: 400, 131026: 400, 131056: 400, 130429: 400, 190: 401, 131031: 403, 613: 429, 131045: 502}
TEMPLATE_CODES = {132000: 400, 132001: 404, 132012: 400, 132015: 400, 131049: 400}


@pytest.fixture
async def impatient(database_url: str, tmp_path: Path) -> AsyncIterator[Product]:
    """A product that waits two seconds for Meta, once its team is connected: that may take longer."""
    async with running(database_url, tmp_path) as product:
        await product.start_again(upstream_timeout_s=2.0)
        yield product


async def failed(product: Product, message: dict[str, Any], code: int) -> None:
    """It is FAILED, with Meta's own object behind the sentence."""
    assert message["deliveryStatus"] == "FAILED"
    assert message["externalId"] is None
    assert f"(#{code})" in message["errorContext"]["message"]
    assert message["errorContext"]["providerPayload"]["code"] == code


async def test_a_refusal_by_meta_is_a_failed_message_with_its_reason(product: Product) -> None:
    await product.open_window()

    for code, status in CODES.items():
        await refuse_next(product, code=code, details=f"Because of {code}.")
        reply = await product.send_text(f"Refused with {code}")

        words = sentence(reply, status)
        assert f"(#{code})" in words, words
        assert f"Because of {code}" in words, words
        error = reply.json()["error"]
        assert error["code"] == code
        assert error["error_data"]["details"] == f"Because of {code}."
        assert error["fbtrace_id"]
        await failed(product, (await product.listed())[0], code)
    for code, status in TEMPLATE_CODES.items():
        await refuse_next(product, code=code)
        reply = await send_template(product, "order_update", "A-17")

        assert f"(#{code})" in sentence(reply, status)
        assert reply.json()["error"]["code"] == code
        await failed(product, (await product.listed())[0], code)

    assert len(await product.listed()) == len(CODES) + len(TEMPLATE_CODES)
    assert await at_meta(product) == []
    assert (await product.send_text("And now it works")).status_code == 200
    assert (await product.listed())[0]["errorContext"] is None


async def test_what_fails_later_was_a_200_first(product: Product) -> None:
    """Outside the session window Meta accepts, and tells by status; so does any code it finds out late."""
    shut = await product.send_text("Are you still there?")
    await product.open_window("15550001112")
    await refuse_next(product, code=131026, asynchronous=True)
    nobody = await product.send_text("Hello?", to="15550001112")

    def failed_to(phone: str) -> Callable[[], Any]:
        async def found() -> Any:
            (message,) = await product.listed(phone)
            return message if message["deliveryStatus"] == "FAILED" else None

        return found

    for reply, phone, code in ((shut, "15550001111", 131047), (nobody, "15550001112", 131026)):
        assert reply.status_code == 200, reply.text
        message = await until(failed_to(phone))
        assert message["externalId"] == reply.json()["_data"]["whatsappMessageId"]
        assert f"(#{code})" in message["errorContext"]["message"]
        assert message["errorContext"]["providerPayload"]["code"] == code


async def test_a_send_without_an_answer_stays_pending_until_a_status_completes_it(impatient: Product) -> None:
    await impatient.open_window()

    replies = {}
    for behaviour in ("hang", "drop", "500"):
        await refuse_next(impatient, behaviour=behaviour)
        replies[behaviour] = await impatient.send_text(behaviour)

    assert "did not answer in time" in sentence(replies["hang"], 504)
    assert "may or may not have been sent" in sentence(replies["drop"], 504)
    assert "unknown error" in sentence(replies["500"], 502)
    assert replies["500"].json()["error"]["code"] == 1
    listed = await impatient.listed()
    assert [it["text"] for it in listed] == ["500", "drop", "hang"]
    assert {it["deliveryStatus"] for it in listed} == {"PENDING"}
    assert {it["externalId"] for it in listed} == {None}
    assert await at_meta(impatient) == []

    await refuse_next(impatient, behaviour="accept_then_drop")

    reply = await impatient.send_text("Did you get this?")

    async def read() -> Any:
        message = (await impatient.listed())[0]
        return message if message["deliveryStatus"] == "READ" else None

    assert "status webhook will tell" in sentence(reply, 504)
    message = await until(read)
    (shown,) = await at_meta(impatient)
    assert message["externalId"] == shown["wamid"]
    assert message["errorContext"] is None


async def test_what_never_left_is_failed_and_may_be_sent_again(impatient: Product) -> None:
    await impatient.open_window()
    await impatient.start_again(graph_url="http://127.0.0.1:1")
    key = {"Idempotency-Key": "once"}

    alone = await impatient.send_text("Anybody?", headers=key)
    template = await send_template(impatient, "hello_world")
    await impatient.start_again(graph_url=impatient.sandbox_url)
    again = await impatient.send_text("Anybody?", headers=key)

    assert "nothing was sent" in sentence(alone, 502)
    assert "could not be" in sentence(template, 502)
    assert again.status_code == 200, again.text
    assert [it["deliveryStatus"] for it in await impatient.listed()][1] == "FAILED"
    assert len(await at_meta(impatient)) == 1
