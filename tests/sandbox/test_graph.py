"""Graph calls that read: accounts, numbers, templates; and where webhooks go."""

from typing import Any

import httpx
import pytest

from samvad.sandbox import Sandbox
from tests.harness import asking
from tests.sandbox.wire import BOOK_SHOP, NUMBER, TEA_SHOP, TOKEN, WABA, Wire, error_of, served, until


async def test_templates_come_in_pages_that_link_to_each_other(wire: Wire) -> None:
    first = (await wire.meta.get(f"/v25.0/{WABA}/message_templates", params={"limit": 7})).json()
    second = (await wire.meta.get(first["paging"]["next"])).json()
    third = (await wire.meta.get(second["paging"]["next"])).json()
    back = (await wire.meta.get(second["paging"]["previous"])).json()

    names = [one["name"] for page in (first, second, third) for one in page["data"]]
    assert len(names) == len(wire.sandbox.world.accounts[WABA].templates)
    assert names[:3] == ["hello_world", "order_update", "new_arrivals"]
    assert "next" not in third["paging"]
    assert "previous" not in first["paging"]
    assert back["data"] == first["data"]
    assert first["paging"]["next"].startswith(f"{wire.url}/v25.0/{WABA}/message_templates?")


async def test_a_page_holds_25_when_nothing_is_said_and_a_bad_cursor_is_131059(wire: Wire) -> None:
    path = f"/{WABA}/message_templates"

    page = (await wire.meta.get(path)).json()
    bad = await wire.meta.get(path, params={"after": "nonsense"})
    bad_limit = await wire.meta.get(path, params={"limit": "-1"})

    assert set(page["data"][0]) == {
        "name",
        "parameter_format",
        "components",
        "language",
        "status",
        "category",
        "id",
    }
    assert error_of(bad)["code"] == 131059
    assert error_of(bad_limit)["code"] == 100


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"name": "order_update"}, {"order_update"}),
        ({"status": "PAUSED"}, {"weekly_digest"}),
        ({"status": "rejected"}, {"free_money"}),
        ({"language": "pt_BR"}, {"thank_you"}),
        ({"category": "AUTHENTICATION"}, {"login_code"}),
        ({"name_or_content": "warehouse"}, {"shipment_tracking"}),
        ({"name": "nothing"}, set()),
        ({"status": "PAUSED,REJECTED"}, {"weekly_digest", "free_money"}),
        ({"quality_score": "RED"}, set()),
    ],
)
async def test_templates_can_be_filtered(wire: Wire, query: dict[str, str], names: set[str]) -> None:
    found = (await wire.meta.get(f"/{WABA}/message_templates", params=query)).json()

    assert {one["name"] for one in found["data"]} == names


async def test_one_template_is_read_by_its_id_with_the_fields_asked_for(wire: Wire) -> None:
    listed = (await wire.meta.get(f"/{WABA}/message_templates", params={"limit": 1})).json()["data"][0]

    whole = (await wire.meta.get(f"/v26.0/{listed['id']}")).json()
    some = (await wire.meta.get(f"/{listed['id']}", params={"fields": "name,quality_score{score}"})).json()
    strange = await wire.meta.get(f"/{listed['id']}", params={"fields": "name,colour"})

    assert whole == listed
    assert set(some) == {"id", "name", "quality_score"}
    assert "nonexisting field (colour)" in error_of(strange)["message"]


async def test_a_number_is_read_with_its_defaults_and_with_fields(wire: Wire) -> None:
    usual = (await wire.meta.get(f"/v25.0/{NUMBER}")).json()
    fields = "status,throughput,health_status,account_mode,whatsapp_business_manager_messaging_limit"
    asked = (await wire.meta.get(f"/{NUMBER}", params={"fields": fields})).json()
    listed = (await wire.meta.get(f"/{WABA}/phone_numbers")).json()

    assert usual["display_phone_number"] == "+1 415-555-0123"
    assert usual["verified_name"] == "Tea Shop"
    assert usual["quality_rating"] == "GREEN"
    assert usual["webhook_configuration"]["application"].endswith("/hook")
    assert asked["health_status"]["can_send_message"] == "AVAILABLE"
    assert asked["status"] == "CONNECTED"
    assert [one["id"] for one in listed["data"]] == [NUMBER, "880012"]
    assert listed["data"][0] == usual


