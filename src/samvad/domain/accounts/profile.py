"""What a person of a team is like, and what may be changed of it. No I/O."""

import re
import uuid
import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from samvad.kit.errors import BadRequest

AVAILABILITIES = ("AVAILABLE", "NOT_AVAILABLE", "ON_BREAK")
LONGEST_NAME = 100  # characters, of each part of a name
LONGEST_GENDER = 50
LONGEST_BIO = 2_000
FARTHEST_BIRTH_MS = 8_640_000_000_000_000  # from the epoch, either way: what a date can hold anywhere

_zone_shape = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}")


@dataclass(frozen=True, slots=True)
class User:
    """Somebody of a team."""

    id: str
    team_id: str
    role_id: str
    role_name: str
    email: str
    username: str
    first_name: str
    middle_name: str
    last_name: str
    display_name: str
    gender: str | None
    bio: str | None
    profile_image_url: str | None
    cover_image_url: str | None
    timezone: str | None
    dob: int | None
    data: dict[str, Any] | None
    onboarding_data: dict[str, Any] | None
    is_active: bool
    deleted_at: int | None
    availability_status: str
    primary_phone: str | None
    reports_to: str | None
    created_at: int
    updated_at: int

    @property
    def email_id(self) -> str:
        """An id for their address, which has no row of its own: the same whenever it is asked."""
        return str(uuid.uuid5(uuid.UUID(self.id), f"mailto:{self.email}"))

    @property
    def phone_id(self) -> str:
        return str(uuid.uuid5(uuid.UUID(self.id), f"tel:{self.primary_phone}"))


@dataclass(frozen=True, slots=True)
class Shown:
    """Somebody as they are shown alone: with the name of the team, and who reports to them, directly or not."""

    user: User
    team_name: str
    reportees: tuple[User, ...]


def display_name_of(first_name: str, last_name: str) -> str:
    return f"{first_name} {last_name}".strip()


def split_name(name: str) -> tuple[str, str]:
    """First and last name, of one who gave both in one."""
    first, _, last = name.strip().partition(" ")
    return first, last.strip()


def read_profile(given: Mapping[str, Any]) -> dict[str, Any]:
    """What somebody wants changed of a person, by column. Raises BadRequest that names all that is wrong.

    What is not given stays; null or nothing clears what may be empty.
    """
    read, problems = {}, []
    for name, value in given.items():
        field = FIELDS.get(name)
        if field is None:
            problems.append(f"{name:.60} cannot be changed here; what can: {', '.join(FIELDS)}.")
            continue
        column, reader = field
        try:
            read[column] = reader(value)
        except ValueError as wrong:
            problems.append(f"{name} {wrong}; got {value!r:.60}.")
    if problems:
        raise BadRequest(*problems)
    return read


def with_display_name(user: User, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes, and the name to show: it follows first and last name until somebody chooses it."""
    first = changes.get("first_name", user.first_name)
    last = changes.get("last_name", user.last_name)
    chosen = changes.get("display_name", user.display_name)
    if "display_name" not in changes and chosen == display_name_of(user.first_name, user.last_name):
        chosen = ""
    return {**changes, "display_name": chosen or display_name_of(first, last)}


def difference(user: User, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Of the changes, those that change something."""
    return {column: value for column, value in changes.items() if getattr(user, column) != value}


def told(user: User, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What the log says of a change, under the names of the wire."""
    return {
        "changed": [wire_name(it) for it in changes],
        "before": {wire_name(it): getattr(user, it) for it in changes},
        "after": {wire_name(it): value for it, value in changes.items()},
    }


def wire_name(column: str) -> str:
    first, *others = column.removesuffix("_id").split("_")
    return first + "".join(map(str.capitalize, others))


def read_phone(given: str) -> str | None:
    """Digits, of a number as people write it; None of nothing."""
    digits = re.sub(r"\D", "", given)
    if given.strip() and not 7 <= len(digits) <= 15:
        raise BadRequest(f"{given!r:.60} is no phone number: 7 to 15 digits, with the country code.")
    return digits or None


def read_username(given: str) -> str:
    if not re.fullmatch(r"\S+", given) or len(given) > LONGEST_NAME:
        raise BadRequest(
            f"{given!r:.60} is no username: up to {LONGEST_NAME} characters, and none of them a space."
        )
    return given


def _text(longest: int, *, or_none: bool, needed: bool = False) -> Callable[[Any], str | None]:
    def read(value: Any) -> str | None:
        if value is None and not needed:
            return None if or_none else ""
        if not isinstance(value, str):
            raise ValueError("must be a string")
        word = value.strip()
        if needed and not word:
            raise ValueError("must not be empty")
        if len(value) > longest:
            raise ValueError(f"may have {longest:,} characters at most")
        return (word or None) if or_none else word

    return read


def _birth(value: Any) -> int | None:
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    if whole is None:
        return None
    if type(whole) is not int or abs(whole) > FARTHEST_BIRTH_MS:
        raise ValueError("must be a moment in milliseconds since the epoch")
    return whole


def _availability(value: Any) -> str:
    if value not in AVAILABILITIES:
        raise ValueError(f"must be one of {', '.join(AVAILABILITIES)}")
    return str(value)


def _zone(value: Any) -> str | None:
    if value in (None, ""):
        return None
    if not isinstance(value, str) or not _zone_shape.fullmatch(value):
        raise ValueError("must be the name of a time zone, like Asia/Kolkata")
    if _zones() and value not in _zones():
        raise ValueError("is no time zone that is known, like Asia/Kolkata")
    return value


@cache
def _zones() -> frozenset[str]:
    """All there are; none on a machine without the time zone database, where any name of the right shape will do."""
    return frozenset(zoneinfo.available_timezones())


FIELDS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "firstName": ("first_name", _text(LONGEST_NAME, or_none=False, needed=True)),
    "lastName": ("last_name", _text(LONGEST_NAME, or_none=False)),
    "middleName": ("middle_name", _text(LONGEST_NAME, or_none=False)),
    "displayName": ("display_name", _text(LONGEST_NAME, or_none=False)),
    "timezone": ("timezone", _zone),
    "bio": ("bio", _text(LONGEST_BIO, or_none=True)),
    "gender": ("gender", _text(LONGEST_GENDER, or_none=True)),
    "dob": ("dob", _birth),
    "availabilityStatus": ("availability_status", _availability),
}
"""What a person may have changed through the API: never username, role or password."""
