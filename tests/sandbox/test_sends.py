"""Sending messages: what Meta accepts, and how it refuses."""

import base64
import copy
import random
from typing import Any

import pytest

from tests.sandbox.wire import ASHA, BOOK_SHOP, NUMBER, Wire, details_of, error_of, until, wamid_of


async def test_a_text_is_accepted_with_the_shape_meta_documents(wire: Wire) -> None:
    reply = await wire.text(to="+91 (98) 1234-5678")

    assert reply.status_code == 200
    answer = reply.json()
    assert answer["messaging_product"] == "whatsapp"
    assert answer["contacts"] == [{"input": "+91 (98) 1234-5678", "wa_id": ASHA}]
    assert list(answer["messages"][0]) == ["id"]


async def test_a_wamid_has_the_layout_of_metas_own(wire: Wire) -> None:
    wamid = wamid_of(await wire.text())

    raw = base64.b64decode(wamid.removeprefix("wamid."))
    assert raw[:3] == b"\x1c\x18" + bytes([len(ASHA)])
    assert raw[3 : 3 + len(ASHA)] == ASHA.encode()
    rest = raw[3 + len(ASHA) :]
    assert rest[:6] == b"\x15\x02\x00\x11\x18\x12"
    assert int(rest[6:24], 16) > 0
    assert rest[24:] == b"\x00"


async def test_every_version_prefix_is_good_and_none_too(wire: Wire) -> None:
    body = {"messaging_product": "whatsapp", "to": ASHA, "text": {"body": "hi"}}

    for prefix in ("/v19.0", "/v26.0", ""):
        reply = await wire.meta.post(f"{prefix}/{NUMBER}/messages", json=body)
        assert reply.status_code == 200, prefix


async def test_only_a_template_send_tells_a_message_status(wire: Wire) -> None:
    reply = await wire.template()

    assert reply.json()["messages"][0]["message_status"] == "accepted"


async def test_no_token_is_error_104(wire: Wire) -> None:
    reply = await wire.meta.post(f"/v25.0/{NUMBER}/messages", json={}, headers={"authorization": ""})

    assert reply.status_code == 401
    assert error_of(reply)["code"] == 104


async def test_a_wrong_token_is_error_190(wire: Wire) -> None:
    reply = await wire.meta.post(
        f"/v25.0/{NUMBER}/messages", json={}, headers={"authorization": "Bearer wrong"}
    )

    assert reply.status_code == 401
    assert error_of(reply)["code"] == 190
    assert "invalid_token" in reply.headers["www-authenticate"]


async def test_the_token_may_come_in_the_query_or_as_oauth(wire: Wire) -> None:
    token = wire.meta.headers.pop("authorization").removeprefix("Bearer ")
    body = {"messaging_product": "whatsapp", "to": ASHA, "text": {"body": "hi"}}

    in_query = await wire.meta.post(f"/{NUMBER}/messages", params={"access_token": token}, json=body)
    as_oauth = await wire.meta.post(
        f"/{NUMBER}/messages", headers={"authorization": f"OAuth {token}"}, json=body
    )

    assert (in_query.status_code, as_oauth.status_code) == (200, 200)


@pytest.mark.parametrize("number", ["999999", BOOK_SHOP.phone_numbers[0].id])
async def test_an_unknown_number_and_a_strangers_number_are_refused_alike(wire: Wire, number: str) -> None:
    reply = await wire.meta.post(f"/v25.0/{number}/messages", json={"messaging_product": "whatsapp"})

    error = error_of(reply)
    assert reply.status_code == 400
    assert (error["code"], error["error_subcode"], error["type"]) == (100, 33, "GraphMethodException")
    assert f"Object with ID '{number}' does not exist" in error["message"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"messaging_product": None}, "(#100) The parameter messaging_product is required."),
        ({"to": None}, "(#100) The parameter to is required."),
        ({"text": {"body": "x" * 4097}}, "(#100) Param text['body'] must be at most 4096 characters long."),
        ({"text": {"body": ""}}, "(#100) The parameter text['body'] is required."),
        ({"text": {"bodyy": "hi"}}, '(#100) Unexpected key "bodyy" on param "text".'),
        ({"text": {"body": 5}}, "(#100) Param text['body'] must be a string."),
        ({"text": "hi"}, "(#100) Param text must be a JSON object."),
        ({"context": {"id": "wamid.x"}}, '(#100) Unexpected key "id" on param "context".'),
        ({"biz_opaque_callback_data": "x" * 513}, "(#100) Param biz_opaque_callback_data must be at most"),
    ],
)
async def test_a_bad_parameter_is_named(wire: Wire, change: dict[str, Any], message: str) -> None:
    body = {"messaging_product": "whatsapp", "to": ASHA, "type": "text", "text": {"body": "hi"}} | change
    given = {key: value for key, value in body.items() if value is not None}

    reply = await wire.meta.post(f"/v25.0/{NUMBER}/messages", json=given)

    assert reply.status_code == 400
    assert error_of(reply)["message"].startswith(message)