async def test_an_account_is_read(wire: Wire) -> None:
    usual = (await wire.meta.get(f"/{WABA}")).json()
    asked = (await wire.meta.get(f"/{WABA}", params={"fields": "name,currency"})).json()

    assert usual["name"] == "Tea Shop"
    assert usual["message_template_namespace"]
    assert asked == {"name": "Tea Shop", "currency": "USD", "id": WABA}


@pytest.mark.parametrize(
    "path",
    [
        "/123456",
        f"/{BOOK_SHOP.waba_id}",
        f"/{BOOK_SHOP.waba_id}/message_templates",
        f"/{WABA}/no_such_edge",
        f"/{NUMBER}/messages",
    ],
)
async def test_what_is_unknown_or_a_strangers_does_not_exist(wire: Wire, path: str) -> None:
    error = error_of(await wire.meta.get(f"/v25.0{path}"))

    assert (error["code"], error["error_subcode"]) == (100, 33)


@pytest.mark.parametrize("path", ["/nowhere", "/v25.0/me/accounts", "/v25.0", "/v25/1", "/%F0%9F%8D%B5"])
async def test_an_unknown_path_is_answered_in_metas_shape(wire: Wire, path: str) -> None:
    reply = await wire.meta.get(path)

    assert reply.status_code == 400
    assert error_of(reply)["code"] == 2500


async def test_slashes_are_escaped_in_what_graph_answers(wire: Wire) -> None:
    reply = await wire.meta.get(f"/{WABA}/subscribed_apps")

    assert "https:\\/\\/" in reply.text
    assert reply.json()["data"][0]["whatsapp_business_api_data"]["name"] == "Tea Shop app"


async def test_an_account_sends_its_webhooks_where_the_handshake_succeeded(wire: Wire) -> None:
    await wire.control("/settings", {"webhook_url": "http://127.0.0.1:9/"})
    wanted = {
        "override_callback_uri": f"{wire.receiver.url}/mine?a=1",
        "verify_token": wire.receiver.verify_token,
    }

    reply = await wire.meta.post(f"/v25.0/{WABA}/subscribed_apps", json=wanted)
    await wire.writes()

    assert reply.json() == {"success": True}
    await until(lambda: wire.receiver.messages)
    listed = (await wire.meta.get(f"/{WABA}/subscribed_apps")).json()["data"][0]
    assert listed["override_callback_uri"] == wanted["override_callback_uri"]


async def test_a_form_and_a_query_are_as_good_as_json(wire: Wire) -> None:
    wanted = {
        "override_callback_uri": f"{wire.receiver.url}/x",
        "verify_token": wire.receiver.verify_token,
    }

    as_form = await wire.meta.post(f"/{WABA}/subscribed_apps", data=wanted)
    as_query = await wire.meta.post(f"/{WABA}/subscribed_apps", params=wanted)

    assert as_form.json() == as_query.json() == {"success": True}


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"verify_token": "wrong"}, "HTTP Status Code = 403"),
        ({"override_callback_uri": "http://127.0.0.1:9/"}, "Connection failed"),
    ],
)
async def test_a_failed_handshake_is_2200_and_changes_nothing(
    wire: Wire, change: dict[str, str], word: str
) -> None:
    wanted = {"override_callback_uri": wire.receiver.url, "verify_token": wire.receiver.verify_token}

    reply = await wire.meta.post(f"/{WABA}/subscribed_apps", json=wanted | change)

    assert error_of(reply)["code"] == 2200
    assert word in error_of(reply)["message"]
    assert "override_callback_uri" not in (await wire.meta.get(f"/{WABA}/subscribed_apps")).text


async def test_an_answer_other_than_the_challenge_fails_the_handshake(wire: Wire) -> None:
    wire.receiver.file = (b"hello", "text/plain")
    wanted = {"override_callback_uri": f"{wire.receiver.url}/file", "verify_token": "x"}

    assert error_of(await wire.meta.post(f"/{WABA}/subscribed_apps", json=wanted))["code"] == 2200


