"""What happened to processes, records and tasks: an event in the log, and a word to whoever listens."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from samvad.domain.accounts import queries as accounts
from samvad.domain.accounts.access import Access, Who
from samvad.domain.events.log import Event, record
from samvad.domain.processes.model import (
    Process,
    Record,
    Task,
    changed_fields,
    shown_process,
    shown_record,
    shown_task,
)
from samvad.domain.webhooks.changes import Change, tell_changes
from samvad.domain.webhooks.model import ActsAs
from samvad.domain.webhooks.outgoing import object_listeners

if TYPE_CHECKING:
    from samvad.domain.processes.writing import Desk

Operation = Literal["create", "update", "delete"]
Sight = tuple[ActsAs, str]
"""Whom an endpoint stands for, and what of: what they see is asked once for many changes."""

DONE = {"create": "created", "update": "updated", "delete": "deleted"}


class Told(NamedTuple):
    """One object as it was (None: it was not there) and as it is."""

    kind: Literal["process", "record", "task"]
    before: Any
    after: Any


COLUMNS = (
    ("status", "status"),
    ("state_id", "state"),
    ("record_id", "record"),
    ("assigned_to", "assignedTo"),
    ("belongs_to", "belongsTo"),
    ("next_action_at", "nextActionAt"),
    ("completed_at", "completedAt"),
    ("cancelled_at", "cancelledAt"),
)


def tell(desk: "Desk", operation: Operation, steps: Sequence[Told]) -> None:
    """Write down what happened, in the transaction in which it does."""
    if not steps:
        return
    record(
        desk.tx,
        [
            Event(
                desk.team_id,
                f"{it.kind}.{DONE[operation]}",
                it.after.id,
                desk.actor_id,
                {"procedure": desk.plan.short_id, **_changed(it)},
            )
            for it in steps
        ],
        at=desk.at,
    )
    if object_listeners(desk.tx):  # what nobody hears of is not even put into words
        sights: dict[Sight, Access | None] = {}
        tell_changes(desk.tx, [_change(desk, operation, it, sights) for it in steps], at=desk.at)


def _changed(it: Told) -> dict[str, Any]:
    """The fields that are others now, with what they were; `data` member by member."""
    if it.before is None:
        return {}
    found: dict[str, Any] = {}
    for column, name in COLUMNS:
        old = getattr(it.before, column, None)
        if old != getattr(it.after, column, None):
            found[name] = old
    for column, name in (("data", "data"), ("derived", "derivedData")):
        old, new = getattr(it.before, column), getattr(it.after, column)
        if old != new:
            found[name] = {key: old.get(key) for key in {**old, **new} if old.get(key) != new.get(key)}
    return {"changed": found} if found else {}


def _change(desk: "Desk", operation: Operation, it: Told, sights: dict[Sight, Access | None]) -> Change:
    shown = _shown(desk, it.kind, it.after)
    before = changed_fields(_shown(desk, it.kind, it.before), shown) if it.before is not None else {}
    resource, resource_id = _resource(desk, it)

    def shows(acts_as: ActsAs) -> dict[str, Any] | None:
        """The object as whom the endpoint stands for may see it."""
        sight = acts_as, resource_id
        if sight not in sights:
            who = _who(desk, acts_as)
            sights[sight] = (
                accounts.access_of(desk.tx, who, resource=resource, resource_id=resource_id) if who else None
            )
        access = sights[sight]
        if access is None or not access.sees(it.after):
            return None
        return shown if access.sees_whole(it.after) else _shown(desk, it.kind, it.after, whole=False)

    return Change(
        object=it.kind,
        operation=operation,
        object_id=it.after.id,
        procedure=desk.plan.short_id,
        data=shown,
        before=before,
        at=desk.at,
        order_key=f"{it.kind}/{it.after.id}",
        shows=shows,
    )


def _who(desk: "Desk", acts_as: ActsAs) -> Who | None:
    """Whom an endpoint stands for, as they are today; None for who is shut out or gone."""
    if acts_as.user_id is None:
        return Who(desk.team_id, "", acts_as.role_id or "", acts_as.role_type)
    user = accounts.find_user_called(desk.tx, acts_as.user_id)
    if user is None or not user.is_active:
        return None
    return Who(desk.team_id, user.id, user.role_id, user.role_type)


def _resource(desk: "Desk", it: Told) -> tuple[str, str]:
    """Which rules of access decide who sees it."""
    match it.kind:
        case "process":
            return "procedure", desk.plan.id
        case "task":
            return "statetask", it.after.state_task_id
        case _:
            return "entity", it.after.entity_id


def _shown(desk: "Desk", kind: str, it: Process | Record | Task, *, whole: bool = True) -> dict[str, Any]:
    if kind == "process":
        return shown_process(it, desk.plan, whole=whole)
    if kind == "task":
        shown = shown_task(it, desk.plan)
        return shown if whole else shown | {"data": {}, "derivedData": {}, "title": None, "description": None}
    assert desk.entity is not None, "a record is of an entity"
    return shown_record(it, desk.entity.schema) | ({} if whole else {"data": {}, "derivedData": {}})
