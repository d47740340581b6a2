"""Graph calls that add a number to an account, verify it, and register it with the Cloud API."""

import re

from samvad.sandbox import subscriptions
from samvad.sandbox.errors import GraphError, invalid, parameter, parameter_is_required
from samvad.sandbox.model import Json, PhoneNumber
from samvad.sandbox.news import tell_of_account
from samvad.sandbox.nodes import AccountCalls, Call, NumberCalls
from samvad.sandbox.standing import Standing
from samvad.sandbox.world import Account, Number

CODE = "123456"
"""What WhatsApp sends to verify a number; nobody else is there to receive it."""

REGISTRATIONS, REGISTRATIONS_PERIOD_S = 10, 72 * 3600
REST_S = 5 * 60  # between leaving and registering again
MAX_NUMBERS = 20
_PIN = re.compile(r"\d{6}")


async def add(call: Call, account: Account) -> Json:
    """POST /{waba}/phone_numbers: a number that still has to be verified and registered."""
    given = await call.parameters()
    country = str(given.get("cc") or given.get("country_code") or "")
    rest = re.sub(r"[ ()+-]", "", str(given.get("phone_number") or ""))
    for name, value in (
        ("cc", country),
        ("phone_number", rest),
        ("verified_name", given.get("verified_name")),
    ):
        if not value:
            raise parameter_is_required(name)
    digits = country.lstrip("+") + rest
    if not (digits.isascii() and digits.isdecimal() and 5 <= len(digits) <= 15):
        raise parameter("phone_number", "is not a valid phone number.")
    world = call.world
    if any(number.display == digits for number in world.numbers.values()):
        raise invalid(
            "Phone number already exists", "This number is registered to an account already.", 2388012
        )
    if len(account.numbers) >= MAX_NUMBERS:
        raise invalid("Too many phone numbers", f"An account has at most {MAX_NUMBERS} numbers.")
    fresh = PhoneNumber(id=world.identities.object_id(), display=digits, verified_name=given["verified_name"])
    number = world.add_number(account, fresh)
    world.area(Standing).of_number(number).update(
        status="PENDING", code_verification_status="NOT_VERIFIED", name_status="PENDING_REVIEW"
    )
    return {"id": number.id}


async def request_code(call: Call, number: Number) -> Json:
    """POST /{phone-number-id}/request_code."""
    given = await call.parameters()
    if str(given.get("code_method", "")).upper() not in ("SMS", "VOICE"):
        raise parameter("code_method", "must be one of {SMS, VOICE}.")
    if not given.get("language"):
        raise parameter_is_required("language")
    return {"success": True}


async def verify_code(call: Call, number: Number) -> Json:
    """POST /{phone-number-id}/verify_code; the code is always the same here."""
    given = await call.parameters()
    if str(given.get("code", "")).replace("-", "") != CODE:
        raise invalid("Verify code error", "The code you entered is not correct.")
    call.world.area(Standing).of_number(number)["code_verification_status"] = "VERIFIED"
    return {"success": True}


async def register(call: Call, number: Number) -> Json:
    """POST /{phone-number-id}/register, with the PIN of two-step verification, which is set if there is none."""
    given = await call.parameters()
    if given.get("messaging_product") != "whatsapp":
        raise parameter_is_required("messaging_product")
    pin = _pin(given)
    world, standing = call.world, call.world.area(Standing)
    fields = standing.of_number(number)
    if fields.get("code_verification_status", "VERIFIED") != "VERIFIED":
        raise GraphError(133006, "The phone number must be verified before it is registered.")
    if standing.pins.get(number.id, pin) != pin:
        raise GraphError(133005, "Two step verification PIN does not match.")
    if world.clock() - standing.left_at.get(number.id, 0) < REST_S:
        raise GraphError(133015, "Wait five minutes after a deregistration.")
    _count_registration(call, number)
    standing.pins[number.id] = pin
    fields["status"] = "CONNECTED"
    return {"success": True}


async def deregister(call: Call, number: Number) -> Json:
    """POST /{phone-number-id}/deregister."""
    _count_registration(call, number)
    standing = call.world.area(Standing)
    standing.of_number(number)["status"] = "DISCONNECTED"
    standing.left_at[number.id] = call.world.clock()
    return {"success": True}


async def change(call: Call, number: Number) -> Json:
    """POST /{phone-number-id}: a new PIN, a new name, or a webhook override."""
    given = await call.parameters()
    world, standing = call.world, call.world.area(Standing)
    if given.get("pin") is not None:
        standing.pins[number.id] = _pin(given)
        value = {
            "display_phone_number": number.display,
            "event": "PIN_CHANGED",
            "requester": number.account.app_id,
        }
        tell_of_account(world, number.account, "security", value)
        return {"success": True}
    if given.get("new_display_name") is not None:
        name = given["new_display_name"]
        if not isinstance(name, str) or not 3 <= len(name) <= 75:
            raise parameter("new_display_name", "must have 3 to 75 characters.")
        standing.of_number(number).update(new_display_name=name, new_name_status="PENDING_REVIEW")
        return {"success": True}
    return await subscriptions.configure_number(call, number, given)


ACCOUNT_CALLS: AccountCalls = {("POST", "phone_numbers"): add}
NUMBER_CALLS: NumberCalls = {
    ("POST", "request_code"): request_code,
    ("POST", "verify_code"): verify_code,
    ("POST", "register"): register,
    ("POST", "deregister"): deregister,
    ("POST", ""): change,
}


def _pin(given: Json) -> str:
    pin = given.get("pin")
    if pin is None:
        raise parameter_is_required("pin")
    if not _PIN.fullmatch(str(pin)):
        raise parameter("pin", "must be 6 digits.")
    return str(pin)


def _count_registration(call: Call, number: Number) -> None:
    now = call.world.clock()
    times = call.world.area(Standing).registrations.setdefault(number.id, [])
    times[:] = [at for at in times if at > now - REGISTRATIONS_PERIOD_S]
    if len(times) >= REGISTRATIONS:
        raise GraphError(133016, "At most 10 registrations and deregistrations are made in 72 hours.")
    times.append(now)
