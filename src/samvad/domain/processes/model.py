"""Processes, records and tasks as values. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from samvad.domain.procedures.blueprint import Blueprint, Schema

ACTION = {"COMPLETED": "completed_at", "CANCELLED": "cancelled_at"}
"""Which moment a status sets."""


class Unset:
    """What nobody said, as opposed to null."""

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> Literal[False]:
        return False


UNSET = Unset()


@dataclass(frozen=True, slots=True)
class Process:
    """One case running through a procedure."""

    id: str
    team_id: str
    procedure_id: str
    contact_id: str | None
    record_id: str | None
    status: str
    state_id: str
    data: dict[str, Any]
    derived: dict[str, Any]
    primary_key: str | None
    phone_key: str | None
    assigned_to: str | None
    created_by: str | None
    belongs_to: str | None
    next_action_at: int | None
    completed_at: int | None
    cancelled_at: int | None
    deleted_at: int | None
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class Record:
    """An object with attributes and no state: what processes are about."""

    id: str
    team_id: str
    entity_id: str
    data: dict[str, Any]
    derived: dict[str, Any]
    primary_key: str | None
    phone_key: str | None
    assigned_to: str | None
    created_by: str | None
    belongs_to: str | None
    deleted_at: int | None
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class Task:
    """Something a user has to do, or did, in a process."""

    id: str
    team_id: str
    procedure_id: str
    process_id: str
    record_id: str | None
    state_task_id: str
    task_type: str
    title: str | None
    description: str | None
    position: int
    status: str
    data: dict[str, Any]
    derived: dict[str, Any]
    assigned_to: str | None
    created_by: str | None
    belongs_to: str | None
    starts_at: int | None
    ends_at: int | None
    due_by: int | None
    started_at: int | None
    completed_at: int | None
    cancelled_at: int | None
    deleted_at: int | None
    created_at: int
    updated_at: int


def shown_process(it: Any, plan: Blueprint, *, whole: bool = True) -> dict[str, Any]:
    """A process as the contract shows it; not `whole` for whoever sees only its key and its label."""
    data = plan.schema.ordered(it.data)
    if not whole:
        labels = (plan.definition.primary_key, plan.definition.primary_identifier)
        data = {name: value for name, value in data.items() if name in labels}
    return {
        "id": it.id,
        "createdAt": it.created_at,
        "updatedAt": it.updated_at,
        "status": it.status,
        "data": data,
        "derivedData": plan.schema.ordered_derived(it.derived) if whole else {},
        "nextActionAt": it.next_action_at if whole else None,
        "startedAt": it.created_at,
        "completedAt": it.completed_at,
        "cancelledAt": it.cancelled_at,
        "isDeleted": it.deleted_at is not None,
        "team": it.team_id,
        "procedure": it.procedure_id,
        "entity": plan.definition.entity_id if it.record_id else None,
        "record": it.record_id,
        "state": it.state_id,
        "assignedTo": it.assigned_to,
        "createdBy": it.created_by,
        "belongsTo": it.belongs_to,
    }


def shown_record(it: Any, schema: Schema) -> dict[str, Any]:
    return {
        "id": it.id,
        "createdAt": it.created_at,
        "updatedAt": it.updated_at,
        "data": schema.ordered(it.data),
        "derivedData": schema.ordered_derived(it.derived),
        "isDeleted": it.deleted_at is not None,
        "team": it.team_id,
        "entity": it.entity_id,
        "createdBy": it.created_by,
    }


def shown_task(it: Any, plan: Blueprint) -> dict[str, Any]:
    schema = plan.task_schemas.get(it.state_task_id) or Schema(())
    return {
        "id": it.id,
        "createdAt": it.created_at,
        "updatedAt": it.updated_at,
        "title": it.title,
        "description": it.description,
        "order": it.position,
        "status": it.status,
        "data": schema.ordered(it.data),
        "derivedData": schema.ordered_derived(it.derived),
        "taskType": it.task_type,
        "startsAt": it.starts_at,
        "endsAt": it.ends_at,
        "dueBy": it.due_by,
        "startedAt": it.started_at,
        "completedAt": it.completed_at,
        "cancelledAt": it.cancelled_at,
        "isDeleted": it.deleted_at is not None,
        "team": it.team_id,
        "stateTask": it.state_task_id,
        "procedure": it.procedure_id,
        "process": it.process_id,
        "record": it.record_id,
        "entity": plan.definition.entity_id if it.record_id else None,
        "createdBy": it.created_by,
        "assignedTo": it.assigned_to,
        "belongsTo": it.belongs_to,
    }


def moments_after(status: str, before: str | None, *, at: int) -> dict[str, int | None]:
    """When something was completed or cancelled, after its status changed."""
    if status == before:
        return {}
    return {column: at if name == status else None for name, column in ACTION.items()}


def changed_fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What of a shown object is another now: its value before, `data` and `derivedData` member by member."""
    found: dict[str, Any] = {}
    for key, old in before.items():
        new = after.get(key)
        if old == new or key == "updatedAt":
            continue
        if key in ("data", "derivedData"):
            new = new or {}
            old = {name: old.get(name) for name in {**old, **new} if old.get(name) != new.get(name)}
        found[key] = old
    return found
