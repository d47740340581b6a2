"""Processes, records and tasks in the database."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Row, Select, bindparam, func

from samvad.domain.accounts.access import Access
from samvad.domain.accounts.predicates import reads
from samvad.domain.processes.filtering import to_sql
from samvad.domain.processes.model import Process, Record, Task
from samvad.domain.processes.tables import processes, records, tasks
from samvad.domain.processes.where import Condition, Every, OneOf
from samvad.storage import Database, Tx, every_team
from samvad.storage.attributes import ScalarKind
from samvad.storage.columns import SearchedJson, among, aside

PROCESS_FIELDS = tuple(Process.__dataclass_fields__)
RECORD_FIELDS = tuple(Record.__dataclass_fields__)
TASK_FIELDS = tuple(Task.__dataclass_fields__)

ADD_PROCESS = every_team.insert(processes)
ADD_RECORD = every_team.insert(records)
ADD_TASK = every_team.insert(tasks)

_data, _derived = (bindparam(f"new_{it}", type_=SearchedJson()) for it in ("data", "derived"))

SET_DATA = (
    every_team.update(processes)
    .where(processes.c.id == bindparam("process_id"))
    .values(data=_data, derived=_derived, updated_at=bindparam("new_updated_at"))
)
"""What most updates change: naming no other column leaves every index of them alone."""

CHANGED = (
    "contact_id",
    "record_id",
    "status",
    "state_id",
    "primary_key",
    "phone_key",
    "assigned_to",
    "belongs_to",
    "next_action_at",
    "completed_at",
    "cancelled_at",
    "deleted_at",
    "updated_at",
)
SET_PROCESS = (
    every_team.update(processes)
    .where(processes.c.id == bindparam("process_id"))
    .values(data=_data, derived=_derived, **{name: bindparam(f"new_{name}") for name in CHANGED})
)
SET_RECORD = (
    every_team.update(records)
    .where(records.c.id == bindparam("record_id"))
    .values(
        data=_data,
        derived=_derived,
        **{name: bindparam(f"new_{name}") for name in ("primary_key", "phone_key", "updated_at")},
    )
)

SET_TASK = (
    every_team.update(tasks)
    .where(tasks.c.id == bindparam("task_id"))
    .values(data=_data, derived=_derived, updated_at=bindparam("new_updated_at"))
)


LOOK_FIRST = (300, 3_000)
"""How many of the newest processes a search looks through before it goes to the index of what it asks for."""


def newest_first(
    tx: Tx, procedure_id: str, condition: Condition | None, access: Access, *, limit: int, skip: int
) -> list[Process]:
    """A page of a procedure's processes that one sees."""
    # A range has an index whose order is not the list's: what fits is found there, and all of it is sorted. Of a
    # range that holds a third of a million a page is among the newest few hundred; of a small one it is not.
    is_sorted = condition is None or _is_in_order(condition)
    for some in () if is_sorted else LOOK_FIRST:
        if skip + limit < some:
            newest = _newest(_there(tx, procedure_id)).limit(some).subquery("newest")
            query = every_team.select(newest)
            found = _page(tx, query, newest, condition, access, limit=limit, skip=skip)
            if len(found) == limit:
                return found
    return _page(tx, _there(tx, procedure_id), processes, condition, access, limit=limit, skip=skip)


def _page(
    tx: Tx,
    query: Select[Any],
    table: FromClause,
    condition: Condition | None,
    access: Access,
    *,
    limit: int,
    skip: int,
) -> list[Process]:
    query = query.where(reads(access, table))
    if condition is not None:
        query = query.where(to_sql(condition, table))
    return [as_process(row) for row in tx.all(_newest(query, table).limit(limit).offset(skip))]


def _newest(query: Select[Any], table: FromClause = processes) -> Select[Any]:
    return query.order_by(table.c.created_at.desc(), table.c.id.desc())


def _is_in_order(condition: Condition) -> bool:
    """Whether an index that has what is asked for has it in the order of the list: one value of something."""
    if isinstance(condition, Every):
        return not condition.conditions or any(_is_in_order(it) for it in condition.conditions)
    if not isinstance(condition, OneOf) or len(condition.values) != 1:
        return False
    field = condition.field
    if field.is_attribute:
        return field.filterable and field.kind in ("text", "number", "boolean")
    return field.place in ("state_id", "assigned_to")


def in_order(
    tx: Tx,
    procedure_id: str,
    *,
    after: str,
    limit: int,
    condition: Condition | None = None,
    lock: bool = False,
) -> list[Process]:
    """Processes past this id, oldest id first: the way through all of them, a chunk at a time."""
    query = _there(tx, procedure_id).where(processes.c.id > after).order_by(processes.c.id).limit(limit)
    if condition is not None:
        query = query.where(to_sql(condition))
    return [as_process(row) for row in tx.all(query.with_for_update() if lock else query)]


