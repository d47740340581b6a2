"""How templates and their problems are put into words."""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

MAX_SHOWN_CHARS = 64  # how much of a caller's own word an error repeats


def word_of(item: Mapping[str, Any], key: str) -> str:
    """A member as a string; "" if it is missing."""
    value = item.get(key)
    return "" if value is None else str(value)


def kind_of(part: Mapping[str, Any]) -> str:
    return word_of(part, "type").upper()


def as_text(value: Any) -> str | None:
    """A string, or a number as people write it; None for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return format(Decimal(value), "f")  # unlike str(), without an error for thousands of digits
    if isinstance(value, float) and math.isfinite(value):
        return format(Decimal(repr(value)), "f")  # 0.00001, where str() says 1e-05
    return None


def type_word(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "infinite or NaN"
    words = {bool: "true or false", str: "a text", list: "a list", dict: "an object"}
    return words.get(type(value), "a number")


def braced(name: str) -> str:
    return f"{{{{{name}}}}}"


def shown(said: str) -> str:
    said = said.strip()
    return said if len(said) <= MAX_SHOWN_CHARS else f"{said[:MAX_SHOWN_CHARS]}…"


def plural(noun: str, things: Sequence[object]) -> str:
    return noun if len(things) == 1 else f"{noun}s"


def in_words(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
