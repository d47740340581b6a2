"""Tasks: what is to be done in a process, or was done."""

from collections.abc import Mapping
from typing import Any

from samvad.domain.accounts import queries as accounts
from samvad.domain.procedures.model import TaskDefinition
from samvad.domain.processes import deriving, queries
from samvad.domain.processes.drafts import TaskDraft, read_task
from samvad.domain.processes.model import Process, Task, Unset
from samvad.domain.processes.telling import Told, tell
from samvad.domain.processes.writing import Desk, Target, resolve, unknown
from samvad.kit.errors import BadRequest, Forbidden, NotFound
from samvad.kit.ids import new_id


def add(desk: Desk, word: str, task: str, body: Mapping[str, Any]) -> Task:
    """Add a task to a process, which is named by its id or its primary key; one that is COMPLETED is logged.

    Raises NotFound, Forbidden, and BadRequest with everything that is wrong.
    """
    definition = _definition(desk, task)
    target = Target(word)
    process = resolve(desk, [target], lock=True).get(target)
    if process is None or not desk.access.sees(process):
        raise unknown(desk, target)
    _check_access(desk, definition, process)
    draft, problems = read_task(body)
    # What is open may still be filled in; what is logged as done has to be whole.
    data, more = desk.plan.task_schemas[definition.id].take(
        draft.data,
        None if draft.status == "COMPLETED" else {},
        zone=desk.settings.time_zone,
        lenient=desk.settings.ignores_unknown,
    )
    problems += more
    assignee = _assignee(desk, draft, problems)
    state = desk.plan.state_by_id.get(process.state_id)
    if definition.states and state is not None and state.short_id not in definition.states:
        problems.append(
            f"{definition.name} is a task of the states {', '.join(definition.states)}; "
            f"this {desk.plan.definition.name} is in {state.short_id}."
        )
    if problems:
        raise BadRequest(*problems)
    made = _made(desk, definition, process, draft, data, assignee)
    made = deriving.with_formulas(desk.plan, made, at=desk.at)
    queries.add_task(desk.tx, made)
    tell(desk, "create", [Told("task", None, made)])
    deriving.refresh_process(desk, process)
    return made


def _definition(desk: Desk, task: str) -> TaskDefinition:
    definition = desk.plan.tasks.get(task)
    if definition is None:
        there_are = ", ".join(desk.plan.tasks) or "none"
        raise NotFound(f"{desk.plan.definition.name} has no task {task!r:.80}; there are: {there_are}.")
    return definition


def _check_access(desk: Desk, definition: TaskDefinition, process: Process) -> None:
    """A rule for this kind of task decides; without one, whoever may change the process."""
    what = f"a {definition.name} to a {desk.plan.definition.name}"
    may = accounts.access_of(desk.tx, desk.who, resource="statetask", resource_id=definition.id)
    if may.mode in ("none", "view-only") or not (may.is_default or desk.access.sees_whole(process)):
        raise Forbidden(f"This key may not add {what}.")
    if may.is_default and not desk.access.may_write(process):
        raise Forbidden(f"This key may see this {desk.plan.definition.name}, and not add to it.")


def _assignee(desk: Desk, draft: TaskDraft, problems: list[str]) -> str | None:
    given = draft.assigned_to
    if isinstance(given, Unset) or given is None:
        return None
    found = desk.user_id(given)
    if found is None:
        problems.append(f"assignedTo: there is no user {given!r:.80} in this team.")
    return found


def _made(
    desk: Desk,
    definition: TaskDefinition,
    process: Process,
    draft: TaskDraft,
    data: dict[str, Any],
    assignee: str | None,
) -> Task:
    status = draft.status or "OPEN"
    done_at = desk.at if status == "COMPLETED" else None
    return Task(
        id=new_id(),
        team_id=desk.team_id,
        procedure_id=desk.plan.id,
        process_id=process.id,
        record_id=process.record_id,
        state_task_id=definition.id,
        task_type=definition.task_type,
        title=draft.title or definition.name,
        description=draft.description,
        position=queries.last_position(desk.tx, process.id) + 1,
        status=status,
        data=data,
        derived={},
        assigned_to=assignee,
        created_by=desk.actor_id,
        belongs_to=process.belongs_to,
        starts_at=draft.starts_at,
        ends_at=draft.ends_at,
        due_by=draft.due_by,
        started_at=done_at,
        completed_at=done_at,
        cancelled_at=desk.at if status == "CANCELLED" else None,
        deleted_at=None,
        created_at=desk.at,
        updated_at=desk.at,
    )
