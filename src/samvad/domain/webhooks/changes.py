"""Telling customers' endpoints of every change of a process, a record or a task, in the transaction that makes it."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

from samvad.domain.webhooks import outgoing
from samvad.domain.webhooks.model import About, ActsAs
from samvad.domain.webhooks.outgoing import Telling
from samvad.storage import Tx

BY_ATTRIBUTE = ("data", "derivedData")
"""Members of an object that hold one value for each attribute: of these each is shown, or hidden, by itself."""


class Change(NamedTuple):
    """One change of one object, after it; all shapes are those of the API."""

    object: Literal["process", "record", "task"]
    operation: Literal["create", "update", "delete"]
    object_id: str
    procedure: str | None  # its short id; None for an object of no procedure
    data: dict[str, Any]
    before: dict[str, Any]  # of what changed only, as it was, `data` by attribute; {} on create
    at: int
    order_key: str  # changes of one key are told one after the other: the object's id, or its process's
    shows: Callable[[ActsAs], dict[str, Any] | None] | None = None
    """What somebody may see of `data`: all of it, some of it (a value that is hidden is left out, or is another
    one), or None: of that object they hear nothing. No function: everybody may see all."""

    @property
    def event(self) -> str:
        return f"{self.object}:{self.operation}:post"


def tell_changes(tx: Tx, changes: Sequence[Change], *, at: int) -> None:
    """Write down what this team's endpoints are to hear of these changes, each in what it may see.

    One question for a batch nobody listens to. Whoever commits rings `bells.deliveries` after it.
    """
    listening = outgoing.object_listeners(tx) if changes else []
    told = [
        Telling(it.listener, None, About(change.event, change.order_key), None, body)
        for change in changes
        for it in listening
        if it.wants(change.event, change.procedure)
        and (body := body_of(change, it.listener.acts_as)) is not None
    ]
    outgoing.tell(tx, told, at=at)


def body_of(change: Change, acts_as: ActsAs | None) -> dict[str, Any] | None:
    """The body for somebody; None where they may not see the object."""
    assert acts_as is not None, "an endpoint of objects stands for somebody"
    shown = change.data if change.shows is None else change.shows(acts_as)
    if shown is None:
        return None
    return {
        "event": change.event,
        "_data": shown,
        "_prev": _before(change, shown),
        "timestamp": change.at,
    }


def _before(change: Change, shown: dict[str, Any]) -> dict[str, Any]:
    """What changed, as far as it may be seen: whoever may not see a value may not see the one it had."""
    if shown == change.data:
        return change.before
    found = {}
    for name, was in change.before.items():
        now, seen = change.data.get(name), shown.get(name)
        if (
            name in BY_ATTRIBUTE
            and isinstance(was, dict)
            and isinstance(now, dict)
            and isinstance(seen, dict)
        ):
            found[name] = {key: value for key, value in was.items() if _open(key, now, seen)}
        elif _open(name, change.data, shown):
            found[name] = was
    return found


def _open(name: str, all_of_it: dict[str, Any], shown: dict[str, Any]) -> bool:
    """Whether a value is shown as it is. One that is gone now is in neither, and nobody can tell: it stays hidden."""
    return name in shown and name in all_of_it and shown[name] == all_of_it[name]
