"""Templates as our own data: read on connecting, changed by webhooks, shown, previewed, and filled of every kind."""

import json
from typing import Any

import pytest

from samvad.domain.events.tables import events
from samvad.domain.templates.model import CODE_BODY
from samvad.sandbox.templates import read_template
from samvad.storage import Tx, every_team
from samvad.whatsapp.signature import sign
from tests.api.asking import NOBODY, at_meta, mapping, second_team, send_template, sentence
from tests.api.test_templates import everything_is_folded, meta_tells
from tests.harness import BUSINESS, OTHER_BUSINESS, Product, until
from tests.whatsapp.shared import FIXTURES

TEMPLATES = "/v1/samvad/template"
LINK = "https://files.example.test/a"


async def synced(product: Product) -> list[dict[str, Any]]:
    """The templates, as soon as connecting has read them."""

    async def found() -> Any:
        accounts = await listed(product)
        return accounts

    return list(await until(found))


async def listed(product: Product, **query: Any) -> list[dict[str, Any]]:
    reply = await product.api.get(TEMPLATES, params={"limit": 100, **query})
    assert reply.status_code == 200, reply.text
    found: list[dict[str, Any]] = reply.json()["_data"]
    return found


async def one(product: Product, name: str, language: str = "en_US") -> dict[str, Any]:
    (found,) = await listed(product, name=name, language=language)
    return found


def at_sandbox(product: Product) -> dict[tuple[str, str], Any]:
    return product.sandbox.world.accounts[BUSINESS.waba_id].templates


def give(product: Product, *items: dict[str, Any]) -> None:
    """Templates that exist at Meta from now on."""
    for item in items:
        at_sandbox(product)[item["name"], item["language"]] = read_template(BUSINESS.waba_id, item)


async def sync(product: Product) -> None:
    reply = await product.api.post(f"{TEMPLATES}/sync", json={"wabaId": BUSINESS.waba_id})
    assert reply.status_code == 200, reply.text


async def told(product: Product, template_id: str) -> list[tuple[str, dict[str, Any]]]:
    """The events of a template, oldest first."""

    def unit(tx: Tx) -> Any:
        query = every_team.select(events).where(events.c.subject_id == template_id).order_by(events.c.id)
        return [(row.name, row.data) for row in tx.all(query)]

    return list(await product.app.db.read(unit))


async def test_connecting_reads_the_templates_and_each_tells_what_it_wants(product: Product) -> None:
    all_of_them = await synced(product)

    assert len(all_of_them) == len(at_sandbox(product))
    assert [it["name"] for it in all_of_them] == sorted(it["name"] for it in all_of_them)
    reminder = next(it for it in all_of_them if it["name"] == "appointment_reminder")
    shown = (await product.api.get(f"{TEMPLATES}/{reminder['id']}")).json()["_data"]
    assert shown == reminder
    assert (shown["status"], shown["wabaId"], shown["language"]) == ("APPROVED", BUSINESS.waba_id, "en_US")
    assert shown["syncedAt"] > 0
    wanted = [(it["part"], it["field"], it["name"], it["example"]) for it in shown["variables"]]
    assert wanted == [
        ("header", "headerMapping", "1", "Dr. Rao"),
        ("body", "mapping", "1", "Asha"),
        ("body", "mapping", "2", "3 May"),
        ("body", "mapping", "3", "10:30"),
    ]
    rejected = next(it for it in all_of_them if it["status"] == "REJECTED")
    assert rejected["rejectedReason"] == "PROMOTIONAL"


async def test_the_list_is_filtered_and_paged(product: Product) -> None:
    await synced(product)

    assert {it["language"] for it in await listed(product, name="thank_you")} == {"en_US", "pt_BR"}
    assert [it["name"] for it in await listed(product, status="paused")] == ["weekly_digest"]
    assert [it["name"] for it in await listed(product, category="AUTHENTICATION")] == ["login_code"]
    assert await listed(product, wabaId="1") == []
    assert len(await listed(product, pluginId=product.team.plugin_id)) == len(await listed(product))
    assert (await product.api.get(TEMPLATES, params={"pluginId": NOBODY})).status_code == 404
    first = (await product.api.get(TEMPLATES, params={"limit": 2})).json()
    second = (await product.api.get(TEMPLATES, params={"limit": 2, "page": 2})).json()
    assert first["_meta"] == {"hasMore": True}
    assert not {it["id"] for it in first["_data"]} & {it["id"] for it in second["_data"]}
    assert "limit" in sentence(await product.api.get(TEMPLATES, params={"limit": 0}), 400)


