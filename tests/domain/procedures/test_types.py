"""Attribute types: what is kept of what was sent, and what is said of what cannot be."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samvad.domain.procedures.model import Attribute, Derived
from samvad.domain.procedures.types import (
    DEEPEST_OBJECT,
    LARGEST_OBJECT,
    LONGEST_FILTERABLE,
    LONGEST_PROSE,
    LONGEST_TEXT,
    MOST_ITEMS,
    TYPES,
    Mismatch,
    coerce,
    coercer_for,
    kind_of,
    nearest,
    problems_of,
)

INDIA = "Asia/Kolkata"
DAY = 86_400_000
MARCH_1 = 1_709_251_200_000  # 2024-03-01, in UTC
OPTIONS = {
    "stringEnum": ("fresh", "stale"),
    "multiStringEnum": ("fresh", "stale"),
    "integerEnum": (1, 2),
    "multiIntegerEnum": (1, 2),
    "floatEnum": (0.5, 1),
    "multiFloatEnum": (0.5, 1),
}


def attribute(type_: str, **more: Any) -> Attribute:
    return Attribute(short_id="it", type=type_, **({"options": OPTIONS.get(type_, ())} | more))


@pytest.mark.parametrize(
    ("type_", "given", "kept"),
    [
        ("string", "", ""),
        ("string", " as it is ", " as it is "),
        ("string", 5, "5"),
        ("string", 5.0, "5"),
        ("string", 0.1, "0.1"),
        ("string", True, "true"),
        ("integer", "105", 105),
        ("integer", " 105 ", 105),
        ("integer", "-7", -7),
        ("integer", 105.0, 105),
        ("integer", "1e3", 1000),
        ("number", 2**63 - 1, 2**63 - 1),
        ("integerId", "-9223372036854775808", -(2**63)),
        ("float", "1e3", 1000),
        ("float", "0.1", 0.1),
        ("float", -0.0, 0),
        ("float", 2**53 + 1, 2**53 + 1),
        ("float", "1e308", 1e308),
        ("decimal", ".5", 0.5),
        ("boolean", True, True),
        ("boolean", "Yes", True),
        ("boolean", "0", False),
        ("boolean", 1, True),
        ("boolean", 0.0, False),
        ("booleanText", True, "true"),
        ("booleanText", "NO", "no"),
        ("stringEnum", "fresh", "fresh"),
        ("integerEnum", "1", 1),
        ("floatEnum", "0.5", 0.5),
        ("floatEnum", 1.0, 1),
        ("multiIntegerEnum", "2", [2]),
        ("multiStringEnum", ["stale", "fresh", "stale"], ["stale", "fresh"]),
        ("multiString", "one", ["one"]),
        ("multiString", [], []),
        ("multiString", [1, "1", "b"], ["1", "b"]),
        ("date", "2024-03-01", MARCH_1),
        ("date", MARCH_1 + 1000, MARCH_1),
        ("date", "2024-03-01T23:59:59Z", MARCH_1),
        ("time", "09:30", 34_200_000),
        ("time", "9:30:05.25", 34_205_250),
        ("time", "34200000", 34_200_000),
        ("datetime", MARCH_1, MARCH_1),
        ("datetime", str(MARCH_1), MARCH_1),
        ("datetime", "2024-03-01", MARCH_1),
        ("datetime", "2024-03-01T05:30:00+05:30", MARCH_1),
        ("datetime", -1.0, -1),
        ("datetimeISO8601", "2024-03-01T09:30:00", "2024-03-01T09:30:00"),
        ("datetimeISO8601", "2024-03-01T09:30:00Z", "2024-03-01T09:30:00Z"),
        ("datetimeISO8601", "2024-03-01 09:30", "2024-03-01T09:30:00"),
        ("datetimeISO8601", MARCH_1, "2024-03-01T00:00:00.000+00:00"),
        ("monthOfYear", "March", 3),
        ("monthOfYear", "sep", 9),
        ("monthOfYear", "12", 12),
        ("phone", "+1 (555) 000-1111", "+1 (555) 000-1111"),
        ("phone", 15550001111, "15550001111"),
        ("phone", "5550100", "5550100"),
        ("email", " ada@example.com ", "ada@example.com"),
        ("url", "https://example.com/a?b", "https://example.com/a?b"),
        ("geolocation", ["12.5", 77], [12.5, 77]),
        ("photo", "f03ee609-0000-4000-8000-000000000001", "f03ee609-0000-4000-8000-000000000001"),
        ("multiPhotos", "one", ["one"]),
        ("user", 7, "7"),
        ("status", "OPEN", "OPEN"),
        ("customObject", {"a": [1, None]}, {"a": [1, None]}),
        ("multiExternalObject", {"a": 1}, [{"a": 1}]),
        ("multiExternalObject", [{"a": 1}, {"b": 2}, {"a": 1}], [{"a": 1}, {"b": 2}]),
        ("json", [1, {"a": None}], [1, {"a": None}]),
        ("json", "text", "text"),
    ],
)
def test_a_value_is_kept_in_the_form_of_its_type(type_: str, given: Any, kept: Any) -> None:
    value = coerce(attribute(type_), given)

    assert value == kept
    assert type(value) is type(kept)


@pytest.mark.parametrize(
    ("type_", "given", "sentence"),
    [
        ("integer", "abc", 'it must be a whole number; got "abc"'),
        ("integer", 1.5, "it must be a whole number; got 1.5"),
        ("integer", True, "it must be a whole number; got true"),
        ("integer", "1_000", 'it must be a whole number; got "1_000"'),
        ("integer", "١", 'it must be a whole number; got "١"'),
        ("integer", 2**63, "it must be a whole number of at most 64 bits; got 9223372036854775808"),
        ("float", "nan", 'it must be a number; got "nan"'),
        ("float", "1e999", 'it must be a number that a 64-bit float can hold; got "1e999"'),
        ("float", [1], "it must be a number; got a list"),
        ("boolean", "maybe", 'it must be true or false; got "maybe"'),
        ("boolean", 2, "it must be true or false; got 2"),
        ("stringEnum", "old", 'it must be one of "fresh", "stale"; got "old"'),
        ("integerEnum", "x", 'it must be one of 1, 2; got "x"'),
        ("multiStringEnum", ["fresh", "old"], 'it must be one of "fresh", "stale"; got "old"'),
        ("status", "open", 'it must be one of "OPEN", "COMPLETED", "CANCELLED"; got "open"'),
        ("string", {"a": 1}, "it must be text; got an object"),
        ("string", "a\0", 'it must not hold the character NUL; got "a\\u0000"'),
        (
            "string",
            "\ud800",
            'it must be text in Unicode, without halves of a surrogate pair; got "?"',
        ),
        ("email", "ada", 'it must be an e-mail address, like ada@example.com; got "ada"'),
        ("url", "javascript:alert(1)", "it must be an address that begins with https:// or http://; got"),
        ("phone", "call me", "it must be a phone number of 7 to 15 digits"),
        ("phone", "123456", "it must be a phone number of 7 to 15 digits"),
        ("date", "1.3.2024", "it must be a day: like 2024-03-01"),
        ("date", 10**18, "it must be a day"),
        ("time", "24:00", "it must be a time of day: like 09:30"),
        ("time", DAY, "it must be a time of day"),
        ("datetime", "yesterday", "it must be a moment: epoch milliseconds, or ISO 8601"),
        ("datetime", "0001-01-01T00:00:00+14:00", "it must be a moment"),
        ("datetimeISO8601", "soon", "it must be a moment"),
        ("monthOfYear", 13, "it must be a month: 1 to 12, or its English name; got 13"),
        ("geolocation", [91, 0], "latitudes go from -90 to 90"),
        ("geolocation", "12,77", "it must be [latitude, longitude]"),
        ("photo", "", "it must be an id, not an empty text"),
        ("cart", [], "it must be an object; got a list"),
        ("multiCustomObject", [1], "it must be a list of objects"),
        ("json", ["\0"], "it must not hold the character NUL"),
        ("json", {"a\0": 1}, "it must not hold the character NUL"),
        ("json", ["\ud800"], "it must be JSON"),
    ],
)
def test_what_cannot_be_kept_is_a_sentence_that_names_the_attribute(
    type_: str, given: Any, sentence: str
) -> None:
    with pytest.raises(Mismatch) as refused:
        coerce(attribute(type_), given)

    assert str(refused.value).startswith(sentence) or sentence in str(refused.value)


def test_the_characters_that_only_look_like_nul_are_kept() -> None:
    assert coerce(attribute("json"), ["\\u0000"]) == ["\\u0000"]


@pytest.mark.parametrize(
    ("type_", "longest", "filterable"),
    [
        ("string", LONGEST_TEXT, False),
        ("text", LONGEST_PROSE, False),
        ("html", LONGEST_PROSE, False),
        ("text", LONGEST_FILTERABLE, True),
        ("name", LONGEST_FILTERABLE, True),
    ],
)
def test_a_text_has_a_limit(type_: str, longest: int, filterable: bool) -> None:
    it = attribute(type_, filterable=filterable)

    assert coerce(it, "😀" * longest) == "😀" * longest
    with pytest.raises(Mismatch, match=f"at most {longest:,} characters"):
        coerce(it, "😀" * (longest + 1))


def test_a_list_and_an_object_have_limits() -> None:
    coerce(attribute("multiString"), [str(it) for it in range(MOST_ITEMS)])
    with pytest.raises(Mismatch, match="at most 1,000 items"):
        coerce(attribute("multiString"), [str(it) for it in range(MOST_ITEMS + 1)])

    coerce(attribute("json"), "x" * (LARGEST_OBJECT - 2))
    with pytest.raises(Mismatch, match="at most 64 KiB"):
        coerce(attribute("json"), "x" * (LARGEST_OBJECT - 1))

    deep: Any = 1
    for _ in range(DEEPEST_OBJECT):
        deep = [deep]
    coerce(attribute("json"), deep)
    with pytest.raises(Mismatch, match="nested at most 50 deep"):
        coerce(attribute("json"), [deep])


def test_days_and_times_without_an_offset_are_those_of_the_team() -> None:
    half_past_five = 19_800_000

    assert coerce(attribute("date"), "2024-03-01", zone=INDIA) == MARCH_1 - half_past_five
    assert coerce(attribute("date"), MARCH_1, zone=INDIA) == MARCH_1 - half_past_five
    assert coerce(attribute("date"), "2024-02-29T19:00:00Z", zone=INDIA) == MARCH_1 - half_past_five
    assert coerce(attribute("datetime"), "2024-03-01T05:30:00", zone=INDIA) == MARCH_1
    assert coerce(attribute("datetime"), "2024-03-01T05:30:00Z", zone=INDIA) == MARCH_1 + half_past_five
    assert coerce(attribute("datetimeISO8601"), MARCH_1, zone=INDIA) == "2024-03-01T05:30:00.000+05:30"


def test_an_unknown_zone_is_named() -> None:
    for zone in ("Asia/Nowhere", "../etc/passwd", "", "Europe"):
        with pytest.raises(Mismatch, match="there is no time zone"):
            coerce(attribute("date"), "2024-03-01", zone=zone)


def test_a_function_is_made_once_for_what_it_depends_on() -> None:
    one = attribute(
        "string", name="One", derived=Derived(count="tasks", of="tasks", where={"status": "OPEN"})
    )
    other = attribute("string", name="Other")

    assert coercer_for(one) is coercer_for(other)
    assert coercer_for(one) is not coercer_for(attribute("string", filterable=True))


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["2024-03-01", "09:30", "march", "a@b", "https://x", "fresh", "1e3", "+15550001111"])
    | st.datetimes(timezones=st.none() | st.timezones()).map(lambda it: it.isoformat())
    | st.integers(-70_000_000_000_000, 260_000_000_000_000),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@pytest.mark.parametrize("type_", TYPES)
@given(value=json_values.filter(lambda it: it is not None), zone=st.none() | st.timezone_keys())
def test_whatever_comes_in_is_kept_once_and_for_all_or_refused(
    type_: str, value: Any, zone: str | None
) -> None:
    it = attribute(type_)
    try:
        kept = coerce(it, value, zone=zone)
    except Mismatch as refused:
        assert str(refused).startswith("it ")  # noqa: PT017
        return

    again = coerce(it, kept, zone=zone)

    assert (again, repr(again)) == (kept, repr(kept))
    assert json.loads(json.dumps(kept)) == kept


@pytest.mark.parametrize("type_", TYPES)
def test_every_type_can_be_declared(type_: str) -> None:
    assert problems_of(attribute(type_)) == []
    assert kind_of(attribute(type_)) in ("text", "number", "boolean", "texts", "numbers", "opaque")


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        (attribute("strin"), 'it has the type "strin", which there is not; did you mean string?'),
        (attribute("isoDatetime8601"), "did you mean datetimeISO8601?"),
        (attribute("zzz"), "the types are string, text,"),
        (attribute("stringEnum", options=()), "it is a stringEnum and needs options"),
        (attribute("stringEnum", options=(1,)), "Each option of it must be text; got 1."),
        (attribute("integerEnum", options=("1",)), 'Each option of it must be a whole number; got "1".'),
        (attribute("integerEnum", options=(True,)), "Each option of it must be a whole number; got true."),
        (attribute("floatEnum", options=([1],)), "Each option of it must be a number; got a list."),
        (attribute("multiStringEnum", options=("a", "a")), 'it has the option "a" more than once.'),
        (attribute("floatEnum", options=(1, 1.0)), "it has the option 1 more than once."),
        (attribute("integerEnum", options=tuple(range(1001))), "at most 1000 are possible"),
        (attribute("string", options=("a",)), "it has options, which string does not use"),
        (attribute("json", filterable=True), "it cannot be filterable"),
        (attribute("string", derived=Derived()), "exactly one of formula, count and sum; it has 0."),
        (attribute("string", required=True, derived=Derived(formula="1")), "nobody can be required"),
    ],
)
def test_a_wrong_declaration_is_a_sentence(declared: Attribute, problem: str) -> None:
    (said,) = problems_of(declared)

    assert problem in said


def test_the_nearest_word_is_told_whatever_its_capitals() -> None:
    assert nearest("FIRSTNAME", ["lastname", "firstName"]) == "firstName"
    assert nearest("", ["a"]) is None


def test_a_moment_of_a_day_when_zones_had_seconds_is_kept_as_it_is_written():
    one = Attribute(short_id="at", type="datetimeISO8601")

    written = coerce(one, -3_000_000_000_289, zone="Europe/Paris")

    assert coerce(one, written, zone="Europe/Paris") == written
