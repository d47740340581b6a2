"""Webhooks: their bytes, their order, and what happens when the receiver does not take them."""

import asyncio
import json
from typing import Any

import pytest

from samvad.sandbox import deliveries
from tests.sandbox.wire import ASHA, NUMBER, WABA, Wire, signature_of, until, wamid_of


async def test_a_template_is_sent_delivered_and_read(wire: Wire) -> None:
    wamid = wamid_of(await wire.template(biz_opaque_callback_data='order "42"/é'))

    await until(lambda: len(wire.receiver.told) == 3)
    assert wire.receiver.told_of(wamid) == ["sent", "delivered", "read"]
    for body in wire.receiver.bodies:
        assert body["object"] == "whatsapp_business_account"
        assert body["entry"][0]["id"] == WABA
        assert body["entry"][0]["changes"][0]["field"] == "messages"
    value = wire.receiver.values[0]
    status = value["statuses"][0]
    assert value["metadata"] == {"display_phone_number": "14155550123", "phone_number_id": NUMBER}
    assert value["contacts"] == [{"wa_id": ASHA, "user_id": status["recipient_user_id"]}]
    assert status["recipient_user_id"].startswith("IN.")
    assert status["recipient_id"] == ASHA
    assert status["timestamp"] == "1780000000"
    assert status["biz_opaque_callback_data"] == 'order "42"/é'


async def test_pricing_comes_with_sent_and_delivered_and_knows_what_is_free(wire: Wire) -> None:
    arrivals = {"type": "body", "parameters": [{"type": "text", "text": "Asha"}]}
    await wire.template("thank_you", arrivals)
    await until(lambda: len(wire.receiver.told) == 3)
    await wire.writes()
    await wire.text()
    await until(lambda: len(wire.receiver.told) == 6)
    await wire.template("thank_you", arrivals)
    await until(lambda: len(wire.receiver.told) == 9)

    pricing = [status.get("pricing") for status in wire.receiver.told]

    paid = {"billable": True, "pricing_model": "PMP", "type": "regular", "category": "utility"}
    free = {"billable": False, "pricing_model": "PMP", "type": "free_customer_service"}
    answer, in_window = free | {"category": "service"}, free | {"category": "utility"}
    assert pricing == [paid, paid, None, answer, answer, None, in_window, in_window, None]


async def test_the_exact_bytes_are_signed_and_escaped_as_meta_does(wire: Wire) -> None:
    await wire.writes(type="text", text={"body": "Grüße an/von 東京 🍵"})

    await until(lambda: wire.receiver.posts)
    body, headers = wire.receiver.posts[0]
    assert headers["x-hub-signature-256"] == signature_of(body)
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"] == "facebookexternalua"
    assert b"Gr\\u00fc\\u00dfe an\\/von \\u6771\\u4eac \\ud83c\\udf75" in body
    assert wire.receiver.messages[0]["text"]["body"] == "Grüße an/von 東京 🍵"


async def test_a_customers_message_has_metas_shape(wire: Wire) -> None:
    answer = await wire.writes(type="text", text={"body": "hello"}, name="Asha", phone_number_id=NUMBER)

    await until(lambda: wire.receiver.messages)
    value = wire.receiver.values[0]
    message = value["messages"][0]
    bsuid = message["from_user_id"]
    assert value["contacts"] == [{"profile": {"name": "Asha"}, "wa_id": ASHA, "user_id": bsuid}]
    assert message == {
        "from": ASHA,
        "from_user_id": bsuid,
        "id": answer["wamid"],
        "timestamp": "1780000000",
        "type": "text",
        "text": {"body": "hello"},
    }
    assert answer["message"] == message


async def test_a_person_with_a_username_has_no_phone_number(wire: Wire) -> None:
    await wire.writes(type="text", text={"body": "hello"}, hide_phone=True)

    await until(lambda: wire.receiver.messages)
    contact = wire.receiver.values[0]["contacts"][0]
    assert "from" not in wire.receiver.messages[0]
    assert "wa_id" not in contact
    assert contact["user_id"] == wire.receiver.messages[0]["from_user_id"]
    assert contact["profile"]["username"]


