"""Phone numbers as digits with the country code, nothing else; and which of them are one line."""

import re

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat

from samvad.kit.errors import BadRequest

SHORTEST, LONGEST = 7, 15  # digits; ITU E.164 allows at most 15
LONGEST_AT_HOME = 10  # digits; a longer one that is valid nowhere is taken to have its country code

_decoration = re.compile(r"[\s+\-().\u2010-\u2015\u00a0]")
_abroad = re.compile(r"00+")
_in_mexico = re.compile(r"(?:01|02|044|045)?(\d{10})")  # as dialled there, the longer ones until 2019

SPELLINGS = (
    # Brazil's mobiles had eight digits, from 6 to 9, until a 9 was put before them; landlines begin with 2 to 5.
    (re.compile(r"55([1-9]{2})([6-9]\d{7})"), r"55\g<1>9\g<2>"),
    # Mexico's mobiles were called with a 1 from abroad, and with 01, 044 or 045 at home, which people mix up.
    (re.compile(r"52(?:1|01|044|045)(\d{10})"), r"52\g<1>"),
    # Argentina's are called with a 9 from abroad and with a 15 behind the area code at home; a number has ten digits.
    (re.compile(r"549(\d{10}|\d{12})"), r"54\g<1>"),
)
"""What was or is written in more than one way, and as what we know it."""


def digits(value: object, *, name: str = "The phone number") -> str:
    """`+1 (555) 000-1111` → `15550001111`. Raises BadRequest for what cannot be a number."""
    text = _decoration.sub("", value if isinstance(value, str) else str(value) if type(value) is int else "")
    if not (text.isascii() and text.isdigit()):
        raise BadRequest(f"{name} must be digits with the country code, like 15550001111; got {value!r:.60}.")
    if not SHORTEST <= len(text) <= LONGEST:
        raise BadRequest(
            f"{name} must have {SHORTEST} to {LONGEST} digits with the country code; got {len(text)}."
        )
    return text


def same_line(number: str, *, country: str | None = None) -> str:
    """The key under which all ways to write one person's number meet: a key, not always a number to call.

    Brazil's ninth digit, Mexico's 1 and Argentina's 9 or 15 of mobiles count for nothing, nor do `+` and `00`.
    `country`, like `IN`, is where a number without its country code is from: one that is valid there as it
    stands, and not as one with that very country's code. Raises BadRequest as `digits` does, and for an
    unknown country.
    """
    if country is not None and country.upper() not in phonenumbers.SUPPORTED_REGIONS:
        raise BadRequest(f"The country must be two letters, like IN; got {country!r:.20}.")
    text = _decoration.sub("", number)
    abroad = number.lstrip(" (").startswith("+") or _abroad.match(text) is not None
    text = digits(_abroad.sub("", text, count=1) if _abroad.match(text) else text)
    whole = _line(text)
    if country is None or abroad:
        return whole
    at_home, code = (
        _at_home(text, country.upper()),
        str(phonenumbers.country_code_for_region(country.upper())),
    )
    if at_home is None or (_is_valid(whole) and (text.startswith(code) or not _is_valid(at_home))):
        return whole
    return at_home if _is_valid(at_home) or len(text) <= LONGEST_AT_HOME else whole


def _at_home(text: str, country: str) -> str | None:
    """What was dialled within a country, as a line; None for what cannot have been."""
    if country == "MX":
        dialled = _in_mexico.fullmatch(text)
        return _line(f"52{dialled[1]}") if dialled else None
    number = _parsed(text, country)
    return _line(_written(number)) if number else None


def _line(text: str) -> str:
    """Digits with their country code, in the one spelling."""
    text = _one_spelling(text)
    number = _parsed(
        f"+{text}"
    )  # knows trunk prefixes, like the 0 of +44 (0) 7911, and Argentina's area codes
    known = number is not None and phonenumbers.is_valid_number(number)
    # One that is valid nowhere stays as it stands: of what it cannot know, a library makes one of two.
    return _one_spelling(_written(number)) if number is not None and known else text


def _one_spelling(text: str) -> str:
    for spelling, known_as in SPELLINGS:
        if spelling.fullmatch(text):
            return spelling.sub(known_as, text)
    return text


def _is_valid(line: str) -> bool:
    number = _parsed(f"+{line}")
    return number is not None and phonenumbers.is_valid_number(number)


def _written(number: PhoneNumber) -> str:
    return phonenumbers.format_number(number, PhoneNumberFormat.E164).removeprefix("+")


def _parsed(text: str, country: str | None = None) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(text, country)
    except NumberParseException:
        return None


def is_country(word: object) -> bool:
    """Whether this is the two letters of a country, like IN."""
    return isinstance(word, str) and word in phonenumbers.SUPPORTED_REGIONS


def with_country(number: str, country: str | None) -> str:
    """Digits one can dial from anywhere: those of a number at home get their country's code."""
    if country is None or _is_valid(number):
        return number
    at_home = _parsed(number, country)
    return _written(at_home) if at_home is not None and phonenumbers.is_valid_number(at_home) else number
