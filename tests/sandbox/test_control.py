"""The control API: phones, settings, trouble on demand."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.sandbox.wire import ASHA, NUMBER, Wire, details_of, error_of, until, wamid_of


async def test_the_index_lists_what_one_can_do(wire: Wire) -> None:
    index = (await wire.control("/")).json()

    assert "POST /phones/{digits}/messages" in index["control"]
    assert index["phone_numbers"][0] == {
        "waba_id": "770001",
        "phone_number_id": NUMBER,
        "display": "14155550123",
    }


async def test_the_phone_shows_both_directions_oldest_first(wire: Wire) -> None:
    inbound = await wire.writes()
    answer = wamid_of(await wire.text("Welcome", context={"message_id": inbound["wamid"]}))
    await until(lambda: "read" in wire.receiver.told_of(answer))

    shown = await wire.shown()

    assert [(one["direction"], one["text"]["body"], one["status"]) for one in shown] == [
        ("customer", "hello", "delivered"),
        ("business", "Welcome", "read"),
    ]
    assert shown[1]["context"] == {"message_id": inbound["wamid"]}
    assert (await wire.control("/phones")).json()["phones"][0]["messages"] == 2


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            {"type": "location", "location": {"latitude": 1.5, "longitude": 2}},
            {"latitude": 1.5, "longitude": 2},
        ),
        ({"type": "reaction", "reaction": {"message_id": "wamid.x", "emoji": "👍"}}, None),
        ({"type": "reaction", "reaction": {"message_id": "wamid.x", "emoji": ""}}, {"message_id": "wamid.x"}),
        ({"type": "button", "button": {"text": "Yes", "payload": "Y"}}, None),
        (
            {
                "type": "interactive",
                "interactive": {"type": "button_reply", "button_reply": {"id": "b", "title": "B"}},
            },
            None,
        ),
        ({"type": "contacts", "contacts": [{"name": {"formatted_name": "Ravi"}}]}, None),
        ({"type": "order", "order": {"catalog_id": "9", "product_items": []}}, None),
        ({"type": "system", "system": {"type": "user_changed_number", "body": "x", "wa_id": "9"}}, None),
    ],
    ids=lambda value: value.get("type", "") if isinstance(value, dict) else "",
)
async def test_a_customer_can_send_any_kind(wire: Wire, message: dict[str, Any], expected: Any) -> None:
    await wire.writes(**message)

    await until(lambda: wire.receiver.messages)
    kind = message["type"]
    assert wire.receiver.messages[0][kind] == (expected or message[kind])
    assert ("contacts" in wire.receiver.values[0]) == (kind != "system")


async def test_an_unsupported_message_carries_its_error(wire: Wire) -> None:
    await wire.writes(type="unsupported", unsupported={"type": "poll"})

    await until(lambda: wire.receiver.messages)
    assert wire.receiver.messages[0]["errors"][0]["code"] == 131051


async def test_a_reply_names_the_author_of_what_it_quotes(wire: Wire) -> None:
    sent = wamid_of(await wire.template())
    referral = {"source_type": "ad", "source_id": "1", "ctwa_clid": "c"}

    await wire.writes(
        type="text",
        text={"body": "yes"},
        context={"message_id": sent},
        referral=referral,
        timestamp=1_700_000_000,
    )

    await until(lambda: wire.receiver.messages)
    message = wire.receiver.messages[0]
    assert message["context"] == {"from": "14155550123", "id": sent}
    assert message["referral"] == referral
    assert message["timestamp"] == "1700000000"


@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        (f"/phones/{ASHA}/messages", {"type": "spell"}, "spell"),
        (f"/phones/{ASHA}/messages", {"type": "text"}, "text"),
        (f"/phones/{ASHA}/messages", {"type": "text", "text": {"body": 1}}, "text.body"),
        (f"/phones/{ASHA}/messages", {"type": "contacts", "contacts": {}}, "contacts"),
        (f"/phones/{ASHA}/messages", {"type": [], "text": {}}, "type"),
        (f"/phones/{ASHA}/messages", {"type": "image", "image": {"data": "?"}}, "base64"),
        (f"/phones/{ASHA}/messages", {"text": {"body": "x"}, "phone_number_id": "1"}, "phone_number_id"),
        (f"/phones/{ASHA}/messages", {"text": {"body": "x"}, "phone_number_id": []}, "phone_number_id"),
        (f"/phones/{ASHA}/messages", {"text": {"body": "x"}, "timestamp": "soon"}, "timestamp"),
        (f"/phones/{ASHA}/messages", {"text": {"body": "x"}, "context": 5}, "context"),
        (f"/phones/{ASHA}/messages", [], "object"),
        ("/phones/asha/messages", {}, "digits"),
        (f"/phones/{ASHA}/window", {"open": "yes"}, "open"),
        (f"/phones/{ASHA}/window", {}, "open"),
        ("/refusals", {}, "code"),
        ("/refusals", {"code": 5_000_000}, "5000000"),
        ("/refusals", {"behaviour": "sulk"}, "sulk"),
        ("/refusals", {"code": 131026, "kode": 1}, "kode"),
        ("/refusals", {"code": 131026, "times": 0}, "times"),
        ("/replay", {"times": 0}, "times"),
        ("/replay", {"times": "many"}, "times"),
        ("/settings", {"colour": 1}, "colour"),
        ("/settings", {"auto_read": "perhaps"}, "auto_read"),
        ("/settings", {"delays": {"sent_ms": -1}}, "sent_ms"),
        ("/settings", {"delays": {"never_ms": 1}}, "never_ms"),
        ("/settings", {"webhook_url": "nowhere"}, "webhook_url"),
        ("/settings", {"statuses_per_webhook": 0}, "statuses_per_webhook"),
    ],
)
async def test_a_mistake_is_answered_400_and_named(wire: Wire, path: str, body: Any, word: str) -> None:
    reply = await wire.control(path, body)

    assert reply.status_code == 400, reply.text
    assert word in reply.json()["error"]


async def test_broken_json_and_unknown_messages_are_the_callers_mistake(wire: Wire) -> None:
    broken = await wire.meta.post("/settings", content=b"{")
    deep = await wire.meta.post("/settings", content=b"[" * 100_000)
    unknown = await wire.control("/replay", {"message_id": "wamid.none"})
    bad_limit = await wire.control("/webhooks?limit=lots")

    assert [one.status_code for one in (broken, deep, unknown, bad_limit)] == [400, 400, 404, 400]
    assert "wamid.none" in unknown.json()["error"]


async def test_settings_change_in_part_and_are_shown_whole(wire: Wire) -> None:
    reply = await wire.control("/settings", {"delays": {"sent_ms": 1}, "auto_read": False})

    assert reply.json() == (await wire.control("/settings")).json()
    delays = {"sent_ms": 1, "delivered_ms": 10, "read_ms": 15, "played_ms": 400, "inbound_ms": 0}
    assert reply.json()["delays"] == delays
    assert reply.json()["auto_read"] is False
    assert reply.json()["retry"] == {"first_s": 0.5, "max_s": 60}


async def test_the_next_sends_are_refused_with_a_code(wire: Wire) -> None:
    await wire.control("/refusals", {"code": 131048, "times": 2, "details": "Too many reports"})

    refused = [await wire.template(), await wire.template()]
    then = await wire.template()

    assert [details_of(one) for one in refused] == ["Too many reports"] * 2
    assert error_of(refused[0])["message"] == "(#131048) Spam rate limit hit"
    assert then.status_code == 200
    assert wire.sandbox.stats()["sends"] == {"accepted": 1, "refused": 2}


async def test_a_refusal_answers_with_the_http_status_of_its_code(wire: Wire) -> None:
    for code, status in ((131016, 500), (131031, 403), (132001, 404), (0, 401)):
        wire.sandbox.refuse_next(code)
        assert (await wire.template()).status_code == status, code


async def test_a_refusal_can_wait_for_one_recipient(wire: Wire) -> None:
    await wire.control("/refusals", {"code": 131026, "to": ASHA})

    assert (await wire.template(to="919800000000")).status_code == 200
    assert error_of(await wire.template())["code"] == 131026


async def test_an_asynchronous_refusal_fails_an_accepted_message(wire: Wire) -> None:
    await wire.control("/refusals", {"code": 131049, "asynchronous": True, "details": "Not now"})

    wamid = wamid_of(await wire.template())

    await until(lambda: wire.receiver.told_of(wamid) == ["failed"])
    error = wire.receiver.told[0]["errors"][0]
    assert (error["code"], error["error_data"]["details"]) == (131049, "Not now")


async def test_a_dropped_connection_has_no_answer_and_no_effect(wire: Wire) -> None:
    await wire.control("/refusals", {"behaviour": "drop"})

    with pytest.raises(httpx.RemoteProtocolError):
        await wire.template()

    assert await wire.shown() == []
    assert (await wire.template()).status_code == 200


async def test_an_accepted_send_may_lose_its_answer_while_its_statuses_come(wire: Wire) -> None:
    await wire.control("/refusals", {"behaviour": "accept_then_drop"})

    with pytest.raises(httpx.RemoteProtocolError):
        await wire.template(biz_opaque_callback_data="mine")

    await until(lambda: len(wire.receiver.told) == 3)
    assert {status["biz_opaque_callback_data"] for status in wire.receiver.told} == {"mine"}


async def test_a_hanging_send_never_answers(wire: Wire) -> None:
    await wire.control("/refusals", {"behaviour": "hang"})

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await wire.template()

    assert await wire.shown() == []


async def test_a_500_of_meta_is_not_acted_upon(wire: Wire) -> None:
    await wire.control("/refusals", {"behaviour": "500"})

    reply = await wire.template()

    assert reply.status_code == 500
    assert error_of(reply)["code"] == 1
    assert await wire.shown() == []


async def test_the_window_can_be_opened_and_shut_by_hand(wire: Wire) -> None:
    await wire.control(f"/phones/{ASHA}/window", {"open": True})
    inside = wamid_of(await wire.text())
    await wire.control(f"/phones/{ASHA}/window", {"open": False})
    outside = wamid_of(await wire.text())

    await until(lambda: len(wire.receiver.told) == 4)
    assert wire.receiver.told_of(inside)[-1] == "read"
    assert wire.receiver.told_of(outside) == ["failed"]


async def test_the_window_of_one_number_is_not_that_of_another(wire: Wire) -> None:
    await wire.control(f"/phones/{ASHA}/window", {"open": True, "phone_number_id": "880012"})

    wamid = wamid_of(await wire.text())

    await until(lambda: wire.receiver.told_of(wamid) == ["failed"])


async def test_reset_forgets_everything_but_never_repeats_a_wamid(wire: Wire) -> None:
    before = wamid_of(await wire.template())
    await wire.control("/settings", {"auto_read": False})
    await wire.control("/refusals", {"code": 131026})

    await wire.control("/reset", {})

    assert await wire.shown() == []
    assert (await wire.control("/webhooks")).json() == {"webhooks": []}
    assert (await wire.control("/settings")).json()["auto_read"] is True
    assert (await wire.control("/stats")).json()["sends"] == {"accepted": 0, "refused": 0}
    assert wamid_of(await wire.template()) != before


async def test_half_a_surrogate_pair_goes_through_and_not_a_number_does_not(wire: Wire) -> None:
    half = await wire.meta.post(f"/phones/{ASHA}/messages", content=b'{"text": {"body": "\\ud83c"}}')
    no_number = await wire.meta.post(f"/phones/{ASHA}/messages", content=b'{"text": {"body": NaN}}')

    assert (half.status_code, no_number.status_code) == (200, 400)
    await until(lambda: wire.receiver.messages)
    assert (await wire.control(f"/phones/{ASHA}/messages")).status_code == 200


async def test_what_the_api_was_asked_is_listed_newest_first_without_queries(wire: Wire) -> None:
    await wire.text("Welcome")
    await wire.meta.get(f"/v25.0/{NUMBER}?access_token=a-secret")
    await wire.meta.get("/v25.0/4711")
    await wire.control("/stats")

    calls = (await wire.control("/calls")).json()["calls"]

    assert calls == [
        {"number": 3, "method": "GET", "path": "/v25.0/4711"},
        {"number": 2, "method": "GET", "path": f"/v25.0/{NUMBER}"},
        {"number": 1, "method": "POST", "path": f"/v25.0/{NUMBER}/messages"},
    ]
    assert (await wire.control("/calls?limit=1")).json()["calls"] == calls[:1]
    await wire.control("/reset", {})
    assert (await wire.control("/calls")).json()["calls"] == []
