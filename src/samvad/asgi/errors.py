"""Every failure in the one shape clients know, `_errors[0]` first."""

from typing import Any

import structlog

from samvad.asgi.replies import Reply, json_reply
from samvad.kit.errors import Refused, SamvadError, Unauthorized, Unavailable

log = structlog.get_logger(__name__)


def error_reply(error: Exception) -> Reply:
    """A person's mistake as it is; anything else is ours, is logged, and shows no inside."""
    if isinstance(error, SamvadError):
        return refusal(error.status, *error.problems, error=error)
    log.error("request.failed", error=repr(error), exc_info=error)
    return refusal(
        500, "Something went wrong here, and it is not your request's fault; the log has the details."
    )


def refusal(status: int, *problems: str, error: SamvadError | None = None) -> Reply:
    body: dict[str, Any] = {"_data": [], "_errors": problems, "message": problems[0]}
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if isinstance(error, Refused):
        body["error"] = error.error
    if isinstance(error, Unavailable):
        headers = ((b"retry-after", str(error.retry_after_s).encode()),)
    if isinstance(error, Unauthorized):
        headers = ((b"www-authenticate", b"Bearer"),)
    return json_reply(body, status=status, headers=headers)
