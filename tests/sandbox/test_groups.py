"""Groups of a business number: made, joined by link, written in, left."""

from typing import Any

from tests.sandbox.test_number_areas import fields_told
from tests.sandbox.wire import ASHA, NUMBER, SECOND_NUMBER, Wire, error_of, until, wamid_of

RAVI = "919833333333"
PRODUCT = {"messaging_product": "whatsapp"}


async def make(wire: Wire, **more: Any) -> dict[str, Any]:
    """A new group, as its webhook tells of it."""
    before = len(fields_told(wire, "group_lifecycle_update"))
    body = {**PRODUCT, "subject": " Tea circle ", "description": "Every leaf", **more}
    request_id = (await wire.meta.post(f"/v25.0/{NUMBER}/groups", json=body)).json()["request_id"]
    await until(lambda: len(fields_told(wire, "group_lifecycle_update")) > before)
    group: dict[str, Any] = fields_told(wire, "group_lifecycle_update")[-1]["groups"][0]
    assert group["request_id"] == request_id
    return group


async def join(wire: Wire, digits: str, group: dict[str, Any]) -> dict[str, Any]:
    reply = await wire.control(f"/phones/{digits}/groups/join", {"invite_link": group["invite_link"]})
    answer: dict[str, Any] = reply.json()
    return answer


def changes(wire: Wire) -> list[dict[str, Any]]:
    return [value["groups"][0] for value in fields_told(wire, "group_participants_update")]


async def test_a_group_is_made_shown_changed_and_deleted(wire: Wire) -> None:
    group = await make(wire)
    path = f"/v25.0/{group['group_id']}"
    listed = (await wire.meta.get(f"/{NUMBER}/groups")).json()
    elsewhere = (await wire.meta.get(f"/{SECOND_NUMBER}/groups")).json()
    picture = {"file": ("g.jpg", b"\xff\xd8\xff\xe0 a picture", "image/jpeg")}
    changed = await wire.meta.post(path, data={**PRODUCT, "subject": "Coffee circle"}, files=picture)
    shown = (await wire.meta.get(path)).json()
    deleted = await wire.meta.delete(path)

    await until(lambda: len(fields_told(wire, "group_lifecycle_update")) == 2)
    told = fields_told(wire, "group_settings_update")[0]["groups"][0]
    assert (group["type"], group["subject"], group["join_approval_mode"]) == (
        "group_create",
        "Tea circle",
        "auto_approve",
    )
    assert [one["id"] for one in listed["data"]["groups"]] == [group["group_id"]]
    assert elsewhere == {"data": {"groups": []}}
    assert told["request_id"] == changed.json()["request_id"]
    assert told["group_subject"] == {"text": "Coffee circle", "update_successful": True}
    assert told["profile_picture"]["mime_type"] == "image/jpeg"
    assert (shown["subject"], shown["description"], shown["total_participant_count"]) == (
        "Coffee circle",
        "Every leaf",
        0,
    )
    assert deleted.status_code == 200
    assert error_of(await wire.meta.get(path))["error_subcode"] == 33
    for wrong in ({"subject": ""}, {"subject": "x" * 129}, {"description": "x" * 2_049}, {"colour": "red"}):
        reply = await wire.meta.post(f"/{NUMBER}/groups", json={**PRODUCT, "subject": "x", **wrong})
        assert reply.status_code == 400, wrong


async def test_people_come_by_the_link_until_the_group_is_full_and_can_be_removed(wire: Wire) -> None:
    group = await make(wire)
    path = f"/{group['group_id']}"
    for n in range(8):
        assert (await join(wire, f"91981000000{n}", group))["joined"] is True
    full = await wire.control(f"/phones/{ASHA}/groups/join", {"invite_link": group["invite_link"]})
    renewed = (await wire.meta.post(f"{path}/invite_link", json=PRODUCT)).json()["invite_link"]
    stale = await wire.control(f"/phones/{ASHA}/groups/join", {"invite_link": group["invite_link"]})
    gone = [{"user": "+91 98100 00000"}, {"user": ASHA}]
    body = {**PRODUCT, "participants": gone}
    await wire.meta.request("DELETE", f"{path}/participants", json=body)
    await wire.control("/phones/919810000001/groups/leave", {"group_id": group["group_id"]})

    await until(lambda: len(changes(wire)) == 10)
    removed, left = changes(wire)[8:]
    assert (full.status_code, stale.status_code) == (400, 404)
    assert (await wire.meta.get(f"{path}/invite_link")).json()["invite_link"] == renewed
    assert changes(wire)[0]["reason"] == "invite_link"
    assert removed["initiated_by"] == "business"
    assert removed["removed_participants"][0]["wa_id"] == "919810000000"
    assert removed["failed_participants"][0]["errors"][0]["code"] == 131212
    assert (left["initiated_by"], left["removed_participants"][0]["wa_id"]) == ("participant", "919810000001")
    assert (await wire.meta.get(path)).json()["total_participant_count"] == 6


