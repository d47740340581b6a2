"""Every failure in the one shape clients know, `_errors[0]` first."""

import math
from dataclasses import replace
from typing import Any

import structlog

from samvad.asgi.replies import Reply, json_reply
from samvad.kit.errors import Refused, SamvadError, StoreUnavailable, TooMany, Unauthorized, Unavailable

BAD_GATEWAY = 502
TOO_MANY = 429
READABLE_PAUSE = (b"access-control-expose-headers", b"retry-after")  # else a browser hides it from its page
PAUSE_MS = 1_000  # where Meta names no pause; the shortest that can be told

log = structlog.get_logger(__name__)


def error_reply(error: Exception) -> Reply:
    """A person's mistake as it is; anything else is ours, is logged, and shows no inside."""
    if isinstance(error, SamvadError):
        return refusal(_status(error), *error.problems, error=error)
    log.error("request.failed", error=repr(error), exc_info=error)
    return refusal(
        500, "Something went wrong here, and it is not your request's fault; the log has the details."
    )


def _status(error: SamvadError) -> int:
    """Meta's own status for a no of Meta's; a trouble of Meta's is a bad gateway to our caller."""
    return BAD_GATEWAY if isinstance(error, Refused) and error.status >= 500 else error.status


def retry_after(pause_ms: int) -> tuple[bytes, bytes]:
    """The header, in whole seconds."""
    return b"retry-after", str(max(1, math.ceil(pause_ms / 1000))).encode()


def not_allowed(words: str, *, allow: str) -> Reply:
    """A method that is not offered, and which are."""
    reply = refusal(405, words)
    return replace(reply, headers=(*reply.headers, (b"allow", allow.encode())))


def refusal(status: int, *problems: str, error: SamvadError | None = None) -> Reply:
    body: dict[str, Any] = {"_data": [], "_errors": problems, "message": problems[0]}
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if isinstance(error, Refused):
        body["error"] = error.error
    if isinstance(error, TooMany):
        headers = (retry_after(error.retry_after_ms), READABLE_PAUSE)
    elif status == TOO_MANY:  # some clients read the header, some these words
        pause_ms = (error.retry_after_ms if isinstance(error, Refused) else None) or PAUSE_MS
        body["_errors"] = (*problems, f"Rate limit exceeded, retry after {pause_ms} ms")
        headers = (retry_after(pause_ms), READABLE_PAUSE)
    if isinstance(error, Unavailable | StoreUnavailable):
        headers = ((b"retry-after", str(error.retry_after_s).encode()), READABLE_PAUSE)
    if isinstance(error, Unauthorized):
        headers = ((b"www-authenticate", b"Bearer"),)
    return json_reply(body, status=status, headers=headers)