async def test_another_teams_templates_do_not_exist(product: Product) -> None:
    (mine, *_) = await synced(product)
    other, client = await second_team(product)

    async with client:
        assert all(it["wabaId"] == other.waba_id for it in (await client.get(TEMPLATES)).json()["_data"])
        assert (await client.get(TEMPLATES, params={"wabaId": BUSINESS.waba_id})).json()["_data"] == []
        for path in (f"{TEMPLATES}/{mine['id']}", f"{TEMPLATES}/5"):
            assert "not found" in sentence(await client.get(path), 404)
            assert "not found" in sentence(await client.post(f"{path}/render", json={}), 404)
        refused = await client.post(f"{TEMPLATES}/sync", json={"wabaId": BUSINESS.waba_id})
        assert "not found" in sentence(refused, 404)
    assert "wabaId is missing" in sentence(await product.api.post(f"{TEMPLATES}/sync", json={}), 400)


async def test_a_preview_is_the_send_without_the_sending(product: Product) -> None:
    await synced(product)
    it = await one(product, "shipment_tracking")
    body: dict[str, Any] = {"mapping": mapping("TRK-1"), "buttonMapping": mapping("TRK-1")}

    shown = await product.api.post(f"{TEMPLATES}/{it['id']}/render", json=body)
    refused = await product.api.post(f"{TEMPLATES}/{it['id']}/render", json={})
    sent = await send_template(product, "shipment_tracking", **body)

    assert shown.json()["_data"]["text"] == sent.json()["_data"]["text"]
    assert (
        shown.json()["_data"]["payload"]["components"]
        == (await at_meta(product))[-1]["template"]["components"]
    )
    assert "{{1}}" in sentence(refused, 400)
    paused = await one(product, "weekly_digest")
    preview = await product.api.post(f"{TEMPLATES}/{paused['id']}/render", json={"mapping": mapping("tea")})
    assert preview.json()["_data"]["status"] == "PAUSED"
    assert len(await at_meta(product)) == 1


async def test_webhooks_change_our_rows_at_once_and_once(product: Product) -> None:
    await synced(product)
    it = await one(product, "order_update")
    at_sandbox(product)["order_update", "en_US"].raw.update(
        {"status": "PAUSED", "category": "MARKETING", "quality_score": {"score": "RED"}}
    )
    about = {"message_template_id": int(it["id"]) if it["id"].isdecimal() else it["id"]}

    for _ in range(2):
        await meta_tells(product, "message_template_status_update", {"event": "PAUSED", **about})
        await meta_tells(product, "message_template_quality_update", {"new_quality_score": "RED", **about})
        moved = {"previous_category": "UTILITY", "new_category": "MARKETING", **about}
        await meta_tells(product, "template_category_update", moved)

    changed = await one(product, "order_update")
    assert (changed["status"], changed["quality"], changed["category"]) == ("PAUSED", "RED", "MARKETING")
    assert "132015" in sentence(await send_template(product, "order_update", "x"), 400)
    happened = await told(product, it["id"])
    assert sorted(name for name, _ in happened) == [
        "template.category_changed",
        "template.quality_changed",
        "template.status_changed",
        "template.status_changed",
    ], happened


async def test_another_teams_webhook_changes_nothing_of_ours(product: Product) -> None:
    await synced(product)
    it = await one(product, "order_update")
    other, client = await second_team(product)
    await client.aclose()
    entry = {"message_template_id": it["id"], "event": "DISABLED"}

    change = {"field": "message_template_status_update", "value": entry}
    told_by = [{"id": BUSINESS.waba_id, "time": product.app.res.clock(), "changes": [change]}]
    content = json.dumps({"object": "whatsapp_business_account", "entry": told_by}).encode()
    signature = {"X-Hub-Signature-256": sign(OTHER_BUSINESS.app_secret, content)}
    reply = await product.api.post(
        f"/webhooks/whatsapp/{other.plugin_id}",
        content=content,
        headers={"Content-Type": "application/json", **signature},
    )
    assert reply.status_code == 200
    await until(lambda: everything_is_folded(product))

    assert (await one(product, "order_update"))["status"] == "APPROVED"