async def test_who_must_ask_waits_for_the_business(wire: Wire) -> None:
    group = await make(wire, join_approval_mode="approval_required")
    path = f"/{group['group_id']}/join_requests"
    asha = await join(wire, ASHA, group)
    ravi = await join(wire, RAVI, group)
    listed = (await wire.meta.get(path)).json()["data"]
    yes = {**PRODUCT, "join_requests": [asha["join_request_id"], "nobody"]}
    approved = (await wire.meta.post(path, json=yes)).json()
    no = {**PRODUCT, "join_requests": [ravi["join_request_id"]]}
    rejected = (await wire.meta.request("DELETE", path, json=no)).json()

    assert [one["wa_id"] for one in listed] == [ASHA, RAVI]
    assert approved["approved_join_requests"] == [asha["join_request_id"]]
    assert approved["failed_join_requests"][0]["errors"][0]["code"] == 131213
    assert rejected["rejected_join_requests"] == [ravi["join_request_id"]]
    assert (await wire.meta.get(path)).json() == {"data": []}
    people = (await wire.meta.get(f"/{group['group_id']}?fields=participants")).json()["participants"]
    assert [one["wa_id"] for one in people] == [ASHA]
    await until(lambda: len(changes(wire)) == 3)
    kinds = [one["type"] for one in changes(wire)]
    assert kinds == ["group_join_request_created"] * 2 + ["group_participants_add"]


async def test_a_message_in_a_group_is_told_of_per_participant(wire: Wire) -> None:
    group = await make(wire)
    to_group = {"to": group["group_id"], "recipient_type": "group"}
    alone = await wire.text(**to_group)
    for digits in (ASHA, RAVI):
        await join(wire, digits, group)
    sent = await wire.text("Tea at five", **to_group)
    buttons = [{"type": "reply", "reply": {"id": "1", "title": "Yes"}}]
    choice = {"type": "button", "body": {"text": "Coming?"}, "action": {"buttons": buttons}}
    refused = await wire.send("interactive", choice, **to_group)
    wamid = wamid_of(sent)

    await until(lambda: len(wire.receiver.told_of(wamid)) == 6)
    told = [one for one in wire.receiver.told if one["id"] == wamid]
    assert error_of(alone)["code"] == 131020
    assert error_of(refused)["code"] == 131051
    assert sent.json()["contacts"] == [{"input": group["group_id"]}]
    assert {(one["status"], one["recipient_participant_id"]) for one in told} == {
        (status, digits) for status in ("sent", "delivered", "read") for digits in (ASHA, RAVI)
    }
    assert {(one["recipient_type"], one["recipient_id"]) for one in told} == {("group", group["group_id"])}
    assert (await wire.shown(RAVI))[0]["text"] == {"body": "Tea at five"}

    await wire.writes(ASHA, type="text", text={"body": "I come"}, group_id=group["group_id"])
    await until(lambda: wire.receiver.messages)
    assert (wire.receiver.messages[0]["group_id"], wire.receiver.messages[0]["from"]) == (
        group["group_id"],
        ASHA,
    )
    stranger = {"text": {"body": "Hi"}, "group_id": group["group_id"]}
    assert (await wire.control("/phones/919844444444/messages", stranger)).status_code == 400


async def test_a_group_belongs_to_the_number_that_made_it(wire: Wire) -> None:
    group = await make(wire)
    await join(wire, ASHA, group)
    body = {**PRODUCT, "to": group["group_id"], "recipient_type": "group", "text": {"body": "x"}}

    other_number = await wire.meta.post(f"/{SECOND_NUMBER}/messages", json=body)
    book_shop = {"authorization": "Bearer a-token-of-the-book-shop"}
    other_account = await wire.meta.get(f"/{group['group_id']}", headers=book_shop)

    assert error_of(other_number)["code"] == 131041
    assert error_of(other_account)["error_subcode"] == 33
