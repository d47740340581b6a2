"""Flows: drafted, published, deprecated, deleted; and filled in on a phone."""

import json
from typing import Any

from tests.sandbox.test_number_areas import fields_told
from tests.sandbox.wire import ASHA, WABA, Wire, error_of, until, wamid_of

GOOD = json.dumps({"version": "7.3", "screens": [{"id": "ORDER", "layout": {"type": "SingleColumnLayout"}}]})
PARTS = {"name": "flow.json", "asset_type": "FLOW_JSON", "messaging_product": "whatsapp"}


async def make(wire: Wire, **more: Any) -> str:
    body = {"name": "Order tea", "categories": ["OTHER"], **more}
    reply = await wire.meta.post(f"/v25.0/{WABA}/flows", json=body)
    assert reply.status_code == 200, reply.text
    flow_id: str = reply.json()["id"]
    return flow_id


async def test_a_flow_goes_from_draft_to_published_to_deprecated(wire: Wire) -> None:
    flow = await make(wire)
    too_early = await wire.meta.post(f"/{flow}/publish")
    bad = {"file": ("flow.json", b'{"version": "7.3"}', "application/json")}
    wrong = (await wire.meta.post(f"/{flow}/assets", data=PARTS, files=bad)).json()
    good = {"file": ("flow.json", GOOD.encode(), "application/json")}
    right = (await wire.meta.post(f"/{flow}/assets", data=PARTS, files=good)).json()
    assets = (await wire.meta.get(f"/{flow}/assets")).json()["data"]
    renamed = await wire.meta.post(f"/{flow}", json={"name": "Order coffee"})
    not_yet = await wire.meta.post(f"/{flow}/deprecate")
    published = await wire.meta.post(f"/{flow}/publish")
    kept = await wire.meta.delete(f"/{flow}")
    await wire.meta.post(f"/{flow}/deprecate")
    shown = (await wire.meta.get(f"/{flow}?fields=name,status,json_version")).json()

    await until(lambda: len(fields_told(wire, "flows")) == 2)
    assert [error_of(one)["code"] for one in (too_early, not_yet, kept)] == [139002, 139003, 139004]
    assert wrong["validation_errors"][0]["error"] == "MISSING_REQUIRED_PROPERTY"
    assert right == {"success": True, "validation_errors": []}
    assert (await wire.meta.get(assets[0]["download_url"])).json() == json.loads(GOOD)
    assert (renamed.json(), published.json()) == ({"success": True}, {"success": True})
    assert shown == {"id": flow, "name": "Order coffee", "status": "DEPRECATED", "json_version": "7.3"}
    told = fields_told(wire, "flows")
    assert [(one["old_status"], one["new_status"]) for one in told] == [
        ("DRAFT", "PUBLISHED"),
        ("PUBLISHED", "DEPRECATED"),
    ]
    assert {one["flow_id"] for one in told} == {flow}


async def test_drafts_are_deleted_and_names_are_taken_once(wire: Wire) -> None:
    flow = await make(wire, flow_json=GOOD)
    again = await wire.meta.post(f"/{WABA}/flows", json={"name": "Order tea", "categories": ["OTHER"]})
    strange = await wire.meta.post(f"/{WABA}/flows", json={"name": "x", "categories": ["TEA"]})
    copy = await make(wire, name="Copy", clone_flow_id=flow, publish=True)
    listed = (await wire.meta.get(f"/{WABA}/flows")).json()["data"]
    deleted = await wire.meta.delete(f"/{flow}")

    assert [error_of(one)["code"] for one in (again, strange)] == [100, 100]
    assert [(one["id"], one["status"]) for one in listed] == [(flow, "DRAFT"), (copy, "PUBLISHED")]
    assert deleted.json() == {"success": True}
    assert error_of(await wire.meta.get(f"/{flow}"))["error_subcode"] == 33
    book_shop = {"authorization": "Bearer a-token-of-the-book-shop"}
    assert error_of(await wire.meta.get(f"/{copy}", headers=book_shop))["error_subcode"] == 33


async def test_a_customer_fills_in_a_flow(wire: Wire) -> None:
    await wire.writes()
    parameters = {"flow_message_version": "3", "flow_id": "1", "flow_cta": "Order", "flow_token": "t-1"}
    action = {"name": "flow", "parameters": parameters}
    sent = wamid_of(
        await wire.send("interactive", {"type": "flow", "body": {"text": "Order"}, "action": action})
    )

    reply = await wire.control(f"/phones/{ASHA}/flow-answer", {"data": {"tea": "green"}})

    await until(lambda: len(wire.receiver.messages) == 2)
    told = wire.receiver.messages[1]
    assert reply.status_code == 200
    assert told["context"]["id"] == sent
    assert json.loads(told["interactive"]["nfm_reply"]["response_json"]) == {
        "tea": "green",
        "flow_token": "t-1",
    }
    assert (await wire.control("/phones/919844444444/flow-answer", {"data": {}})).status_code == 404
