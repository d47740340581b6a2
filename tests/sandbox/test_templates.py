"""Template messages: what a send must bring, how Meta refuses, and what the phone shows."""

from typing import Any

import pytest

from samvad.sandbox import Business, PhoneNumber, Sandbox
from tests.harness import asking
from tests.sandbox.wire import TOKEN, Wire, details_of, error_of, served, wamid_of


def body(*values: str) -> dict[str, Any]:
    return {"type": "body", "parameters": [{"type": "text", "text": value} for value in values]}


def header(kind: str, value: Any) -> dict[str, Any]:
    return {"type": "header", "parameters": [{"type": kind, kind: value}]}


def button(sub_type: str, kind: str, value: str, index: Any = "0") -> dict[str, Any]:
    parameters = [{"type": kind, kind: value}]
    return {"type": "button", "sub_type": sub_type, "index": index, "parameters": parameters}


PLACE = {"latitude": 12.97, "longitude": 77.59, "name": "Tea Shop", "address": "MG Road"}
LINK = {"link": "https://media.invalid/file"}


@pytest.mark.parametrize(
    ("name", "components"),
    [
        ("hello_world", []),
        ("order_update", [body("No. 7")]),
        ("new_arrivals", [header("image", LINK), body("Asha")]),
        ("appointment_reminder", [header("text", "Dr. Sen"), body("Asha", "3 May", "11")]),
        ("shipment_tracking", [body("T-1"), button("url", "text", "T-1")]),
        ("feedback_request", [body("Asha"), button("quick_reply", "payload", "GOOD", 0)]),
        ("feedback_request", [body("Asha")]),
        ("season_coupon", [body("10"), button("copy_code", "coupon_code", "SAVE10")]),
        ("login_code", [body("4711"), button("url", "text", "4711")]),
        ("store_opening", [header("location", PLACE), body("Asha")]),
        ("invoice", [header("document", LINK | {"filename": "a.pdf"}), body("2042")]),
        ("product_video", [header("video", LINK), body("tea")]),
    ],
)
async def test_each_default_template_can_be_sent(wire: Wire, name: str, components: list[Any]) -> None:
    reply = await wire.template(name, *components)

    assert reply.status_code == 200, reply.text


async def test_the_phone_shows_the_text_with_its_values(wire: Wire) -> None:
    await wire.template("appointment_reminder", header("text", "Dr. Sen"), body("Asha", "3 May", "11"))

    shown = (await wire.shown())[0]["rendered"]

    assert shown["header"] == {"type": "text", "text": "Appointment with Dr. Sen"}
    assert shown["body"] == "Dear Asha, we expect you on 3 May at 11 o'clock."
    assert shown["footer"] == "Reply to change the time"


async def test_the_language_chooses_among_templates_of_one_name(wire: Wire) -> None:
    await wire.template("thank_you", body("Ana"), language="pt_BR")

    assert (await wire.shown())[0]["rendered"]["body"] == "Obrigado pelo seu pedido, Ana!"


async def test_named_parameters_come_by_name_in_any_order(wire: Wire) -> None:
    day = {"type": "text", "parameter_name": "delivery_day", "text": "Friday"}
    name = {"type": "text", "parameter_name": "customer_name", "text": "Asha"}

    await wire.template("delivery_slot", {"type": "body", "parameters": [day, name]})
    nameless = await wire.template("delivery_slot", body("Asha", "Friday"))
    wrong = await wire.template(
        "delivery_slot", {"type": "body", "parameters": [name, {**day, "parameter_name": "delivery_date"}]}
    )

    shown = (await wire.shown())[0]["rendered"]["body"]
    assert shown == "Hello Asha, your delivery arrives on Friday as agreed."
    assert details_of(nameless) == "Parameter name is missing or empty"
    assert error_of(wrong)["code"] == 132012


async def test_a_missing_template_or_language_is_132001(wire: Wire) -> None:
    reply = await wire.template("hello_world", language="fr")

    assert reply.status_code == 404
    assert error_of(reply)["message"] == "(#132001) Template name does not exist in the translation"
    assert details_of(reply) == "template name (hello_world) does not exist in fr"
    assert error_of(await wire.template("no_such_template"))["code"] == 132001


async def test_a_paused_and_a_rejected_template_cannot_be_sent(wire: Wire) -> None:
    assert error_of(await wire.template("weekly_digest", body("tea")))["code"] == 132015
    assert error_of(await wire.template("free_money", body("Asha")))["code"] == 132001


async def test_the_wrong_number_of_values_is_132000_in_metas_words(wire: Wire) -> None:
    reply = await wire.template("order_update")

    assert error_of(reply)["code"] == 132000
    assert details_of(reply) == (
        "body: number of localizable_params (0) does not match the expected number of params (1)"
    )


