"""Attribute types: how each is searched, and how what somebody sent becomes the value that is kept. No I/O.

A value is kept in one normal form, so that equal things are equal on both databases: numbers that are whole are
integers, dates are the first millisecond of their day, lists hold nothing twice. Where the documents leave a
format open, docs/guide/platform-choices.md says what we chose.
"""

import datetime as dt
import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from samvad.domain.procedures.model import STATUSES, Attribute
from samvad.kit import phones
from samvad.kit.errors import BadRequest

Kind = Literal["text", "number", "boolean", "texts", "numbers", "opaque"]
"""What a value is when it is searched; of an opaque one it is only asked whether it is there."""

Coercer = Callable[[Any], Any]

LONGEST_TEXT = 10_000  # characters
LONGEST_PROSE = 100_000  # of `text` and `html`
LONGEST_FILTERABLE = 500  # what an index entry holds of a text
LONGEST_ITEM = 500  # of a text in a list, and of an id
MOST_ITEMS = 1_000
MOST_OPTIONS = 1_000
LARGEST_OBJECT = 64 * 1024  # bytes of JSON
DEEPEST_OBJECT = 50  # SQLite reads JSON no deeper than 1,000
LONGEST_NUMERAL = 400  # characters; a float written out in full has fewer

SMALLEST_INTEGER, LARGEST_INTEGER = -(2**63), 2**63 - 1
DAY_MS = 86_400_000

MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)


class Mismatch(Exception):
    """A value that its attribute cannot hold; says which, why, and what was given."""


def coerce(attribute: Attribute, value: Any, *, zone: str | None = None) -> Any:
    """The value as it is kept, in JSON. `None`, which is no value, is for the caller to handle.

    `zone` is that of the team, for days and for times without an offset; without it they are UTC.
    Raises Mismatch.
    """
    return coercer_for(attribute, zone=zone)(value)


def coercer_for(attribute: Attribute, *, zone: str | None = None) -> Coercer:
    """The same as a function to keep: it is made once for an attribute and a zone."""
    return _coercer(attribute.short_id, attribute.type, attribute.filterable, attribute.options, zone)


def kind_of(attribute: Attribute) -> Kind:
    """How the attribute is searched; its type must be one there is."""
    return TYPES[attribute.type].kind


def problems_of(attribute: Attribute) -> list[str]:
    """What is wrong with the declaration of an attribute's type and options, a sentence each."""
    name = attribute.short_id
    known = TYPES.get(attribute.type)
    if known is None:
        near = nearest(attribute.type, TYPES)
        hint = f"did you mean {near}?" if near else f"the types are {', '.join(TYPES)}."
        return [f"{name} has the type {shown(attribute.type)}, which there is not; {hint}"]
    problems = [*_problems_of_options(attribute, known), *_problems_of_deriving(attribute)]
    if attribute.filterable and known.kind == "opaque":
        problems.append(
            f"{name} cannot be filterable: of {attribute.type} one can only ask whether it is there."
        )
    return problems


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The word that was probably meant, None when none is near."""
    by_folded = {it.casefold(): it for it in words}
    near = difflib.get_close_matches(word[:100].casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[near[0]] if near else None


def shown(value: Any) -> str:
    """A value as a sentence quotes it: as JSON, and not all of a long one."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, str):
        value = value[:80].encode("utf-8", "replace").decode()
    try:
        text = msgspec.json.encode(value).decode()
    except (TypeError, ValueError, OverflowError):
        return "something else"
    return text if len(text) <= 60 else f"{text[:57]}…"


def _problems_of_options(attribute: Attribute, known: "Type") -> list[str]:
    name, options = attribute.short_id, attribute.options
    if known.option is None:
        return (
            [f"{name} has options, which {attribute.type} does not use; leave them out."] if options else []
        )
    if not options:
        return [f"{name} is a {attribute.type} and needs options: the values it may have."]
    if len(options) > MOST_OPTIONS:
        return [f"{name} has {len(options)} options; at most {MOST_OPTIONS} are possible."]
    problems = []
    kept = []
    for option in options:
        try:
            if isinstance(option, bool) or isinstance(option, str) != (known.option is _item):
                raise Wrong(_WRONG_OPTION[known.option])
            kept.append(known.option(option))
        except Wrong as wrong:
            problems.append(f"Each option of {name} {wrong}; got {shown(option)}.")
    twice = sorted({shown(it) for it in kept if kept.count(it) > 1})
    return [*problems, *(f"{name} has the option {it} more than once." for it in twice)]


