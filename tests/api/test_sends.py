"""What real clients count on when they send, and what Meta then gets."""

from typing import Any

from tests.api.asking import at_meta, sending, sentence
from tests.harness import PERSON, Product, until

LINK = "https://files.example.test/a"
BUTTONS = [{"type": "reply", "reply": {"id": f"b{n}", "title": f"Button {n}"}} for n in range(4)]


def interactive(kind: str, action: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "type": "interactive",
        "interactive": {"type": kind, "body": {"text": "?"}, "action": action, **more},
    }


def template(**more: Any) -> dict[str, Any]:
    return {"type": "template", "template": {"name": "hello_world", "language": {"code": "en_US"}, **more}}


ROWS = [{"title": "One", "rows": [{"id": "1", "title": "Tea"}]}]
URL = {"name": "cta_url", "parameters": {"display_text": "Open", "url": "https://shop.example.test"}}

GOOD: dict[str, dict[str, Any]] = {
    "a text": {"type": "text", "text": {"body": "hi", "preview_url": True}},
    "a text without a type": {"text": {"body": "hi"}},
    "a text of 4,096 characters": {"type": "text", "text": {"body": "é" * 4096}},
    "a number with a plus and blanks": {"to": "+1 555 000 1111", "type": "text", "text": {"body": "hi"}},
    "a number as a number": {"to": int(PERSON), "type": "text", "text": {"body": "hi"}},
    "keys that are nobody's": {"pluginId": "x", "phoneNumberId": 7, "type": "text", "text": {"body": "hi"}},
    "a client's own callback data": {
        "biz_opaque_callback_data": "o1",
        "type": "text",
        "text": {"body": "hi"},
    },
    "an image by link": {"type": "image", "image": {"link": f"{LINK}.png", "caption": "See"}},
    "a document with its name": {
        "type": "document",
        "document": {"link": f"{LINK}.pdf", "filename": "a.pdf"},
    },
    "a voice message": {"type": "audio", "audio": {"link": f"{LINK}.ogg", "voice": True}},
    "a template without components": template(),
    "a template with no components": template(components=[]),
    "a template with a policy": template(language={"code": "en_US", "policy": "deterministic"}),
    "three buttons": interactive("button", {"buttons": BUTTONS[:3]}),
    "buttons below a picture": interactive(
        "button", {"buttons": BUTTONS[:1]}, header={"type": "image", "image": {"link": f"{LINK}.png"}}
    ),
    "a list": interactive("list", {"button": "Choose", "sections": ROWS}),
    "a link": interactive("cta_url", URL),
    "a location": {"type": "location", "location": {"latitude": 12.97, "longitude": 77.59, "name": "Park"}},
    "contacts": {"type": "contacts", "contacts": [{"name": {"formatted_name": "Ada", "first_name": "Ada"}}]},
}

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "4,097 characters": ({"type": "text", "text": {"body": "x" * 4097}}, "(#100)"),
    "another product": (
        {"messaging_product": "sms", "type": "text", "text": {"body": "x"}},
        "messaging_product",
    ),
    "no product": ({"messaging_product": None, "type": "text", "text": {"body": "x"}}, "messaging_product"),
    "four buttons": (interactive("button", {"buttons": BUTTONS}), "(#131009)"),
    "a type that is none": ({"type": "typing", "typing": {}}, "(#131009)"),
    "a misspelt component": (template(components=[{"typ": "body", "parameters": []}]), "(#100)"),
    "an empty text": ({"type": "text", "text": {"body": ""}}, "(#100)"),
    "a text that is a list": ({"type": "text", "text": ["x"]}, "(#100)"),
    "no recipient": ({"to": None, "type": "text", "text": {"body": "x"}}, "to"),
    "a recipient that is no number": ({"to": "Ada", "type": "text", "text": {"body": "x"}}, "'to'"),
    "an unknown template": (template(name="nowhere"), "132001"),
    "a status that is none": ({"status": "seen", "message_id": "wamid.X"}, "status"),
    "a receipt for nothing": ({"status": "read", "message_id": "wamid.nothing"}, "(#131009)"),
}


async def test_every_kind_of_message_is_accepted_with_one_wamid_in_both_places(product: Product) -> None:
    await product.open_window()

    for what, message in GOOD.items():
        reply = await product.send({"to": PERSON, **message})

        assert reply.status_code == 200, f"{what}: {reply.text}"
        body = reply.json()
        assert body["_data"]["whatsappMessageId"] == body["messages"][0]["id"], what
        assert not {"error", "_errors"} & body.keys(), what

    shown = await at_meta(product)
    assert len(shown) == len(GOOD)
    for sent, message in zip(shown, GOOD.values(), strict=True):
        kind = message.get("type", "text")
        assert sent[kind] == message[kind]