async def test_outside_the_window_a_text_is_accepted_and_fails_later(wire: Wire) -> None:
    wamid = wamid_of(await wire.text())

    await until(lambda: wire.receiver.told)
    status = wire.receiver.told[0]
    assert (status["id"], status["status"]) == (wamid, "failed")
    assert status["errors"][0]["code"] == 131047
    assert status["errors"][0]["title"] == "Re-engagement message"
    assert "24 hours" in status["errors"][0]["error_data"]["details"]
    assert (await wire.shown())[0]["status"] == "failed"


async def test_the_window_lasts_a_day_from_the_customers_last_message(wire: Wire, clock: Any) -> None:
    await wire.writes()
    clock.now += 24 * 3600 - 1
    inside = wamid_of(await wire.text())
    clock.now += 1
    outside = wamid_of(await wire.text())

    await until(lambda: len(wire.receiver.told) == 4)
    assert wire.receiver.told_of(inside) == ["sent", "delivered", "read"]
    assert wire.receiver.told_of(outside) == ["failed"]


async def test_a_number_that_is_not_on_whatsapp_fails_with_a_bare_contact(wire: Wire) -> None:
    await wire.control("/settings", {"not_on_whatsapp": [ASHA]})

    await wire.template()

    await until(lambda: wire.receiver.told)
    assert wire.receiver.told[0]["errors"][0]["code"] == 131026
    assert wire.receiver.values[0]["contacts"] == [{"wa_id": ASHA}]


async def test_an_undelivered_webhook_comes_again_with_the_same_bytes(wire: Wire) -> None:
    await wire.control("/settings", {"retry": {"first_s": 0.01}})
    wire.receiver.statuses = [500, 503, 404]

    await wire.writes()

    await until(lambda: len(wire.receiver.posts) == 4)
    bytes_and_signatures = {(body, headers["x-hub-signature-256"]) for body, headers in wire.receiver.posts}
    assert len(bytes_and_signatures) == 1
    await until(lambda: wire.sandbox.stats()["webhooks"]["delivered"] == 1)
    kept = (await wire.control("/webhooks?limit=1")).json()["webhooks"][0]
    assert (kept["attempts"], kept["last_status"]) == (4, 200)
    assert kept["body"] == wire.receiver.bodies[0]


async def test_a_receiver_that_is_down_does_not_hold_up_another(wire: Wire) -> None:
    subscribed = await wire.meta.post(
        "/880012",
        json={
            "webhook_configuration": {
                "override_callback_uri": f"{wire.receiver.url}/second",
                "verify_token": wire.receiver.verify_token,
            }
        },
    )
    await wire.control("/settings", {"webhook_url": "http://127.0.0.1:9/nobody"})

    await wire.writes()
    await wire.writes(type="text", text={"body": "to the second number"}, phone_number_id="880012")

    assert subscribed.json() == {"success": True}
    await until(lambda: len(wire.receiver.messages) == 1)
    assert wire.receiver.messages[0]["text"]["body"] == "to the second number"
    assert wire.sandbox.stats()["webhooks"]["pending"] == 1


async def test_a_lost_first_attempt_is_made_up_for(wire: Wire) -> None:
    await wire.control("/settings", {"drop": 1})

    await wire.writes()

    await until(lambda: wire.receiver.posts)
    assert wire.sandbox.webhooks()[0]["attempts"] == 2


async def test_duplicates_are_byte_for_byte_the_same(wire: Wire) -> None:
    await wire.control("/settings", {"duplicates": 2})

    await wire.writes()

    await until(lambda: len(wire.receiver.posts) == 3)
    assert len({body for body, _ in wire.receiver.posts}) == 1


async def test_several_statuses_share_a_webhook_when_asked(wire: Wire) -> None:
    await wire.control("/settings", {"statuses_per_webhook": 3})

    wamids = [wamid_of(await wire.template(to=f"91980000000{n}")) for n in range(4)]

    await until(lambda: len(wire.receiver.told) == 12)
    shared = wire.receiver.values[0]
    assert len(shared["statuses"]) == 3
    assert len(shared["contacts"]) == len({status["recipient_id"] for status in shared["statuses"]})
    assert len(wire.receiver.posts) < 12
    assert {status["id"] for status in wire.receiver.told} == set(wamids)


