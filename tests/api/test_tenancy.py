"""Two teams on one server: to each of them the other does not exist."""

from typing import Any

import httpx
import pytest

from samvad.domain.waba import operations as waba
from samvad.domain.waba.model import Connection
from samvad.kit.errors import Conflict
from tests.api.asking import (
    ACCOUNTS,
    CONNECT_TOKEN,
    DELIVERIES,
    DISCONNECT,
    ENDPOINTS,
    LIST,
    NUMBERS,
    second_team,
    sentence,
    writing_to,
)
from tests.api.pictures import gif
from tests.contract import police
from tests.harness import BUSINESS, OTHER_BUSINESS, PERSON, Product, Receiver, until

TEMPLATES = "/v1/samvad/template"
LEADS = "/v1/ext/procedure/lead/process"
PHOTO, OBJECT_WEBHOOKS = "/v1/ext/photo", "/v1/samvad/object-webhook"
HI = {"messaging_product": "whatsapp", "to": PERSON, "type": "text", "text": {"body": "hi"}}


async def test_a_team_sees_nothing_of_another_through_any_operation(
    product: Product, receiver: Receiver
) -> None:
    ada, (babbage, client) = product.team, await second_team(product)
    where = {"passThroughWebhookUrl": receiver.url}
    await product.api.post(product.plugin("update-config"), json=where)
    await product.customer_writes("for Ada only")
    chat = (await until(product.listed))[0]["chat"]
    upload = await product.api.post(
        product.plugin("upload-public-media"), files={"file": ("a.txt", b"Ada's")}
    )
    (owner,) = await _data(product.api, "/v1/ext/users")
    (delivery, *_) = await until(lambda: _data(product.api, DELIVERIES))
    dot = {"photo": ("a.gif", gif())}
    photo = (await product.api.post(PHOTO, files=dot)).json()["_data"]["id"]
    added = await product.api.post(OBJECT_WEBHOOKS, json={"url": receiver.url})
    told_of_objects = added.json()["_data"]["id"]
    lead = (await product.api.post(LEADS, json={"data": {"lead_id": "ADA-1", "name": "x"}})).json()["_data"][
        "id"
    ]
    job = (await product.api.patch(LEADS, json={"processes": []})).json()["_data"]["id"]
    theirs_at_meta = (await until(lambda: _data(product.api, TEMPLATES)))[0]["id"]
    template = {"whatsappPhoneNumberId": ada.phone_number_id, "templateName": "hello_world"}
    theirs = {"whatsappPhoneNumberId": babbage.phone_number_id, "templateName": "hello_world"}

    def their(path: str) -> str:
        return product.plugin(path, babbage.plugin_id)

    refused: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", product.plugin(f"api/v25.0/{ada.phone_number_id}/messages"), {"json": HI}),
        ("POST", product.plugin(f"api/v25.0/{babbage.phone_number_id}/messages"), {"json": HI}),
        ("POST", their(f"api/v25.0/{ada.phone_number_id}/messages"), {"json": HI}),
        ("POST", product.plugin(f"phoneNumber/{PERSON}/send-template-message"), {"json": template}),
        ("POST", product.plugin(f"phoneNumber/{PERSON}/send-template-message"), {"json": theirs}),
        ("POST", their(f"phoneNumber/{PERSON}/send-template-message"), {"json": template}),
        ("POST", product.plugin(f"process/phoneNumber/{PERSON}/send-template-message"), {"json": template}),
        ("POST", product.plugin("upload-public-media"), {"files": {"file": ("a.txt", b"x")}}),
        ("GET", f"{NUMBERS}?pluginId={ada.plugin_id}", {}),
        ("GET", f"{NUMBERS}/{ada.phone_number_id}", {}),
        ("GET", f"{ACCOUNTS}?pluginId={ada.plugin_id}", {}),
        ("GET", product.plugin("config"), {}),
        ("GET", f"/v1/samvad/template/{theirs_at_meta}", {}),
        ("POST", f"/v1/samvad/template/{theirs_at_meta}/render", {"json": {}}),
        ("POST", "/v1/samvad/template/sync", {"json": {"wabaId": ada.waba_id}}),
        ("GET", f"/v1/samvad/doctor?pluginId={ada.plugin_id}", {}),
        ("POST", product.plugin("update-config"), {"json": {"passThroughWebhookUrl": None}}),
        ("POST", f"/v1/samvad/whatsapp-phone-number/{ada.phone_number_id}/refresh", {}),
        ("POST", writing_to(ada.phone_number_id), {"json": {"from": PERSON, "text": "hi"}}),
        ("POST", f"/v1/ext/chat/{chat}/message", {"json": {}}),
        ("GET", f"/v1/samvad/chat/{chat}", {}),
        *(("POST", f"/v1/samvad/chat/{chat}/{how}", {}) for how in ("close", "open", "read")),
        ("GET", f"{LEADS}/{lead}", {}),
        ("PUT", f"{LEADS}/{lead}", {"json": {"status": "COMPLETED"}}),
        ("DELETE", f"{LEADS}/{lead}", {}),
        ("PUT", f"{LEADS}/lead_id/ADA-1", {"json": {"status": "COMPLETED"}}),
        ("DELETE", f"{LEADS}/lead_id/ADA-1", {}),
        ("POST", "/v1/ext/p/lead/ADA-1/task/call", {"json": {}}),
        ("POST", their("process/lead/ADA-1/send-template-message"), {"json": theirs}),
        ("POST", their(f"process/{lead}/send-template-message"), {"json": theirs}),
        ("GET", f"/v1/ext/background-job/{job}", {}),
        ("GET", f"/v1/ext/background-job/{job}/entries", {}),
        ("GET", f"{PHOTO}/{photo}", {}),
        ("GET", f"{PHOTO}/{photo}?meta=true", {}),
        ("DELETE", f"{OBJECT_WEBHOOKS}/{told_of_objects}", {}),
        *(("POST", f"{ENDPOINTS}/{told_of_objects}/{how}", {}) for how in ("pause", "resume", "test")),
        ("POST", f"/v1/samvad/chat/{chat}/assign", {"json": {"assignedTo": None}}),
        ("GET", f"/v1/ext/user/{owner['id']}", {}),
        ("GET", f"/v2/ext/user/{owner['id']}", {}),
        *((how, f"/v1/ext/user/{owner['id']}", {"json": {"bio": "x"}}) for how in ("PUT", "PATCH", "POST")),
        ("GET", f"/plugin/{ada.plugin_id}", {}),
        ("PUT", f"/plugin/{ada.plugin_id}", {"json": {"isActive": False}}),
        ("DELETE", f"/plugin/{ada.plugin_id}", {}),
        ("POST", CONNECT_TOKEN, {"json": {"pluginId": ada.plugin_id}}),
        ("POST", DISCONNECT, {"json": {"pluginId": ada.plugin_id, "wabaId": ada.waba_id}}),
        ("POST", DISCONNECT, {"json": {"pluginId": babbage.plugin_id, "wabaId": ada.waba_id}}),
        ("GET", f"{DELIVERIES}/{delivery['id']}", {}),
        ("GET", f"{DELIVERIES}/{delivery['id']}/body", {}),
        ("POST", f"{DELIVERIES}/{delivery['id']}/replay", {}),
        *(("POST", f"{ENDPOINTS}/{delivery['endpoint']}/{how}", {}) for how in ("pause", "resume", "test")),
    ]
    lists = {
        NUMBERS: [babbage.phone_number_id],
        ACCOUNTS: [babbage.waba_id],
        DELIVERIES: [],
        OBJECT_WEBHOOKS: [],
        "/plugin": [babbage.plugin_id],
    }
    elsewhere = ("graph_", "show_media", "fetch_media", "list_media")  # test_graph.py, test_whatsapp_media.py
    told = {it.id for it in police.contract().operations if it.id.startswith(elsewhere)}
    everyones = told | {
        "health",
        "show_public_media",
        "show_contract",
        "verify_meta_webhook",
        "receive_meta_webhook",
        "create_plugin",
        "show_connect_page",
        "connect_by_page",
    }
    asked = {"list_chat_messages_for_phone_number", "list_webhook_deliveries", "list_chats", "list_plugins"}
    asked |= {"list_events", "list_templates", "list_object_webhooks", "add_object_webhook"}
    asked |= {"upload_photo", "upload_photo_as"}
    asked |= {
        "create_process",
        "list_processes",
        "bulk_create_processes",
        "bulk_update_processes",
        "show_config",
    }
    asked |= {"list_events", "list_templates", "list_users", "list_users_v2"}
    asked |= {"show_settings", "change_settings"}  # a team's own, which name nothing
    asked |= {f"{what}_webhook_secret" for what in ("show", "rotate", "activate")}
    asked |= {"list_webhook_endpoints", "replay_webhook_deliveries"}

    async with client:
        for method, path, body in refused:
            reply = await client.request(method, path, **body)
            words = sentence(reply, 404)
            assert "not found" in words, f"{method} {path}"
            assert words == "Plugin not found" or ada.plugin_id not in path, f"{method} {path}: {words}"
            found = police.contract().find(method, path.partition("?")[0])
            assert found is not None
            asked.add(found[0].id)
        for path, ids in lists.items():
            assert [it["id"] for it in await _data(client, path)] == ids
        assert (await client.post(f"{LEADS}/list", json={})).json()["_data"] == []
        assert ada.id not in str(await _data(client, "/v1/ext/config"))
        assert await product.listed(client=client) == []
        taken = sentence(await client.post(f"{PHOTO}/{photo}", files=dot), 409)
        assert ada.id not in taken
        mine = (await client.post(PHOTO, files=dot)).json()["_data"]
        assert mine["id"] != photo
        assert mine["team"] == babbage.id
        as_her = {"url": receiver.url, "actsAs": {"user": f"owner@{ada.id}.example"}}
        assert "nobody" in sentence(await client.post(OBJECT_WEBHOOKS, json=as_her), 400)
        everything = {"state": "DELIVERED", "pluginId": ada.plugin_id}
        replayed = await client.post(f"{DELIVERIES}/replay", json=everything)
        assert replayed.json()["_data"] == {"count": 0}
        assert await _data(client, ENDPOINTS) == []
        for users in ("/v1/ext/users", "/v2/ext/users"):
            assert [it["username"] for it in await _data(client, users)] == [f"owner@{babbage.id}.example"]
        assert (await client.post("/v1/ext/chat", json={})).json()["_data"] == []
        assert {it["wabaId"] for it in await _data(client, TEMPLATES)} <= {babbage.waba_id}
        assert await _data(client, f"/v1/samvad/event?subject={delivery['id']}") == []
        assert await _data(client, "/v1/samvad/event?name=message.") == []
        assert (await client.get(upload.json()["_data"]["publicMediaUrl"])).content == b"Ada's"
        config = (await client.get(product.plugin("config", babbage.plugin_id))).json()["_data"]
        assert config["passThroughWebhookUrl"] is None

    assert asked == {it.id for it in police.contract().operations} - everyones, "an operation is not asked"
    kept = (await product.api.get(product.plugin("config"))).json()["_data"]
    assert kept["passThroughWebhookUrl"] == receiver.url
    assert [it["text"] for it in await product.listed()] == ["for Ada only"]


