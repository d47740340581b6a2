"""Meta's own calls, passed through on four prefixes."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from samvad.domain.accounts import operations as accounts
from samvad.domain.waba import operations as waba
from samvad.domain.waba.model import Connection
from tests.api.asking import refuse_next, second_team, sentence
from tests.harness import BUSINESS, OTHER_BUSINESS, PERSON, Product, asking, running, until

HI = {"messaging_product": "whatsapp", "to": PERSON, "type": "text", "text": {"body": "hi"}}


def doors(product: Product) -> list[str]:
    return [
        product.plugin("api/v24.0"),
        "/v1/ext/plugin/whatsapp/api/v24.0",
        "/v1/whatsapp/v24.0",
        "/v2/whatsapp/v24.0",
    ]


async def asked_of_meta(product: Product, path: str) -> httpx.Response:
    """The same question put to the sandbox itself."""
    headers = {"Authorization": f"Bearer {BUSINESS.access_token}"}
    async with asking(product.sandbox_url, headers=headers) as meta:
        return await meta.get(f"/v24.0/{path}")


async def test_every_door_leads_to_meta_and_brings_its_answer_back_untouched(product: Product) -> None:
    for path in (
        product.team.phone_number_id,
        f"{product.team.waba_id}?fields=name,timezone_id",
        f"{product.team.waba_id}/subscribed_apps",
        f"{product.team.waba_id}/phone_numbers?fields=id,display_phone_number",
    ):
        theirs = await asked_of_meta(product, path)
        for door in doors(product):
            ours = await product.api.get(f"{door}/{path}")
            assert ours.status_code == theirs.status_code == 200, ours.text
            assert ours.content == theirs.content
            assert ours.headers["content-type"] == theirs.headers["content-type"]


async def test_the_next_page_is_on_our_host_behind_the_same_door_and_the_pages_end(product: Product) -> None:
    whole = (await asked_of_meta(product, f"{product.team.waba_id}/message_templates?limit=1000")).json()
    for door in doors(product):
        url = f"{door}/{product.team.waba_id}/message_templates?limit=3&fields=name,status"
        names: list[str] = []
        while url:
            page = (await product.api.get(url)).json()
            assert BUSINESS.access_token not in json.dumps(page)
            names += [it["name"] for it in page["data"]]
            url = page["paging"].get("next", "")
            if url:
                assert url.startswith(f"{product.base_url}{door}/"), url
                assert "access_token" not in url
        assert names == [it["name"] for it in whole["data"]]


async def test_a_refusal_of_meta_has_metas_status_and_object_and_the_words_clients_look_for(
    product: Product,
) -> None:
    for door in doors(product):
        reply = await product.api.get(f"{door}/100200300499999")
        assert sentence(reply, 400).startswith("Unsupported get request")
        assert reply.json()["error"]["code"] == 100
        assert reply.json()["error"]["error_subcode"] == 33
        assert reply.json()["error"]["fbtrace_id"]

        reply = await product.api.post(f"{door}/{product.team.phone_number_id}/register", json={"pin": 1})
        assert reply.status_code >= 400
        assert reply.json()["_errors"] == [reply.json()["error"]["message"]]


async def test_a_message_through_any_door_is_recorded_like_every_other(product: Product) -> None:
    await product.open_window()
    wamids = set()
    for door in doors(product):
        reply = await product.api.post(f"{door}/{product.team.phone_number_id}/messages", json=HI)
        assert reply.status_code == 200, reply.text
        assert reply.json()["messages"][0]["id"] == reply.json()["_data"]["whatsappMessageId"]
        wamids.add(reply.json()["_data"]["whatsappMessageId"])

    assert len(wamids) == 4
    assert {it["externalId"] for it in await product.listed()} == wamids
    key = {"Idempotency-Key": "once"}
    for _ in range(2):
        again = f"/v1/whatsapp/v24.0/{product.team.phone_number_id}/messages"
        assert (await product.api.post(again, json=HI, headers=key)).status_code == 200
    assert len(await product.listed()) == 5


async def test_the_token_of_the_account_that_has_the_node_is_used(product: Product) -> None:
    """Two accounts in one team: what is known is looked up, what is not known is asked for, once."""
    other, number = OTHER_BUSINESS, OTHER_BUSINESS.phone_numbers[0]
    wanted = Connection(other.waba_id, number.id, other.access_token, other.app_secret)
    await waba.connect(product.app.res, product.team.id, wanted)

    for node in (number.id, other.waba_id, product.team.waba_id, product.team.phone_number_id):
        reply = await product.api.get(f"/v1/whatsapp/v24.0/{node}?fields=id")
        assert reply.json()["id"] == node, reply.text

    for node in ("a.b:c", "4::aW1hZ2U=.x"):  # Meta's own business, dots and all
        reply = await product.api.get(f"/v1/whatsapp/v24.0/{node}?fields=id")
        assert reply.json()["error"]["code"], reply.text

    # A second number of that account, which nobody has connected here: only Meta knows whose it is.
    unknown = BUSINESS.phone_numbers[1].id
    for _ in range(2):
        reply = await product.api.get(f"/v1/whatsapp/v24.0/{unknown}?fields=id")
        assert reply.json() == {"id": unknown}


async def test_another_teams_nodes_do_not_exist_even_where_metas_token_would_open_them(
    product: Product,
) -> None:
    babbage, client = await second_team(product)
    async with client:
        for node in (product.team.phone_number_id, product.team.waba_id):
            for door in doors(product)[1:]:
                reply = await client.get(f"{door}/{node}")
                assert "does not exist" in sentence(reply, 400)
                assert reply.json()["error"]["error_subcode"] == 33
        reply = await client.get(f"{doors(product)[0]}/{babbage.waba_id}")
        assert sentence(reply, 404) == "Plugin not found"
        reply = await client.post(f"/v1/whatsapp/v24.0/{product.team.phone_number_id}/messages", json=HI)
        assert "not found" in sentence(reply, 404)


async def test_files_go_up_through_the_newer_doors_only(product: Product) -> None:
    form = {"messaging_product": "whatsapp", "type": "image/png"}
    file = {"file": ("a.png", b"\x89PNG\r\n\x1a\n" + b"x" * 200_000, "image/png")}
    path = f"{product.team.phone_number_id}/media"

    reply = await product.api.post(f"{product.plugin('api/v24.0')}/{path}", data=form, files=file)
    assert "upload-public-media" in sentence(reply, 404)
    reply = await product.api.post(f"/v1/whatsapp/v24.0/{path}", data=form, files=file)
    assert reply.status_code == 200, reply.text
    media = (await product.api.get(f"/v1/whatsapp/v24.0/{reply.json()['id']}")).json()
    assert int(media["file_size"]) == 200_008
    assert (await product.api.get(media["url"])).content == file["file"][1]


@pytest.mark.parametrize("path", ["..", "a%2Fb", "x y", "%F0%9F%90%9F", "a/b/c/d", ".hidden", "-/%00"])
async def test_what_is_no_path_of_metas_is_not_found(product: Product, path: str) -> None:
    reply = await product.api.get(f"/v1/whatsapp/v24.0/{path}")

    assert reply.status_code in (400, 404), reply.text
    assert reply.json()["_errors"]


async def test_a_key_of_an_agent_reads_and_talks_but_changes_nothing_at_meta(product: Product) -> None:
    key = await accounts.create_key(product.app.res, product.team.id, name="agent", role="Agent")
    async with product.client(key.token) as agent:
        templates = f"/v1/ext/plugin/whatsapp/api/v24.0/{product.team.waba_id}/message_templates"
        assert (await agent.get(templates)).status_code == 200
        for method, path in (("POST", templates), ("DELETE", f"{templates}?name=hello_world")):
            assert "MANAGER" in sentence(await agent.request(method, path, json={}), 403)
        assert "MANAGER" in sentence(await agent.get("/v1/whatsapp/v24.0/me/accounts"), 403)


async def test_what_meta_could_not_be_asked_is_a_502_and_a_change_without_an_answer_a_504(
    product: Product,
) -> None:
    await product.start_again(graph_url="http://127.0.0.1:9")  # nobody listens there
    path = f"/v1/whatsapp/v24.0/{product.team.waba_id}/message_templates"

    assert "could not be reached" in sentence(await product.api.get(path), 502)
    assert "nothing was done" in sentence(await product.api.post(path, json={}), 502)


@pytest.fixture
async def patient(database_url: str, tmp_path: Path) -> AsyncIterator[Product]:
    """A product that waits where Meta says it is too fast."""
    async with running(database_url, tmp_path, send_patience_s="10") as product:
        yield product


async def test_a_throttled_send_is_tried_again_within_our_patience_and_arrives_once(
    patient: Product,
) -> None:
    product = patient
    await product.open_window()
    await refuse_next(product, code=130429, times=1)

    reply = await product.send_text("hi")

    assert reply.status_code == 200, reply.text
    assert [it["text"] for it in await product.listed()] == ["hi"]
    await until(lambda: _delivered(product))
    await refuse_next(product, code=131009, times=1)
    assert "131009" in sentence(await product.send_text("no"), 400)
    await refuse_next(product, code=131016, times=1)
    assert (await product.send_text("who knows")).status_code == 502
    assert len(await product.listed()) == 3


async def _delivered(product: Product) -> bool:
    return (await product.listed())[0]["deliveryStatus"] in ("DELIVERED", "READ")
