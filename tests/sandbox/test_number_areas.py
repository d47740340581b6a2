"""What surrounds a number: its settings, key, profile, block list, short links, shop and name."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.sandbox.wire import ASHA, NUMBER, SECOND_NUMBER, WABA, Wire, error_of, until, wamid_of

RAVI = "919833333333"


def fields_told(wire: Wire, field: str) -> list[dict[str, Any]]:
    """The values of every webhook about one field."""
    changes = [body["entry"][0]["changes"][0] for body in wire.receiver.bodies]
    return [change["value"] for change in changes if change["field"] == field]


def pem(key: Any) -> str:
    text: str = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return text


async def test_calling_is_off_until_it_is_switched_on_and_the_change_is_told(wire: Wire) -> None:
    path = f"/v25.0/{NUMBER}/settings"
    before = (await wire.meta.get(path)).json()["calling"]["status"]
    hours = {
        "status": "ENABLED",
        "timezone_id": "Asia/Kolkata",
        "weekly_operating_hours": [{"day_of_week": "MONDAY", "open_time": "0900", "close_time": "1800"}],
    }
    sip = {"status": "DISABLED", "servers": [{"hostname": "sip.tea.example", "port": 5061}]}
    done = await wire.meta.post(
        path, json={"calling": {"status": "enabled", "call_hours": hours, "sip": sip}}
    )

    after = (await wire.meta.get(path)).json()["calling"]
    with_password = (await wire.meta.get(f"{path}?include_sip_credentials=true")).json()["calling"]
    await until(lambda: fields_told(wire, "account_settings_update"))
    told = fields_told(wire, "account_settings_update")[0]
    assert (before, done.json(), after["status"]) == ("DISABLED", {"success": True}, "ENABLED")
    assert after["call_hours"] == hours
    assert "sip_user_password" not in after["sip"]["servers"][0]
    assert with_password["sip"]["servers"][0]["sip_user_password"]
    assert told["phone_number_settings"]["phone_number_id"] == NUMBER
    assert told["phone_number_settings"]["calling"]["status"] == "ENABLED"
    assert wire.receiver.bodies[0]["entry"][0]["id"] == WABA
    assert (await wire.meta.get(f"/v25.0/{SECOND_NUMBER}/settings")).json()["calling"]["status"] == "DISABLED"


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({}, "One feature"),
        ({"colour": 1}, "colour"),
        ({"calling": {"status": "PERHAPS"}}, "status"),
        ({"calling": {"call_hours": {"status": "ENABLED"}}}, "timezone_id"),
        (
            {
                "calling": {
                    "call_hours": {
                        "status": "DISABLED",
                        "weekly_operating_hours": [
                            {"day_of_week": "MONDAY", "open_time": "1800", "close_time": "0900"}
                        ],
                    }
                }
            },
            "open",
        ),
        ({"user_identity_change": {"enable_identity_key_check": "yes"}}, "boolean"),
        ({"payload_encryption": {"status": "ENABLED"}}, "client_encryption_key"),
        ({"storage_configuration": {"status": "SOMEWHERE"}}, "status"),
    ],
)
async def test_a_wrong_setting_is_refused_by_name(wire: Wire, settings: Any, word: str) -> None:
    error = error_of(await wire.meta.post(f"/{NUMBER}/settings", json=settings))

    assert error["code"] == 100
    assert word in error["message"]


async def test_only_an_rsa_key_of_2048_bits_is_taken_and_it_comes_back_as_it_was(wire: Wire) -> None:
    path = f"/{NUMBER}/whatsapp_business_encryption"
    good = pem(rsa.generate_private_key(65537, 2048))
    none = (await wire.meta.get(path)).json()
    bad = [
        await wire.meta.post(path, data={"business_public_key": key})
        for key in (
            "no key",
            pem(rsa.generate_private_key(65537, 1024)),
            pem(ec.generate_private_key(ec.SECP256R1())),
        )
    ]
    nothing = await wire.meta.post(path, json={})
    as_form = await wire.meta.post(path, data={"business_public_key": good})
    as_json = await wire.meta.post(path, json={"business_public_key": good})

    assert none == {"data": []}
    assert [error_of(one)["code"] for one in (*bad, nothing)] == [100] * 4
    assert (as_form.json(), as_json.json()) == ({"success": True}, {"success": True})
    assert (await wire.meta.get(path)).json() == {
        "data": [{"business_public_key": good, "business_public_key_signature_status": "VALID"}]
    }


async def test_a_profile_changes_in_part_and_shows_the_fields_asked_for(wire: Wire) -> None:
    path = f"/{NUMBER}/whatsapp_business_profile"
    product = {"messaging_product": "whatsapp"}
    first = {"about": "Tea and toast", "email": "hi@tea.example", "vertical": "RESTAURANT"}
    await wire.meta.post(path, json={**product, **first, "websites": ["https://tea.example"]})
    await wire.meta.post(path, json={**product, "email": "", "profile_picture_handle": "4::aW1hZ2U="})

    shown = (await wire.meta.get(f"{path}?fields=about,email,websites,vertical,profile_picture_url")).json()

    profile = shown["data"][0]
    assert profile.pop("profile_picture_url").startswith("https://")
    assert profile == {
        "about": "Tea and toast",
        "websites": ["https://tea.example"],
        "vertical": "RESTAURANT",
        **product,
    }
    for wrong in (
        {"about": "x" * 140},
        {"about": ""},
        {"address": "x" * 257},
        {"description": "x" * 513},
        {"email": "nobody"},
        {"websites": ["https://a.example"] * 3},
        {"vertical": "TEA"},
        {"colour": "red"},
    ):
        assert (await wire.meta.post(path, json={**product, **wrong})).status_code == 400, wrong
    assert (await wire.meta.post(path, json={"about": "x"})).status_code == 400
    assert error_of(await wire.meta.get(f"{path}?fields=colour"))["code"] == 100


async def test_only_who_wrote_lately_can_be_blocked_and_then_neither_reaches_the_other(wire: Wire) -> None:
    path = f"/{NUMBER}/block_users"
    await wire.writes()
    both = {"messaging_product": "whatsapp", "block_users": [{"user": f"+{ASHA}"}, {"user": RAVI}]}

    mixed = await wire.meta.post(path, json=both)

    done = mixed.json()["block_users"]
    assert (mixed.status_code, error_of(mixed)["code"]) == (400, 139100)
    assert done["added_users"] == [{"input": f"+{ASHA}", "wa_id": ASHA}]
    assert done["failed_users"][0]["wa_id"] == RAVI
    listed = (await wire.meta.get(path)).json()
    assert listed["data"] == [{"messaging_product": "whatsapp", "wa_id": ASHA}]
    assert listed["paging"]["cursors"]

    assert error_of(await wire.text())["code"] == 130403
    await wire.writes(type="text", text={"body": "are you there?"})
    await wire.writes(RAVI, type="text", text={"body": "hello"})
    await until(lambda: len(wire.receiver.messages) == 2)
    assert [one["from"] for one in wire.receiver.messages] == [ASHA, RAVI]

    alone = {
        "messaging_product": "whatsapp",
        "block_users": [{"user_id": wire.receiver.messages[0]["from_user_id"]}],
    }
    unblocked = await wire.meta.request("DELETE", path, json=alone)
    assert unblocked.json()["block_users"]["removed_users"][0]["wa_id"] == ASHA
    assert (await wire.meta.get(path)).json() == {"data": []}
    await until(lambda: not len(wire.sandbox.world.timeline))
    assert wamid_of(await wire.text())


async def test_short_links_are_made_changed_and_deleted(wire: Wire) -> None:
    path = f"/v25.0/{NUMBER}/message_qrdls"
    made = (
        await wire.meta.post(path, json={"prefilled_message": "One tea", "generate_qr_image": "SVG"})
    ).json()
    code = made["code"]
    changed = (await wire.meta.post(path, json={"code": code, "prefilled_message": "Two teas"})).json()

    assert made["qr_image_url"].endswith(".svg")
    assert changed == {
        "code": code,
        "prefilled_message": "Two teas",
        "deep_link_url": f"https://wa.me/message/{code}",
    }
    assert (await wire.meta.get(path)).json()["data"] == [changed]
    assert (await wire.meta.get(f"{path}/{code}")).json() == {"data": [changed]}
    assert (await wire.meta.delete(f"{path}/{code}")).json() == {"success": True}
    assert (await wire.meta.get(path)).json() == {"data": []}
    assert error_of(await wire.meta.delete(f"{path}/{code}"))["error_subcode"] == 33
    assert (await wire.meta.post(path, json={"prefilled_message": "x" * 141})).status_code == 400


async def test_starters_shop_and_username_are_kept(wire: Wire) -> None:
    automation = {
        "prompts": ["Book a table"],
        "commands": [{"command_name": "menu", "command_description": "See it"}],
    }
    await wire.meta.post(f"/{NUMBER}/conversational_automation", json=automation)
    await wire.meta.post(f"/{NUMBER}/whatsapp_commerce_settings?is_catalog_visible=true")
    await wire.meta.post(f"/{NUMBER}/username", json={"username": "tea.shop"})
    taken = await wire.meta.post(f"/{SECOND_NUMBER}/username", json={"username": "tea.shop"})
    too_many = await wire.meta.post(f"/{NUMBER}/conversational_automation", json={"prompts": ["x"] * 5})
    shop = (await wire.meta.get(f"/{NUMBER}/whatsapp_commerce_settings")).json()["data"][0]

    assert (await wire.meta.get(f"/{NUMBER}/conversational_automation")).json() == {
        **automation,
        "id": NUMBER,
    }
    assert (shop["is_cart_enabled"], shop["is_catalog_visible"]) == (True, True)
    assert (await wire.meta.get(f"/{NUMBER}/username")).json() == {
        "username": "tea.shop",
        "status": "approved",
    }
    assert error_of(taken)["code"] == 147001
    assert too_many.status_code == 400
    assert (await wire.meta.delete(f"/{NUMBER}/username")).json() == {"success": True}
    assert (await wire.meta.get(f"/{NUMBER}/official_business_account")).json()["id"] == NUMBER
    await until(lambda: len(fields_told(wire, "business_username_updates")) == 2)
    assert [one["status"] for one in fields_told(wire, "business_username_updates")] == [
        "approved",
        "deleted",
    ]
