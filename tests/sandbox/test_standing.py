"""Numbers, accounts and tokens change under a client; Meta tells what it tells, and refuses what it refuses."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.sandbox.wire import (
    ASHA,
    NUMBER,
    SECRET,
    TOKEN,
    WABA,
    Wire,
    error_of,
    signature_of,
    until,
    wamid_of,
)

USAGE = "x-business-use-case-usage"


def told(wire: Wire, field: str) -> list[dict[str, Any]]:
    changes = [body["entry"][0]["changes"][0] for body in wire.receiver.bodies]
    return [change["value"] for change in changes if change["field"] == field]


async def number(wire: Wire, *fields: str) -> dict[str, Any]:
    read: dict[str, Any] = (
        await wire.meta.get(f"/v25.0/{NUMBER}", params={"fields": ",".join(fields)})
    ).json()
    return read


async def test_the_quality_and_the_limit_of_a_number_change_and_are_told(wire: Wire) -> None:
    for change in (
        {"quality_rating": "YELLOW"},
        {"quality_rating": "RED"},
        {"quality_rating": "GREEN"},
        {"messaging_limit": "TIER_2K"},
        {"throughput": "HIGH"},
    ):
        reply = await wire.control(f"/numbers/{NUMBER}", change)
        assert reply.status_code == 200, reply.text

    await until(lambda: len(told(wire, "phone_number_quality_update")) == 4)
    events = {one["event"] for one in told(wire, "phone_number_quality_update")}
    assert events == {"FLAGGED", "UNFLAGGED", "DOWNGRADE", "THROUGHPUT_UPGRADE"}
    assert told(wire, "business_capability_update")[0]["max_daily_conversations_per_business"] == "TIER_2K"
    read = await number(wire, "quality_rating", "whatsapp_business_manager_messaging_limit", "throughput")
    assert read["whatsapp_business_manager_messaging_limit"] == "TIER_2K"
    assert read["throughput"] == {"level": "HIGH"}
    body, headers = wire.receiver.posts[0]
    assert headers["x-hub-signature-256"] == signature_of(body, SECRET)


async def test_a_new_name_waits_for_a_decision(wire: Wire) -> None:
    asked = await wire.meta.post(f"/{NUMBER}", json={"new_display_name": "Tea House"})
    waiting = await number(wire, "new_name_status", "verified_name")

    await wire.control(f"/numbers/{NUMBER}", {"name": {"decision": "APPROVED"}})

    assert asked.json() == {"success": True}
    assert (waiting["new_name_status"], waiting["verified_name"]) == ("PENDING_REVIEW", "Tea Shop")
    await until(lambda: told(wire, "phone_number_name_update"))
    assert told(wire, "phone_number_name_update")[0]["requested_verified_name"] == "Tea House"
    assert (await number(wire, "verified_name"))["verified_name"] == "Tea House"


async def test_a_number_is_added_verified_and_registered_before_it_sends(wire: Wire, clock: Any) -> None:
    given = {"cc": "91", "phone_number": "98000 00001", "verified_name": "Tea Shop Delhi"}
    made = (await wire.meta.post(f"/{WABA}/phone_numbers", json=given)).json()["id"]
    twice = await wire.meta.post(f"/{WABA}/phone_numbers", json=given)

    async def post(edge: str, **body: Any) -> httpx.Response:
        return await wire.meta.post(f"/v25.0/{made}/{edge}", json={"messaging_product": "whatsapp", **body})

    message = {"to": ASHA, "type": "template"}
    message["template"] = {"name": "hello_world", "language": {"code": "en_US"}}  # type: ignore[assignment]
    early = [await post("register", pin="123456"), await post("messages", **message)]
    asked = await post("request_code", code_method="SMS", language="en_US")
    wrong = await post("verify_code", code="000000")
    right = await post("verify_code", code="123456")
    registered = await post("register", pin="123456")
    other_pin = await post("register", pin="654321")
    sent = await post("messages", **message)
    left = await post("deregister")
    too_soon = await post("register", pin="123456")
    clock.now += 301
    back = await post("register", pin="123456")

    assert error_of(twice)["error_subcode"] == 2388012
    assert [error_of(one)["code"] for one in early] == [133006, 133010]
    assert [one.json() for one in (asked, right, registered, left, back)] == [{"success": True}] * 5
    assert [error_of(one)["code"] for one in (wrong, other_pin, too_soon)] == [100, 133005, 133015]
    assert wamid_of(sent)
    assert made in [one["id"] for one in (await wire.meta.get(f"/{WABA}/phone_numbers")).json()["data"]]
    wire.sandbox.reset()
    assert error_of(await wire.meta.get(f"/{made}"))["error_subcode"] == 33


async def test_a_new_pin_is_told_as_security(wire: Wire) -> None:
    changed = await wire.meta.post(f"/{NUMBER}", json={"pin": "654321"})
    bad = await wire.meta.post(f"/{NUMBER}", json={"pin": "12"})

    assert changed.json() == {"success": True}
    assert error_of(bad)["code"] == 100
    await until(lambda: told(wire, "security"))
    assert told(wire, "security")[0]["event"] == "PIN_CHANGED"


async def test_a_banned_account_cannot_send_and_is_told(wire: Wire) -> None:
    ban = {
        "event": "DISABLED_UPDATE",
        "ban_info": {"waba_ban_state": "DISABLE", "waba_ban_date": "1 June 2026"},
    }
    alert = {"alert_severity": "CRITICAL", "alert_status": "NONE", "alert_type": "OBA_APPROVED"}

    await wire.control(f"/accounts/{WABA}", {"update": ban, "review": "REJECTED", "alert": alert})
    refused = await wire.template()
    await wire.control(f"/accounts/{WABA}", {"update": {**ban, "ban_info": {"waba_ban_state": "REINSTATE"}}})

    assert error_of(refused)["code"] == 131031
    assert wamid_of(await wire.template())
    await until(lambda: len(told(wire, "account_update")) == 2)
    assert ban in told(wire, "account_update")
    assert told(wire, "account_review_update") == [{"decision": "REJECTED"}]
    assert told(wire, "account_alerts")[0]["alert_info"] == alert
    read = (await wire.meta.get(f"/{WABA}", params={"fields": "account_review_status,status"})).json()
    assert (read["account_review_status"], read["status"]) == ("REJECTED", "ACTIVE")


async def test_an_app_that_was_unsubscribed_hears_nothing(wire: Wire) -> None:
    await wire.control(f"/accounts/{WABA}", {"subscribed": False})

    await wire.writes()
    apps = (await wire.meta.get(f"/{WABA}/subscribed_apps")).json()
    await wire.control(f"/accounts/{WABA}", {"subscribed": True})
    await wire.writes()

    await until(lambda: wire.receiver.messages)
    assert apps == {"data": []}
    assert len(wire.receiver.messages) == 1


async def test_a_token_expires_loses_scopes_and_is_described(wire: Wire, clock: Any) -> None:
    async def described() -> dict[str, Any]:
        read = await wire.meta.get("/v25.0/debug_token", params={"input_token": TOKEN})
        return read.json().get("data") or read.json()["error"]  # type: ignore[no-any-return]

    usual = await described()
    await wire.control("/tokens", {"scopes": ["whatsapp_business_management"]})
    no_messages, templates = await wire.template(), await wire.meta.get(f"/{WABA}/message_templates")
    await wire.control("/tokens", {"scopes": ["whatsapp_business_messaging"]})
    sent, no_templates = await wire.template(), await wire.meta.get(f"/{WABA}/message_templates")
    await wire.control("/tokens", {"expires_at": int(clock.now) + 60})
    still = await wire.template()
    clock.now += 61
    expired, read = await wire.template(), await wire.meta.get(f"/{WABA}")
    await wire.control("/tokens", {"revoked": True})
    revoked = await wire.template()
    await wire.control("/tokens", {})

    assert usual["is_valid"] is True
    assert {one["scope"] for one in usual["granular_scopes"]} == {
        "whatsapp_business_messaging",
        "whatsapp_business_management",
    }
    assert (error_of(no_messages)["code"], templates.status_code) == (10, 200)
    assert (sent.status_code, error_of(no_templates)["code"]) == (200, 200)
    assert still.status_code == 200
    assert [(error_of(one)["code"], error_of(one)["error_subcode"]) for one in (expired, read)] == [
        (190, 463)
    ] * 2
    assert error_of(revoked)["error_subcode"] == 467
    assert (await wire.template()).status_code == 200
    me, app = await wire.meta.get("/me"), await wire.meta.get(f"/v25.0/{usual['app_id']}")
    assert me.json()["id"] == usual["user_id"]
    assert app.json()["name"] == "Tea Shop app"
    nonsense = (await wire.meta.get("/debug_token", params={"input_token": "x"})).json()
    assert nonsense["data"]["is_valid"] is False


async def test_graph_tells_how_much_is_used_and_refuses_what_is_too_much(wire: Wire, clock: Any) -> None:
    wire.sandbox.configure(graph_calls_per_hour=2)

    first, second, third = [await wire.meta.get(f"/{WABA}") for _ in range(3)]
    clock.now += 3601
    later = await wire.meta.get(f"/{WABA}")
    wire.sandbox.refuse_next(130429)
    hurried = await wire.template()

    assert first.status_code == second.status_code == later.status_code == 200
    assert '"call_count":50' in first.headers[USAGE]
    assert error_of(third)["code"] == 80007
    assert '"estimated_time_to_regain_access":5' in third.headers[USAGE]
    assert f'"{WABA}"' in hurried.headers[USAGE]


async def test_trouble_can_be_ordered_for_calls_that_are_no_sends(wire: Wire) -> None:
    path = f"{WABA}/message_templates"
    await wire.control("/refusals", {"code": 4, "calls": "graph", "path": path, "times": 2})
    await wire.control(
        "/refusals", {"behaviour": "drop", "calls": "graph", "path": f"{WABA}/phone", "method": "get"}
    )

    sent, other = await wire.template(), await wire.meta.get(f"/v25.0/{WABA}")
    refused = [await wire.meta.get(f"/v25.0/{path}") for _ in range(3)]
    with pytest.raises(httpx.RemoteProtocolError):
        await wire.meta.get(f"/{WABA}/phone_numbers")

    assert (sent.status_code, other.status_code) == (200, 200)
    assert [one.status_code for one in refused] == [400, 400, 200]
    assert (await wire.meta.get(f"/{WABA}/phone_numbers")).status_code == 200
    wrong = await wire.control("/refusals", {"code": 4, "calls": "graph", "to": ASHA})
    assert wrong.status_code == 400


async def test_a_template_may_be_made_although_the_answer_was_lost(wire: Wire) -> None:
    body = [{"type": "BODY", "text": "Our tea is ready for you."}]
    given = {"name": "ready", "language": "en_US", "category": "UTILITY", "components": body}
    wire.sandbox.refuse_next(behaviour="accept_then_drop", calls="graph", method="POST")

    with pytest.raises(httpx.RemoteProtocolError):
        await wire.meta.post(f"/{WABA}/message_templates", json=given)

    assert (
        error_of(await wire.meta.post(f"/{WABA}/message_templates", json=given))["error_subcode"] == 2388024
    )


async def test_downloads_fail_hang_and_expire_when_it_is_ordered(wire: Wire) -> None:
    media = (await wire.writes(type="image"))["message"]["image"]
    await wire.control("/refusals", {"behaviour": "500", "calls": "media", "times": 2})
    await wire.control("/refusals", {"behaviour": "hang", "calls": "media"})

    failed = [await wire.meta.get(media["url"]) for _ in range(2)]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await wire.meta.get(media["url"])
    good = await wire.meta.get(media["url"])
    await wire.control(f"/media/{media['id']}/expire", {})
    void = await wire.meta.get(media["url"])
    fresh = (await wire.meta.get(f"/{media['id']}", params={"phone_number_id": NUMBER})).json()["url"]
    again = await wire.meta.get(fresh)
    stranger = await wire.meta.get(f"/{media['id']}", params={"phone_number_id": "880021"})
    await wire.control(f"/media/{media['id']}/expire", {"id": True})
    gone = await wire.meta.get(f"/{media['id']}")
    nothing = await wire.control(f"/media/{media['id']}/expire", {})

    assert [one.status_code for one in failed] == [500, 500]
    assert (good.status_code, void.status_code, again.status_code) == (200, 404, 200)
    assert [error_of(one)["error_subcode"] for one in (stranger, gone)] == [33, 33]
    assert nothing.status_code == 404


async def test_webhooks_get_lost_twice_overtake_each_other_and_come_all_the_same(wire: Wire) -> None:
    wire.sandbox.configure(drop=1, drop_attempts=2, retry={"first_s": 0.01}, jitter_ms=40)

    wamids = [(await wire.writes(text={"body": str(at)}))["wamid"] for at in range(20)]

    await until(lambda: len(wire.receiver.messages) == 20)
    arrived = [message["id"] for message in wire.receiver.messages]
    assert sorted(arrived) == sorted(wamids)
    assert arrived != wamids
    assert wire.sandbox.stats()["webhooks"]["failed_attempts"] == 40


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"/numbers/{NUMBER}", {"quality_rating": "BLUE"}),
        (f"/numbers/{NUMBER}", {"name": {"decision": "MAYBE"}}),
        (f"/numbers/{NUMBER}", {"colour": "red"}),
        (f"/accounts/{WABA}", {"update": {"happens": "X"}}),
        (f"/accounts/{WABA}", {"subscribed": "no"}),
        ("/tokens", {"scopes": "all"}),
        ("/templates/hello_world", {"status": "GOOD"}),
        ("/refusals", {"code": 4, "calls": "all"}),
    ],
)
async def test_a_mistake_is_the_callers(wire: Wire, path: str, body: dict[str, Any]) -> None:
    assert (await wire.control(path, body)).status_code == 400


async def test_strangers_are_not_found(wire: Wire) -> None:
    for path in ("/numbers/1", "/accounts/1", "/templates/nothing"):
        assert (
            await wire.control(path, {"fields": {}} if path != "/templates/nothing" else {})
        ).status_code == 404
