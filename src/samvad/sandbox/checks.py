"""Small checks every kind of message is made of; each raises Meta's refusal naming the parameter."""

import re
from collections.abc import Callable, Collection
from typing import Any

import msgspec

from samvad.sandbox.errors import GraphError, parameter, parameter_is_required, unexpected_key
from samvad.sandbox.model import Json

MediaExists = Callable[[str], bool]

_decode = msgspec.json.Decoder().decode
_LINK = re.compile(r"https?://[^\s]+$", re.IGNORECASE)


def members(value: Any, path: str, known: Collection[str], required: Collection[str] = ()) -> Json:
    """An object with no member outside `known`: Meta refuses a misspelt one rather than ignore it."""
    if not isinstance(value, dict):
        raise parameter(path, "must be a JSON object.")
    for key in value:
        if key not in known:
            raise unexpected_key(key, path)
    for key in required:
        if value.get(key) is None:
            raise parameter_is_required(f"{path}['{key}']")
    return value


def text(value: Any, path: str, limit: int, *, empty: bool = False) -> str:
    """A string of at most so many characters."""
    if value is None or (value == "" and not empty):
        raise parameter_is_required(path)
    if not isinstance(value, str):
        raise parameter(path, "must be a string.")
    if len(value) > limit:
        raise parameter(path, f"must be at most {limit} characters long.")
    return value


def optional_text(value: Any, path: str, limit: int) -> None:
    if value is not None:
        text(value, path, limit, empty=True)


def items(value: Any, path: str, least: int, most: int) -> list[Any]:
    """An array with so many elements."""
    if value is None:
        raise parameter_is_required(path)
    if not isinstance(value, list):
        raise parameter(path, "must be an array.")
    if not least <= len(value) <= most:
        raise GraphError(131009, f"Invalid {path} count. Min allowed: {least}, Max allowed: {most}")
    return value


def flag(value: Any, path: str) -> None:
    if value is not None and value not in (True, False, "true", "false"):
        raise parameter(path, "must be a boolean.")


def link(value: Any, path: str) -> str:
    """An http or https URL."""
    if not isinstance(value, str) or not _LINK.match(value):
        raise parameter(path, "is not a valid URI.")
    return value


def media(value: Any, path: str, extra: Collection[str], exists: MediaExists) -> Json:
    """A media object: by `id` of something uploaded, or by `link`."""
    asset = members(value, path, ("id", "link", "provider", *extra))
    if asset.get("id") is None and asset.get("link") is None:
        raise GraphError(131008, f"Parameter '{path}' needs either 'id' or 'link'.")
    if asset.get("id") is not None:
        known = isinstance(asset["id"], str | int) and exists(str(asset["id"]))
        if not known:
            raise parameter(f"{path}['id']", "is not a valid whatsapp business account media attachment ID.")
    else:
        link(asset["link"], f"{path}['link']")
    optional_text(asset.get("caption"), f"{path}['caption']", 1024)
    optional_text(asset.get("filename"), f"{path}['filename']", 240)
    return asset


def decode_object(body: bytes) -> Json:
    """A JSON object; anything else is an invalid parameter to Meta."""
    try:
        value = _decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise GraphError(100, "The request body is not valid JSON.") from None
    if not isinstance(value, dict):
        raise GraphError(100, "The request body must be a JSON object.")
    return value
