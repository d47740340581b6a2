"""Which request this is: an id that stands on every line of the log that the request causes."""

import re
from contextvars import Context

from structlog.contextvars import bind_contextvars, get_contextvars

from samvad.kit.ids import new_id

LONGEST = 128  # characters of an id that a client chose
NAME = "request_id"

_printable = re.compile(rf"[\x21-\x7e]{{1,{LONGEST}}}")


def begin(given: str | None) -> str:
    """Take the id that came along, where it is one that may stand in a log and in a header, or make one."""
    request_id = given if given is not None and _printable.fullmatch(given) else new_id()
    bind_contextvars(**{NAME: request_id})
    return request_id


def current() -> str | None:
    """The id of the request that is being answered, None outside of any."""
    found = get_contextvars().get(NAME)
    return str(found) if found is not None else None


def of_nobody() -> Context:
    """For a task that one request begins and others go on using: its lines are not those of the first."""
    return Context()
