"""Template sends: every shape of template, every mistake named before Meta is asked."""

import json
from typing import Any

from samvad.domain.inbound import queries as inbound
from samvad.whatsapp.signature import sign
from tests.api.asking import at_meta, mapping, send_template, sentence, templating
from tests.harness import BUSINESS, PERSON, Product, until

PNG = "https://files.example.test/a.png"
PDF = "https://files.example.test/invoices/2042%20final.pdf"
WHO = {"type": "text", "text": "Asha"}


def code_button(code: str) -> dict[str, Any]:
    parameters = [{"type": "text", "text": code}]
    return {"type": "button", "sub_type": "url", "index": "0", "parameters": parameters}


def header(kind: str, **medium: Any) -> dict[str, Any]:
    return {"type": "header", "parameters": [{"type": kind, kind: medium}]}


def body(*parameters: dict[str, Any]) -> dict[str, Any]:
    return {"type": "body", "parameters": list(parameters)}


def text(words: str, **named: str) -> dict[str, Any]:
    return {"type": "text", "text": words, **named}


SHAPES: list[tuple[str, dict[str, Any], str, list[dict[str, Any]]]] = [
    ("hello_world", {}, "Welcome!", []),
    ("order_update", {"mapping": mapping(1042)}, "on its way: 1042.", [body(text("1042"))]),
    (
        "appointment_reminder",
        {"mapping": mapping("Asha", "3 May", "10:30"), "headerMapping": mapping("Dr. Rao")},
        "Dear Asha, we expect you on 3 May at 10:30",
        [
            {"type": "header", "parameters": [text("Dr. Rao")]},
            body(text("Asha"), text("3 May"), text("10:30")),
        ],
    ),
    (
        "new_arrivals",
        {"mapping": mapping("Asha"), "imageUrl": PNG},
        "Hello Asha,",
        [header("image", link=PNG), body(WHO)],
    ),
    (
        "invoice",
        {"mapping": mapping("2042"), "documentUrl": PDF},
        "Here is invoice 2042",
        [header("document", link=PDF, filename="2042 final.pdf"), body(text("2042"))],
    ),
    (
        "store_opening",
        {
            "mapping": mapping("Asha"),
            "locationLatitude": 12.97,
            "locationLongitude": 0,
            "locationName": "Shop",
        },
        "our new store",
        [header("location", latitude=12.97, longitude=0, name="Shop"), body(WHO)],
    ),
    (
        "shipment_tracking",
        {"mapping": mapping("TRK-1"), "buttonMapping": mapping("TRK-1")},
        "Parcel TRK-1 left",
        [body(text("TRK-1")), code_button("TRK-1")],
    ),
    (
        "delivery_slot",
        {"mapping": mapping(customer_name="Asha", delivery_day="Tuesday")},
        "Hello Asha, your delivery arrives on Tuesday",
        [body(text("Asha", parameter_name="customer_name"), text("Tuesday", parameter_name="delivery_day"))],
    ),
    ("login_code", {"otpCode": "048213"}, "*048213* is your", [body(text("048213")), code_button("048213")]),
    ("thank_you", {"language": "pt_BR", "mapping": mapping("Ana")}, "Obrigado pelo", [body(text("Ana"))]),
    ("thank_you", {"language": "en-us", "mapping": mapping("Ana")}, "Thank you for", [body(text("Ana"))]),
]

MISTAKES: list[tuple[dict[str, Any], int, tuple[str, ...]]] = [
    ({"templateName": "order_updat"}, 404, ("132001", "order_updat;", "did you mean order_update")),
    ({"templateName": "order_update", "language": "fr"}, 404, ("132001", "fr", "it exists in en_US")),
    ({"templateName": "thank_you", "mapping": mapping("Ana")}, 400, ("language", "en_US", "pt_BR")),
    ({"templateName": "order_update"}, 400, ("132000", "{{1}}", "mapping")),
    (
        {"templateName": "order_update", "mapping": mapping("a", "b")},
        400,
        ("132000", "no body variable {{2}}"),
    ),
    ({"templateName": "order_update", "mapping": mapping("")}, 400, ("131008", "{{1}}", "is empty")),
    ({"templateName": "order_update", "mapping": mapping("a\nb")}, 400, ("132018", "{{1}}", "new-line")),
    ({"templateName": "order_update", "mapping": {"schemaPropertyName": 5}}, 400, ("mapping",)),
    ({"templateName": "order_update", "mapping": "Asha"}, 400, ("mapping must be a list",)),
    ({"templateName": "order_update", "mapping": ["Asha"]}, 400, ("mapping[0]",)),
    ({"templateName": "order_update", "mapping": mapping("a") * 101}, 400, ("101 entries",)),
    ({"templateName": "delivery_slot", "mapping": mapping(customer_name="A")}, 400, ("{{delivery_day}}",)),
    ({"templateName": "new_arrivals", "mapping": mapping("A")}, 400, ("132012", "imageUrl")),
    (
        {"templateName": "new_arrivals", "mapping": mapping("A"), "imageUrl": "a.png"},
        400,
        ("imageUrl", "http"),
    ),
    ({"templateName": "hello_world", "imageUrl": PNG}, 400, ("132012", "takes no imageUrl")),
    ({"templateName": "store_opening", "mapping": mapping("A")}, 400, ("132012", "locationLatitude")),
    ({"templateName": "shipment_tracking", "mapping": mapping("A")}, 400, ("Track parcel", "buttonMapping")),
    ({"templateName": "login_code"}, 400, ("132000", "otpCode")),
    ({"templateName": "weekly_digest", "mapping": mapping("A")}, 400, ("132015", "PAUSED")),
    ({"templateName": "free_money", "mapping": mapping("A")}, 400, ("132001", "REJECTED")),
    ({"templateName": ""}, 400, ("templateName is missing",)),
    ({"templateName": 7}, 400, ("templateName must be a string",)),
    (
        {"templateName": "hello_world", "whatsappPhoneNumberId": None},
        400,
        ("whatsappPhoneNumberId is missing",),
    ),
    ({"templateName": "hello_world", "whatsappPhoneNumberId": "1"}, 404, ("Phone number 1 not found",)),
    ({"templateName": "hello_world", "locationLatitude": "north"}, 400, ("locationLatitude",)),
]