@pytest.mark.parametrize(
    "wanted",
    [
        {"override_callback_uri": "shop", "verify_token": "x"},
        {"override_callback_uri": ["x"], "verify_token": "x"},
        {"override_callback_uri": "http://127.0.0.1:9/" + "x" * 200, "verify_token": "x"},
        {"override_callback_uri": "http://127.0.0.1:9/"},
        [],
    ],
)
async def test_a_malformed_subscription_is_refused(wire: Wire, wanted: Any) -> None:
    assert error_of(await wire.meta.post(f"/{WABA}/subscribed_apps", json=wanted))["code"] == 100


async def test_an_unsubscribed_account_hears_nothing_until_it_subscribes_again(wire: Wire) -> None:
    await wire.meta.delete(f"/{WABA}/subscribed_apps")
    await wire.writes(type="text", text={"body": "unheard"})
    empty = (await wire.meta.get(f"/{WABA}/subscribed_apps")).json()
    await wire.meta.post(f"/{WABA}/subscribed_apps")
    await wire.writes(type="text", text={"body": "heard"})

    await until(lambda: wire.receiver.messages)
    assert empty == {"data": []}
    assert [message["text"]["body"] for message in wire.receiver.messages] == ["heard"]


async def test_the_override_of_a_number_wins_over_the_accounts(wire: Wire) -> None:
    token = wire.receiver.verify_token
    of_account = {"override_callback_uri": f"{wire.receiver.url}/account", "verify_token": token}
    of_number = {"override_callback_uri": f"{wire.receiver.url}/number", "verify_token": token}
    await wire.meta.post(f"/{WABA}/subscribed_apps", json=of_account)
    await wire.meta.post(f"/{NUMBER}", json={"webhook_configuration": of_number})

    await wire.writes()

    await until(lambda: wire.receiver.posts)
    assert wire.sandbox.webhooks()[0]["url"].endswith("/number")


async def test_below_a_root_path_everything_works_the_same(receiver: Any) -> None:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    sandbox = Sandbox(TEA_SHOP)
    sandbox.configure(webhook_url=f"{receiver.url}/hook", delays={"sent_ms": 1})
    whole = Starlette(routes=[Mount("/sandbox", app=sandbox.app)])
    async with (
        served(whole) as url,
        asking(f"{url}/sandbox", headers={"authorization": f"Bearer {TOKEN}"}) as meta,
    ):
        index = await meta.get("/")
        written = await meta.post("/phones/919812345678/messages", json={"type": "image"})
        media = await meta.get(written.json()["message"]["image"]["url"])
        text = {"messaging_product": "whatsapp", "to": "919812345678", "text": {"body": "hi"}}
        sent = await meta.post(f"/v25.0/{NUMBER}/messages", json=text)
        page = (await meta.get(f"/v25.0/{WABA}/message_templates", params={"limit": 1})).json()
        following = await meta.get(page["paging"]["next"])
        await meta.post("/refusals", json={"behaviour": "drop"})
        with pytest.raises(httpx.RemoteProtocolError):
            await meta.post(f"/v25.0/{NUMBER}/messages", json=text)
        await until(lambda: receiver.messages and receiver.told)
        await sandbox.close()

    assert index.status_code == sent.status_code == following.status_code == 200
    assert written.json()["message"]["image"]["url"].startswith(f"{url}/sandbox/whatsapp_business/")
    assert media.content.startswith(b"\x89PNG")
    assert page["paging"]["next"].startswith(f"{url}/sandbox/v25.0/")


async def test_one_token_may_open_several_accounts() -> None:
    from dataclasses import replace

    sandbox = Sandbox(TEA_SHOP, replace(BOOK_SHOP, access_token=TOKEN))
    async with (
        served(sandbox.app) as url,
        asking(url, headers={"authorization": f"Bearer {TOKEN}"}) as meta,
    ):
        names = [(await meta.get(f"/{waba}")).json()["name"] for waba in (WABA, BOOK_SHOP.waba_id)]

    assert names == ["Tea Shop", "Book Shop"]
