"""What Meta's webhooks say of people apart from their messages; a value in, frozen values out, no I/O.

`user_preferences` brings a person's word on marketing messages, `user_id_update` a new business-scoped user
id (BSUID), `smb_app_state_sync` the names of the business phone's address book.
"""

from collections.abc import Iterator
from typing import NamedTuple

from samvad.whatsapp.webhooks import Json, digits, milliseconds, objects, word

MARKETING = {"stop": "stop", "resume": "resume", "signup": "resume"}
"""Meta's words on marketing messages; who signs up wants them."""


class Told(NamedTuple):
    """What was said of one person: all that they are known by, and what is new. `at` is epoch milliseconds."""

    phone: str | None
    bsuids: tuple[str, ...]
    at: int | None
    name: str | None = None
    marketing: str | None = None


FIELDS = ("user_preferences", "user_id_update", "smb_app_state_sync")


def read(field: str, value: Json) -> Iterator[Told]:
    """Everyone a value of one of FIELDS says something of; what cannot be understood is left out."""
    match field:
        case "user_preferences":
            yield from _preferences(value)
        case "user_id_update":
            yield from _new_ids(value)
        case "smb_app_state_sync":
            yield from _address_book(value)


def _preferences(value: Json) -> Iterator[Told]:
    for it in objects(value.get("user_preferences")):
        said = MARKETING.get(word(it.get("value")) or "")
        if said and it.get("category") in (None, "marketing_messages"):
            yield Told(
                digits(it.get("wa_id")),
                _ids(it.get("user_id")),
                milliseconds(it.get("timestamp")),
                None,
                said,
            )


def _new_ids(value: Json) -> Iterator[Told]:
    """The value is one update, or holds a list of them."""
    for it in objects(value.get("user_id_update")) or [value]:
        ids = it.get("user_id")
        if isinstance(ids, dict):
            both = _ids(ids.get("previous"), ids.get("current"))
            yield Told(digits(it.get("wa_id")), both, milliseconds(it.get("timestamp")))


def _address_book(value: Json) -> Iterator[Told]:
    for it in objects(value.get("state_sync")):
        card, about = it.get("contact"), it.get("metadata")
        if isinstance(card, dict) and it.get("action") != "remove":
            at = milliseconds(about.get("timestamp")) if isinstance(about, dict) else None
            name = word(card.get("full_name")) or word(card.get("first_name"))
            yield Told(digits(card.get("phone_number")), _ids(card.get("user_id")), at, name)


def _ids(*given: object) -> tuple[str, ...]:
    return tuple(dict.fromkeys(it for one in given if (it := word(one)) is not None))