async def test_what_meta_would_refuse_is_a_400_that_says_so_and_never_a_500(product: Product) -> None:
    await product.open_window()

    for what, (message, words) in REFUSED.items():
        reply = await product.send({"to": PERSON, **message})

        assert 400 <= reply.status_code < 500, f"{what}: {reply.text}"
        assert words in sentence(reply, reply.status_code), what

    assert await at_meta(product) == []


async def test_every_version_of_the_api_reaches_meta_and_a_word_is_none(product: Product) -> None:
    await product.open_window()
    hi = {"messaging_product": "whatsapp", "to": PERSON, "type": "text", "text": {"body": "hi"}}

    good = [(await product.api.post(sending(product, it), json=hi)).status_code for it in ("v17.0", "v26.0")]
    bad = [
        sentence(await product.api.post(sending(product, it), json=hi), 400)
        for it in ("latest", "25.0", "v25", "v٢٥.٠", "v1234.0", "%00")
    ]

    assert good == [200, 200]
    assert all("version" in it for it in bad), bad


async def test_what_a_customer_wrote_is_marked_as_read_and_answered_by_its_name(product: Product) -> None:
    wamid = await product.customer_writes("Are you open?")
    (question,) = await until(product.listed)
    assert question["direction"] == "INBOUND"

    for more in ({}, {"typing_indicator": {"type": "text"}}):
        reply = await product.send({"status": "read", "message_id": wamid, **more})

        assert reply.status_code == 200, reply.text
        assert reply.json() == {"_data": {"success": True}, "success": True}

    assert [it["id"] for it in await product.listed()] == [question["id"]]

    answer = {"type": "text", "text": {"body": "Until eight."}, "context": {"message_id": wamid}}
    reply = await product.send({"to": PERSON, **answer})

    assert reply.status_code == 200, reply.text
    listed = (await product.listed())[0]
    assert listed["text"] == "Until eight."
    assert listed["inReplyTo"] == question["id"]
    (shown,) = await at_meta(product)
    assert shown["context"] == {"message_id": wamid}


async def test_a_person_is_written_to_by_their_business_scoped_id(product: Product) -> None:
    await product.customer_writes()
    await until(product.listed)
    delivered = (await product.control.get("/webhooks")).json()["webhooks"][0]["body"]
    bsuid = delivered["entry"][0]["changes"][0]["value"]["contacts"][0]["user_id"]

    reply = await product.send({"recipient": bsuid, "type": "text", "text": {"body": "Hello you"}})

    assert reply.status_code == 200, reply.text
    assert "Hello you" in [it["text"] for it in await product.listed()]


async def test_the_list_shows_what_was_sent_in_its_wrapper_page_by_page(product: Product) -> None:
    await product.open_window()
    for n in range(5):
        assert (await product.send_text(f"{n}")).status_code == 200

    async def page(**asked: Any) -> tuple[str, bool]:
        body = {"customerPhoneNumber": "+1 (555) 000-1111", **asked}
        reply = await product.api.post(
            "/v1/ext/plugin/whatsapp/list-chat-messages-for-phone-number", json=body
        )
        return "".join(it["text"] for it in reply.json()["_data"]), reply.json()["_meta"]["hasMore"]

    assert await page() == ("43210", False)
    assert await page(limit=2) == ("43", True)
    assert await page(limit=2, page=2) == ("21", True)
    assert await page(limit=2, page=3) == ("0", False)
    assert await page(limit=2, page=4) == ("", False)
    assert await page(limit=3, skip=1, page=9) == ("321", True)
    assert await page(limit=5) == ("43210", False)
    assert await page(customerPhoneNumber="15559998888") == ("", False)

    image = {"link": f"{LINK}.png", "caption": "See"}

    await product.send({"to": PERSON, "type": "image", "image": image})
    await product.send({"to": PERSON, **GOOD["a location"]})

    place, picture = await product.listed(limit=2)
    assert picture["body"] == {"image": image}
    assert picture["text"] == "See"
    assert picture["attachments"] == [
        {"mediaId": None, "mimeType": None, "filename": None, "caption": "See", "url": f"{LINK}.png"}
    ]
    assert place["body"] == {"location": GOOD["a location"]["location"]}
    assert place["attachments"] is None
