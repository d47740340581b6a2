"""What a body says of a process or a task, read and held against its shape. No I/O.

Names and times stay as they were written (a state's short id, a username); `writing` knows what they mean.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from samvad.domain.procedures.model import STATUSES
from samvad.domain.processes.model import UNSET, Unset

LARGEST_MOMENT = 253_402_300_799_999  # the last millisecond of the year 9999
LONGEST_WORD = 10_000


@dataclass(frozen=True, slots=True)
class Draft:
    """A process as somebody wants it, or what somebody wants of one: what is unset stays as it is."""

    data: dict[str, Any] = field(default_factory=dict)
    record: dict[str, Any] | None = None
    status: str | None = None
    state: str | None = None
    next_action_at: int | Unset | None = UNSET
    assigned_to: str | Unset | None = UNSET
    belongs_to: str | Unset | None = UNSET
    contact_id: str | None = None


@dataclass(frozen=True, slots=True)
class TaskDraft:
    """A task as somebody wants it."""

    data: dict[str, Any] = field(default_factory=dict)
    status: str | None = None
    assigned_to: str | Unset | None = UNSET
    title: str | None = None
    description: str | None = None
    due_by: int | None = None
    starts_at: int | None = None
    ends_at: int | None = None


def read_draft(body: Any, *, key: str | None = None) -> tuple[Draft, list[str]]:
    """A body of create, update or of an item in bulk, and everything that is wrong with its shape.

    `key` is the procedure's primary key, which some clients write beside `data` instead of inside.
    """
    if not isinstance(body, Mapping):
        return Draft(), [f"A process must be an object; got {body!r:.60}."]
    problems: list[str] = []
    data = _object(body, "data", problems) or {}
    if key is not None and body.get(key) is not None and key not in data:
        data = {key: body[key], **data}
    record = _object(body, "record", problems)
    draft = Draft(
        data=data,
        record=_object(record, "data", problems, called="record.data") if record is not None else None,
        status=_status(body, problems),
        state=_word(body, "state", problems),
        next_action_at=_moment(body, "nextActionAt", problems),
        assigned_to=_who(body, "assignedTo", problems),
        belongs_to=_who(body, "belongsTo", problems),
    )
    return draft, problems


def read_task(body: Mapping[str, Any]) -> tuple[TaskDraft, list[str]]:
    """A body of Create Task, and everything that is wrong with its shape."""
    problems: list[str] = []
    moments = [_moment(body, name, problems) for name in ("dueBy", "startsAt", "endsAt")]
    due_by, starts_at, ends_at = (it if isinstance(it, int) else None for it in moments)
    draft = TaskDraft(
        data=_object(body, "data", problems) or {},
        status=_status(body, problems),
        assigned_to=_who(body, "assignedTo", problems),
        title=_word(body, "title", problems),
        description=_word(body, "description", problems),
        due_by=due_by,
        starts_at=starts_at,
        ends_at=ends_at,
    )
    return draft, problems


def _object(
    body: Mapping[str, Any], name: str, problems: list[str], *, called: str | None = None
) -> dict[str, Any] | None:
    value = body.get(name)
    if value is None or isinstance(value, dict):
        return value
    problems.append(f"{called or name} must be an object; got {value!r:.60}.")
    return None


def _word(body: Mapping[str, Any], name: str, problems: list[str]) -> str | None:
    value = body.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > LONGEST_WORD:
        problems.append(f"{name} must be a string of at most {LONGEST_WORD} characters; got {value!r:.60}.")
        return None
    return value


def _status(body: Mapping[str, Any], problems: list[str]) -> str | None:
    value = body.get("status")
    if value is None:
        return None
    if value not in STATUSES:
        problems.append(f"status must be one of {', '.join(STATUSES)}; got {value!r:.60}.")
        return None
    return str(value)


def _moment(body: Mapping[str, Any], name: str, problems: list[str]) -> int | Unset | None:
    if name not in body:
        return UNSET
    value = body[name]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is None:
        return None
    if type(value) is not int or not 0 <= value <= LARGEST_MOMENT:
        problems.append(
            f"{name} must be a moment in milliseconds since the epoch, or null; got {value!r:.60}."
        )
        return UNSET
    return value


def _who(body: Mapping[str, Any], name: str, problems: list[str]) -> str | Unset | None:
    if name not in body:
        return UNSET
    value = body[name]
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > LONGEST_WORD:
        problems.append(f"{name} must be a name or an id, or null; got {value!r:.60}.")
        return UNSET
    return value
