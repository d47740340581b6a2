"""People as calls name them: by phone number or by user id; and as webhooks introduce them."""

from typing import Any

from samvad.sandbox.errors import GraphError, parameter_is_required
from samvad.sandbox.model import Json
from samvad.sandbox.world import Account, Number, World

_TO_DIGITS = str.maketrans("", "", "+-() .")


def digits_of(given: Any) -> str | None:
    """The digits of a phone number as people write it, None when it is none."""
    digits = given.translate(_TO_DIGITS) if isinstance(given, str) else ""
    return digits if digits.isascii() and digits.isdecimal() and 5 <= len(digits) <= 15 else None


def person(world: World, number: Number, phone: Any, bsuid: Any, names: tuple[str, str]) -> str:
    """The digits of the person a call is about; a refusal uses the `names` of the two parameters."""
    if phone in (None, ""):
        if bsuid in (None, ""):
            raise parameter_is_required(names[0])
        digits = by_user_id(world, number.account, bsuid)
        if digits is None:
            raise GraphError(131009, f"Parameter '{names[1]}' is not a valid user id.")
        return digits
    found = digits_of(str(phone))
    if found is None:
        raise GraphError(131009, f"Parameter '{names[0]}' is not a valid phone number.")
    return found


def by_user_id(world: World, account: Account, bsuid: Any) -> str | None:
    """Whom this account knows by a user id; the id of another business means nobody."""
    digits = world.people.get(bsuid) if isinstance(bsuid, str) else None
    return digits if digits and world.user_id(account, digits) == bsuid else None


def contact(world: World, number: Number, digits: str) -> Json:
    """The person as `contacts` of a webhook introduces them; who adopted a username shows no number."""
    phone = world.phone(digits)
    bsuid = world.user_id(number.account, digits)
    profile: Json = {"name": phone.name}
    if phone.hidden:
        return {"profile": profile | {"username": f"customer.{bsuid[-6:]}"}, "user_id": bsuid}
    return {"profile": profile, "wa_id": digits, "user_id": bsuid}
