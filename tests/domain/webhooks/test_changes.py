"""An endpoint that changes, and a process that stops, while POSTs are under way."""

import json
import time
from pathlib import Path

import pytest

import samvad.app
from samvad.app import App
from tests.api.asking import DELIVERIES
from tests.harness import Product, Receiver, running, until
from tests.sandbox.wire import served


async def goes_to(product: Product, url: str | None) -> None:
    reply = await product.api.post(product.plugin("update-config"), json={"passThroughWebhookUrl": url})
    assert reply.status_code == 200, reply.text


def heard(receiver: Receiver) -> list[str]:
    changes = [json.loads(body)["entry"][0]["changes"][0]["value"] for body, _ in receiver.got]
    return [it["text"]["body"] for value in changes for it in value.get("messages", ())]


async def waiting(product: Product) -> int:
    reply = await product.api.get(DELIVERIES, params={"limit": 100})
    return len(reply.json()["_data"])


async def test_after_a_new_address_is_set_the_old_one_hears_nothing_and_the_order_stays(
    product: Product, receiver: Receiver
) -> None:
    await goes_to(product, receiver.url)
    receiver.answers = [1.5]
    for words in ("one", "two", "three", "four"):
        await product.customer_writes(words)

    async def all_there() -> bool:
        return await waiting(product) == 4

    await until(all_there)
    await until(lambda: not receiver.answers)  # the first is under way
    elsewhere = Receiver()
    async with served(elsewhere) as url:
        await goes_to(product, f"{url}/new")
        await until(lambda: len(heard(elsewhere)) >= 3)

    assert heard(receiver) == ["one"]
    assert heard(elsewhere) == ["two", "three", "four"]


async def test_after_an_address_is_cleared_it_hears_nothing_more(
    product: Product, receiver: Receiver
) -> None:
    await goes_to(product, receiver.url)
    receiver.answers = [1.0]
    for words in ("one", "two", "three"):
        await product.customer_writes(words)

    async def all_there() -> bool:
        return await waiting(product) == 3

    await until(all_there)
    await until(lambda: not receiver.answers)  # the first is under way
    await goes_to(product, None)
    await until(lambda: heard(receiver))

    async def idle() -> bool:
        return not product.app.dispatcher._serving

    await until(idle)
    assert heard(receiver) == ["one"]
    states = {it["state"] for it in (await product.api.get(DELIVERIES)).json()["_data"]}
    assert "CANCELLED" in states
    assert "PENDING" not in states


async def test_a_process_that_stops_does_not_wait_for_a_silent_endpoint_and_the_next_one_delivers(
    database_url: str, tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samvad.app, "DRAIN_S", 0.3)
    receiver.answers = [60.0]
    async with running(database_url, tmp_path) as product:
        await goes_to(product, receiver.url)
        await product.customer_writes("are you there?")
        await until(lambda: not receiver.answers)
        settings, stopping = product.settings, time.monotonic()
    assert time.monotonic() - stopping < 50

    again = App(settings)
    await again.start()
    try:
        await until(lambda: heard(receiver)[-1:] == ["are you there?"])
    finally:
        await again.stop()