async def test_what_is_new_or_gone_at_meta_is_so_here_after_a_webhook(product: Product) -> None:
    known = await synced(product)
    gone = await one(product, "invoice")
    del at_sandbox(product)["invoice", "en_US"]
    body = {"type": "BODY", "text": "Fresh {{1}} today."}
    give(product, {"name": "fresh", "language": "en_US", "components": [body]})

    await meta_tells(
        product, "message_template_status_update", {"event": "APPROVED", "message_template_id": 99}
    )

    async def taken_over() -> bool:  # what is new is written first, what is gone right after it
        return bool(await listed(product, name="fresh")) and not await listed(product, name="invoice")

    await until(taken_over)
    assert len(await listed(product)) == len(known)
    assert (await told(product, gone["id"]))[-1][0] == "template.deleted"
    assert (await send_template(product, "fresh", "bread")).status_code == 200


async def test_a_template_in_metas_words_has_its_text_as_far_as_we_know_it(product: Product) -> None:
    await synced(product)
    named = {"parameter_name": "customer_name", "type": "text", "text": "Asha"}
    day = {"parameter_name": "delivery_day", "type": "date_time", "date_time": {"fallback_value": "Tuesday"}}

    async def sent(name: str, *parameters: dict[str, Any]) -> Any:
        components = [{"type": "body", "parameters": list(parameters)}] if parameters else []
        template = {"name": name, "language": {"code": "en_US"}, "components": components}
        reply = await product.send({"to": "15550001111", "type": "template", "template": template})
        return reply.status_code, (await product.listed())[0]["text"]

    assert await sent("delivery_slot", day, named) == (
        200,
        "Hello Asha, your delivery arrives on Tuesday as agreed.",
    )
    assert await sent("hello_world") == (200, "Welcome! This message shows that sending works.")
    assert await sent("order_update") == (400, None)
    assert await sent("never_heard_of") == (404, None)


# Every kind there is: what a template says it wants is enough for Meta to take it


def filled_from(variables: list[dict[str, Any]]) -> dict[str, Any]:
    """A call that gives everything that is wanted, by the examples."""
    call: dict[str, Any] = {}
    for it in variables:
        place, field = call, it["field"]
        if it["card"] is not None:
            cards = call.setdefault("cards", [])
            cards.extend({} for _ in range(it["card"] + 1 - len(cards)))
            place, field = cards[it["card"]], field.rsplit(".", 1)[1]
        if it["name"] is not None:
            entry = {"schemaPropertyName": it["name"], "schemaPropertyValue": it["example"] or "value"}
            place.setdefault(field, []).append(entry)
        else:
            place[field] = VALUES[it["kind"]]
    return call


VALUES: dict[str, Any] = {
    "text": "text",
    "code": "123456",
    "image": f"{LINK}.png",
    "video": f"{LINK}.mp4",
    "gif": f"{LINK}.mp4",
    "document": f"{LINK}.pdf",
    "degrees": 12.5,
    "product": "sku-1",
    "catalog": "77",
    "moment": 4_000_000_000_000,
    "sections": [{"title": "All", "productRetailerIds": ["sku-1", "sku-2"]}],
    "object": {"a": 1},
}