async def test_a_member_meta_does_not_know_is_ignored_at_the_top(wire: Wire) -> None:
    reply = await wire.text(favourite_colour="green")

    assert reply.status_code == 200


async def test_a_missing_object_is_131008_and_an_unknown_type_131009(wire: Wire) -> None:
    missing = await wire.meta.post(
        f"/{NUMBER}/messages", json={"messaging_product": "whatsapp", "to": ASHA, "type": "image"}
    )
    unknown = await wire.send("telepathy", {})
    inbound_only = await wire.send("order", {})

    assert error_of(missing)["message"] == "(#131008) Required parameter is missing"
    assert error_of(unknown)["message"] == "(#131009) Parameter value is not valid"
    assert error_of(inbound_only)["code"] == 131051


async def test_a_business_cannot_write_to_itself(wire: Wire) -> None:
    assert error_of(await wire.text(to="+1 415 555-0123"))["code"] == 131021


async def test_with_a_list_of_recipients_others_are_refused(wire: Wire) -> None:
    await wire.control("/settings", {"allowed_recipients": [ASHA]})

    assert (await wire.text()).status_code == 200
    assert error_of(await wire.text(to="919800000000"))["code"] == 131030


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("location", {"latitude": "12.97", "longitude": 77.59, "name": "Tea Shop", "address": "MG Road"}),
        ("contacts", [{"name": {"formatted_name": "Asha"}, "phones": [{"phone": "+919812345678"}]}]),
        ("audio", {"link": "https://media.invalid/voice.ogg", "voice": True}),
        ("document", {"link": "https://media.invalid/a.pdf", "filename": "a.pdf", "caption": "Bill"}),
        ("sticker", {"link": "https://media.invalid/s.webp"}),
    ],
)
async def test_other_kinds_are_accepted(wire: Wire, kind: str, content: Any) -> None:
    assert (await wire.send(kind, content)).status_code == 200


@pytest.mark.parametrize(
    ("kind", "content", "code"),
    [
        ("location", {"latitude": 12.9}, 100),
        ("location", {"latitude": "north", "longitude": 1}, 100),
        ("location", {"latitude": 91, "longitude": 1}, 131009),
        ("contacts", [], 131009),
        ("contacts", [{"name": {"first_name": "Asha"}}], 100),
        ("image", {}, 131008),
        ("image", {"link": "ftp://media.invalid/a.png"}, 100),
        ("image", {"id": "12345"}, 100),
        ("audio", {"link": "https://media.invalid/a.ogg", "caption": "no"}, 100),
        ("reaction", {"message_id": "wamid.x"}, 100),
        ("pin", {"type": "pin", "message_id": "wamid.x"}, 131009),
    ],
)
async def test_other_kinds_are_refused_when_malformed(wire: Wire, kind: str, content: Any, code: int) -> None:
    reply = await wire.send(kind, content)

    assert reply.status_code == 400
    assert error_of(reply)["code"] == code


