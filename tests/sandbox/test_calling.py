"""Voice calls between a business and virtual phones."""

from typing import Any

import httpx

from tests.sandbox.conftest import Clock
from tests.sandbox.test_number_areas import fields_told
from tests.sandbox.wire import ASHA, NUMBER, Wire, error_of, until, wamid_of

OFFER = {"sdp_type": "offer", "sdp": "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"}
ANSWER = {**OFFER, "sdp_type": "answer"}
ASK = {
    "type": "call_permission_request",
    "body": {"text": "May we call you?"},
    "action": {"name": "call_permission_request"},
}


async def switch_on(wire: Wire, **more: Any) -> None:
    reply = await wire.meta.post(f"/{NUMBER}/settings", json={"calling": {"status": "ENABLED", **more}})
    assert reply.status_code == 200


async def allow(wire: Wire, **more: Any) -> str:
    """Ask Asha, who writes first and then says yes; answers the id of the question."""
    await wire.writes()
    asked = wamid_of(await wire.send("interactive", ASK))
    reply = await wire.control(f"/phones/{ASHA}/call-permission", {"response": "accept", **more})
    assert reply.status_code == 200, reply.text
    return asked


async def act(wire: Wire, action: str, **more: Any) -> httpx.Response:
    body = {"messaging_product": "whatsapp", "action": action, **more}
    return await wire.meta.post(f"/v25.0/{NUMBER}/calls", json=body)


def events(wire: Wire) -> list[str]:
    """Every event and status of calls, in the order they were told."""
    told = []
    for value in fields_told(wire, "calls"):
        told += [one["event"] for one in value.get("calls", ())]
        told += [one["status"] for one in value.get("statuses", ())]
    return told


async def test_a_business_calls_who_allowed_it_and_hears_how_it_went(wire: Wire, clock: Clock) -> None:
    await switch_on(wire)
    asked = await allow(wire)
    made = await act(wire, "connect", to=f"+{ASHA}", session=OFFER, biz_opaque_callback_data="mine")
    call_id = made.json()["calls"][0]["id"]
    await until(lambda: events(wire) == ["call_created", "RINGING"])

    taken = await wire.control(f"/phones/{ASHA}/call/accept", {})
    await until(lambda: len(events(wire)) == 4)
    clock.now += 120
    done = await act(wire, "terminate", call_id=call_id)

    await until(lambda: len(events(wire)) == 5)
    told = fields_told(wire, "calls")
    assert made.json()["messaging_product"] == "whatsapp"
    assert call_id.startswith("wacid.")
    assert taken.json()["state"] == "connected"
    assert done.json() == {"messaging_product": "whatsapp", "success": True}
    answer = next(value["calls"][0] for value in told[2:4] if "calls" in value)
    assert (answer["event"], answer["direction"], answer["session"]["sdp_type"]) == (
        "connect",
        "BUSINESS_INITIATED",
        "answer",
    )
    assert answer["session"]["sdp"] == taken.json()["answer"]
    over = told[4]["calls"][0]
    assert (over["status"], over["duration"], over["from"], over["to"]) == (
        "COMPLETED",
        120,
        "14155550123",
        ASHA,
    )
    assert {value["contacts"][0]["wa_id"] for value in told} == {ASHA}
    assert over["biz_opaque_callback_data"] == "mine"
    reply = wire.receiver.messages[-1]
    assert reply["context"]["id"] == asked
    assert (
        reply["interactive"]["call_permission_reply"]["expiration_timestamp"] == clock.now - 120 + 7 * 86_400
    )


async def test_a_call_can_be_refused_taken_at_once_or_left_ringing(wire: Wire) -> None:
    await switch_on(wire)
    await allow(wire, is_permanent=True)
    await act(wire, "connect", to=ASHA, session=OFFER)
    again = await act(wire, "connect", to=ASHA, session=OFFER)
    await until(lambda: len(events(wire)) == 2)
    await wire.control(f"/phones/{ASHA}/call/reject", {})
    await wire.control("/settings", {"takes_calls": "accept"})
    await act(wire, "connect", to=ASHA, session=OFFER)
    await until(lambda: "ACCEPTED" in events(wire))
    await wire.control(f"/phones/{ASHA}/call/hang-up", {})

    await until(lambda: events(wire).count("terminate") == 2)
    assert error_of(again)["code"] == 138003
    ends = [one for value in fields_told(wire, "calls") for one in value.get("calls", ()) if "status" in one]
    assert sorted(one["status"] for one in ends) == ["COMPLETED", "FAILED"]
    assert "REJECTED" in events(wire)
    assert (await wire.control(f"/phones/{ASHA}/call/hang-up", {})).status_code == 404