def tasks_in_order(tx: Tx, procedure_id: str, *, after: str, limit: int, lock: bool = False) -> list[Task]:
    """Tasks of a procedure past this id, oldest id first."""
    query = tx.select(tasks, *(tasks.c[name] for name in TASK_FIELDS)).where(
        tasks.c.procedure_id == procedure_id, tasks.c.deleted_at.is_(None), tasks.c.id > after
    )
    query = query.order_by(tasks.c.id).limit(limit)
    return [as_task(row) for row in tx.all(query.with_for_update() if lock else query)]


def records_in_order(tx: Tx, entity_id: str, *, after: str, limit: int, lock: bool = False) -> list[Record]:
    """Records of an entity past this id, oldest id first."""
    query = _records(tx).where(
        records.c.entity_id == entity_id, records.c.deleted_at.is_(None), records.c.id > after
    )
    query = query.order_by(records.c.id).limit(limit)
    return [as_record(row) for row in tx.all(query.with_for_update() if lock else query)]


def count(tx: Tx, procedure_id: str, condition: Condition | None = None) -> int:
    """How many processes a procedure has, or how many of them fit."""
    query = tx.select(processes, func.count().label("many")).where(
        processes.c.procedure_id == procedure_id, processes.c.deleted_at.is_(None)
    )
    row = tx.first(query if condition is None else query.where(to_sql(condition)))
    return int(row.many) if row else 0


def any_process(tx: Tx, procedure_id: str) -> bool:
    return tx.first(_there(tx, procedure_id).limit(1)) is not None


def any_record(tx: Tx, entity_id: str) -> bool:
    query = _records(tx).where(records.c.entity_id == entity_id, records.c.deleted_at.is_(None))
    return tx.first(query.limit(1)) is not None


def with_ids(tx: Tx, procedure_id: str, ids: Collection[str], *, lock: bool = False) -> dict[str, Process]:
    return {it.id: it for it in _those(tx, procedure_id, processes.c.id, ids, lock=lock)}


def with_keys(tx: Tx, procedure_id: str, keys: Collection[str], *, lock: bool = False) -> dict[str, Process]:
    found = _those(tx, procedure_id, processes.c.primary_key, keys, lock=lock)
    return {it.primary_key: it for it in found if it.primary_key is not None}


def with_phones(
    tx: Tx, procedure_id: str, phone_keys: Collection[str], *, lock: bool = False
) -> dict[str, Process]:
    """By phone key; of several with one phone the eldest."""
    found: dict[str, Process] = {}
    for it in _those(tx, procedure_id, processes.c.phone_key, phone_keys, lock=lock):
        if it.phone_key is not None:
            found.setdefault(it.phone_key, it)
    return found


async def index(db: Database, column: str, short_id: str, kind: ScalarKind) -> None:
    """Have an attribute found by an index, in the order of the list."""
    await db.create_attribute_index(processes, column, short_id, kind)


def find(tx: Tx, process_id: str) -> Process | None:
    """A process of any procedure of the team."""
    row = tx.first(
        tx.select(processes, *_columns).where(processes.c.id == process_id, processes.c.deleted_at.is_(None))
    )
    return as_process(row) if row else None


def any_in_state(tx: Tx, procedure_id: str, state_id: str) -> bool:
    query = _there(tx, procedure_id).where(processes.c.state_id == state_id).limit(1)
    return tx.first(query) is not None


def any_task_of(tx: Tx, procedure_id: str, state_task_id: str) -> bool:
    query = tx.select(tasks, tasks.c.id).where(
        tasks.c.procedure_id == procedure_id, tasks.c.state_task_id == state_task_id
    )
    return tx.first(query.limit(1)) is not None


def add_processes(tx: Tx, rows: Sequence[Process]) -> None:
    if rows:
        tx.execute(ADD_PROCESS, [_values(it, PROCESS_FIELDS) for it in rows])


def set_data(tx: Tx, rows: Sequence[Process]) -> None:
    """Write down rows of which only `data`, `derived` and `updated_at` are others."""
    if rows:
        tx.execute(
            SET_DATA,
            [
                {
                    "process_id": it.id,
                    "new_data": it.data,
                    "new_derived": it.derived,
                    "new_updated_at": it.updated_at,
                }
                for it in rows
            ],
        )


def set_processes(tx: Tx, rows: Sequence[Process]) -> None:
    if rows:
        tx.execute(SET_PROCESS, [_new(it, "process_id", CHANGED) for it in rows])


def move_processes(tx: Tx, *, gone: str, kept: str, at: int) -> None:
    """Give one contact's processes to another."""
    its = every_team.update(processes).where(
        aside(processes.c.team_id) == tx.team_id, processes.c.contact_id == gone
    )
    tx.execute(its.values(contact_id=kept, updated_at=at))