async def test_shuffled_statuses_arrive_in_other_orders_and_all_of_them(wire: Wire) -> None:
    await wire.control("/settings", {"shuffle": True})

    wamids = [wamid_of(await wire.template()) for _ in range(20)]

    await until(lambda: len(wire.receiver.told) == 60)
    orders = [tuple(wire.receiver.told_of(wamid)) for wamid in wamids]
    assert {frozenset(order) for order in orders} == {frozenset(("sent", "delivered", "read"))}
    assert len(set(orders)) > 1
    assert (await wire.shown())[0]["status"] == "read"


async def test_statuses_may_arrive_before_the_answer_to_the_send(wire: Wire) -> None:
    await wire.control("/settings", {"reply_delay_ms": 150})

    wamid = wamid_of(await wire.template())

    assert wire.receiver.told_of(wamid) == ["sent", "delivered", "read"]


async def test_without_auto_read_the_customer_reads_when_told_to(wire: Wire) -> None:
    await wire.control("/settings", {"auto_read": False})
    wamid = wamid_of(await wire.template())
    await until(lambda: wire.receiver.told_of(wamid) == ["sent", "delivered"])

    reply = await wire.control(f"/phones/{ASHA}/read", {})

    assert reply.json() == {"read": 1}
    await until(lambda: wire.receiver.told_of(wamid) == ["sent", "delivered", "read"])
    assert (await wire.control(f"/phones/{ASHA}/read", {})).json() == {"read": 0}


async def test_without_a_callback_nothing_is_sent_and_it_is_counted(wire: Wire) -> None:
    await wire.control("/settings", {"webhook_url": None})

    await wire.writes()

    assert wire.sandbox.stats()["webhooks"]["without_callback"] == 1
    assert wire.sandbox.webhooks() == []


async def test_a_message_can_be_replayed_many_times_at_once(wire: Wire) -> None:
    wamid = wamid_of(await wire.template())
    await until(lambda: len(wire.receiver.told) == 3)
    first = [body for body, _ in wire.receiver.posts]

    reply = await wire.control("/replay", {"message_id": wamid, "times": 4, "concurrent": 5, "shuffle": True})

    assert reply.json() == {"sent": 12, "ok": 12}
    again = [body for body, _ in wire.receiver.posts[3:]]
    assert sorted(again) == sorted(first * 4)


async def test_the_last_webhooks_can_be_replayed_and_refusals_are_told(wire: Wire) -> None:
    await wire.writes()
    await wire.writes()
    await until(lambda: len(wire.receiver.posts) == 2)
    wire.receiver.statuses = [500]

    reply = await wire.control("/replay", {"last": 2, "times": 1})

    assert reply.json() == {"sent": 2, "ok": 1}


async def test_times_of_delivery_are_delays_from_the_send(wire: Wire) -> None:
    await wire.control("/settings", {"delays": {"sent_ms": 60_000, "delivered_ms": 5, "read_ms": 60_000}})

    wamid = wamid_of(await wire.template())

    await until(lambda: wire.receiver.told_of(wamid) == ["delivered"])
    assert wire.sandbox.stats()["scheduled"] == 2


async def test_an_inbound_delay_holds_the_webhook_back(wire: Wire) -> None:
    await wire.control("/settings", {"delays": {"inbound_ms": 60_000}})

    await wire.writes()

    assert len(await wire.shown()) == 1
    assert wire.receiver.posts == []
    assert wire.sandbox.stats()["scheduled"] == 1


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200),
        (b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", 204),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", 200),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200),
        (b"SMTP ready\r\n", 0),
        (b"", 0),
    ],
)
async def test_any_http_answer_is_understood_and_anything_else_is_none(
    wire: Wire, answer: bytes, status: int
) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        json.loads(await reader.readexactly(length))
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
        await wire.control("/settings", {"webhook_url": url, "retry": {"first_s": 60}})

        await wire.writes()

        await until(lambda: wire.sandbox.webhooks()[0]["last_status"] is not None)
        assert wire.sandbox.webhooks()[0]["last_status"] == status


async def test_a_silent_receiver_counts_as_no_answer(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    monkeypatch.setattr(deliveries, "ATTEMPT_TIMEOUT_S", 0.05)
    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        await wire.control("/settings", {"webhook_url": url, "retry": {"first_s": 60}})

        await wire.writes()

        await until(lambda: wire.sandbox.stats()["webhooks"]["failed_attempts"] == 2)
        assert wire.sandbox.webhooks()[0]["last_status"] == 0