async def test_nobody_is_called_without_calling_switched_on_and_permission(wire: Wire, clock: Clock) -> None:
    off = await act(wire, "connect", to=ASHA, session=OFFER)
    await switch_on(wire)
    unasked = await act(wire, "connect", to=ASHA, session=OFFER)
    await allow(wire)
    clock.now += 7 * 86_400
    too_late = await act(wire, "connect", to=ASHA, session=OFFER)

    assert [error_of(one)["code"] for one in (off, unasked, too_late)] == [138000, 138006, 138006]
    for wrong in (
        {"action": "sing"},
        {"action": "connect", "session": OFFER},
        {"action": "connect", "to": ASHA},
        {"action": "connect", "to": ASHA, "session": ANSWER},
        {"action": "connect", "to": ASHA, "session": {**OFFER, "sdp": "hello"}},
        {"action": "terminate", "call_id": "wacid.none"},
        {"action": "terminate"},
    ):
        assert (await act(wire, **wrong)).status_code == 400, wrong


async def test_permission_is_asked_once_a_day_and_its_state_can_be_read(wire: Wire, clock: Clock) -> None:
    path = f"/{NUMBER}/call_permissions?user_wa_id={ASHA}"
    await switch_on(wire)
    before = (await wire.meta.get(path)).json()
    await wire.writes()
    await wire.send("interactive", ASK)
    again = await wire.send("interactive", ASK)
    asked = (await wire.meta.get(path)).json()["actions"][0]
    await wire.control(f"/phones/{ASHA}/call-permission", {"response": "accept"})
    after = (await wire.meta.get(path)).json()

    assert before["permission"] == {"status": "no_permission"}
    assert [one["can_perform_action"] for one in before["actions"]] == [True, False]
    assert error_of(again)["code"] == 138009
    assert asked["limits"][0]["current_usage"] == 1
    assert asked["limits"][0]["limit_expiration_time"] == clock.now + 86_400
    assert after["permission"] == {"status": "temporary", "expiration_time": clock.now + 7 * 86_400}
    assert after["actions"][1]["can_perform_action"] is True
    await wire.control(f"/phones/{ASHA}/call-permission", {"response": "reject"})
    assert (await wire.meta.get(path)).json()["permission"]["status"] == "no_permission"


async def test_a_customer_calls_and_the_business_takes_it(wire: Wire, clock: Clock) -> None:
    refused = await wire.control(f"/phones/{ASHA}/call", {})
    await switch_on(wire, callback_permission_status="ENABLED")
    call = (await wire.control(f"/phones/{ASHA}/call", {})).json()
    call_id = call["call_id"]
    await until(lambda: events(wire) == ["connect"])
    ready = await act(wire, "pre_accept", call_id=call_id, session=ANSWER)
    other = await act(wire, "accept", call_id=call_id, session={**ANSWER, "sdp": ANSWER["sdp"] + "a=x\r\n"})
    taken = await act(wire, "accept", call_id=call_id, session=ANSWER)
    clock.now += 30
    await wire.control(f"/phones/{ASHA}/call/hang-up", {})

    await until(lambda: events(wire) == ["connect", "terminate"])
    began, over = (value["calls"][0] for value in fields_told(wire, "calls"))
    assert refused.status_code == 400
    assert (began["from"], began["to"], began["direction"]) == (ASHA, "14155550123", "USER_INITIATED")
    assert began["session"] == {"sdp_type": "offer", "sdp": call["offer"]}
    assert [one.status_code for one in (ready, other, taken)] == [200, 400, 200]
    assert (over["status"], over["duration"]) == ("COMPLETED", 30)
    await until(lambda: wire.receiver.messages)
    reply = wire.receiver.messages[0]["interactive"]["call_permission_reply"]
    assert (reply["response"], reply["response_source"]) == ("accept", "automatic")
    assert (await act(wire, "terminate", call_id=call_id)).status_code == 400


async def test_the_business_can_reject_a_customers_call(wire: Wire) -> None:
    await switch_on(wire)
    call_id = (await wire.control(f"/phones/{ASHA}/call", {})).json()["call_id"]

    assert (await act(wire, "reject", call_id=call_id)).json()["success"] is True

    await until(lambda: events(wire) == ["connect", "terminate"])
    over = fields_told(wire, "calls")[1]["calls"][0]
    assert over["status"] == "FAILED"
    assert "duration" not in over
