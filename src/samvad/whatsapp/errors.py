"""Meta's refusals: what was refused, in Meta's words, and what a sender can do about it.

Branch on `code`: HTTP statuses differ between Meta's own pages, and titles change with version and language.
Source: https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

NO_CODE = -1
"""An answer without an error object has no code; 0 is taken, by Meta's AuthException."""

MAY_HAVE_ACTED = frozenset({1, 2, 131000, 131016})
"""Troubles of Meta's own. The message may be on its way, and the Cloud API has no idempotency key."""

INVALID_TOKEN = 190
"""Expired, revoked, malformed, of a user who changed the password: the subcode tells which."""

HOURLY = frozenset({4, 613, 80007})
"""Limits of the hour, whose end the usage header tells; the others are of the second."""

MAX_SHOWN_CHARACTERS = 1000
"""Nothing Meta writes is longer; it keeps a strange answer from filling a log line or a reply."""


class Kind(StrEnum):
    """What a sender can do about a refusal."""

    RETRY_AFTER = "retry_after"
    """Too fast: wait, then send the same again."""
    BACK_OFF = "back_off"
    """Meta is in trouble or still busy with something: later, at growing intervals, a few times."""
    WINDOW = "window"
    """The session window is closed: send a template instead."""
    PERMANENT = "permanent"
    """This request will never succeed."""
    ACCOUNT = "account"
    """Nothing will succeed until a person mends the token, the permissions, the number or the account."""
    UNKNOWN = "unknown"
    """A code this table does not know."""


class Waits(NamedTuple):
    """How long Meta's headers say it wants to be left alone, in milliseconds."""

    retry_after_ms: int | None = None
    regain_ms: int | None = None
    """Until the calls of this hour are forgotten; of no meaning where a second or a pair was too busy."""


NO_WAITS = Waits()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why Meta said no; `error` is Meta's whole error object.

    `status` is the HTTP status, 4xx or 5xx (502 for an error that came as 2xx or 3xx), or 0 by webhook.
    """

    status: int
    code: int
    subcode: int | None
    message: str
    details: str | None
    error: dict[str, Any]
    wait_ms: int | None = None
    """How long Meta wants to be left alone, where it says so."""

    @property
    def text(self) -> str:
        """One sentence for clients: Meta's message, then the details where they add something."""
        if not self.details or self.details.casefold().rstrip(".") in self.message.casefold():
            return self.message
        return f"{self.message}: {self.details}"

    @property
    def kind(self) -> Kind:
        """What can be done about it."""
        if self.code == NO_CODE:
            return Kind.RETRY_AFTER if self.status == 429 else Kind.UNKNOWN
        if 200 <= self.code <= 299:
            return Kind.ACCOUNT
        return _KINDS.get(self.code, Kind.UNKNOWN)

    @property
    def may_be_repeated(self) -> bool:
        """Whether waiting helps, and the very same request cannot arrive twice."""
        return self.kind in (Kind.RETRY_AFTER, Kind.BACK_OFF) and not self.ambiguous and self.code != NO_CODE

    @property
    def ambiguous(self) -> bool:
        """Whether Meta may have acted although it said no; a failure told by webhook is certain."""
        return self.status != 0 and self.code in MAY_HAVE_ACTED


def from_response(status: int, body: bytes, waits: Waits = NO_WAITS) -> Refusal:
    """The refusal in an answer of the Cloud API, whatever its body is: an error object, HTML, nothing."""
    error = error_in(body)
    # A surface forwards this status, and a refusal must never look like success or send a client elsewhere.
    status = status if status >= 400 else 502
    if error is None:
        message = f"The Cloud API answered {status} without saying why"
        said = {"message": message}
        return Refusal(status, NO_CODE, None, message, _plain_words(body), said, waits.retry_after_ms)
    refusal = from_error(error, status=status)
    hourly = waits.regain_ms if refusal.code in HOURLY else None
    return replace(refusal, wait_ms=waits.retry_after_ms or hourly)


