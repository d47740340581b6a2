"""Plugins come and go; what was said through them stays."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from samvad.domain.accounts import operations as accounts
from samvad.domain.waba import operations as waba
from samvad.domain.waba.model import Connection
from samvad.domain.waba.tables import plugins
from samvad.storage import every_team
from tests.api.asking import DELIVERIES, DISCONNECT, NOBODY, NUMBERS, second_team, sending, sentence
from tests.harness import BUSINESS, OTHER_BUSINESS, PERSON, Product, Receiver, running, until

NUMBER, SISTER = (it.id for it in BUSINESS.phone_numbers)
HI = {"messaging_product": "whatsapp", "to": PERSON, "type": "text", "text": {"body": "hi"}}
OTHERS = Connection(
    OTHER_BUSINESS.waba_id,
    OTHER_BUSINESS.phone_numbers[0].id,
    OTHER_BUSINESS.access_token,
    OTHER_BUSINESS.app_secret,
)


async def shown(product: Product, plugin_id: str | None = None) -> dict[str, Any]:
    reply = await product.api.get(f"/plugin/{plugin_id or product.team.plugin_id}")
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()["_data"]
    return found


async def changed(product: Product, **wanted: Any) -> dict[str, Any]:
    body = {"pluginId": product.team.plugin_id, **wanted}
    reply = await product.api.put(f"/plugin/{product.team.plugin_id}", json=body)
    assert reply.status_code == 200, reply.text
    assert reply.json()["_data"] == await shown(product)
    found: dict[str, Any] = reply.json()["_data"]
    return found


async def subscribed(product: Product) -> bool:
    reply = await product.control.get(
        f"/v25.0/{BUSINESS.waba_id}/subscribed_apps",
        headers={"Authorization": f"Bearer {BUSINESS.access_token}"},
    )
    return bool(reply.json()["data"])


async def test_a_plugin_begins_empty_and_says_what_it_lacks(product: Product) -> None:
    made = await product.api.post("/plugin", json={"type": "whatsapp", "name": "second-shop"})
    new = made.json()["_data"]

    assert (new["name"], new["type"], new["isActive"], new["auth"]) == ("second-shop", "whatsapp", True, None)
    assert new["team"] == product.team.id
    assert await shown(product, new["id"]) == new
    listed = (await product.api.get("/plugin")).json()["_data"]
    assert [it["id"] for it in listed] == [product.team.plugin_id, new["id"]]
    words = sentence(
        await product.api.post(sending(product).replace(listed[0]["id"], new["id"]), json=HI), 404
    )
    assert "connect" in words
    hook = await product.api.post(f"/webhooks/whatsapp/{new['id']}", json={})
    assert hook.status_code == 404

    for wrong in (
        {"type": "sms", "name": "a"},
        {"type": "whatsapp"},
        {"type": "whatsapp", "name": "a" * 101},
    ):
        assert sentence(await product.api.post("/plugin", json=wrong), 400)
    for method in ("GET", "PUT", "DELETE"):
        reply = await product.api.request(method, f"/plugin/{NOBODY}", json={} if method == "PUT" else None)
        assert sentence(reply, 404) == "Plugin not found"


async def test_a_connected_plugin_shows_what_it_holds_and_no_secret(product: Product) -> None:
    (listed,) = (await product.api.get("/plugin")).json()["_data"]

    auth = listed["auth"]
    assert auth["whatsappBusinessAccountsById"][BUSINESS.waba_id]["phoneNumbers"] == [NUMBER, SISTER]
    for number_id, number in auth["whatsappPhoneNumbersById"].items():
        assert number == (await product.api.get(f"{NUMBERS}/{number_id}")).json()["_data"]
    assert listed["serverConfig"]["enabledWhatsappPhoneNumbers"] == [NUMBER, SISTER]
    for secret in (BUSINESS.access_token, BUSINESS.app_secret, "sealed"):
        assert secret not in str(listed)


async def test_a_plugin_that_is_not_active_sends_nothing_and_hears_everything(product: Product) -> None:
    await product.open_window()

    assert (await changed(product, isActive=False))["isActive"] is False
    words = sentence(await product.send_text("silence"), 403)
    await product.customer_writes("are you there?")
    await until(product.listed)
    assert (await changed(product, isActive=True))["isActive"] is True

    assert product.team.plugin_id in words
    assert [it["text"] for it in await product.listed()] == ["are you there?"]
    assert (await product.send_text("yes")).status_code == 200
    wrongs: list[dict[str, Any]] = [{"isActive": "no"}, {"serverConfig": []}]
    for wrong in (*wrongs, {"pluginId": NOBODY, "isActive": False}):
        reply = await product.api.put(f"/plugin/{product.team.plugin_id}", json=wrong)
        assert sentence(reply, 400)
    assert (await shown(product))["isActive"] is True


async def test_only_enabled_numbers_are_used_and_the_rest_of_the_configuration_stays(
    product: Product,
) -> None:
    await product.open_window()
    url = "https://hooks.example.test/meta"
    first = await changed(product, serverConfig={"passThroughWebhookUrl": url})

    whole = first["serverConfig"] | {"enabledWhatsappPhoneNumbers": [SISTER]}
    second = await changed(product, serverConfig=whole)

    assert second["serverConfig"] == whole
    assert "enabledWhatsappPhoneNumbers" in sentence(await product.send_text("hi"), 403)
    from_sister = sending(product).replace(NUMBER, SISTER)
    assert (await product.api.post(from_sister, json=HI)).status_code in (200, 400), "Meta is asked"
    every = await changed(product, serverConfig={"enabledWhatsappPhoneNumbers": []})
    assert every["serverConfig"]["enabledWhatsappPhoneNumbers"] == [NUMBER, SISTER]
    assert (await product.send_text("hi")).status_code == 200
    wrongs: list[Any] = [["a"], "1", [1], {}]
    for wrong in wrongs:
        config = {"enabledWhatsappPhoneNumbers": wrong, "passThroughWebhookUrl": None}
        reply = await product.api.put(f"/plugin/{product.team.plugin_id}", json={"serverConfig": config})
        assert "enabledWhatsappPhoneNumbers" in sentence(reply, 400)
    assert (await shown(product))["serverConfig"]["passThroughWebhookUrl"] == url


async def test_a_deleted_plugin_is_gone_for_everyone_and_its_history_is_not(
    product: Product, receiver: Receiver
) -> None:
    receiver.answers = [500] * 9
    await changed(product, serverConfig={"passThroughWebhookUrl": receiver.url})
    await product.customer_writes("before")
    await until(product.listed)
    await until(lambda: receiver.got)

    gone = await product.api.delete(f"/plugin/{product.team.plugin_id}")

    assert gone.json() == {"_data": {"success": True}}
    assert [it["text"] for it in await product.listed()] == ["before"]
    states = [it["state"] for it in (await product.api.get(DELIVERIES)).json()["_data"]]
    assert "PENDING" not in states
    for reply in (
        await product.api.get(f"/plugin/{product.team.plugin_id}"),
        await product.api.delete(f"/plugin/{product.team.plugin_id}"),
        await product.api.get(product.plugin("config")),
        await product.send_text("hi"),
    ):
        assert sentence(reply, 404) == "Plugin not found"
    for path in ("/plugin", NUMBERS):
        assert (await product.api.get(path)).json()["_data"] == []
    row = await product.app.db.read(_plugin_row, product.team.plugin_id)
    assert (row.access_token_sealed, row.app_secret_sealed, row.verify_token_sealed) == ("", "", "")
    await until(lambda: _not(subscribed(product)))
    babbage, client = await second_team(product)
    async with client:  # whoever shows Meta's token may have the number now
        wanted = Connection(BUSINESS.waba_id, NUMBER, BUSINESS.access_token, BUSINESS.app_secret)
        theirs = await waba.connect(product.app.res, babbage.id, wanted)
        numbers = (await client.get(f"{NUMBERS}?pluginId={theirs.plugin_id}")).json()["_data"]
        assert [it["id"] for it in numbers] == [NUMBER, SISTER]
        await product.customer_writes("to whom?")
        await until(lambda: product.listed(client=client))
    assert [it["text"] for it in await product.listed()] == ["before"]


async def test_a_plugin_holds_several_wabas_each_with_its_own_token_and_app(product: Product) -> None:
    plugin_id = product.team.plugin_id

    second = await waba.connect(product.app.res, product.team.id, replace(OTHERS, plugin_id=plugin_id))

    assert second.plugin_id == plugin_id
    assert set((await shown(product))["auth"]["whatsappBusinessAccountsById"]) == {
        BUSINESS.waba_id,
        OTHER_BUSINESS.waba_id,
    }
    for number in (NUMBER, OTHERS.phone_number_id):  # signed by two apps, sent with two tokens
        written = {"type": "text", "text": {"body": number}, "phone_number_id": number}
        await product.customer_sends(written)
        sent = await product.api.post(sending(product).replace(NUMBER, number), json=HI)
        assert sent.status_code == 200, sent.text
    await until(lambda: _heard(product, {NUMBER, OTHERS.phone_number_id}))

    body = {"pluginId": plugin_id, "wabaId": BUSINESS.waba_id}
    left = await product.api.post(DISCONNECT, json=body)

    assert left.json() == {"_data": {"success": True}}
    assert set((await shown(product))["auth"]["whatsappPhoneNumbersById"]) == {OTHERS.phone_number_id}
    assert "not found" in sentence(await product.send_text("hi"), 404)
    assert "not found" in sentence(await product.api.post(DISCONNECT, json=body), 404)
    still = sending(product).replace(NUMBER, OTHERS.phone_number_id)
    assert (await product.api.post(still, json=HI)).status_code == 200
    await until(lambda: _not(subscribed(product)))
    assert len(await product.listed()) == 5, "what was said stays listed"


async def test_plugins_are_for_those_who_manage(database_url: str, tmp_path: Path) -> None:
    async with running(database_url, tmp_path, allow_private_webhooks="0") as product:
        key = await accounts.create_key(product.app.res, product.team.id, name="agent", role="Agent")
        plugin = f"/plugin/{product.team.plugin_id}"
        private = {"serverConfig": {"passThroughWebhookUrl": "http://127.0.0.1/"}}
        async with product.client(key.token) as agent:
            assert (await agent.get(plugin)).status_code == 200
            asked: list[httpx.Response] = [
                await agent.post("/plugin", json={"type": "whatsapp", "name": "a"}),
                await agent.put(plugin, json={"isActive": False}),
                await agent.delete(plugin),
                await agent.post(
                    DISCONNECT, json={"pluginId": product.team.plugin_id, "wabaId": BUSINESS.waba_id}
                ),
            ]

        assert all("ADMIN or MANAGER" in sentence(it, 403) for it in asked)
        assert "private network" in sentence(await product.api.put(plugin, json=private), 400)
        assert (await shown(product))["isActive"] is True


async def _heard(product: Product, texts: set[str]) -> bool:
    return texts <= {it["text"] for it in await product.listed()}


async def _not(asking: Any) -> bool:
    return not await asking


def _plugin_row(tx: Any, plugin_id: str) -> Any:
    return tx.first(every_team.select(plugins).where(plugins.c.id == plugin_id))
