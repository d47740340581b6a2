"""People and numbers that change, the phone app beside the API, ads, voice messages, marketing."""

from typing import Any

import pytest

from tests.sandbox.conftest import Clock
from tests.sandbox.test_number_areas import fields_told
from tests.sandbox.wire import ASHA, NUMBER, WABA, Wire, error_of, until, wamid_of

MARKETING = {
    "messaging_product": "whatsapp",
    "to": ASHA,
    "type": "template",
}


async def play(wire: Wire, path: str, body: Any) -> dict[str, Any]:
    reply = await wire.control(path, body)
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


async def test_what_is_typed_in_the_phone_app_is_echoed_with_its_edits_and_revokes(wire: Wire) -> None:
    path = f"/phones/{ASHA}/echo"
    first = (await play(wire, path, {"text": {"body": "Tea at five"}}))["wamid"]
    edited = {"original_message_id": first, "message": {"type": "text", "text": {"body": "Tea at six"}}}
    await play(wire, path, {"type": "edit", "edit": edited})
    await play(wire, path, {"type": "revoke", "revoke": {"original_message_id": first}})
    image = await play(wire, path, {"type": "image", "image": {"caption": "Our tea"}})

    await until(lambda: len(fields_told(wire, "smb_message_echoes")) == 4)
    echoes = [value["message_echoes"][0] for value in fields_told(wire, "smb_message_echoes")]
    assert (echoes[0]["from"], echoes[0]["to"], echoes[0]["id"]) == ("14155550123", ASHA, first)
    assert echoes[1]["edit"] == edited
    assert echoes[2]["revoke"]["original_message_id"] == first
    assert echoes[3]["image"]["id"] == image["message"]["image"]["id"]
    assert (await wire.shown())[0]["text"] == {"body": "Tea at five"}
    assert (await wire.control(path, {"type": "revoke", "revoke": {"x": 1}})).status_code == 400


async def test_history_comes_in_chunks_or_is_declined(wire: Wire) -> None:
    messages = [
        {"text": {"body": "Open today?"}, "timestamp": 1_700_000_000},
        {"text": {"body": "Yes"}, "from_business": True, "status": "delivered", "timestamp": 1_700_000_060},
    ]
    chunk = {
        "phase": 1,
        "chunk_order": 2,
        "progress": 60,
        "threads": [{"digits": ASHA, "messages": messages}],
    }
    await play(wire, "/history", chunk)
    await play(wire, "/history", {"declined": True})
    await play(wire, "/app-contacts", {"contacts": [{"digits": ASHA, "full_name": "Asha Rao"}]})

    await until(lambda: fields_told(wire, "smb_app_state_sync"))
    told, declined = (value["history"][0] for value in fields_told(wire, "history"))
    thread = told["threads"][0]
    assert told["metadata"] == {"phase": 1, "chunk_order": 2, "progress": 60}
    assert thread["id"] == ASHA
    assert [one["from"] for one in thread["messages"]] == [ASHA, "14155550123"]
    assert [one["history_context"]["status"] for one in thread["messages"]] == ["READ", "DELIVERED"]
    assert declined["errors"][0]["code"] == 2593109
    synced = fields_told(wire, "smb_app_state_sync")[0]["state_sync"][0]
    assert synced["contact"] == {"phone_number": ASHA, "full_name": "Asha Rao"}
    assert (await wire.control("/history", {"threads": "all"})).status_code == 400
    assert (await wire.control("/history", {**chunk, "phase": 3})).status_code == 400


async def test_a_person_gets_another_number_and_another_user_id(wire: Wire) -> None:
    first = (await wire.writes())["message"]["from_user_id"]
    await play(wire, f"/phones/{ASHA}/change-user-id", {})
    second = (await wire.writes())["message"]["from_user_id"]
    await play(wire, f"/phones/{ASHA}/change-number", {"to": "919855555555"})

    await until(lambda: len(wire.receiver.messages) == 4)
    changed = fields_told(wire, "user_id_update")[0]["user_id_update"][0]
    systems = [one["system"] for one in wire.receiver.messages if one["type"] == "system"]
    assert changed["user_id"] == {"previous": first, "current": second}
    assert first != second
    assert [one["type"] for one in systems] == ["user_changed_user_id", "user_changed_number"]
    assert systems[1]["wa_id"] == "919855555555"
    to_old = {"messaging_product": "whatsapp", "recipient": first, "text": {"body": "Hi"}}
    wamid = wamid_of(await wire.meta.post(f"/{NUMBER}/messages", json=to_old))
    await until(lambda: wire.receiver.told_of(wamid) == ["failed"])


