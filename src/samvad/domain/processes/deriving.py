"""Derived attributes: formulas over what an object has, counts and sums over what is related to it.

They are recomputed in the transaction that writes what they depend on, so nobody ever reads an old one. A formula
reads its own object, and of a process also its record; a count or sum is asked again when a task is added, or a
process of the record changes. `now` in a formula is the moment of that writing.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from samvad.domain.procedures import queries as procedures
from samvad.domain.procedures.blueprint import Blueprint, EntityPlan, Schema
from samvad.domain.procedures.model import Derived
from samvad.domain.processes import queries
from samvad.domain.processes.model import Process, Record, Task
from samvad.domain.processes.telling import Told, tell
from samvad.storage import Tx

if TYPE_CHECKING:
    from samvad.domain.processes.writing import Desk

MOST_RELATED = 10_000
"""Related objects that are looked at for a count or a sum; what is beyond is not counted."""


class Related(Protocol):
    """What a count or sum looks at: a task of a process, a process of a record."""

    @property
    def status(self) -> str: ...
    @property
    def data(self) -> dict[str, Any]: ...


def of_process(
    plan: Blueprint,
    it: Process,
    *,
    at: int,
    tasks: Sequence[Task] | None = None,
    record: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Everything derived of a process; `record` is the data of what it is about.

    Without `tasks` its counts and sums stay as they are.
    """
    schema = plan.schema
    if not schema.derived:
        return it.derived
    state = plan.state_by_id.get(it.state_id)
    derived = _aggregates(schema, it.derived, tasks)
    short_id = state.short_id if state else ""
    return _formulas(schema, it.data, derived, record=record, status=it.status, state=short_id, at=at)


def of_record(
    plan: EntityPlan, it: Record, *, at: int, processes: "Sequence[_Named] | None" = None
) -> dict[str, Any]:
    schema = plan.schema
    if not schema.derived:
        return it.derived
    return _formulas(schema, it.data, _aggregates(schema, it.derived, processes), status="", state="", at=at)


def with_formulas(plan: Blueprint, it: Task, *, at: int) -> Task:
    schema = plan.task_schemas[it.state_task_id]
    if not schema.derived:
        return it
    return replace(it, derived=_formulas(schema, it.data, {}, status=it.status, state="", at=at))


def refresh_process(desk: "Desk", it: Process) -> Process:
    """A process whose tasks are others now, with its counts and sums; written where they changed."""
    if not desk.plan.schema.aggregates:
        return it
    tasks = queries.tasks_of(desk.tx, [it.id])[:MOST_RELATED]
    derived = of_process(desk.plan, it, at=desk.at, tasks=tasks, record=desk.record_data(it.record_id))
    if derived == it.derived:
        return it
    after = replace(it, derived=derived, updated_at=desk.at)
    queries.set_data(desk.tx, [after])
    tell(desk, "update", [Told("process", it, after)])
    return after


def refresh_readers(desk: "Desk", record_ids: Collection[str], *, but: Collection[str]) -> None:
    """Processes, `but` for some, whose formulas read these records, which are others now."""
    if not record_ids:
        return
    its = [it for it in queries.processes_of_records(desk.tx, record_ids) if it.id not in but]
    plans = procedures.with_ids(desk.tx, sorted({it.procedure_id for it in its}))
    for plan in plans.values():
        if not plan.schema.reads_record:
            continue
        other = replace(desk, plan=plan)
        changed = []
        for it in its:
            if it.procedure_id == plan.id:
                derived = of_process(plan, it, at=desk.at, record=other.record_data(it.record_id))
                if derived != it.derived:
                    changed.append(Told("process", it, replace(it, derived=derived, updated_at=desk.at)))
        queries.set_data(desk.tx, [it.after for it in changed])
        tell(other, "update", changed)


def refresh_records(desk: "Desk", record_ids: Iterable[str | None]) -> None:
    """Records whose processes are others now, with their counts and sums; written where they changed."""
    entity = desk.entity
    wanted = sorted({it for it in record_ids if it})
    if entity is None or not wanted or not entity.schema.aggregates:
        return
    found = queries.find_records(desk.tx, wanted, lock=True)
    changed = [
        Told("record", record, replace(record, derived=derived, updated_at=desk.at))
        for record, derived in counted(desk.tx, entity, list(found.values()), at=desk.at)
        if derived != record.derived
    ]
    queries.set_records(desk.tx, [it.after for it in changed])
    tell(desk, "update", changed)


def counted(
    tx: Tx, entity: EntityPlan, records: Sequence[Record], *, at: int
) -> list[tuple[Record, dict[str, Any]]]:
    """Records, each with everything that is derived of it and its processes."""
    its: dict[str, list[Process]] = {it.id: [] for it in records}
    if entity.schema.aggregates:
        for process in queries.processes_of_records(tx, list(its)):
            its[str(process.record_id)].append(process)
    plans = procedures.with_ids(tx, sorted({it.procedure_id for many in its.values() for it in many}))
    return [
        (
            record,
            of_record(
                entity,
                record,
                at=at,
                processes=[_Named(it, plans[it.procedure_id]) for it in its[record.id][:MOST_RELATED]],
            ),
        )
        for record in records
    ]


class _Named:
    """A process as a count over a record's processes sees it: also by the names of its procedure and state."""

    def __init__(self, it: Process, plan: Blueprint) -> None:
        state = plan.state_by_id.get(it.state_id)
        self.status = it.status
        self.data = it.data
        self.words = {
            "status": it.status,
            "procedure": plan.short_id,
            "state": state.short_id if state else None,
        }


def _aggregates(schema: Schema, before: Mapping[str, Any], related: Collection[Any] | None) -> dict[str, Any]:
    if related is None:
        return {name: before.get(name, 0) for name in schema.aggregates}
    return {name: _aggregate(how, related) for name, how in schema.aggregates.items()}


def _aggregate(how: Derived, related: Iterable[Any]) -> int | float:
    those = [it for it in related if _fits(it, how.where or {})]
    if how.sum is None:
        return len(those)
    values = [it.data.get(how.sum) for it in those]
    return sum(it for it in values if isinstance(it, (int, float)) and not isinstance(it, bool))


def _fits(it: Any, where: Mapping[str, Any]) -> bool:
    """Equality, or one of a list; what a count asks is simple."""
    words = getattr(it, "words", None) or {"status": it.status}
    for name, wanted in where.items():
        value = words.get(name) if name in words else it.data.get(name)
        if value not in wanted if isinstance(wanted, list) else value != wanted:
            return False
    return True


def _formulas(
    schema: Schema,
    data: Mapping[str, Any],
    derived: dict[str, Any],
    *,
    status: str,
    state: str,
    at: int,
    record: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    for name, formula in schema.formulas.items():
        value = formula.value(data=data, derived=derived, record=record, status=status, state=state, now=at)
        if value is None:
            derived.pop(name, None)
        else:
            derived[name] = value
    return derived