def of_every_kind() -> list[dict[str, Any]]:
    card = [
        {"type": "HEADER", "format": "IMAGE"},
        {"type": "BODY", "text": "Only {{1}} left."},
        {
            "type": "BUTTONS",
            "buttons": [
                {"type": "QUICK_REPLY", "text": "More"},
                {"type": "URL", "text": "Shop", "url": "https://a.example/{{1}}", "example": ["x"]},
            ],
        },
    ]
    product_card = [
        {"type": "HEADER", "format": "PRODUCT"},
        {"type": "BUTTONS", "buttons": [{"type": "SPM", "text": "View"}]},
    ]
    offer = {
        "type": "LIMITED_TIME_OFFER",
        "limited_time_offer": {"text": "Ends soon", "has_expiration": True},
    }
    coupon = {"type": "COPY_CODE", "text": "Copy", "example": "A1"}
    book = {
        "type": "URL",
        "text": "Book",
        "url": "https://a.example/?c={{1}}",
        "example": ["https://a.example/?c=n"],
    }
    hello = {"type": "BODY", "text": "Hello {{1}}, look.", "example": {"body_text": [["Ada"]]}}

    def buttons(*kinds: str) -> dict[str, Any]:
        return {"type": "BUTTONS", "buttons": [{"type": kind, "text": kind.title()} for kind in kinds]}

    kinds = {
        "k_carousel": [hello, {"type": "CAROUSEL", "cards": [{"components": card}] * 3}],
        "k_products": [hello, {"type": "CAROUSEL", "cards": [{"components": product_card}] * 2}],
        "k_offer": [
            {"type": "HEADER", "format": "IMAGE"},
            offer,
            hello,
            {"type": "BUTTONS", "buttons": [coupon, book]},
        ],
        "k_gif": [{"type": "HEADER", "format": "GIF"}, hello],
        "k_product": [{"type": "HEADER", "format": "PRODUCT"}, hello, buttons("SPM")],
        "k_mpm": [{"type": "HEADER", "format": "TEXT", "text": "For {{1}}"}, hello, buttons("MPM")],
        "k_catalog": [hello, buttons("CATALOG")],
        "k_flow": [hello, buttons("FLOW")],
        "k_call": [hello, buttons("VOICE_CALL", "PHONE_NUMBER")],
        "k_permission": [hello, {"type": "CALL_PERMISSION_REQUEST"}],
    }
    return [
        {"name": name, "language": "en_US", "category": "MARKETING", "components": parts}
        for name, parts in kinds.items()
    ]


def recorded() -> list[dict[str, Any]]:
    """Templates of Meta's own pages; none where the recordings are absent."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(FIXTURES.glob("pywa/templates/*/examples.json")):
        found |= json.loads(path.read_text("utf-8"))
    edge = "facebook-openapi-v23/waba-id-message-templates"
    for path in sorted(FIXTURES.glob(f"{edge}/post-request-create-*.json")):
        found[path.stem] = json.loads(path.read_text("utf-8"))
    for path in sorted(FIXTURES.glob(f"{edge}/get-response-200-*.json")):
        found |= {f"{path.stem} {it['id']}": it for it in json.loads(path.read_text("utf-8"))["data"]}
    for item in found.values():  # as Meta lists what its authors left to it
        for component in item["components"]:
            if component["type"].upper() == "BODY":
                component.setdefault("text", CODE_BODY)
    return [
        {**item, "name": f"r{nth}", "language": "en_US", "id": str(7_000_000 + nth), "status": "APPROVED"}
        for nth, item in enumerate(found.values())
    ]


async def test_a_template_of_any_kind_is_sent_with_what_it_says_it_wants(product: Product) -> None:
    await until(lambda: listed(product))
    give(product, *of_every_kind(), *recorded())
    await sync(product)
    approved = await listed(product, status="APPROVED")
    assert len(approved) >= 24

    for it in approved:
        call = filled_from(it["variables"])
        reply = await send_template(product, it["name"], language=it["language"], **call)

        assert reply.status_code == 200, f"{it['name']}: {reply.text} {json.dumps(call)}"
        assert "{{" not in reply.json()["_data"]["text"]

    assert len(await at_meta(product)) == len(approved)


@pytest.mark.parametrize("optional_too", [True, False])
async def test_without_any_one_value_it_says_which(product: Product, optional_too: bool) -> None:
    await until(lambda: listed(product))
    give(product, *of_every_kind())
    await sync(product)

    for it in await listed(product, status="APPROVED"):
        variables = [one for one in it["variables"] if optional_too or one["required"]]
        for missing in [one for one in variables if one["required"]]:
            rest = [one for one in variables if one is not missing]
            call = filled_from(rest)
            if "cards" in call:
                cards = 1 + max(one["card"] for one in it["variables"] if one["card"] is not None)
                call["cards"].extend({} for _ in range(cards - len(call["cards"])))
            reply = await product.api.post(f"{TEMPLATES}/{it['id']}/render", json=call)

            said = sentence(reply, 400)
            assert missing["field"] in said, f"{it['name']} without {missing}: {said}"
    assert await at_meta(product) == []
