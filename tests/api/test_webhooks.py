"""The log of webhooks and its replay, endpoints that pause, and secrets that rotate; over the wire."""

import hashlib
import hmac
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tests.harness import PERSON, Product, Receiver, until

LOG, ENDPOINTS, SECRET = (f"/v1/samvad/webhook-{what}" for what in ("delivery", "endpoint", "secret"))


async def set_up(product: Product, receiver: Receiver) -> None:
    """Both formats at one address, as some have it."""
    config = {
        "passThroughWebhookUrl": receiver.url,
        "enableChakraWebhook": True,
        "chakraWebhookUrl": receiver.url,
        "whichChakraWebhookEventsToSend": ["message", "status"],
    }
    reply = await product.api.post(product.plugin("update-config"), json=config)
    assert reply.status_code == 200


async def listed(product: Product, **which: Any) -> list[Any]:
    reply = await product.api.get(LOG, params=which)
    assert reply.status_code == 200, reply.text
    found: list[Any] = reply.json()["_data"]
    return found


async def settled(product: Product, count: int, state: str = "DELIVERED") -> list[Any]:
    async def all_there():
        found = await listed(product, state=state)
        return found if len(found) == count else None

    found: list[Any] = await until(all_there)
    return found


async def endpoint_of(product: Product, format: str) -> Any:
    reply = await product.api.get(ENDPOINTS)
    assert reply.status_code == 200, reply.text
    return next(it for it in reply.json()["_data"] if it["format"] == format)


async def test_the_log_is_filtered_shows_bodies_and_headers_and_replays_a_range(
    product: Product, receiver: Receiver
):
    await set_up(product, receiver)
    wamid = await product.customer_writes("hello")
    await settled(product, 2)

    (raw,) = await listed(product, format="PASS_THROUGH")
    (ours,) = await listed(product, event="message", phone=PERSON, externalId=wamid, pluginId=raw["plugin"])
    assert (raw["event"], raw["phone"], raw["externalId"]) == ("messages", PERSON, wamid)
    assert await listed(product, externalId="wamid.none") == []
    assert await listed(product, to=ours["createdAt"] - 1_000) == []
    assert len(await listed(product, **{"from": ours["createdAt"] - 1_000})) == 2
    shown = (await product.api.get(f"{LOG}/{ours['id']}")).json()["_data"]
    (attempt,) = shown["attempts"]
    assert attempt["url"] == receiver.url
    assert attempt["requestHeaders"]["webhook-id"] == ours["id"]
    body = (await product.api.get(f"{LOG}/{ours['id']}/body")).json()["_data"]
    assert body["text"].encode() in [body for body, _ in receiver.got]
    assert body["size"] == len(body["text"].encode())

    again = await product.api.post(
        f"{LOG}/replay", json={"state": "DELIVERED", "from": 1, "pluginId": raw["plugin"]}
    )
    assert again.json()["_data"] == {"count": 2}
    await until(lambda: len(receiver.got) == 4)
    assert {headers["webhook-id"] for _, headers in receiver.got} == {raw["id"], ours["id"]}
    assert len({body for body, _ in receiver.got}) == 2
    none = await product.api.post(f"{LOG}/replay", json={})
    assert none.json()["_data"] == {"count": 0}, "nothing was given up"

    wrong = await product.api.get(LOG, params={"state": "LOST", "format": "XML", "from": "monday"})
    assert wrong.status_code == 400
    assert len(wrong.json()["_errors"]) == 3


async def test_an_endpoint_pauses_keeps_what_waits_and_can_be_tried_meanwhile(
    product: Product, receiver: Receiver
):
    await set_up(product, receiver)
    ours = await endpoint_of(product, "CHAKRA")
    assert (ours["state"], ours["pendingCount"], ours["events"]) == ("ACTIVE", 0, ["message", "status"])

    paused = await product.api.post(f"{ENDPOINTS}/{ours['id']}/pause")
    assert paused.json()["_data"]["state"] == "PAUSED"
    await product.customer_writes("while it is paused")
    await settled(product, 1)
    assert (await endpoint_of(product, "CHAKRA"))["pendingCount"] == 1
    for format in ("CHAKRA", "PASS_THROUGH"):
        one = await endpoint_of(product, format)
        tried = (await product.api.post(f"{ENDPOINTS}/{one['id']}/test")).json()["_data"]
        assert (tried["state"], tried["event"], len(tried["attempts"])) == ("DELIVERED", "samvad.test", 1)
        assert b"samvad.test" in receiver.got[-1][0]

    assert (await endpoint_of(product, "CHAKRA"))["state"] == "PAUSED"
    resumed = await product.api.post(f"{ENDPOINTS}/{ours['id']}/resume")
    assert resumed.json()["_data"]["state"] == "ACTIVE"
    await settled(product, 4)


async def test_410_pauses_and_a_probe_that_passes_brings_everything(product: Product, receiver: Receiver):
    await set_up(product, receiver)
    receiver.answers = [410, 410]

    await product.customer_writes("gone?")

    async def gone():
        return (await endpoint_of(product, "CHAKRA"))["pausedReason"] == "GONE" or receiver.answers == []

    await until(gone)
    await settled(product, 2)
    assert (await endpoint_of(product, "CHAKRA"))["state"] == "ACTIVE"


async def test_a_secret_rotates_with_both_signing_until_the_new_one_takes_over(
    product: Product, receiver: Receiver
):
    await set_up(product, receiver)
    await product.api.post(product.plugin("update-config"), json={"enableChakraWebhook": False})
    old = (await product.api.get(SECRET)).json()["_data"]
    assert (old["secret"], old["upcoming"]) == (product.team.webhook_secret, None)

    async def next_delivery() -> tuple[bytes, dict[str, str]]:
        before = len(receiver.got)
        await product.customer_writes("sign this")
        await until(lambda: len(receiver.got) > before)
        return receiver.got[-1]

    def chakra(secret: str, body: bytes) -> str:
        return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()

    rotated = (await product.api.post(f"{SECRET}/rotate", json={"overlapHours": 2})).json()["_data"]
    new = rotated["upcoming"]
    assert rotated["secret"] == old["secret"]

    async def both_sign() -> Any:
        body, headers = await next_delivery()
        return (body, headers) if headers["webhook-signature"].count("v1,") == 2 else None

    body, headers = await until(both_sign)
    for secret in (old["standardSecret"], new["standardSecret"]):
        assert Webhook(secret).verify(body, headers)
    assert headers["x-chakra-signature-256"] == chakra(old["secret"], body)

    activated = (await product.api.post(f"{SECRET}/activate")).json()["_data"]
    assert (activated["secret"], activated["upcoming"]) == (new["secret"], None)

    async def one_signs() -> Any:
        body, headers = await next_delivery()
        return (body, headers) if headers["webhook-signature"].count("v1,") == 1 else None

    body, headers = await until(one_signs)
    assert Webhook(new["standardSecret"]).verify(body, headers)
    assert headers["x-chakra-signature-256"] == chakra(new["secret"], body)
    with pytest.raises(WebhookVerificationError):
        Webhook(old["standardSecret"]).verify(body, headers)
    assert (await product.api.post(f"{SECRET}/activate")).status_code == 409
    assert (await product.api.post(f"{SECRET}/rotate", json={"overlapHours": -1})).status_code == 400