async def test_who_stops_marketing_gets_none_until_it_is_resumed(wire: Wire) -> None:
    name = await marketing_template(wire)
    await play(wire, f"/phones/{ASHA}/preferences", {"value": "stop"})
    stopped = wamid_of(await wire.template(name))
    await until(lambda: wire.receiver.told_of(stopped) == ["failed"])
    await play(wire, f"/phones/{ASHA}/preferences", {"value": "resume"})
    resumed = wamid_of(await wire.template(name))

    await until(lambda: "read" in wire.receiver.told_of(resumed))
    told = [value["user_preferences"][0] for value in fields_told(wire, "user_preferences")]
    assert [one["value"] for one in told] == ["stop", "resume"]
    failed = next(one for one in wire.receiver.told if one["id"] == stopped)
    assert failed["errors"][0]["code"] == 131050


async def test_the_call_for_marketing_takes_marketing_templates_only(wire: Wire) -> None:
    name = await marketing_template(wire)
    path = f"/v25.0/{NUMBER}/marketing_messages"
    template = {"name": name, "language": {"code": "en_US"}}
    sent = await wire.meta.post(path, json={**MARKETING, "template": template, "product_policy": "STRICT"})
    utility = {"name": "hello_world", "language": {"code": "en_US"}}
    other = await wire.meta.post(path, json={**MARKETING, "template": utility})
    text = await wire.meta.post(path, json={**MARKETING, "type": "text", "text": {"body": "x"}})
    policy = await wire.meta.post(path, json={**MARKETING, "template": template, "product_policy": "X"})

    assert wamid_of(sent)
    assert [error_of(one)["code"] for one in (other, text, policy)] == [134100, 131055, 100]


async def marketing_template(wire: Wire) -> str:
    """The name of a template of this category."""
    listed = (await wire.meta.get(f"/{WABA}/message_templates?category=MARKETING&limit=100")).json()["data"]
    for one in listed:
        plain = all(
            "{{" not in str(part) and part["type"] in ("BODY", "FOOTER") for part in one["components"]
        )
        if plain and one["language"] == "en_US" and one["status"] == "APPROVED":
            name: str = one["name"]
            return name
    body = {"type": "BODY", "text": "Our new tea is here, come and taste it"}
    made = {"name": "new_tea", "language": "en_US", "category": "MARKETING", "components": [body]}
    reply = await wire.meta.post(f"/{WABA}/message_templates", json=made)
    assert reply.status_code == 200, reply.text
    await wire.control("/templates/new_tea", {"status": "APPROVED"})
    return "new_tea"


@pytest.mark.parametrize(
    ("dialled", "known_as"),
    [
        ("+55 31 98765-4321", "553187654321"),
        ("5511987654321", "5511987654321"),
        ("525512345678", "5215512345678"),
    ],
)
async def test_people_in_brazil_and_mexico_are_known_by_another_number(
    wire: Wire, dialled: str, known_as: str
) -> None:
    digits = "".join(one for one in dialled if one.isdigit())
    await wire.writes(digits)
    reply = await wire.text(to=dialled)
    wamid = wamid_of(reply)

    await until(lambda: "read" in wire.receiver.told_of(wamid))
    assert reply.json()["contacts"] == [{"input": dialled, "wa_id": known_as}]
    assert wire.receiver.messages[0]["from"] == known_as
    assert {one["recipient_id"] for one in wire.receiver.told} == {known_as}
    assert len(await wire.shown(digits)) == 2


async def test_a_voice_message_is_played_after_it_is_read(wire: Wire) -> None:
    await wire.writes()
    form = {"messaging_product": "whatsapp", "type": "audio/ogg"}
    file = {"file": ("v.ogg", b"OggS voice", "audio/ogg")}
    media = (await wire.meta.post(f"/{NUMBER}/media", data=form, files=file)).json()["id"]
    voice = wamid_of(await wire.send("audio", {"id": media, "voice": True}))
    music = wamid_of(await wire.send("audio", {"id": media}))

    await until(lambda: wire.receiver.told_of(voice) == ["sent", "delivered", "read", "played"])
    assert "played" not in wire.receiver.told_of(music)


async def test_who_came_by_an_ad_is_written_to_for_free_for_72_hours(wire: Wire, clock: Clock) -> None:
    referral = {"source_type": "ad", "source_id": "1", "ctwa_clid": "c"}
    await wire.writes(type="text", text={"body": "I saw your ad"}, referral=referral)
    free = wamid_of(await wire.text())
    await until(lambda: len(wire.receiver.told_of(free)) == 3)
    clock.now += 72 * 3600
    paid = wamid_of(await wire.template())
    await until(lambda: len(wire.receiver.told_of(paid)) == 3)

    told = {(one["id"], one["status"]): one for one in wire.receiver.told}
    sent, delivered = told[free, "sent"], told[free, "delivered"]
    assert sent["pricing"]["type"] == delivered["pricing"]["type"] == "free_entry_point"
    assert sent["conversation"]["origin"] == {"type": "referral_conversion"}
    assert sent["conversation"]["expiration_timestamp"] == str(int(clock.now))
    assert "expiration_timestamp" not in delivered["conversation"]
    assert delivered["conversation"]["id"] == sent["conversation"]["id"]
    assert "conversation" not in told[paid, "sent"]
    assert told[paid, "sent"]["pricing"]["type"] == "regular"