def _problems_of_deriving(attribute: Attribute) -> list[str]:
    if attribute.derived is None:
        return []
    name, derived = attribute.short_id, attribute.derived
    problems = []
    ways = [it for it in (derived.formula, derived.count, derived.sum) if it is not None]
    if len(ways) != 1:
        problems.append(
            f"{name} is derived and needs exactly one of formula, count and sum; it has {len(ways)}."
        )
    if attribute.required:
        problems.append(f"{name} is derived, so nobody can be required to give it.")
    return problems


@lru_cache(maxsize=20_000)
def _coercer(name: str, type_: str, filterable: bool, options: tuple[Any, ...], zone: str | None) -> Coercer:
    known = TYPES.get(type_)
    if known is None:
        raise Mismatch(f"{name} has the type {shown(type_)}, which there is not")
    convert = known.build(Asked(filterable=filterable, options=options, zone=_zone(name, zone)))

    def coercer(value: Any) -> Any:
        try:
            return convert(value)
        except Wrong as wrong:
            culprit = value if wrong.item is None else wrong.item
            raise Mismatch(f"{name} {wrong}; got {shown(culprit)}") from None

    return coercer


def _zone(name: str, zone: str | None) -> dt.tzinfo:
    if zone is None:
        return dt.UTC
    try:
        return ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise Mismatch(f"{name} cannot be read: there is no time zone {shown(zone)}") from None


# What follows makes one function for each type. It is given a value and returns what is kept, or raises Wrong with
# the rest of a sentence that begins with the attribute's name.


class Wrong(Exception):
    """The middle of a Mismatch's sentence; `item` where one of a list is to blame."""

    def __init__(self, sentence: str, item: Any = None) -> None:
        super().__init__(sentence)
        self.item = item


@dataclass(frozen=True, slots=True)
class Asked:
    """What a type has to know of the attribute, to make its function."""

    filterable: bool
    options: tuple[Any, ...]
    zone: dt.tzinfo


@dataclass(frozen=True, slots=True)
class Type:
    """A type of attributes: how it is searched, and the maker of its function.

    `option` reads one option of the types that have some.
    """

    kind: Kind
    build: Callable[[Asked], Coercer]
    option: Coercer | None = None


_NUL = "\0"
_WHOLE = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,3})[0-9]*)?)?")
_ISO = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?:Z|[+-][0-9:]{2,8})?"
)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_URL = re.compile(r"https?://[^\s/?#]+[^\s]*", re.IGNORECASE)

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MILLISECOND = dt.timedelta(milliseconds=1)
# A day less at either end, so that no zone leads out of what a datetime can hold.
_EARLIEST = (dt.datetime(1, 1, 3, tzinfo=dt.UTC) - _EPOCH) // _MILLISECOND
_LATEST = (dt.datetime(9999, 12, 30, tzinfo=dt.UTC) - _EPOCH) // _MILLISECOND


def _text(limit: int) -> Coercer:
    def text(value: Any) -> str:
        kept: str = value if isinstance(value, str) else _spelled(value)
        if len(kept) > limit:
            raise Wrong(f"must have at most {limit:,} characters; it has {len(kept):,}")
        if _NUL in kept:
            raise Wrong("must not hold the character NUL")
        if not kept.isascii() and not _is_unicode(kept):
            raise Wrong("must be text in Unicode, without halves of a surrogate pair")
        return kept

    return text