@pytest.mark.parametrize(
    ("name", "components", "code", "detail"),
    [
        ("new_arrivals", [body("Asha")], 132012, "expected IMAGE, received UNKNOWN"),
        ("new_arrivals", [header("document", LINK), body("A")], 132012, "expected IMAGE, received DOCUMENT"),
        ("store_opening", [header("text", "x"), body("A")], 132012, "expected LOCATION, received TEXT"),
        ("shipment_tracking", [body("T-1")], 131008, "Button at index 0 of type Url requires a parameter"),
        ("hello_world", [button("url", "text", "x")], 132018, "does not exist"),
        ("feedback_request", [body("A"), button("url", "text", "x")], 132018, "sub type url"),
        (
            "season_coupon",
            [body("5"), button("copy_code", "coupon_code", "X" * 21)],
            132018,
            "longer than 20",
        ),
        ("login_code", [body("1"), button("url", "text", "1" * 16)], 132018, "longer than 15"),
        ("order_update", [body("two\nlines")], 132018, "new-line"),
        ("order_update", [body("")], 131008, "missing text value"),
        (
            "order_update",
            [{"type": "body", "parameters": [{"type": "image", "image": LINK}]}],
            132012,
            "IMAGE",
        ),
        ("appointment_reminder", [header("text", "x" * 60), body("A", "B", "C")], 132005, "header"),
        ("shipment_tracking", [body("T" * 1024), button("url", "text", "x")], 132005, "body"),
    ],
)
async def test_what_does_not_fit_is_refused(
    wire: Wire, name: str, components: list[Any], code: int, detail: str
) -> None:
    reply = await wire.template(name, *components)

    assert error_of(reply)["code"] == code
    assert detail in details_of(reply)


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"name": "hello_world"},
        {"name": "hello_world", "language": {}},
        {"name": "hello_world", "language": "en_US"},
        {"name": "hello_world", "language": {"code": "en_US"}, "components": {}},
        {"name": "hello_world", "language": {"code": "en_US"}, "components": [7]},
        {"name": "hello_world", "language": {"code": "en_US"}, "components": [{"type": []}]},
        {
            "name": "hello_world",
            "language": {"code": "en_US"},
            "components": [{"type": "body", "parameters": 1}],
        },
        {
            "name": "hello_world",
            "language": {"code": "en_US"},
            "components": [{"type": "button", "index": "x"}],
        },
    ],
)
async def test_a_malformed_template_is_an_invalid_parameter(wire: Wire, content: Any) -> None:
    assert error_of(await wire.send("template", content))["code"] == 100


async def test_the_missing_language_code_is_named_as_meta_names_it(wire: Wire) -> None:
    reply = await wire.send("template", {"name": "hello_world", "language": {"policy": "deterministic"}})

    assert error_of(reply)["message"] == "(#100) The parameter template['language']['code'] is required."


async def test_a_business_brings_its_own_templates_with_cards_and_an_offer() -> None:
    card = {
        "components": [
            {"type": "HEADER", "format": "IMAGE"},
            {"type": "BODY", "text": "Tea {{1}} for you"},
            {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "Buy"}]},
        ]
    }
    carousel = {
        "name": "tea_cards",
        "language": "en",
        "category": "MARKETING",
        "components": [{"type": "BODY", "text": "Look!"}, {"type": "CAROUSEL", "cards": [card, card]}],
    }
    offer = {
        "name": "hurry",
        "language": "en",
        "category": "MARKETING",
        "components": [
            {"type": "BODY", "text": "Only today."},
            {"type": "LIMITED_TIME_OFFER", "limited_time_offer": {"text": "Hurry", "has_expiration": True}},
        ],
    }
    business = Business(
        waba_id="1",
        name="Shop",
        access_token=TOKEN,
        app_secret="s",
        phone_numbers=(PhoneNumber(id="2", display="14155550100", verified_name="Shop"),),
        templates=(carousel, offer),
    )
    sandbox = Sandbox(business)

    def sent(name: str, *components: Any) -> dict[str, Any]:
        template = {"name": name, "language": {"code": "en"}, "components": list(components)}
        return {
            "messaging_product": "whatsapp",
            "to": "919800000001",
            "type": "template",
            "template": template,
        }

    def cards(count: int) -> dict[str, Any]:
        one = [header("image", LINK), body("Assam")]
        return {"type": "carousel", "cards": [{"card_index": at, "components": one} for at in range(count)]}

    until = {"type": "limited_time_offer", "limited_time_offer": {"expiration_time_ms": 1_900_000_000_000}}
    async with (
        served(sandbox.app) as url,
        asking(url, headers={"authorization": f"Bearer {TOKEN}"}) as meta,
    ):
        good = await meta.post("/2/messages", json=sent("tea_cards", cards(2)))
        short = await meta.post("/2/messages", json=sent("tea_cards", cards(1)))
        in_time = await meta.post(
            "/2/messages", json=sent("hurry", {"type": "limited_time_offer", "parameters": [until]})
        )
        endless = await meta.post("/2/messages", json=sent("hurry"))
        default = await meta.post("/2/messages", json=sent("hello_world"))
        await sandbox.close()

    assert wamid_of(good)
    assert sandbox.shown_on("919800000001")[0]["rendered"]["cards"][1]["body"] == "Tea Assam for you"
    assert error_of(short)["code"] == 132012
    assert wamid_of(in_time)
    assert error_of(endless)["code"] == 131008
    assert error_of(default)["code"] == 132001
