"""Events of our own for customers: both formats in their exact shapes, each once, and only where one listens."""

import json
from typing import Any

from samvad.domain.messages.tables import messages
from samvad.domain.waba import operations as waba
from samvad.domain.webhooks.tables import deliveries, webhook_events
from tests.domain.meta import contact, echoed, message, received, second, status, statuses
from tests.domain.quick import Side, Small
from tests.harness import PERSON

HERE = "https://example.com/hook"
EVERYTHING = ["message", "status", "message_echo", "smb_message_echo", "deliveryStatus"]


async def listen(small: Small, side: Side | None = None, **config: Any) -> None:
    side = side or small.ada
    await waba.update_config(small.context(side), side.plugin_id, config)


async def listen_to_chakra(small: Small, *events: str) -> None:
    await listen(
        small, enableChakraWebhook=True, chakraWebhookUrl=HERE, whichChakraWebhookEventsToSend=list(events)
    )


async def told(small: Small, name: str | None = None) -> list[Any]:
    rows = await small.rows(webhook_events, *([webhook_events.c.name == name] if name else []))
    return [json.loads(row.body) for row in rows]


def places(small: Small, row: Any) -> dict[str, Any]:
    return {
        "whatsappPhoneNumberId": small.ada.number,
        "pluginId": small.ada.plugin_id,
        "chat": row.chat_id,
        "contact": row.contact_id,
    }


async def test_message_is_what_somebody_wrote_with_metas_own_object(small: Small):
    await listen_to_chakra(small, "message")
    said = message(
        "wamid.1", at=3, type="image", image={"id": "8", "mime_type": "image/jpeg", "url": "https://x"}
    )

    await small.hears(received(said, contacts=[contact("Ada")]))

    row = await small.row(messages)
    (body,) = await told(small)
    assert body == {
        "event": "message",
        "payload": {
            "messageId": row.id,
            "externalId": "wamid.1",
            "wabaId": small.ada.business.waba_id,
            "timestamp": second(3) * 1000,
            "message": said,
            "contacts": [{"wa_id": PERSON, "profile": {"name": "Ada"}}],
            **places(small, row),
        },
    }


async def test_status_tells_each_step_once_and_why_it_failed(small: Small):
    await listen_to_chakra(small, "status")
    sent = await small.send_text()
    failed = status(sent.wamid, "failed", at=9)

    for _ in range(2):
        await small.hears(statuses(status(sent.wamid, "sent")), statuses(failed), statuses(failed))
        await small.fold_again()

    row = await small.row(messages)
    first, last = await told(small)
    common = {
        "id": row.id,
        "externalId": sent.wamid,
        "wabaId": small.ada.business.waba_id,
        "recipientId": PERSON,
        **places(small, row),
    }
    assert first == {
        "event": "status",
        "payload": {**common, "deliveryStatus": "SENT", "timestamp": row.sent_at},
    }
    assert last == {
        "event": "status",
        "payload": {
            **common,
            "deliveryStatus": "FAILED",
            "timestamp": second(9) * 1000,
            "errorContext": {
                "message": row.error["message"],
                "providerPayload": {"code": 131026, "title": "Message undeliverable"},
            },
        },
    }


async def test_the_legacy_delivery_status_is_of_sends_by_our_own_api_only(small: Small):
    await listen_to_chakra(small, "deliveryStatus")
    passed, ours = await small.send_text("in Meta's words"), await small.send_text("in ours")
    mine = messages.update().where(messages.c.id == ours.message_id)
    await small.execute(mine.values(source={"sourceType": "API", "sourceId": "k"}))

    await small.hears(
        *(statuses(status(it.wamid, word)) for it in (passed, ours) for word in ("delivered", "read"))
    )

    assert [it["payload"] for it in await told(small)] == [
        {
            "id": ours.message_id,
            "externalId": ours.wamid,
            "deliveryStatus": word,
            "timestamp": second(1) * 1000,
            "recipientId": PERSON,
        }
        for word in ("DELIVERED", "READ")
    ]


