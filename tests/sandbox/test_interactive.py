"""Interactive messages: every kind goes through, and a wrong one is refused with Meta's details."""

from typing import Any

import pytest

from tests.sandbox.wire import NUMBER, Wire, details_of, error_of

BODY = {"text": "Which one?"}
LINK = {"link": "https://media.invalid/a.png"}


def buttons(count: int, **change: Any) -> dict[str, Any]:
    made = [
        {"type": "reply", "reply": {"id": f"b{at}", "title": f"Choice {at}"} | change} for at in range(count)
    ]
    return {"type": "button", "body": BODY, "action": {"buttons": made}}


def rows(*counts: int, **more: Any) -> dict[str, Any]:
    sections = [
        {
            "title": f"Part {part}",
            "rows": [{"id": f"{part}-{at}", "title": f"Tea {at}"} for at in range(count)],
        }
        for part, count in enumerate(counts)
    ]
    return {"type": "list", "body": BODY, "action": {"button": "Choose", "sections": sections}} | more


def named(kind: str, name: str, parameters: Any = None) -> dict[str, Any]:
    action = {"name": name} if parameters is None else {"name": name, "parameters": parameters}
    return {"type": kind, "body": BODY, "action": action}


def card(at: int, kind: str = "image") -> dict[str, Any]:
    action = {"name": "cta_url", "parameters": {"display_text": "Buy", "url": "https://shop.example"}}
    header = {"type": kind, kind: LINK}
    return {"card_index": at, "type": "cta_url", "header": header, "body": {"text": "Tea"}, "action": action}


def carousel(*cards: Any) -> dict[str, Any]:
    return {"type": "carousel", "body": BODY, "action": {"cards": list(cards)}}


FLOW = {"flow_message_version": "3", "flow_id": "11", "flow_cta": "Open", "flow_action": "navigate"}
PAYMENT = {"reference_id": "r", "type": "digital-goods", "currency": "INR", "total_amount": {"value": 1}}
CATALOG = {"catalog_id": "9", "product_retailer_id": "tea-1"}
PRODUCTS = {"catalog_id": "9", "sections": [{"title": "A", "product_items": [{"product_retailer_id": "t"}]}]}


@pytest.mark.parametrize(
    "content",
    [
        buttons(1),
        buttons(3) | {"header": {"type": "image", "image": LINK}, "footer": {"text": "Thanks"}},
        rows(2),
        rows(5, 5, header={"type": "text", "text": "Teas"}),
        named("cta_url", "cta_url", {"display_text": "Buy", "url": "https://shop.example"}),
        named("flow", "flow", FLOW),
        {"type": "product", "action": CATALOG},
        {"type": "product_list", "header": {"type": "text", "text": "T"}, "body": BODY, "action": PRODUCTS},
        named("catalog_message", "catalog_message", {"thumbnail_product_retailer_id": "tea-1"}),
        named("location_request_message", "send_location"),
        named("address_message", "address_message", {"country": "IN"}),
        carousel(card(0), card(1)),
        named("call_permission_request", "call_permission_request"),
        named("voice_call", "voice_call", {"display_text": "Call us", "ttl_minutes": 10}),
        named("request_contact_info", "request_contact_info"),
        named("order_details", "review_and_pay", PAYMENT),
        named("order_status", "review_order", {"reference_id": "r", "order": {"status": "shipped"}}),
    ],
    ids=lambda content: content["type"],
)
async def test_every_kind_is_accepted(wire: Wire, content: Any) -> None:
    await wire.meta.post(f"/{NUMBER}/settings", json={"calling": {"status": "ENABLED"}})
    reply = await wire.send("interactive", content)

    assert reply.status_code == 200, reply.text


@pytest.mark.parametrize("count", [0, 4])
async def test_the_number_of_buttons_is_refused_in_metas_words(wire: Wire, count: int) -> None:
    reply = await wire.send("interactive", buttons(count))

    assert error_of(reply)["code"] == 131009
    assert details_of(reply) == "Invalid buttons count. Min allowed buttons: 1, Max allowed buttons: 3"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({"type": "button", "action": {"buttons": []}}, 100),
        ({"body": BODY}, 100),
        ({"type": "magic", "body": BODY}, 131009),
        (buttons(2, id="same"), 131009),
        (buttons(2, title="same"), 131009),
        (buttons(1, title="x" * 21), 100),
        (buttons(1, id="x" * 257), 100),
        (buttons(1) | {"footer": {"text": "x" * 61}}, 100),
        (buttons(1) | {"header": {"type": "audio"}}, 131009),
        (buttons(1) | {"header": {"type": "image"}}, 100),
        (buttons(1) | {"heading": {}}, 100),
        (rows(11), 131009),
        (rows(1, header={"type": "image", "image": LINK}), 131009),
        (rows(), 131009),
        (rows(0), 131009),
        (rows(*[1] * 11), 131009),
        (named("cta_url", "cta_url", {"display_text": "Buy", "url": "shop"}), 100),
        (named("cta_url", "cta"), 100),
        (named("flow", "flow", {"flow_message_version": "3", "flow_cta": "Go"}), 100),
        (named("flow", "flow", FLOW | {"mode": "secret"}), 100),
        (named("address_message", "address_message", {"city": "Pune"}), 100),
        (named("order_details", "review_and_pay", {}), 100),
        (named("voice_call", "call"), 131009),
        ({"type": "product", "header": {"type": "text", "text": "x"}, "action": CATALOG}, 131009),
        ({"type": "product_list", "body": BODY, "action": PRODUCTS}, 100),
        (carousel(card(0)), 131009),
        (carousel(card(0), card(1, "video")), 131009),
        (carousel(card(0), 7), 100),
        ("button", 100),
    ],
)
async def test_what_breaks_a_rule_is_refused(wire: Wire, content: Any, code: int) -> None:
    reply = await wire.send("interactive", content)

    assert reply.status_code == 400
    assert error_of(reply)["code"] == code
