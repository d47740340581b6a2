"""Numbers, accounts, and where a plugin's events go."""

from pathlib import Path
from typing import Any

from tests.api.asking import ACCOUNTS, NOBODY, NUMBERS, sentence
from tests.harness import BUSINESS, Product, running

NOWHERE: dict[str, Any] = {
    "passThroughWebhookUrl": None,
    "enableMessageEchoesForPassThroughWebhook": False,
    "enableSendMessageTemplateEventForPassThroughWebhook": False,
    "enableChakraWebhook": False,
    "chakraWebhookUrl": None,
    "whichChakraWebhookEventsToSend": [],
}
EVENTS = ["message", "status", "message_echo", "smb_message_echo", "deliveryStatus"]
HOOK = "https://hooks.example.test/a?b=c"


async def test_people_find_the_ids_they_need(product: Product) -> None:
    team = product.team

    numbers = (await product.api.get(NUMBERS)).json()["_data"]
    one = (await product.api.get(f"{NUMBERS}/{team.phone_number_id}")).json()["_data"]
    accounts = (await product.api.get(f"{ACCOUNTS}?pluginId={team.plugin_id}")).json()["_data"]

    assert numbers[0] == one
    # The whole WABA is connected, also the number that nobody named.
    assert [it["id"] for it in numbers] == [it.id for it in BUSINESS.phone_numbers]
    assert (await product.api.get(f"{NUMBERS}?pluginId={team.plugin_id}")).json()["_data"] == numbers
    assert (one["id"], one["waba"], one["pluginId"]) == (team.phone_number_id, team.waba_id, team.plugin_id)
    assert one["verifiedName"] == BUSINESS.phone_numbers[0].verified_name
    assert one["qualityScore"]["score"] in ("GREEN", "UNKNOWN")
    assert one["chakraStatus"] == "CONNECTED"
    (account,) = accounts
    assert account.items() >= {
        ("id", team.waba_id),
        ("name", BUSINESS.name),
        ("chakraStatus", "CONNECTED"),
        ("pluginId", team.plugin_id),
        ("reviewStatus", "APPROVED"),
        ("lostBy", None),
    }
    for plugin in (NOBODY, "not-a-uuid", "", "%00"):
        for path in (NUMBERS, ACCOUNTS):
            assert sentence(await product.api.get(f"{path}?pluginId={plugin}"), 404) == "Plugin not found"
    assert "not found" in sentence(await product.api.get(f"{NUMBERS}/15550002222"), 404)


async def test_a_configuration_changes_only_in_what_is_sent(product: Product) -> None:
    async def changed(**wanted: Any) -> dict[str, Any]:
        reply = await product.api.post(product.plugin("update-config"), json=wanted)
        assert reply.json() == {"_data": {"success": True}}, reply.text
        found: dict[str, Any] = (await product.api.get(product.plugin("config"))).json()["_data"]
        return found

    assert await changed() == NOWHERE
    assert await changed(unknown={"a": 1}) == NOWHERE
    both = {"passThroughWebhookUrl": HOOK, "chakraWebhookUrl": HOOK, "enableChakraWebhook": True}
    assert await changed(**both) == {**NOWHERE, **both}
    chosen = await changed(whichChakraWebhookEventsToSend=EVENTS)
    assert chosen == {**NOWHERE, **both, "whichChakraWebhookEventsToSend": EVENTS}
    assert (await changed(passThroughWebhookUrl=""))["passThroughWebhookUrl"] is None
    cleared = await changed(chakraWebhookUrl=None, whichChakraWebhookEventsToSend=[])
    assert cleared == {**NOWHERE, "enableChakraWebhook": True}


async def test_a_configuration_that_cannot_be_right_is_refused_whole(product: Product) -> None:
    wrong: dict[str, Any] = {
        "passThroughWebhookUrl": [
            "ftp://a.test",
            "a.test",
            "http://",
            "http://a b",
            "http://a\n",
            "http://[a",
            5,
        ],
        "chakraWebhookUrl": ["javascript:alert(1)", "https://", {}, "https://a.test/" + "a" * 2048],
        "enableChakraWebhook": ["true", 1, None, "", []],
        "enableMessageEchoesForPassThroughWebhook": [0],
        "whichChakraWebhookEventsToSend": ["message", None, ["messages"], ["message", 1], [["message"]], {}],
    }
    update = product.plugin("update-config")

    for name, values in wrong.items():
        for value in values:
            reply = await product.api.post(update, json={"enableChakraWebhook": True, name: value})
            assert name in sentence(reply, 400), f"{name}: {value!r}"
    several = await product.api.post(update, json={name: values[0] for name, values in wrong.items()})

    assert len(several.json()["_errors"]) == len(wrong)
    assert (await product.api.get(product.plugin("config"))).json()["_data"] == NOWHERE


async def test_a_private_address_is_refused_where_the_operator_has_not_allowed_it(
    database_url: str, tmp_path: Path
) -> None:
    private: tuple[str, ...] = (
        "http://localhost/h",
        "http://127.0.0.1:9000",
        "https://10.1.2.3/",
        "http://[::1]/h",
    )
    private += (
        "http://169.254.169.254/latest",
        "http://db.internal/",
        "http://192.168.1.1/",
        "http://[fd00::1]/",
    )
    async with running(database_url, tmp_path, allow_private_webhooks="0") as product:
        update = product.plugin("update-config")

        for url in private:
            for name in ("passThroughWebhookUrl", "chakraWebhookUrl"):
                words = sentence(await product.api.post(update, json={name: url}), 400)
                assert words.startswith(name), url
                assert "private network" in words, url

        public = await product.api.post(update, json={"passThroughWebhookUrl": HOOK})
        assert public.status_code == 200, public.text