async def test_every_shape_of_template_is_filled_as_meta_wants_it(product: Product) -> None:
    for name, values, words, components in SHAPES:
        reply = await send_template(product, name, **values)

        assert reply.status_code == 200, f"{name}: {reply.text}"
        message = reply.json()["_data"]
        assert words in message["text"], name
        assert message["body"] == {"body": message["text"]}
        assert message["dataType"] == "template"
        assert message["externalId"].startswith("wamid.")
        assert message["context"]["contactIdentifier"] == PERSON
        assert message["source"]["sourceType"] == "API"
        shown = (await at_meta(product))[-1]
        assert shown["wamid"] == message["externalId"]
        assert shown["template"]["components"] == components, name
        assert shown["rendered"]["body"] == message["text"]

    assert len(await product.listed()) == len(SHAPES)


async def test_every_mistake_is_named_and_meta_is_not_asked(product: Product) -> None:
    for values, status, words in MISTAKES:
        reply = await product.api.post(
            templating(product), json={"whatsappPhoneNumberId": product.team.phone_number_id, **values}
        )

        said = sentence(reply, status)
        assert all(word in said for word in words), f"{values}: {said}"

    assert await at_meta(product) == []
    assert await product.listed() == []


async def test_a_number_may_be_decorated_and_its_first_template_makes_its_chat_and_lead(
    product: Product,
) -> None:
    first = (await send_template(product, "hello_world")).json()["_data"]

    async def with_lead() -> Any:
        (message,) = await product.listed()
        return message if message["process"] else None

    listed = await until(with_lead)
    second = (await send_template(product, "hello_world")).json()["_data"]

    assert (first["chat"], first["contact"]) == (None, None)
    assert listed["id"] == first["id"]
    assert listed["chat"]
    assert listed["contact"]
    assert (second["process"], second["chat"]) == (listed["process"], None)

    body = {"whatsappPhoneNumberId": product.team.phone_number_id, "templateName": "hello_world"}

    for phone in ("+15550001111", "%2B1%20(555)%20000-1111", "1-555-000-1111", "1.555.000.1111"):
        old = product.plugin(f"process/phoneNumber/{phone}/send-template-message")
        for path in (templating(product, phone), old):
            reply = await product.api.post(path, json=body)
            assert reply.status_code == 200, f"{phone}: {reply.text}"
            assert reply.json()["_data"]["context"]["contactIdentifier"] == PERSON
    for phone in ("Ada", "123456", "1" * 16, "%00", "%20", "%ff", "１５５５０００１１１１", "1" * 3000):
        assert "The phone number in the path" in sentence(
            await product.api.post(templating(product, phone), json=body), 400
        )


async def test_a_template_changed_at_meta_is_read_anew_after_its_webhook(product: Product) -> None:
    assert (await send_template(product, "hello_world")).status_code == 200
    account = product.sandbox.world.accounts[BUSINESS.waba_id]
    known = account.templates["hello_world", "en_US"]
    known.raw["status"] = "PAUSED"

    unaware = await send_template(product, "hello_world")
    await meta_tells(product, "message_template_status_update", {"event": "PAUSED", "message_template_id": 1})
    paused = await send_template(product, "hello_world")
    known.raw["status"] = "APPROVED"
    await meta_tells(
        product, "message_template_status_update", {"event": "APPROVED", "message_template_id": 1}
    )
    resumed = await send_template(product, "hello_world")

    assert unaware.status_code == 200
    assert "132015" in sentence(paused, 400)
    assert resumed.status_code == 200, resumed.text


async def meta_tells(product: Product, field: str, value: dict[str, Any]) -> None:
    """A webhook as Meta signs it."""
    change = {"field": field, "value": value}
    entry = {"id": BUSINESS.waba_id, "time": product.app.res.clock(), "changes": [change]}
    content = json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()
    reply = await product.api.post(
        f"/webhooks/whatsapp/{product.team.plugin_id}",
        content=content,
        headers={
            "Content-Type": "application/json",
            "X-Hub-Signature-256": sign(BUSINESS.app_secret, content),
        },
    )
    assert reply.status_code == 200, reply.text
    await until(lambda: everything_is_folded(product))


async def everything_is_folded(product: Product) -> bool:
    return await product.app.res.db.read(inbound.waiting) == 0
