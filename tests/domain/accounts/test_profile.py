"""What may be changed of a person, and how their name follows."""

import dataclasses
import zoneinfo
from typing import Any

import pytest

from samvad.domain.accounts import profile
from samvad.domain.accounts.profile import (
    FARTHEST_BIRTH_MS,
    User,
    difference,
    read_phone,
    read_profile,
    read_username,
    split_name,
    told,
    wire_name,
    with_display_name,
)
from samvad.kit.errors import BadRequest

_sam: dict[str, Any] = {
    **{field.name: None for field in dataclasses.fields(User)},
    "id": "01942000-0000-7000-8000-000000000005",
    "first_name": "Sam",
    "last_name": "Byron",
    "display_name": "Sam Byron",
    "email": "sam@example.com",
    "primary_phone": "15550001111",
}
SAM = User(**_sam)


def test_everything_wrong_with_a_change_is_named_at_once() -> None:
    given = {
        "firstName": " ",
        "lastName": 5,
        "bio": "x" * 2001,
        "timezone": "Mars",
        "dob": 1.5,
        "availabilityStatus": None,
        "username": "sam",
        "passwordHash": "x",
    }

    with pytest.raises(BadRequest) as refused:
        read_profile(given)

    assert [it.partition(" ")[0] for it in refused.value.problems] == list(given)
    assert "2,000" in refused.value.problems[2]
    assert "Asia/Kolkata" in refused.value.problems[3]
    assert "firstName, lastName" in refused.value.problems[-1]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({}, {}),
        ({"firstName": " Sam "}, {"first_name": "Sam"}),
        ({"lastName": None, "middleName": ""}, {"last_name": "", "middle_name": ""}),
        ({"bio": None, "gender": " "}, {"bio": None, "gender": None}),
        ({"dob": 478137600000.0}, {"dob": 478137600000}),
        ({"dob": -FARTHEST_BIRTH_MS}, {"dob": -FARTHEST_BIRTH_MS}),
        ({"dob": None, "timezone": ""}, {"dob": None, "timezone": None}),
        ({"timezone": "Asia/Kolkata"}, {"timezone": "Asia/Kolkata"}),
        ({"availabilityStatus": "ON_BREAK"}, {"availability_status": "ON_BREAK"}),
    ],
)
def test_a_good_change_is_read(given: dict[str, Any], read: dict[str, Any]) -> None:
    assert read_profile(given) == read


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("firstName", None),
        ("firstName", "x" * 101),
        ("dob", True),
        ("dob", FARTHEST_BIRTH_MS + 1),
        ("dob", "1985-01-01"),
        ("timezone", "../../etc/passwd"),
        ("timezone", 5),
        ("availabilityStatus", "available"),
        ("availabilityStatus", ["ON_BREAK"]),
    ],
)
def test_a_bad_change_is_refused(field: str, value: Any) -> None:
    with pytest.raises(BadRequest, match=field):
        read_profile({field: value})


def test_without_a_time_zone_database_the_shape_of_a_name_must_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoneinfo, "available_timezones", set)
    profile._zones.cache_clear()
    try:
        assert read_profile({"timezone": "Moon/Tranquility"}) == {"timezone": "Moon/Tranquility"}
        with pytest.raises(BadRequest):
            read_profile({"timezone": "no zone"})
    finally:
        profile._zones.cache_clear()


def test_the_shown_name_follows_first_and_last_until_it_is_chosen() -> None:
    ada = with_display_name(SAM, {"first_name": "Ada"})
    assert ada["display_name"] == "Ada Byron"

    chosen = dataclasses.replace(SAM, display_name="The Countess")
    assert with_display_name(chosen, {"first_name": "Ada"})["display_name"] == "The Countess"
    assert with_display_name(chosen, {"display_name": "", "last_name": ""})["display_name"] == "Sam"
    assert with_display_name(SAM, {"display_name": "S."})["display_name"] == "S."


def test_only_what_is_different_is_told_under_the_names_of_the_wire() -> None:
    changes = difference(SAM, {"first_name": "Ada", "last_name": "Byron", "role_id": "r"})

    assert told(SAM, changes) == {
        "changed": ["firstName", "role"],
        "before": {"firstName": "Sam", "role": None},
        "after": {"firstName": "Ada", "role": "r"},
    }
    assert [wire_name(it) for it in ("is_active", "reports_to", "dob")] == ["isActive", "reportsTo", "dob"]


def test_an_address_has_an_id_that_stays_and_is_its_own() -> None:
    moved = dataclasses.replace(SAM, email="s@example.com")

    assert SAM.email_id == dataclasses.replace(SAM, bio="x").email_id
    assert len({SAM.email_id, moved.email_id, SAM.phone_id, SAM.id}) == 4


def test_names_numbers_and_usernames_as_people_write_them() -> None:
    assert split_name(" Ada  King Byron ") == ("Ada", "King Byron")
    assert split_name("Ada") == ("Ada", "")
    assert read_phone("+1 (555) 000-1111") == "15550001111"
    assert read_phone(" ") is None
    for phone in ("12", "call me", "1" * 16):
        with pytest.raises(BadRequest, match="7 to 15 digits"):
            read_phone(phone)
    for username in ("", "two words", "x" * 101):
        with pytest.raises(BadRequest, match="no username"):
            read_username(username)