async def test_a_person_can_be_reached_by_user_id_alone(wire: Wire) -> None:
    inbound = await wire.writes(type="text", text={"body": "hello"}, hide_phone=True)
    bsuid = inbound["message"]["from_user_id"]

    body = {"messaging_product": "whatsapp", "recipient": bsuid, "type": "text", "text": {"body": "hi"}}
    reply = await wire.meta.post(f"/{NUMBER}/messages", json=body)

    wamid = wamid_of(reply)
    assert reply.json()["contacts"] == [{"input": bsuid, "user_id": bsuid}]
    await until(lambda: "read" in wire.receiver.told_of(wamid))
    status = next(one for one in wire.receiver.told if one["id"] == wamid)
    assert status["recipient_user_id"] == bsuid
    assert "recipient_id" not in status


async def test_an_unknown_user_id_is_undeliverable_and_an_otp_template_needs_a_number(wire: Wire) -> None:
    body = {"messaging_product": "whatsapp", "recipient": "IN.99887766554433221100"}
    otp = {"type": "template", "template": _otp("123456")}

    unknown = await wire.meta.post(f"/{NUMBER}/messages", json={**body, "text": {"body": "hi"}})
    refused = await wire.meta.post(f"/{NUMBER}/messages", json=body | otp)

    await until(lambda: wire.receiver.told_of(wamid_of(unknown)) == ["failed"])
    assert wire.receiver.told[0]["errors"][0]["code"] == 131026
    assert error_of(refused)["code"] == 131062


async def test_a_customers_message_is_marked_read_with_a_typing_indicator(wire: Wire) -> None:
    inbound = await wire.writes()
    read = {"messaging_product": "whatsapp", "status": "read", "message_id": inbound["wamid"]}

    reply = await wire.meta.post(f"/{NUMBER}/messages", json=read | {"typing_indicator": {"type": "text"}})
    unknown = await wire.meta.post(f"/{NUMBER}/messages", json=read | {"message_id": "wamid.none"})

    assert reply.json() == {"success": True}
    assert (await wire.shown())[0]["status"] == "read"
    assert error_of(unknown)["code"] == 131009


async def test_a_reaction_is_only_ever_sent_and_needs_a_message_to_react_to(wire: Wire) -> None:
    inbound = await wire.writes()

    reacted = wamid_of(await wire.send("reaction", {"message_id": inbound["wamid"], "emoji": "🍵"}))
    nowhere = wamid_of(await wire.send("reaction", {"message_id": "wamid.none", "emoji": ""}))

    await until(lambda: len(wire.receiver.told) == 2)
    assert wire.receiver.told_of(reacted) == ["sent"]
    assert wire.receiver.told_of(nowhere) == ["failed"]


async def test_the_number_rate_is_limited_when_asked(wire: Wire) -> None:
    await wire.control("/settings", {"throughput_per_s": 3})

    codes = [(await wire.template()).status_code for _ in range(4)]

    assert codes == [200, 200, 200, 400]
    assert error_of(await wire.template())["code"] == 130429


async def test_a_person_gets_45_messages_in_a_burst_and_then_one_in_six_seconds(
    wire: Wire, clock: Any
) -> None:
    await wire.control("/settings", {"pair_rate": True})
    burst = [(await wire.template()).status_code for _ in range(46)]
    clock.now += 6

    after_six_seconds = await wire.template()
    at_once = await wire.template()

    assert burst == [200] * 45 + [400]
    assert after_six_seconds.status_code == 200
    assert error_of(at_once)["code"] == 131056


