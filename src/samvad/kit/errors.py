"""What a person did wrong, in a sentence that says what to do about it.

    SamvadError                 any of the below; carries the HTTP status a surface answers with
    ├── BadRequest        400   the words are wrong: malformed, missing, of the wrong type
    ├── Unauthorized      401   no key, a wrong one, or one that has expired
    ├── Forbidden         403   a good key that may not do this
    ├── NotFound          404   nothing of that name in this team
    ├── TooSlow           400   what was asked takes longer than anybody should wait
    ├── Conflict          409   it contradicts what is there already
    ├── TooLarge          413   a named limit was passed
    ├── Refused           4xx   the Cloud API said no; carries Meta's own error object
    ├── Ambiguous         504   the Cloud API did not answer, so nobody knows whether it acted
    ├── Unreachable       502   the Cloud API could not be reached, so nothing was done
    ├── NotMigrated       500   the database could not be brought to this version's schema
    ├── StoreUnavailable  503   the store of files failed, so nothing was kept or read
    └── Unavailable       503   too much is waiting, or something we need is not there; try again after `retry_after_s`
        └── Lost          503   what was written just before the database went away may stand, or not

A programmer's mistake is an assertion, never one of these.
"""

from collections.abc import Sequence
from typing import Any


class SamvadError(Exception):
    """Something a person can mend; `problems` are sentences, the first is the most useful one."""

    status = 400

    def __init__(self, *problems: str) -> None:
        assert problems, "an error without a sentence helps nobody"
        super().__init__(*problems)
        self.problems: Sequence[str] = problems


class BadRequest(SamvadError):
    """The words are wrong: malformed, missing, or of the wrong type."""


class Unauthorized(SamvadError):
    """No key, a wrong one, or one that has expired."""

    status = 401


class Forbidden(SamvadError):
    """A good key whose role may not do this."""

    status = 403


class NotFound(SamvadError):
    """Nothing of that name in this team."""

    status = 404


class TooSlow(SamvadError):
    """What was asked takes longer than anybody should wait; it must ask for less."""


class NotMigrated(SamvadError):
    """The database could not be brought to this version's schema, and is as it was."""

    status = 500


class Conflict(SamvadError):
    """It contradicts what is there already."""

    status = 409


class TooLarge(SamvadError):
    """A named limit was passed."""

    status = 413


class TooMany(SamvadError):
    """Too many requests with one key; the caller may try again after `retry_after_ms`."""

    status = 429

    def __init__(self, *, retry_after_ms: int) -> None:
        # Some clients read the header, some these very words.
        super().__init__(f"Rate limit exceeded, retry after {retry_after_ms} ms")
        self.retry_after_ms = retry_after_ms


class Refused(SamvadError):
    """The Cloud API said no. `error` is Meta's own error object, forwarded untouched."""

    def __init__(
        self, problem: str, *, status: int, error: dict[str, Any], retry_after_ms: int | None = None
    ) -> None:
        super().__init__(problem)
        self.status = status
        self.error = error
        self.retry_after_ms = retry_after_ms


class Ambiguous(SamvadError):
    """The Cloud API did not answer, so nobody knows yet whether it acted."""

    status = 504


class Unreachable(SamvadError):
    """The Cloud API could not be reached, so nothing was done and it may be tried again."""

    status = 502


class StoreUnavailable(SamvadError):
    """The store of files failed, so nothing was kept or read; the caller may try again after `retry_after_s`.

    `why` is what the store said. It names addresses and buckets: for the log and the operator, never for a caller.
    """

    status = 503
    retry_after_s = 5  # it is no hiccup any more: those were waited for

    def __init__(self, problem: str, *, why: str = "") -> None:
        super().__init__(problem)
        self.why = why


class Unavailable(SamvadError):
    """Too much is waiting here, or something we need is not there; try again after `retry_after_s`."""

    status = 503

    def __init__(self, problem: str, *, retry_after_s: int = 1) -> None:
        super().__init__(problem)
        self.retry_after_s = retry_after_s


class Lost(Unavailable):
    """The database went away in the middle: nobody knows whether what was being written stands."""
