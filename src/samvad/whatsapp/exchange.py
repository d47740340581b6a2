"""One exchange with the Cloud API: what was answered, bounded and without the token, or why there is no answer."""

from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
import msgspec

from samvad.kit import errors as kit
from samvad.whatsapp import errors
from samvad.whatsapp.errors import NO_WAITS, Waits

MAX_ANSWER_BYTES = 8 * 1024 * 1024
MAX_WAIT_S = 24 * 60 * 60
"""A longer pause than a day is nobody's to wait out."""
MIN_SECRET_LENGTH = 8
"""Meta's tokens have some 200 characters. Blotting out a very short one would only spoil the sentence."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whatever it says; `cut_off` where it was longer than MAX_ANSWER_BYTES."""

    status: int
    body: bytes
    cut_off: bool
    waits: Waits = NO_WAITS


@dataclass(frozen=True, slots=True)
class NotSent:
    """The request never left: sending it again is safe."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The request may have left, and no answer that could be understood came back."""

    reason: str


SILENT = (aiohttp.ClientError, TimeoutError, OSError)
"""What a request ends with that has no answer."""


def no_answer(error: BaseException, token: str) -> NotSent | Unknown:
    """What a request that raised one of SILENT has come to."""
    never_left = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)
    reason = reason_of(error, token)
    return NotSent(reason) if isinstance(error, never_left) else Unknown(reason)


async def read(response: aiohttp.ClientResponse) -> bytes | None:
    """The whole body, or None when it is longer than MAX_ANSWER_BYTES; the limit counts unpacked bytes."""
    content = response.content
    body = await content.readany()
    if content.at_eof():
        return body if len(body) <= MAX_ANSWER_BYTES else None
    pieces, size = [body], len(body)
    while size <= MAX_ANSWER_BYTES:
        piece = await content.readany()
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
        size += len(piece)
    response.close()
    return None


def checked(token: str) -> str:
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise kit.BadRequest(
            "The access token is empty or has characters no token has. Copy it from Meta again."
        )
    return token


def waits_of(headers: Mapping[str, str]) -> Waits:
    """How long Meta wants to be left alone: `Retry-After` in seconds, and the minutes of its usage header."""
    told = headers.get("Retry-After", "")
    retry_after_ms = min(int(told), MAX_WAIT_S) * 1000 if told.isascii() and told.isdigit() else None
    try:
        usage = msgspec.json.decode(headers.get("X-Business-Use-Case-Usage", "{}"))
        minutes = [
            it.get("estimated_time_to_regain_access", 0) for account in usage.values() for it in account
        ]
        longest = max((it for it in minutes if isinstance(it, int)), default=0)
    except (msgspec.MsgspecError, AttributeError, TypeError, UnicodeError):
        longest = 0
    return Waits(retry_after_ms, min(longest * 60, MAX_WAIT_S) * 1000 or None)


def reason_of(error: BaseException, token: str) -> str:
    """Why there is no answer, in words without the token."""
    if isinstance(error, TimeoutError):
        return (
            "it did not answer in time"
            if not isinstance(error, aiohttp.ConnectionTimeoutError)
            else ("no connection could be opened in time")
        )
    words = str(error)[: errors.MAX_SHOWN_CHARACTERS] or type(error).__name__
    return words.replace(token, "[token]") if len(token) >= MIN_SECRET_LENGTH else words


def without_token(body: bytes | None, token: str) -> bytes:
    """The body without the token: Meta repeats it in `paging.next` and in 'Malformed access token …'."""
    if body is None:
        return b""
    secret = token.encode("ascii")
    if len(secret) >= MIN_SECRET_LENGTH and secret in body:
        return body.replace(secret, b"[token]")
    return body