def from_webhook(error: dict[str, Any]) -> Refusal:
    """The refusal in a `failed` status or an `errors` list, worded as the same refusal by HTTP would be."""
    code = _number(error.get("code"), NO_CODE)
    title = _words(error.get("title")) or _words(error.get("message")) or "The message failed"
    message = title if code == NO_CODE or title.startswith("(#") else f"(#{code}) {title}"
    return Refusal(0, code, _subcode(error), message, _details(error), error)


def from_error(error: dict[str, Any], *, status: int) -> Refusal:
    """The refusal in Meta's error object, as an HTTP answer carries it."""
    code = _number(error.get("code"), NO_CODE)
    message = (
        _words(error.get("message"))
        or _words(error.get("error_user_msg"))
        or _words(error.get("title"))
        or (f"(#{code}) Unknown error" if code != NO_CODE else f"The Cloud API answered {status}")
    )
    return Refusal(status, code, _subcode(error), message, _details(error), error)


def error_in(body: bytes) -> dict[str, Any] | None:
    """Meta's error object in an answer, or None when the answer has none."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    error = answer.get("error") if isinstance(answer, dict) else None
    return error if isinstance(error, dict) else None


def calls_token_invalid(body: bytes) -> bool:
    """Whether a refusal says that the access token is no longer good, in whichever way."""
    error = error_in(body)
    return error is not None and error.get("code") == INVALID_TOKEN


def _details(error: dict[str, Any]) -> str | None:
    """What Meta adds to its message: `error_data.details`, or else the sentence meant for the user."""
    data = error.get("error_data")
    details = _words(data.get("details")) if isinstance(data, dict) else _words(data)
    return details or _words(error.get("error_user_msg"))


def _subcode(error: dict[str, Any]) -> int | None:
    subcode = _number(error.get("error_subcode"), NO_CODE)
    return None if subcode == NO_CODE else subcode


def _number(given: object, otherwise: int) -> int:
    if isinstance(given, int) and not isinstance(given, bool):
        return given
    return int(given) if isinstance(given, str) and given.isascii() and given.isdigit() else otherwise


def _words(given: object) -> str | None:
    return given.strip()[:MAX_SHOWN_CHARACTERS] or None if isinstance(given, str) else None


def _plain_words(body: bytes) -> str | None:
    """The first words of a plain-text body. HTML is a page of some proxy: nobody is helped by its tags."""
    words = body[:MAX_SHOWN_CHARACTERS].decode("utf-8", "replace").replace("\x00", "").strip()
    return None if not words or words[0] in "<{[" else words[:200]


def _kinds() -> dict[int, Kind]:
    table = {
        Kind.RETRY_AFTER: [4, 613, 80007, 130429, 131056, 131208, 132069, 138002, 138005],
        Kind.BACK_OFF: [
            1, 2, 131000, 131016, 131057, 133000, 133004, 133015, 134101, 138004, 138007, 138019, 138020,
            138021, 138022, 138023, 139102, 139103, 2494100,
        ],
        Kind.WINDOW: [131047],
        Kind.ACCOUNT: [
            0, 3, 10, 33, 104, 190, 368, 130497, 131005, 131031, 131037, 131042, 131044, 131045, 131048,
            131063, 131064, 133005, 133006, 133008, 133009, 133010, 133016, 134011, 138000, 138013,
            138014, 138015, 138018, 141006, 141014, 2388019, 2593107, 2593108, 2593109,
        ],
        Kind.PERMANENT: [
            100, 803, 130403, 130472, 131008, 131009, 131020, 131021, 131026, 131030, 131041, 131049,
            131050, 131051, 131052, 131053, 131055, 131059, 131062, 131201, 131202, 131204, 131207,
            131209, 131210, 131211, 131212, 131213, 131214, 131215, 132000, 132001, 132005, 132007,
            132008, 132012, 132015, 132016, 132018, 132068, 134100, 134102, 135000, 137000, 138001,
            138003, 138006, 138009, 138012, 138017, 139000, 139001, 139002, 139003, 139004, 139100,
            139101, 147001, 147002, 147003, 147004, 147005, 1752041, 200005, 200006, 200007, 2388023,
            2388024, 2388040, 2388047, 2388072, 2388073, 2388293, 2388299,
        ],
    }  # fmt: skip
    return {code: kind for kind, codes in table.items() for code in codes}


_KINDS = _kinds()
