"""Idempotency-Key: a request repeated after a lost reply sends nothing twice."""

import asyncio

import httpx

from tests.api.asking import at_meta, refuse_next, second_team, send_template, sentence
from tests.harness import PERSON, Product

KEY = {"Idempotency-Key": "order-4711"}


def wamid(reply: httpx.Response) -> str:
    assert reply.status_code == 200, reply.text
    found: str = reply.json()["_data"]["whatsappMessageId"]
    return found


async def test_a_key_stands_for_one_send_and_must_have_a_sensible_length(product: Product) -> None:
    await product.open_window()

    first = await product.send_text("one", headers=KEY)
    again = await product.send_text("one", headers=KEY)
    other_words = await product.send_text("two", headers=KEY)
    other_person = await product.send_text("one", to="15550001112", headers=KEY)
    unnamed = [await product.send_text("one"), await product.send_text("one")]

    assert wamid(again) == wamid(first)
    assert again.json() == first.json()
    assert "another request" in sentence(other_words, 409)
    assert "another request" in sentence(other_person, 409)
    assert len({wamid(first), *map(wamid, unnamed)}) == 3
    assert len(await at_meta(product)) == 3
    assert len(await product.listed()) == 3

    for key in ("", "k" * 256):
        words = sentence(await product.send_text("hi", headers={"Idempotency-Key": key}), 400)
        assert "Idempotency-Key must have 1 to 255 characters" in words
        words = sentence(await send_template(product, "hello_world", headers={"Idempotency-Key": key}), 400)
        assert f"got {len(key)}" in words

    assert len(await at_meta(product)) == 3
    assert (await product.send_text("hi", headers={"Idempotency-Key": "k" * 255})).status_code == 200


async def test_of_many_at_once_one_is_sent(product: Product) -> None:
    await product.open_window()
    await product.sandbox_settings(reply_delay_ms=100)

    replies = await asyncio.gather(*(product.send_text("one", headers=KEY) for _ in range(12)))
    later = await product.send_text("one", headers=KEY)

    sent = [it for it in replies if it.status_code == 200]
    assert len(sent) >= 1
    assert {wamid(it) for it in sent} == {wamid(later)}
    for reply in replies:
        assert reply.status_code == 200 or "in progress" in sentence(reply, 409)
    assert len(await at_meta(product)) == 1


async def test_a_refused_send_frees_its_key_and_an_unanswered_one_does_not(product: Product) -> None:
    await product.open_window()
    await refuse_next(product, code=131056)

    refused = await product.send_text("one", headers=KEY)
    better = await product.send_text("uno", headers=KEY)
    await refuse_next(product, behaviour="drop")
    lost = await product.send_text("two", headers={"Idempotency-Key": "lost"})
    again = await product.send_text("two", headers={"Idempotency-Key": "lost"})

    assert "131056" in sentence(refused, 400)
    assert wamid(better)
    assert "may or may not have been sent" in sentence(lost, 504)
    assert "has not answered it yet" in sentence(again, 409)
    assert len(await at_meta(product)) == 1


async def test_the_keys_of_two_teams_do_not_meet(product: Product) -> None:
    await product.open_window()
    babbage, client = await second_team(product)
    path = product.plugin(f"api/v25.0/{babbage.phone_number_id}/messages", babbage.plugin_id)
    hi = {"messaging_product": "whatsapp", "to": PERSON, "type": "text", "text": {"body": "one"}}

    ours = await product.send_text("one", headers=KEY)
    async with client:
        theirs = await client.post(path, json=hi, headers=KEY)

    assert wamid(ours) != wamid(theirs)
    assert len(await at_meta(product)) == 2


async def test_a_template_under_a_key_is_sent_once_and_answered_alike(product: Product) -> None:
    first = await send_template(product, "order_update", "A-17", headers=KEY)
    await product.settle()
    again = await send_template(product, "order_update", "A-17", headers=KEY)
    other = await send_template(product, "order_update", "A-18", headers=KEY)

    assert first.status_code == again.status_code == 200
    for same in ("id", "externalId", "text", "context", "source", "chat", "contact", "user"):
        assert again.json()["_data"][same] == first.json()["_data"][same], same
    assert "another request" in sentence(other, 409)
    assert len(await at_meta(product)) == 1