def find_records(tx: Tx, ids: Collection[str], *, lock: bool = False) -> dict[str, Record]:
    query = _records(tx).where(among(records.c.id, "ids")).order_by(records.c.id)
    rows = tx.all(query.with_for_update() if lock else query, {"ids": ids}) if ids else []
    return {it.id: it for it in (as_record(row) for row in rows)}


def records_with(
    tx: Tx, entity_id: str, *, keys: Collection[str] = (), phones: Collection[str] = ()
) -> tuple[dict[str, Record], dict[str, Record]]:
    """Records of an entity by their primary key, and by their phone key."""
    here = _records(tx).where(records.c.entity_id == entity_id, records.c.deleted_at.is_(None))
    by_key: dict[str, Record] = {}
    by_phone: dict[str, Record] = {}
    for column, wanted, found in (
        (records.c.primary_key, keys, by_key),
        (records.c.phone_key, phones, by_phone),
    ):
        if wanted:
            query = here.where(among(column, "wanted")).order_by(aside(records.c.id)).with_for_update()
            for row in tx.all(query, {"wanted": wanted}):
                it = as_record(row)
                found.setdefault(str(it.primary_key if column is records.c.primary_key else it.phone_key), it)
    return by_key, by_phone


def add_records(tx: Tx, rows: Sequence[Record]) -> None:
    if rows:
        tx.execute(ADD_RECORD, [_values(it, RECORD_FIELDS) for it in rows])


def set_records(tx: Tx, rows: Sequence[Record]) -> None:
    if rows:
        tx.execute(
            SET_RECORD, [_new(it, "record_id", ("primary_key", "phone_key", "updated_at")) for it in rows]
        )


def set_tasks(tx: Tx, rows: Sequence[Task]) -> None:
    """Write down tasks of which only `data`, `derived` and `updated_at` are others."""
    if rows:
        tx.execute(SET_TASK, [_new(it, "task_id", ("updated_at",)) for it in rows])


def add_task(tx: Tx, it: Task) -> None:
    tx.execute(ADD_TASK, _values(it, TASK_FIELDS))


def tasks_of(tx: Tx, process_ids: Collection[str]) -> list[Task]:
    """Tasks of these processes, in order."""
    query = (
        tx.find(tasks, *(tasks.c[name] for name in TASK_FIELDS))
        .where(among(tasks.c.process_id, "ids"), tasks.c.deleted_at.is_(None))
        .order_by(tasks.c.process_id, tasks.c.position, tasks.c.id)
    )
    return [as_task(row) for row in tx.all(query, {"ids": process_ids})]


def last_position(tx: Tx, process_id: str) -> int:
    """The place of the last task of a process, 0 where it has none."""
    row = tx.first(
        tx.find(tasks, func.max(tasks.c.position).label("last")).where(tasks.c.process_id == process_id)
    )
    return (row.last if row else None) or 0


def processes_of_records(tx: Tx, record_ids: Collection[str]) -> list[Process]:
    query = (
        tx.find(processes, *_columns)
        .where(among(processes.c.record_id, "ids"), processes.c.deleted_at.is_(None))
        .order_by(aside(processes.c.id))
    )
    return [as_process(row) for row in tx.all(query, {"ids": record_ids})]


_columns = tuple(processes.c[name] for name in PROCESS_FIELDS)


def _there(tx: Tx, procedure_id: str) -> Select[Any]:
    return tx.select(processes, *_columns).where(
        processes.c.procedure_id == procedure_id, processes.c.deleted_at.is_(None)
    )


def _those(
    tx: Tx, procedure_id: str, column: ColumnElement[Any], wanted: Collection[str], *, lock: bool
) -> list[Process]:
    """Oldest id first, in which order they are also locked."""
    if not wanted:
        return []
    its_procedure = processes.c.procedure_id
    of_it = (aside(its_procedure) if column is processes.c.id else its_procedure) == procedure_id
    query = (
        tx.find(processes, *_columns)
        .where(of_it, processes.c.deleted_at.is_(None), among(column, "wanted"))
        .order_by(aside(processes.c.id))
    )
    rows: Sequence[Row[Any]] = tx.all(query.with_for_update() if lock else query, {"wanted": wanted})
    return [as_process(row) for row in rows]


def _records(tx: Tx) -> Select[Any]:
    return tx.find(records, *(records.c[name] for name in RECORD_FIELDS))


def _values(it: Any, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(it, name) for name in names}


def _new(it: Any, id_name: str, names: Sequence[str]) -> Mapping[str, Any]:
    return {
        id_name: it.id,
        "new_data": it.data,
        "new_derived": it.derived,
        **{f"new_{name}": getattr(it, name) for name in names},
    }


def as_process(row: Any) -> Process:
    return Process(*row)


def as_record(row: Any) -> Record:
    return Record(*row)


def as_task(row: Any) -> Task:
    return Task(*row)
