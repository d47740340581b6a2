"""What the control API is given: JSON bodies and their members, checked."""

import json
from collections.abc import Sequence
from typing import Any, TypeVar

from starlette.requests import Request

from samvad.sandbox.inbound import BadRequest
from samvad.sandbox.model import Json

MAX_BODY = 140 * 1024 * 1024  # a file of 100 MB in base64

__all__ = ["BadRequest", "choice", "json_body", "typed"]

T = TypeVar("T")


async def json_body(request: Request, *known: str) -> Json:
    """The JSON object that was sent; with `known`, no other member is allowed."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise BadRequest(f"the body is over {MAX_BODY} bytes")
    try:
        value = json.loads(body, parse_constant=_no_number) if body else {}
    except (ValueError, RecursionError):
        raise BadRequest("the body is not valid JSON") from None
    if not isinstance(value, dict):
        raise BadRequest("the body must be a JSON object")
    strange = [key for key in value if known and key not in known]
    if strange:
        raise BadRequest(f"unknown: {', '.join(strange)}; known: {', '.join(known)}")
    return value


def typed(given: Json, name: str, kind: type[T], default: T | None) -> T:
    """A member of this type; without a default it is required."""
    value = given.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise BadRequest(f"{name} must be of type {kind.__name__}")
    return value


def choice(given: Json, name: str, known: Sequence[str]) -> str | None:
    """One of the known words in any case, or None when nothing is said."""
    value: Any = given.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or value.upper() not in known:
        raise BadRequest(f"{name} must be one of {', '.join(known)}")
    return value.upper()


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
