"""Templates are made, reviewed, changed and removed over Graph; what Meta thinks of them comes by webhook."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.sandbox.wire import NUMBER, WABA, Wire, error_of, until

PATH = f"/v25.0/{WABA}/message_templates"
BODY = {
    "type": "BODY",
    "text": "Hello {{1}}, your tea of today is {{2}} and it is hot.",
    "example": {"body_text": [["Asha", "Assam"]]},
}
PNG = b"\x89PNG\r\n\x1a\n" + b"tea" * 10
FIXTURES = Path(__file__).parents[2].parent / "shared/fixtures/pywa/templates"


def template(*components: Any, name: str = "tea_of_today", **more: Any) -> dict[str, Any]:
    given = {
        "name": name,
        "language": "en_US",
        "category": "MARKETING",
        "components": list(components) or [BODY],
    }
    return given | more


async def create(wire: Wire, *components: Any, **more: Any) -> httpx.Response:
    return await wire.meta.post(PATH, json=template(*components, **more))


async def handle(wire: Wire, mime_type: str = "image/png", data: bytes = PNG) -> str:
    app = (await wire.meta.get(f"/{WABA}/subscribed_apps")).json()["data"][0]
    app_id = app["whatsapp_business_api_data"]["id"]
    query = {"file_name": "tea.png", "file_length": str(len(data)), "file_type": mime_type}
    session = (await wire.meta.post(f"/v25.0/{app_id}/uploads", params=query)).json()["id"]
    given: str = (
        await wire.meta.post(f"/v25.0/{session}", content=data, headers={"file_offset": "0"})
    ).json()["h"]
    return given


def told(wire: Wire, field: str) -> list[dict[str, Any]]:
    changes = [body["entry"][0]["changes"][0] for body in wire.receiver.bodies]
    return [change["value"] for change in changes if change["field"] == field]


async def test_a_new_template_is_pending_then_approved_and_can_be_sent(wire: Wire) -> None:
    wire.sandbox.configure(review={"delay_ms": 50})

    made = (await create(wire, {"type": "body", "text": "Tea is ready for you."})).json()
    early = await wire.template("tea_of_today")
    await until(lambda: told(wire, "message_template_status_update"))
    late = await wire.template("tea_of_today")

    assert (made["status"], made["category"]) == ("PENDING", "MARKETING")
    assert error_of(early)["code"] == 132001
    assert late.status_code == 200
    assert told(wire, "message_template_status_update") == [
        {
            "event": "APPROVED",
            "message_template_id": int(made["id"]),
            "message_template_name": "tea_of_today",
            "message_template_language": "en_US",
            "reason": "NONE",
            "message_template_category": "MARKETING",
        }
    ]
    first = (await wire.meta.get(PATH, params={"limit": 1})).json()["data"][0]
    assert (first["id"], first["status"], first["components"][0]["type"]) == (made["id"], "APPROVED", "BODY")


async def test_every_kind_of_template_is_taken_and_listed(wire: Wire) -> None:
    wire.sandbox.configure(review={"delay_ms": 0})
    image = {"type": "HEADER", "format": "IMAGE", "example": {"header_handle": [await handle(wire)]}}
    url = {
        "type": "URL",
        "text": "See",
        "url": "https://tea.example/{{1}}",
        "example": "https://tea.example/1",
    }
    quick = {"type": "quick_reply", "text": "Stop"}
    plain = {"type": "BODY", "text": "Our tea of today is very good."}
    named = {
        "type": "BODY",
        "text": "Hello {{first_name}}, how was your tea?",
        "example": {"body_text_named_params": [{"param_name": "first_name", "example": "Asha"}]},
    }
    offer = {"text": "Only today", "has_expiration": True}
    card = {"components": [image, plain, {"type": "BUTTONS", "buttons": [quick, url]}]}
    password = [
        {"type": "body", "add_security_recommendation": True},
        {"type": "footer", "code_expiration_minutes": 5},
        {"type": "buttons", "buttons": [{"type": "otp", "otp_type": "copy_code", "text": "Copy"}]},
    ]
    given = [
        template(image, plain, {"type": "FOOTER", "text": "Tea Shop"}, name="with_image"),
        template(plain, {"type": "BUTTONS", "buttons": [quick, quick, url]}, name="with_buttons"),
        template(named, name="named_one", parameter_format="named"),
        template(
            image,
            {"type": "LIMITED_TIME_OFFER", "limited_time_offer": offer},
            plain,
            {"type": "BUTTONS", "buttons": [{"type": "COPY_CODE", "example": "TEA25"}, url]},
            name="with_offer",
        ),
        template(plain, {"type": "CAROUSEL", "cards": [card, card]}, name="with_cards"),
        template(*password, name="a_code", category="authentication", message_send_ttl_seconds=60),
        *(
            template(plain, {"type": "BUTTONS", "buttons": [button]}, name=f"with_{button['type'].lower()}")
            for button in (
                {"type": "CATALOG", "text": "View catalog"},
                {"type": "MPM", "text": "View items"},
                {"type": "VOICE_CALL", "text": "Call us"},
                {"type": "FLOW", "text": "Book", "flow_id": "123", "flow_action": "navigate"},
                {"type": "PHONE_NUMBER", "text": "Phone", "phone_number": "+14155550123"},
            )
        ),
    ]

    replies = [await wire.meta.post(PATH, json=one) for one in given]

    assert [(one.status_code, one.json().get("status")) for one in replies] == [(200, "APPROVED")] * len(
        given
    )
    listed = {one["name"]: one for one in (await wire.meta.get(PATH, params={"limit": 100})).json()["data"]}
    code = listed["a_code"]["components"]
    assert "do not share this code" in code[0]["text"]
    assert "otp_type=COPY_CODE" in code[2]["buttons"][0]["url"]
    assert listed["named_one"]["parameter_format"] == "NAMED"
    assert [one["type"] for one in listed["with_cards"]["components"]] == ["BODY", "CAROUSEL"]


BROKEN: list[tuple[str, Any, int | None]] = [
    ("leading", [{**BODY, "text": "{{1}} and {{2}} are teas of ours, you know"}], 2388299),
    ("trailing", [{**BODY, "text": "The teas of this very day are {{1}} and {{2}}"}], 2388299),
    ("too many variables", [{**BODY, "text": "Hi {{1}} or {{2}} ok"}], 2388293),
    ("no example", [{"type": "BODY", "text": "Hello {{1}}, your tea is ready."}], 2388043),
    ("gap", [{**BODY, "text": "Hello {{1}}, your tea of today is {{3}} and hot."}], 2388072),
    ("long body", [{"type": "BODY", "text": "t" * 1025}], 2388040),
    ("long header", [{"type": "HEADER", "format": "TEXT", "text": "t" * 61}, BODY], 2388040),
    ("header with stars", [{"type": "HEADER", "format": "TEXT", "text": "*Tea*"}, BODY], 2388047),
    ("footer with a variable", [BODY, {"type": "FOOTER", "text": "Yours, {{1}}"}], 2388073),
    ("no sample", [{"type": "HEADER", "format": "IMAGE"}, BODY], 2388273),
    (
        "strange handle",
        [{"type": "HEADER", "format": "IMAGE", "example": {"header_handle": ["4::x"]}}, BODY],
        2494102,
    ),
    ("no body", [{"type": "FOOTER", "text": "Tea"}], 2388043),
    ("two bodies", [BODY, BODY], None),
    ("strange type", [BODY, {"type": "SPELL"}], None),
    ("strange member", [{**BODY, "colour": "red"}], None),
    ("no array", {"type": "BODY"}, None),
    (
        "scattered quick replies",
        [
            BODY,
            {
                "type": "BUTTONS",
                "buttons": [
                    {"type": "QUICK_REPLY", "text": "Yes"},
                    {"type": "URL", "text": "See", "url": "https://tea.example"},
                    {"type": "QUICK_REPLY", "text": "No"},
                ],
            },
        ],
        None,
    ),
    (
        "long button",
        [BODY, {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "t" * 26}]}],
        2388040,
    ),
    (
        "three links",
        [
            BODY,
            {"type": "BUTTONS", "buttons": [{"type": "URL", "text": "a", "url": "https://tea.example"}] * 3},
        ],
        None,
    ),
    ("one card", [BODY, {"type": "CAROUSEL", "cards": [{"components": []}]}], None),
]


@pytest.mark.parametrize(
    ("components", "subcode"), [one[1:] for one in BROKEN], ids=[one[0] for one in BROKEN]
)
async def test_a_template_against_the_rules_is_refused(
    wire: Wire, components: Any, subcode: int | None
) -> None:
    reply = await wire.meta.post(PATH, json=template() | {"components": components})

    error = error_of(reply)
    assert reply.status_code == 400
    assert error["code"] in (100, 131009)
    assert error.get("error_subcode") == subcode
    assert bool(subcode) <= ("error_user_msg" in error)


@pytest.mark.parametrize(
    "given",
    [
        {"name": "Tea Of Today"},
        {"language": "tea"},
        {"category": "TEA"},
        {"message_send_ttl_seconds": 5},
        {"parameter_format": "SUNG"},
        {"category": "AUTHENTICATION"},
    ],
    ids=str,
)
async def test_a_wrong_member_is_an_invalid_parameter(wire: Wire, given: dict[str, Any]) -> None:
    reply = await create(wire, **given)

    assert error_of(reply)["code"] == 100


async def test_a_name_is_taken_once_per_language_and_blocked_after_deletion(wire: Wire, clock: Any) -> None:
    wire.sandbox.configure(review={"delay_ms": 0})
    made = (await create(wire)).json()

    twice = await create(wire)
    other_language = await create(wire, language="de")
    deleted = await wire.meta.delete(PATH, params={"name": "tea_of_today"})
    blocked = await create(wire)
    clock.now += 31 * 24 * 3600
    again = await create(wire)

    assert error_of(twice)["error_subcode"] == 2388024
    assert other_language.status_code == 200
    assert deleted.json() == {"success": True}
    assert error_of(blocked)["error_subcode"] == 2388023
    assert again.json()["id"] != made["id"]
    assert error_of(await wire.meta.get(f"/{made['id']}"))["error_subcode"] == 33


async def test_templates_are_deleted_one_by_one_and_in_bulk(wire: Wire) -> None:
    first = (await create(wire)).json()["id"]
    second = (await create(wire, language="de")).json()["id"]
    third = (await create(wire, name="other_tea")).json()["id"]

    one = await wire.meta.delete(PATH, params={"name": "tea_of_today", "hsm_id": first})
    bulk = await wire.meta.delete(PATH, params={"hsm_ids": f"{second},{third}"})
    missing = await wire.meta.delete(PATH, params={"name": "tea_of_today"})
    nothing = await wire.meta.delete(PATH)

    assert (one.json(), bulk.json()) == ({"success": True}, {"success": True})
    assert {error_of(reply)["code"] for reply in (missing, nothing)} == {100}


async def test_an_edit_goes_back_to_review_and_is_rare(wire: Wire, clock: Any) -> None:
    wire.sandbox.configure(review={"delay_ms": 0})
    made = (await create(wire)).json()["id"]
    words = [{"type": "BODY", "text": "Our tea of tomorrow is even better."}]

    edited = await wire.meta.post(f"/v25.0/{made}", json={"components": words})
    too_soon = await wire.meta.post(f"/v25.0/{made}", json={"components": words})
    category = await wire.meta.post(f"/v25.0/{made}", json={"category": "UTILITY"})
    clock.now += 25 * 3600
    wire.sandbox.configure(review={"verdict": None})
    later = await wire.meta.post(f"/v25.0/{made}", json={"components": words})
    pending = await wire.meta.post(f"/v25.0/{made}", json={"components": words})

    assert edited.json() == later.json()
    assert edited.json() == {"success": True, "id": made, "name": "tea_of_today", "category": "MARKETING"}
    assert [error_of(one)["code"] for one in (too_soon, category, pending)] == [100] * 3
    await until(lambda: len(told(wire, "message_template_components_update")) == 2)
    assert told(wire, "message_template_components_update")[0]["message_template_element"] == words[0]["text"]
    assert (await wire.meta.get(f"/{made}")).json()["status"] == "PENDING"


async def test_variables_side_by_side_are_rejected_in_review(wire: Wire) -> None:
    wire.sandbox.configure(review={"delay_ms": 0})

    made = await create(wire, {**BODY, "text": "Hello {{1}}{{2}}, your tea of today is very hot."})

    assert made.json()["status"] == "REJECTED"
    await until(lambda: told(wire, "message_template_status_update"))
    value = told(wire, "message_template_status_update")[0]
    assert (value["event"], value["reason"]) == ("REJECTED", "INVALID_FORMAT")
    assert "next to each other" in value["rejection_info"]["reason"]


async def test_meta_changes_its_mind_by_the_control_api(wire: Wire) -> None:
    made = (await create(wire)).json()["id"]

    for change in (
        {"status": "REJECTED", "reason": "SCAM"},
        {"status": "APPROVED"},
        {"quality": "RED"},
        {"status": "PAUSED"},
        {"correct_category": "UTILITY"},
        {"category": "UTILITY"},
    ):
        reply = await wire.control(f"/templates/{made}", change)
        assert reply.status_code == 200, reply.text
    paused = await wire.template("tea_of_today")
    unpaused = await wire.meta.post(f"/v25.0/{made}/unpause")
    not_paused = await wire.meta.post(f"/v25.0/{made}/unpause")

    assert error_of(paused)["code"] == 132015
    assert (unpaused.json()["success"], not_paused.json()["success"]) == (True, False)
    await until(lambda: len(told(wire, "message_template_status_update")) == 4)
    events = [(one["event"], one["reason"]) for one in told(wire, "message_template_status_update")]
    assert sorted(events) == [
        ("APPROVED", "NONE"),
        ("APPROVED", "NONE"),
        ("PAUSED", "NONE"),
        ("REJECTED", "SCAM"),
    ]
    assert told(wire, "message_template_quality_update")[0]["new_quality_score"] == "RED"
    impending, done = sorted(
        told(wire, "template_category_update"), key=lambda value: "correct_category" not in value
    )
    assert (impending["correct_category"], impending["new_category"]) == ("UTILITY", "MARKETING")
    assert (done["previous_category"], done["new_category"]) == ("MARKETING", "UTILITY")
    shown = (await wire.meta.get(f"/{made}", params={"fields": "quality_score,previous_category"})).json()
    assert (shown["quality_score"]["score"], shown["previous_category"]) == ("RED", "MARKETING")


async def test_the_limits_of_an_account_are_kept(wire: Wire, clock: Any) -> None:
    wire.sandbox.configure(template_creations_per_hour=1)
    await create(wire)

    hurried = await create(wire, name="another")
    clock.now += 3601
    patient = await create(wire, name="another")
    wire.sandbox.configure(templates_per_account=2, template_creations_per_hour=100)
    crowded = await create(wire, name="a_third")

    assert error_of(hurried)["code"] == 80007
    assert patient.status_code == 200
    assert error_of(crowded)["error_subcode"] == 2388019


async def test_one_password_template_comes_in_many_languages_at_once(wire: Wire) -> None:
    given = {
        "name": "entry_code",
        "languages": ["en_US", "de"],
        "category": "AUTHENTICATION",
        "components": [
            {"type": "BODY", "add_security_recommendation": False},
            {"type": "BUTTONS", "buttons": [{"type": "OTP", "otp_type": "COPY_CODE"}]},
        ],
    }

    first = (await wire.meta.post(f"/{WABA}/upsert_message_templates", json=given)).json()["data"]
    second = (await wire.meta.post(f"/{WABA}/upsert_message_templates", json=given)).json()["data"]

    assert [one["language"] for one in first] == ["en_US", "de"]
    assert [one["id"] for one in second] == [one["id"] for one in first]


async def test_an_upload_goes_on_where_it_stopped(wire: Wire) -> None:
    app = wire.sandbox.world.accounts[WABA].app_id
    query = {"file_name": "tea.png", "file_length": str(len(PNG)), "file_type": "image/png"}
    session = (await wire.meta.post(f"/{app}/uploads", params=query)).json()["id"]
    stranger = {"authorization": "OAuth a-token-of-the-book-shop"}

    part = await wire.meta.post(f"/{session}", content=PNG[:10], headers={"file_offset": "0"})
    state = (await wire.meta.get(f"/{session}")).json()
    wrong = await wire.meta.post(f"/{session}", content=PNG[10:], headers={"file_offset": "5"})
    rest = await wire.meta.post(f"/{session}", content=PNG[10:], headers={"file_offset": "10"})
    too_much = await wire.meta.post(f"/{session}", content=b"more", headers={"file_offset": str(len(PNG))})
    foreign = await wire.meta.get(f"/{session}", headers=stranger)
    foreign_app = await wire.meta.post(f"/{app}/uploads", params=query, headers=stranger)

    assert part.json() == state
    assert state == {"id": session, "file_offset": 10}
    assert rest.json()["h"].startswith("4::")
    assert {error_of(reply)["code"] for reply in (wrong, too_much, foreign, foreign_app)} == {100}


@pytest.mark.skipif(not FIXTURES.exists(), reason="the third-party examples are not at hand")
@pytest.mark.parametrize("kind", ["authentication", "buttons", "carousel", "limited_time_offer"])
async def test_the_examples_of_another_client_are_taken(wire: Wire, kind: str) -> None:
    good = await handle(wire)
    pdf = await handle(wire, "application/pdf")
    examples = json.loads((FIXTURES / kind / "examples.json").read_text())

    for name, example in examples.items():
        text = json.dumps(example)
        for part in ("4::YX...", "4::an...", "4::aW..."):
            text = text.replace(part, pdf if '"DOCUMENT"' in text else good)
        reply = await wire.meta.post(PATH, json=json.loads(text))
        assert reply.status_code == 200, (name, reply.text)


async def test_any_webhook_can_be_posted_by_hand(wire: Wire) -> None:
    value = {"decision": "APPROVED"}

    reply = await wire.control("/webhooks", {"field": "account_review_update", "value": value})
    to_number = await wire.control("/webhooks", {"field": "calls", "value": {}, "phone_number_id": NUMBER})
    unknown = await wire.control("/webhooks", {"field": "calls", "value": {}, "phone_number_id": "1"})
    nothing = await wire.control("/webhooks", {"field": "calls"})

    await until(lambda: told(wire, "account_review_update") and told(wire, "calls"))
    assert told(wire, "account_review_update") == [value]
    assert isinstance(wire.receiver.bodies[0]["entry"][0]["time"], int)
    assert [one.status_code for one in (reply, to_number, unknown, nothing)] == [200, 200, 404, 400]
