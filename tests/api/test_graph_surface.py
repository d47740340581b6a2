"""What Meta offers beside messages and templates, through our doors: each once, in the shapes its clients use."""

import asyncio
import json
from typing import Any

import pytest

from tests.api.asking import at_meta, sentence
from tests.api.test_graph import doors
from tests.harness import PERSON, Product, asking, until

PRODUCT = {"messaging_product": "whatsapp"}
OFFER = {"sdp_type": "offer", "sdp": "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"}
KEY = "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n"


def at_number(product: Product, door: int = 2) -> str:
    return f"{doors(product)[door]}/{product.team.phone_number_id}"


async def a_public_key() -> str:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = await asyncio.to_thread(rsa.generate_private_key, public_exponent=65537, key_size=2048)
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


async def test_calling_is_set_up_asked_for_and_done(product: Product) -> None:
    """As the SDK calls it: settings, call_permissions and calls, below the number."""
    path = at_number(product)
    hours = {"day_of_week": "MONDAY", "open_time": "0900", "close_time": "1800"}
    wanted = {
        "status": "ENABLED",
        "call_hours": {"status": "ENABLED", "timezone_id": "Asia/Kolkata", "weekly_operating_hours": [hours]},
    }
    assert (await product.api.post(f"{path}/settings", json={"calling": wanted})).json() == {"success": True}
    shown = (await product.api.get(f"{path}/settings", params={"include_sip_credentials": "true"})).json()
    assert shown["calling"]["status"] == "ENABLED"
    assert shown["calling"]["call_hours"]["weekly_operating_hours"] == [hours]

    asked = await product.api.get(f"{path}/call_permissions", params={"user_wa_id": PERSON})
    assert asked.json()["permission"]["status"] == "no_permission"
    body = {**PRODUCT, "action": "connect", "to": PERSON, "session": OFFER}
    refused = await product.api.post(f"{path}/calls", json=body)
    assert refused.json()["error"]["message"] == sentence(refused, refused.status_code)

    await product.open_window()
    ask = {
        "type": "call_permission_request",
        "body": {"text": "May we call you?"},
        "action": {"name": "call_permission_request"},
    }
    assert (await product.send({"to": PERSON, "type": "interactive", "interactive": ask})).status_code == 200
    said = await product.control.post(f"/phones/{PERSON}/call-permission", json={"response": "accept"})
    assert said.status_code == 200, said.text
    asked = await product.api.get(f"{path}/call_permissions", params={"user_wa_id": PERSON})
    assert asked.json()["permission"]["status"] in ("temporary", "permanent")

    made = await product.api.post(f"{path}/calls", json=body)
    call_id = made.json()["calls"][0]["id"]
    over = await product.api.post(
        f"{path}/calls", json={**PRODUCT, "action": "terminate", "call_id": call_id}
    )
    assert call_id.startswith("wacid.")
    assert over.json() == {**PRODUCT, "success": True}


async def test_the_public_key_of_flows_is_set_as_json_and_as_a_form_at_every_door(product: Product) -> None:
    key = await a_public_key()
    for number in range(4):
        path = f"{at_number(product, number)}/whatsapp_business_encryption"
        for given in ({"json": {"business_public_key": key}}, {"data": {"business_public_key": key}}):
            reply = await product.api.post(path, **given)  # type: ignore[arg-type]
            assert reply.json() == {"success": True}, reply.text
        (shown,) = (await product.api.get(path)).json()["data"]
        assert shown["business_public_key"].strip() == key.strip()
    refused = await product.api.post(path, json={"business_public_key": "no key"})
    assert sentence(refused, 400)


async def test_a_group_lives_through_all_its_calls(product: Product) -> None:
    path, door = f"{at_number(product)}/groups", doors(product)[2]
    asked = await product.api.post(
        path, json={**PRODUCT, "subject": "Tea circle", "join_approval_mode": "approval_required"}
    )
    assert asked.json()["request_id"]

    async def listed() -> Any:
        return (await product.api.get(path)).json()["data"]["groups"]

    (group,) = await until(listed)
    node = f"{door}/{group['id']}"
    assert (await product.api.get(node)).json()["subject"] == "Tea circle"
    assert (await product.api.post(node, json={**PRODUCT, "subject": "Coffee"})).status_code == 200
    link = (await product.api.get(f"{node}/invite_link")).json()["invite_link"]
    renewed = (await product.api.post(f"{node}/invite_link", json=PRODUCT)).json()["invite_link"]
    assert renewed != link
    for person in (PERSON, "15550001112"):
        reply = await product.control.post(f"/phones/{person}/groups/join", json={"invite_link": renewed})
        assert reply.status_code == 200, reply.text
    waiting = (await product.api.get(f"{node}/join_requests")).json()["data"]
    yes, no = (it["join_request_id"] for it in waiting)
    approved = await product.api.post(f"{node}/join_requests", json={**PRODUCT, "join_requests": [yes]})
    rejected = await product.api.request(
        "DELETE", f"{node}/join_requests", json={**PRODUCT, "join_requests": [no]}
    )
    assert approved.json()["approved_join_requests"] == [yes]
    assert rejected.json()["rejected_join_requests"] == [no]
    removed = await product.api.request(
        "DELETE", f"{node}/participants", json={**PRODUCT, "participants": [{"user": PERSON}]}
    )
    assert removed.status_code == 200, removed.text
    assert (await product.api.delete(node)).status_code == 200
    assert sentence(await product.api.get(node), 400).startswith("Unsupported get request")


