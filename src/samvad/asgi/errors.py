"""Every failure in the one shape clients know, `_errors[0]` first."""

from typing import Any

import structlog

from samvad.asgi.replies import Reply, json_reply
from samvad.kit.errors import Refused, SamvadError, Unauthorized, Unavailable

BAD_GATEWAY = 502
TOO_MANY = 429
READABLE_PAUSE = (b"access-control-expose-headers", b"retry-after")  # else a browser hides it from its page
PAUSE_S = 1  # Meta names no pause; this is the shortest that can be told

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


def refusal(status: int, *problems: str, error: SamvadError | None = None) -> Reply:
    body: dict[str, Any] = {"_data": [], "_errors": problems, "message": problems[0]}
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if isinstance(error, Refused):
        body["error"] = error.error
    if status == TOO_MANY:  # some clients read the header, some these words
        body["_errors"] = (*problems, f"Rate limit exceeded, retry after {PAUSE_S * 1000} ms")
        headers = ((b"retry-after", str(PAUSE_S).encode()), READABLE_PAUSE)
    if isinstance(error, Unavailable):
        headers = ((b"retry-after", str(error.retry_after_s).encode()), READABLE_PAUSE)
    if isinstance(error, Unauthorized):
        headers = ((b"www-authenticate", b"Bearer"),)
    return json_reply(body, status=status, headers=headers)