async def test_echoes_tell_of_sends_by_api_and_of_those_from_the_phone_app(small: Small):
    await listen_to_chakra(small, "message_echo", "smb_message_echo")
    sent = await small.send_text("by API")
    from_phone = {
        "from": "15550002222",
        "to": PERSON,
        "id": "wamid.phone",
        "timestamp": str(second(5)),
        "type": "text",
        "text": {"body": "from the phone"},
    }

    await small.hears(echoed(from_phone), statuses(status(sent.wamid, "sent")))
    await small.fold_again()

    by_api, by_phone = await small.rows(messages)
    first, last = await told(small)
    assert first["event"] == "message_echo"
    assert first["payload"] == {
        "messageId": by_api.id,
        "externalId": sent.wamid,
        "wabaId": small.ada.business.waba_id,
        "timestamp": by_api.at,
        "message": {
            "from": "15550002222",
            "to": PERSON,
            "id": sent.wamid,
            "timestamp": str(by_api.at // 1000),
            "type": "text",
            "text": {"body": "by API"},
        },
        "contacts": [{"wa_id": PERSON}],
        **places(small, by_api),
    }
    assert last["event"] == "smb_message_echo"
    assert last["payload"]["message"] == from_phone
    assert last["payload"]["messageId"] == by_phone.id


async def test_a_pass_through_endpoint_can_have_echoes_of_sends_by_api_in_metas_shape(small: Small):
    await listen(small, passThroughWebhookUrl=HERE, enableMessageEchoesForPassThroughWebhook=True)

    sent = await small.send_text("hello")

    row = await small.row(messages)
    (body,) = await told(small)
    assert body == {
        "object": "whatsapp_business_account",
        "entry": [
            {
                "id": small.ada.business.waba_id,
                "changes": [
                    {
                        "field": "smb_message_echoes",
                        "value": {
                            "messaging_product": "whatsapp",
                            "metadata": {
                                "display_phone_number": "15550002222",
                                "phone_number_id": small.ada.number,
                            },
                            "contacts": [{"wa_id": PERSON}],
                            "message_echoes": [
                                {
                                    "from": "15550002222",
                                    "to": PERSON,
                                    "id": sent.wamid,
                                    "timestamp": str(row.at // 1000),
                                    "type": "text",
                                    "text": {"body": "hello"},
                                }
                            ],
                        },
                    }
                ],
            }
        ],
    }


async def test_a_template_send_is_told_as_an_event_of_its_own_where_that_is_wanted(small: Small):
    await listen(small, passThroughWebhookUrl=HERE, enableSendMessageTemplateEventForPassThroughWebhook=True)
    template = {"name": "hello_world", "language": {"code": "en_US"}}

    await small.send_text("no template")
    sent = await small.send({"to": PERSON, "type": "template", "template": template})

    (body,) = await told(small)
    ((change,),) = [entry["changes"] for entry in body["entry"]]
    assert change["field"] == "chakra_send_template"
    value = change["value"]
    assert (value["id"], value["to"], value["template"]) == (sent.wamid, PERSON, template)
    assert value["message_id"] == sent.message_id


async def test_an_answer_that_never_reached_us_is_echoed_when_the_status_brings_it_back(small: Small):
    await listen_to_chakra(small, "message_echo", "status")
    sent = await small.send_text()
    lost = messages.update().values(wamid=None, status=0, sent_at=None)
    await small.execute(lost)
    await small.execute(webhook_events.delete())

    await small.hears(statuses(status("wamid.found", "delivered", opaque=sent.message_id)))

    assert [it["event"] for it in await told(small)] == ["message_echo", "status"]
    assert {it["payload"]["externalId"] for it in await told(small)} == {"wamid.found"}


async def test_the_formats_are_independent_also_at_one_address(small: Small):
    await listen(small, passThroughWebhookUrl=HERE)
    await listen_to_chakra(small, "message")

    await small.hears(received(message("wamid.1")))
    await listen(small, enableChakraWebhook=False)
    await small.hears(received(message("wamid.2")))
    await listen(small, passThroughWebhookUrl=None, enableChakraWebhook=True)
    await small.hears(received(message("wamid.3")))

    found = [(it.event, it.wamid, it.state) for it in await small.rows(deliveries)]
    assert sorted(found) == [
        ("message", "wamid.1", "CANCELLED"),
        ("message", "wamid.3", "PENDING"),
        ("messages", "wamid.1", "CANCELLED"),
        ("messages", "wamid.2", "CANCELLED"),
    ]


async def test_only_the_events_that_were_chosen_by_this_team_are_written(small: Small):
    await listen_to_chakra(small, "status")
    await small.hears(received(message("wamid.1")))
    await small.hears(received(message("wamid.2"), number=small.babbage.number), side=small.babbage)
    assert await small.rows(webhook_events) == []

    await listen(small, whichChakraWebhookEventsToSend=EVERYTHING)
    await small.hears(received(message("wamid.3", type="reaction", reaction={"emoji": "x"})))

    (event,) = await small.rows(webhook_events)
    (delivery,) = await small.rows(deliveries)
    assert (event.team_id, event.name, delivery.webhook_event_id) == (small.ada.id, "message", event.id)
    assert delivery.order_key == f"{small.ada.number}/{PERSON}"