async def test_messages_get_pinned_in_groups_only_and_groups_are_known_by_their_ids(wire: Wire) -> None:
    subject = {"messaging_product": "whatsapp", "subject": "Tea circle"}
    await wire.meta.post(f"/{NUMBER}/groups", json=subject)
    group = (await wire.meta.get(f"/{NUMBER}/groups")).json()["data"]["groups"][0]["id"]
    link = (await wire.meta.get(f"/{group}/invite_link")).json()["invite_link"]
    await wire.control(f"/phones/{ASHA}/groups/join", {"invite_link": link})
    pin = {"type": "pin", "message_id": "wamid.x"}

    pinned = await wire.send("pin", pin, to=group, recipient_type="group")
    nowhere = await wire.send("pin", pin, to="12345", recipient_type="group")
    unknown = base64.b64encode(b"capi_group:1234567").decode()
    never_made = await wire.send("pin", pin, to=unknown, recipient_type="group")

    assert pinned.json()["contacts"] == [{"input": group}]
    assert error_of(nowhere)["code"] == error_of(never_made)["code"] == 131041


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b'{"messaging_product":["whatsapp"]}',
        b'{"messaging_product":"whatsapp","to":{},"text":{"body":"x"}}',
        b'{"messaging_product":"whatsapp","to":true,"text":{"body":"x"}}',
        b'{"messaging_product":"whatsapp","to":' + b"9" * 4_500 + b',"text":{"body":"x"}}',
        b'{"messaging_product":"whatsapp","to":"919812345678","type":[],"text":{"body":"x"}}',
        b'{"messaging_product":"whatsapp","to":"919812345678","text":{"body":"\\ud800"}}',
        b'{"messaging_product":"whatsapp","to":"919812345678","type":"template","template":{"name":{}}}',
        b'{"messaging_product":"whatsapp","to":"919812345678","type":"interactive","interactive":{"type":{}}}',
        b'{"messaging_product":"whatsapp","status":{},"message_id":[]}',
        b'{"messaging_product":"whatsapp","recipient_type":[],"to":"919812345678","text":{"body":"x"}}',
    ],
)
async def test_nonsense_is_refused_and_never_a_server_error(wire: Wire, body: bytes) -> None:
    reply = await wire.meta.post(f"/v25.0/{NUMBER}/messages", content=body)

    assert reply.status_code == 400, reply.text
    assert error_of(reply)["code"] in (100, 131009)


def _otp(code: str) -> dict[str, Any]:
    text = [{"type": "text", "text": code}]
    return {
        "name": "login_code",
        "language": {"code": "en_US"},
        "components": [
            {"type": "body", "parameters": text},
            {"type": "button", "sub_type": "url", "index": "0", "parameters": text},
        ],
    }


async def test_the_details_of_a_refusal_say_what_is_wrong(wire: Wire) -> None:
    assert "valid phone number" in details_of(await wire.text(to="call me"))


async def test_no_mutation_of_a_good_payload_makes_a_server_error(wire: Wire) -> None:
    chance = random.Random(5)
    oddities: list[Any] = [
        None,
        True,
        -1,
        1e308,
        10**30,
        "",
        "x" * 5_000,
        [],
        {},
        [[]],
        [{}],
        {"type": []},
        "\x00",
    ]
    row = {"id": "1", "title": "Tea"}
    good: list[dict[str, Any]] = [
        {"type": "text", "text": {"body": "hi", "preview_url": True}, "context": {"message_id": "wamid.x"}},
        {"type": "template", "template": _otp("123456")},
        {"type": "image", "image": {"id": "1"}, "biz_opaque_callback_data": "x"},
        {"type": "location", "location": {"latitude": 1, "longitude": 2}},
        {"type": "contacts", "contacts": [{"name": {"formatted_name": "A"}, "phones": [{"phone": "1"}]}]},
        {"type": "reaction", "reaction": {"message_id": "wamid.x", "emoji": "x"}},
        {
            "type": "interactive",
            "interactive": {
                "type": "list",
                "body": {"text": "x"},
                "action": {"button": "x", "sections": [{"title": "x", "rows": [row]}]},
            },
        },
    ]

    statuses = set()
    for _ in range(600):
        payload = {"messaging_product": "whatsapp", "to": ASHA, **copy.deepcopy(chance.choice(good))}
        _mutate(payload, chance, oddities)
        statuses.add((await wire.meta.post(f"/{NUMBER}/messages", json=payload)).status_code)

    assert statuses == {200, 400, 404}
    assert (await wire.control(f"/phones/{ASHA}/messages")).status_code == 200


def _mutate(value: Any, chance: random.Random, oddities: list[Any]) -> None:
    """Replace one thing, somewhere within."""
    while True:
        key = chance.choice(list(value) if isinstance(value, dict) else range(len(value)))
        inner = value[key]
        if not inner or not isinstance(inner, dict | list) or chance.random() < 0.2:
            value[key] = copy.deepcopy(chance.choice(oddities))
            return
        value = inner