def _spelled(value: Any) -> str:
    """A number or a boolean as its text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return _digits(value)
    if isinstance(value, float) and math.isfinite(value):
        return str(int(value)) if value.is_integer() and abs(value) < 2**63 else repr(value)
    raise Wrong("must be text")


def _digits(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # Python writes no number of more than 4,300 digits
        raise Wrong("must be text, or a number of a reasonable length") from None


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _plain(asked: Asked) -> Coercer:
    return _text(LONGEST_FILTERABLE if asked.filterable else LONGEST_TEXT)


def _prose(asked: Asked) -> Coercer:
    return _text(LONGEST_FILTERABLE if asked.filterable else LONGEST_PROSE)


_item = _text(LONGEST_ITEM)


def _id(asked: Asked) -> Coercer:
    def id_(value: Any) -> str:
        text: str = _item(value)
        if not text.strip():
            raise Wrong("must be an id, not an empty text")
        return text

    return id_


def _email(asked: Asked) -> Coercer:
    plain = _plain(asked)

    def email(value: Any) -> str:
        text: str = plain(value).strip()
        if not _EMAIL.fullmatch(text):
            raise Wrong("must be an e-mail address, like ada@example.com")
        return text

    return email


def _url(asked: Asked) -> Coercer:
    plain = _plain(asked)

    def url(value: Any) -> str:
        text: str = plain(value).strip()
        if not _URL.fullmatch(text):
            raise Wrong("must be an address that begins with https:// or http://")
        return text

    return url


def _phone(asked: Asked) -> Coercer:
    plain = _text(LONGEST_ITEM)

    def phone(value: Any) -> str:
        text: str = plain(value)
        try:
            phones.digits(text)
        except BadRequest:
            raise Wrong(
                f"must be a phone number of {phones.SHORTEST} to {phones.LONGEST} digits, like +1 555 000 1111"
            ) from None
        return text

    return phone


def _whole(value: Any) -> int:
    if isinstance(value, str):
        value = _number_in(value, "must be a whole number")
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int:
        raise Wrong("must be a whole number")
    if not SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
        raise Wrong("must be a whole number of at most 64 bits")
    return value


def _number(value: Any) -> int | float:
    """A whole number is kept as an integer: then 5 and 5.0, and 2**62 either way, are one on both databases."""
    if isinstance(value, str):
        value = _number_in(value, "must be a number")
    if type(value) is int:
        if SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
            return value
        try:
            return float(value)
        except OverflowError:
            raise Wrong("must be a number that a 64-bit float can hold") from None
    if type(value) is not float:
        raise Wrong("must be a number")
    if not math.isfinite(value):
        raise Wrong("must be a number that a 64-bit float can hold")
    if value.is_integer() and SMALLEST_INTEGER <= value < 2**63:
        return int(value)
    return value


def _number_in(value: str, wanted: str) -> int | float:
    text = value.strip()
    if len(text) <= LONGEST_NUMERAL:
        if _WHOLE.fullmatch(text):
            return int(text)
        if _DECIMAL.fullmatch(text):
            return float(text)
    raise Wrong(wanted)


_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _boolean(asked: Asked) -> Coercer:
    def boolean(value: Any) -> bool:
        if isinstance(value, bool):
            return value
        if isinstance(value, str):
            found = _BOOLEANS.get(value.strip().lower())
            if found is not None:
                return found
        elif isinstance(value, int | float) and value in (0, 1):
            return value == 1
        raise Wrong("must be true or false")

    return boolean


def _boolean_text(asked: Asked) -> Coercer:
    def boolean_text(value: Any) -> str:
        text = _spelled(value) if not isinstance(value, str) else value.strip().lower()
        if text not in ("true", "false", "yes", "no"):
            raise Wrong('must be "true", "false", "yes" or "no"')
        return text

    return boolean_text


def _enum(option: Coercer) -> Callable[[Asked], Coercer]:
    def build(asked: Asked) -> Coercer:
        return _one_of(option, asked.options)

    return build


def _one_of(option: Coercer, options: Iterable[Any]) -> Coercer:
    kept = [option(it) for it in options]
    allowed = frozenset(kept)
    names = ", ".join(shown(it) for it in kept[:20]) + (", …" if len(kept) > 20 else "")

    def one_of(value: Any) -> Any:
        try:
            found = option(value)
        except Wrong:
            found = None
        if found not in allowed:
            raise Wrong(f"must be one of {names}")
        return found

    return one_of


def _list(build: Callable[[Asked], Coercer]) -> Callable[[Asked], Coercer]:
    """A list of what another type holds, nothing twice; one value is a list of one."""

    def build_list(asked: Asked) -> Coercer:
        item = build(asked)

        def many(value: Any) -> list[Any]:
            items = value if isinstance(value, list | tuple) else [value]
            if len(items) > MOST_ITEMS:
                raise Wrong(f"must have at most {MOST_ITEMS:,} items; it has {len(items):,}")
            kept: dict[Any, None] = {}
            for it in items:
                try:
                    kept[item(it)] = None
                except Wrong as wrong:
                    raise Wrong(str(wrong), it) from None
            return list(kept)

        return many

    return build_list


def _instant(value: Any, zone: dt.tzinfo, wanted: str) -> dt.datetime:
    """A moment from epoch milliseconds or in ISO 8601; aware."""
    if isinstance(value, str):
        text = value.strip()
        if not (len(text) <= LONGEST_NUMERAL and _DECIMAL.fullmatch(text)):
            return _iso(text, zone, wanted)
        value = _number_in(text, wanted)
    try:
        milliseconds = _whole(value)
    except Wrong:
        raise Wrong(wanted) from None
    if not _EARLIEST <= milliseconds <= _LATEST:
        raise Wrong(wanted)
    return _EPOCH + milliseconds * _MILLISECOND


def _iso(text: str, zone: dt.tzinfo, wanted: str) -> dt.datetime:
    moment = _parsed(text, wanted)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    try:
        inside = _EARLIEST <= _milliseconds(moment) <= _LATEST
    except OverflowError:
        inside = False
    if not inside:
        raise Wrong(wanted)
    return moment


def _parsed(text: str, wanted: str) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        raise Wrong(wanted) from None


def _milliseconds(moment: dt.datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND


def _datetime(asked: Asked) -> Coercer:
    zone = asked.zone

    def datetime(value: Any) -> int:
        if type(value) is int and _EARLIEST <= value <= _LATEST:
            return value
        return _milliseconds(_instant(value, zone, _MOMENT))

    return datetime


_MOMENT = "must be a moment: epoch milliseconds, or ISO 8601 like 2024-03-01T09:30:00+05:30"
_DATE = "must be a day: like 2024-03-01, or epoch milliseconds"


def _date(asked: Asked) -> Coercer:
    zone = asked.zone

    def date(value: Any) -> int:
        day = _instant(value, zone, _DATE).astimezone(zone)
        return _milliseconds(dt.datetime(day.year, day.month, day.day, tzinfo=zone))

    return date


def _time(asked: Asked) -> Coercer:
    wanted = "must be a time of day: like 09:30, or milliseconds since midnight"

    def time(value: Any) -> int:
        clock = _CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
        if clock:
            hours, minutes, seconds, fraction = clock.groups(default="0")
            if int(hours) > 23 or int(minutes) > 59 or int(seconds) > 59:
                raise Wrong(wanted)
            return (
                int(hours) * 3_600_000
                + int(minutes) * 60_000
                + int(seconds) * 1_000
                + int(fraction.ljust(3, "0"))
            )
        try:
            milliseconds = _whole(value)
        except Wrong:
            raise Wrong(wanted) from None
        if not 0 <= milliseconds < DAY_MS:
            raise Wrong(wanted)
        return milliseconds

    return time


def _datetime_text(asked: Asked) -> Coercer:
    zone = asked.zone

    def datetime_text(value: Any) -> str:
        """As it was given; other ways to write it, and numbers, become YYYY-MM-DDTHH:MM:SS."""
        text = value.strip() if isinstance(value, str) else ""
        if not text or _DECIMAL.fullmatch(text[:LONGEST_NUMERAL]):
            return _instant(value, zone, _MOMENT).astimezone(zone).isoformat(timespec="milliseconds")
        moment = _parsed(text, _MOMENT)
        return text if _ISO.fullmatch(text) else moment.isoformat()

    return datetime_text


def _month(asked: Asked) -> Coercer:
    names = {name: number for number, month in enumerate(MONTHS, 1) for name in (month, month[:3])}

    def month(value: Any) -> int:
        found = names.get(value.strip().lower()) if isinstance(value, str) else None
        if found is not None:
            return found
        try:
            number = _whole(value)
        except Wrong:
            number = 0
        if not 1 <= number <= 12:
            raise Wrong("must be a month: 1 to 12, or its English name")
        return number

    return month


def _geolocation(asked: Asked) -> Coercer:
    wanted = "must be [latitude, longitude], like [12.97, 77.59]"

    def geolocation(value: Any) -> list[int | float]:
        if not isinstance(value, list | tuple) or len(value) != 2:
            raise Wrong(wanted)
        try:
            latitude, longitude = _number(value[0]), _number(value[1])
        except Wrong:
            raise Wrong(wanted) from None
        if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
            raise Wrong(f"{wanted}; latitudes go from -90 to 90, longitudes from -180 to 180")
        return [latitude, longitude]

    return geolocation


def _json(value: Any) -> Any:
    """Any JSON within the limits, as both databases can hold it."""
    try:
        raw = msgspec.json.encode(value)
        if len(raw) > LARGEST_OBJECT:
            raise Wrong(
                f"must be at most {LARGEST_OBJECT // 1024} KiB of JSON; it has {len(raw) // 1024} KiB"
            )
        if _is_deeper(value, DEEPEST_OBJECT):
            raise Wrong(f"must be nested at most {DEEPEST_OBJECT} deep")
        if b"\\u0000" in raw and _holds_nul(value):
            raise Wrong("must not hold the character NUL")
        return msgspec.json.decode(raw)
    except (UnicodeEncodeError, RecursionError, OverflowError, TypeError, ValueError):
        raise Wrong("must be JSON: objects, lists, Unicode text, numbers, true, false and null") from None


def _is_deeper(value: Any, left: int) -> bool:
    if isinstance(value, Mapping):
        value = list(value.values())
    elif not isinstance(value, list | tuple):
        return False
    return left == 0 or any(_is_deeper(it, left - 1) for it in value)


def _holds_nul(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_NUL in str(key) or _holds_nul(it) for key, it in value.items())
    if isinstance(value, list | tuple):
        return any(_holds_nul(it) for it in value)
    return isinstance(value, str) and _NUL in value


def _object(value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise Wrong("must be an object")
    return _json(value)


def _objects(value: Any) -> Any:
    items = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(it, Mapping) for it in items):
        raise Wrong("must be a list of objects")
    if len(items) > MOST_ITEMS:
        raise Wrong(f"must have at most {MOST_ITEMS:,} items; it has {len(items):,}")
    kept: list[Any] = _json(list(items))
    once: dict[bytes, Any] = {}
    for it in kept:
        once.setdefault(msgspec.json.encode(it, order="deterministic"), it)
    return list(once.values())


def _always(function: Coercer) -> Callable[[Asked], Coercer]:
    return lambda asked: function


def _enum_type(option: Coercer) -> Type:
    return Type("text" if option is _item else "number", _enum(option), option)


def _multi_enum_type(option: Coercer) -> Type:
    return Type("texts" if option is _item else "numbers", _list(_enum(option)), option)


_WRONG_OPTION = {
    _item: "must be text",
    _whole: "must be a whole number",
    _number: "must be a number",
}

_plain_text = Type("text", _plain)
_any_id = Type("text", _id)
_many_ids = Type("texts", _list(_id))
_any_object = Type("opaque", _always(_object))
_many_objects = Type("opaque", _always(_objects))

TYPES: Mapping[str, Type] = MappingProxyType(
    {
        "string": _plain_text,
        "text": Type("text", _prose),
        "textArea": Type("text", _prose),
        "html": Type("text", _prose),
        "name": _plain_text,
        "email": Type("text", _email),
        "phone": Type("text", _phone),
        "url": Type("text", _url),
        "otp": _plain_text,
        "booleanText": Type("text", _boolean_text),
        "stringId": _any_id,
        "integerId": Type("number", _always(_whole)),
        "integer": Type("number", _always(_whole)),
        "number": Type("number", _always(_whole)),
        "float": Type("number", _always(_number)),
        "decimal": Type("number", _always(_number)),
        "boolean": Type("boolean", _boolean),
        "stringEnum": _enum_type(_item),
        "integerEnum": _enum_type(_whole),
        "floatEnum": _enum_type(_number),
        "multiStringEnum": _multi_enum_type(_item),
        "multiIntegerEnum": _multi_enum_type(_whole),
        "multiFloatEnum": _multi_enum_type(_number),
        "multiString": Type("texts", _list(_always(_item))),
        "date": Type("number", _date),
        "time": Type("number", _time),
        "datetime": Type("number", _datetime),
        "datetimeISO8601": Type("text", _datetime_text),
        "monthOfYear": Type("number", _month),
        "photo": _any_id,
        "multiPhotos": _many_ids,
        "audio": _plain_text,
        "document": _any_id,
        "multiDocuments": _many_ids,
        "geolocation": Type("opaque", _geolocation),
        "googleAddress": _any_object,
        "externalObject": _any_object,
        "multiExternalObject": _many_objects,
        "customObject": _any_object,
        "multiCustomObject": _many_objects,
        "json": Type("opaque", _always(_json)),
        "user": _any_id,
        "username": _any_id,
        "record": _any_id,
        "process": _any_id,
        "task": _any_id,
        "recordCollection": _many_ids,
        "processCollection": _many_ids,
        "taskCollection": _many_ids,
        "state": _any_id,
        "status": Type("text", lambda asked: _one_of(_item, STATUSES)),
        "booking": _any_object,
        "cart": _any_object,
    }
)
"""Every type by its API name."""
