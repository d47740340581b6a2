"""The form of what virtual phones do over the control API, area by area: a path and a plain function."""

from collections.abc import Callable

from samvad.sandbox.inbound import BadRequest
from samvad.sandbox.model import Json
from samvad.sandbox.world import World

Play = Callable[[World, str, Json], Json]
"""World, the digits in the path ("" where it names no phone), the body; raises BadRequest or LookupError."""


def only(given: Json, *known: str) -> None:
    """Refuse a member the play does not know, since a misspelt one would do nothing in silence."""
    strange = [key for key in given if key not in known]
    if strange:
        raise BadRequest(f"unknown: {', '.join(strange)}; known: {', '.join(known)}")