async def test_people_are_blocked_listed_and_unblocked(product: Product) -> None:
    path = f"{at_number(product)}/block_users"
    await product.customer_writes("you again")
    body = {**PRODUCT, "block_users": [{"user": PERSON}]}

    blocked = await product.api.post(path, json=body)
    listed = await product.api.get(path)
    freed = await product.api.request("DELETE", path, json=body)

    assert blocked.json()["block_users"]["added_users"][0]["wa_id"] == PERSON, blocked.text
    assert [it["wa_id"] for it in listed.json()["data"]] == [PERSON]
    assert freed.status_code == 200, freed.text
    assert (await product.api.get(path)).json()["data"] == []


async def test_the_business_profile_is_changed_and_read(product: Product) -> None:
    path = f"{at_number(product)}/whatsapp_business_profile"

    changed = await product.api.post(path, json={**PRODUCT, "about": "We make tea", "vertical": "RETAIL"})
    (shown,) = (await product.api.get(path, params={"fields": "about,vertical"})).json()["data"]

    assert changed.json() == {"success": True}
    assert (shown["about"], shown["vertical"]) == ("We make tea", "RETAIL")


async def test_a_marketing_message_is_sent_recorded_and_told_apart(product: Product) -> None:
    template = {"name": "hello_world", "language": {"code": "en_US"}}
    body = {**PRODUCT, "to": PERSON, "type": "template", "template": template}

    sent = await product.api.post(f"{at_number(product)}/marketing_messages", json=body)

    recorded = await product.listed()
    if sent.status_code == 200:
        assert recorded[0]["externalId"] == sent.json()["messages"][0]["id"]
        assert (await at_meta(product))[-1]["type"] == "template"
    else:  # a utility template is none for marketing
        assert "template" in sentence(sent, 400)


async def test_a_file_is_uploaded_in_two_parts_and_goes_on_where_it_broke_off(product: Product) -> None:
    data = b"\x89PNG\r\n\x1a\n" + b"tea" * 10_000
    (app,) = (await product.api.get(f"{doors(product)[2]}/{product.team.waba_id}/subscribed_apps")).json()[
        "data"
    ]
    app_id = app["whatsapp_business_api_data"]["id"]
    begun = await product.api.post(
        f"{doors(product)[2]}/{app_id}/uploads",
        params={"file_name": "tea.png", "file_length": len(data), "file_type": "image/png"},
    )
    session = f"{doors(product)[2]}/{begun.json()['id']}"
    # Clients of Meta's call the token OAuth here, and what they send has no type.
    oauth = {"Authorization": f"OAuth {product.team.token}"}

    async with asking(product.base_url, headers=oauth) as metas:
        half = await metas.post(session, content=data[:9_000], headers={"file_offset": "0"})
        shown = await metas.get(session)
        rest = await metas.post(session, content=data[9_000:], headers={"file_offset": "9000"})

    assert half.status_code == 200, half.text
    assert shown.json()["file_offset"] == 9_000, shown.text
    assert rest.json()["h"], rest.text


async def test_a_flow_is_made_filled_published_and_deprecated(product: Product) -> None:
    door = doors(product)[3]
    made = await product.api.post(
        f"{door}/{product.team.waba_id}/flows", json={"name": "Sign up", "categories": ["SIGN_UP"]}
    )
    node = f"{door}/{made.json()['id']}"
    done = {"type": "Footer", "label": "Done", "on-click-action": {"name": "complete", "payload": {}}}
    layout = {"type": "SingleColumnLayout", "children": [done]}
    flow = {"version": "7.0", "screens": [{"id": "FIRST", "title": "Hi", "terminal": True, "layout": layout}]}
    filled = await product.api.post(
        f"{node}/assets",
        data={"name": "flow.json", "asset_type": "FLOW_JSON"},
        files={"file": ("flow.json", json.dumps(flow).encode(), "application/json")},
    )
    published = await product.api.post(f"{node}/publish")
    shown = await product.api.get(node, params={"fields": "id,name,status"})
    over = await product.api.post(f"{node}/deprecate")

    assert filled.json()["success"] is True, filled.text
    assert published.json() == {"success": True}, published.text
    assert shown.json()["status"] == "PUBLISHED"
    assert over.json() == {"success": True}


async def test_the_method_is_that_of_the_request_and_no_other(product: Product) -> None:
    """Meta would take `method` for the method: an agent's GET could delete."""
    for door in doors(product):
        reply = await product.api.get(f"{door}/{product.team.waba_id}", params={"method": "delete"})
        assert "method" in sentence(reply, 400)


@pytest.mark.parametrize("node", ["a.b", "upload:a.b==", "x..y"])
async def test_an_id_with_a_dot_is_asked_of_meta_like_every_other(product: Product, node: str) -> None:
    reply = await product.api.get(f"/v1/whatsapp/v24.0/{node}")

    assert sentence(reply, reply.status_code)
    assert 400 <= reply.status_code < 500
