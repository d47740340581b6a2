"""Phone numbers as the API speaks them: digits with the country code, nothing else."""

import re

from samvad.kit.errors import BadRequest

SHORTEST, LONGEST = 7, 15  # digits; ITU E.164 allows at most 15

_decoration = re.compile(r"[\s+\-().\u2010-\u2015\u00a0]")


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
