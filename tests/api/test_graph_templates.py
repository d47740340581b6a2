"""A template's whole life through our doors: made, reviewed, sent, changed, deleted; and our own list of it follows."""

from typing import Any

import httpx

from tests.api.asking import at_meta, mapping, send_template, sentence
from tests.api.test_graph import doors
from tests.api.test_own_templates import listed, synced
from tests.harness import PERSON, Product, until

BODY = {
    "type": "BODY",
    "text": "Hello {{1}}, your tea of today is {{2}} and it is hot.",
    "example": {"body_text": [["Asha", "Assam"]]},
}


def template(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "language": "en_US", "category": "UTILITY", "components": [BODY]} | more


async def ours(product: Product, name: str, language: str = "en_US") -> dict[str, Any] | None:
    found = await listed(product, name=name, language=language)
    return found[0] if found else None


async def ours_is(product: Product, name: str, **wanted: Any) -> dict[str, Any]:
    """Our own row, once it says so."""

    async def says_so() -> dict[str, Any] | None:
        row = await ours(product, name)
        return row if row and all(row[it] == value for it, value in wanted.items()) else None

    found: dict[str, Any] = await until(says_so)
    return found


async def at_door(product: Product, door: str, **query: Any) -> httpx.Response:
    return await product.api.get(f"{door}/{product.team.waba_id}/message_templates", params=query)


async def test_a_template_is_made_at_every_door_pending_first_and_approved_when_meta_says_so(
    product: Product,
) -> None:
    await synced(product)
    product.sandbox.configure(review={"delay_ms": 400})

    for number, door in enumerate(doors(product)):
        name = f"tea_of_door_{number}"
        made = await product.api.post(f"{door}/{product.team.waba_id}/message_templates", json=template(name))
        assert made.status_code == 200, made.text
        assert (made.json()["status"], made.json()["category"]) == ("PENDING", "UTILITY")
        first = (await at_door(product, door)).json()["data"][0]
        assert (first["name"], first["id"]) == (name, made.json()["id"])

    await ours_is(product, "tea_of_door_0", status="APPROVED")
    row = await ours_is(product, "tea_of_door_3", status="APPROVED")
    assert row["category"] == "UTILITY"

    sent = await send_template(product, "tea_of_door_3", "Asha", "Assam")
    assert sent.status_code == 200, sent.text
    assert sent.json()["_data"]["text"] == "Hello Asha, your tea of today is Assam and it is hot."
    assert (await at_meta(product))[-1]["type"] == "template"


async def test_quality_category_edit_and_both_ways_of_deleting_are_seen_here(product: Product) -> None:
    await synced(product)
    product.sandbox.configure(review={"delay_ms": 0})
    door = doors(product)[1]
    path = f"{door}/{product.team.waba_id}/message_templates"
    ids = {}
    for language in ("en_US", "hi"):
        made = await product.api.post(path, json=template("tea_of_today", language=language))
        ids[language] = made.json()["id"]
    await ours_is(product, "tea_of_today", status="APPROVED")

    for change in ({"quality": "RED"}, {"status": "PAUSED"}, {"category": "MARKETING"}):
        reply = await product.control.post(f"/templates/{ids['en_US']}", json=change)
        assert reply.status_code == 200, reply.text
    row = await ours_is(product, "tea_of_today", status="PAUSED", category="MARKETING")
    assert "RED" in str(row["quality"])

    edited = await product.api.post(
        f"{door}/{ids['hi']}",
        json={"components": [{"type": "BODY", "text": "Our tea of tomorrow is better than this one."}]},
    )
    assert edited.json()["success"] is True

    async def reads_so() -> bool:
        row = await ours(product, "tea_of_today", "hi")
        return row is not None and "tomorrow" in str(row["components"])

    await until(reads_so)

    one = await product.api.delete(path, params={"name": "tea_of_today", "hsm_id": ids["en_US"]})
    assert one.json() == {"success": True}

    async def only_hindi() -> bool:
        return await ours(product, "tea_of_today") is None and bool(await ours(product, "tea_of_today", "hi"))

    await until(only_hindi)
    every = await product.api.delete(path, params={"name": "tea_of_today"})
    assert every.json() == {"success": True}

    async def gone() -> bool:
        return await ours(product, "tea_of_today", "hi") is None

    await until(gone)
    refused = await product.api.post(
        f"/v1/ext/plugin/whatsapp/{product.team.plugin_id}/phoneNumber/{PERSON}/send-template-message",
        json={
            "whatsappPhoneNumberId": product.team.phone_number_id,
            "templateName": "tea_of_today",
            "mapping": mapping("Asha", "Assam"),
        },
    )
    assert "132001" in sentence(refused, refused.status_code)


async def test_a_bad_name_is_refused_in_metas_words_at_every_door(product: Product) -> None:
    for door in doors(product):
        path = f"{door}/{product.team.waba_id}/message_templates"
        reply = await product.api.post(path, json=template("Not A Good Name!"))
        said = reply.json()["error"]
        assert 400 <= reply.status_code < 500
        assert sentence(reply, reply.status_code) == said["message"]