async def test_two_teams_share_a_person_but_never_a_number(product: Product) -> None:
    babbage, client = await second_team(product)

    for number, words in ((product.team.phone_number_id, "to Ada"), (babbage.phone_number_id, "to Charles")):
        message = {"type": "text", "text": {"body": words}, "phone_number_id": number}
        await product.customer_sends(message)

    async with client:
        (ours,) = await until(product.listed)
        (theirs,) = await until(lambda: product.listed(client=client))
    assert (ours["text"], theirs["text"]) == ("to Ada", "to Charles")
    for relation in ("team", "chat", "plugin", "contact"):
        assert ours[relation] != theirs[relation], relation

    secrets = BUSINESS.access_token, BUSINESS.app_secret
    number, sister = (it.id for it in BUSINESS.phone_numbers)

    for wanted in (number, sister):
        with pytest.raises(Conflict, match="another team"):
            await waba.connect(product.app.res, babbage.id, Connection(BUSINESS.waba_id, wanted, *secrets))

    numbers = [it["id"] for it in await _data(product.api, NUMBERS)]
    assert numbers == [number, sister]
    assert OTHER_BUSINESS.waba_id not in str(await _data(product.api, ACCOUNTS))
    assert (await product.api.post(LIST, json={"customerPhoneNumber": PERSON})).status_code == 200


async def _data(client: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get(path)).json()["_data"]
    return found
