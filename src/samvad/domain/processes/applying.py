"""Procedures applied from a document and exported again: what changes, what would be lost, and rows made to fit."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import msgspec

from samvad.domain.accounts import queries as accounts
from samvad.domain.accounts.model import TeamSettings
from samvad.domain.context import Resources
from samvad.domain.events.log import Event, record
from samvad.domain.procedures import definition as definitions
from samvad.domain.procedures import queries as procedures
from samvad.domain.procedures import types
from samvad.domain.procedures.blueprint import Schema, nearest
from samvad.domain.procedures.definition import Change, Risk
from samvad.domain.procedures.examples import example
from samvad.domain.procedures.files import read_document, write_document
from samvad.domain.procedures.model import LEAD, Attribute, Definition, Document, Entity, by_short_id
from samvad.domain.processes import deriving, queries
from samvad.domain.processes.model import Process, Record, Task
from samvad.domain.processes.writing import Desk, open_desk, phone_key
from samvad.jobs.queue import Job, enqueue
from samvad.kit.errors import BadRequest, Conflict, NotFound
from samvad.kit.ids import new_id
from samvad.storage import Database, Tx
from samvad.storage.attributes import ScalarKind

CONFORM = "procedures.conform"
CHUNK = 250
LOCK = "definitions"
"""The counter whose row is held by whoever changes definitions: one at a time."""

Progress = Callable[[int], None]
"""Told how many rows were made to fit since the last time."""


class Plan(NamedTuple):
    """What an apply does: every change, those by which rows lose something, and how many rows are looked at."""

    changes: list[Change]
    losses: list[str]
    document: Document
    rows: int
    seen: dict[str, str]
    """The definitions this was planned against, by id: where they are others by now, it holds no more."""


async def create_lead_procedure(res: Resources, team_id: str) -> None:
    """Give a team its leads; every person who writes, or is written to, gets one from now on."""
    document = read_document(example(LEAD))

    def known(tx: Tx) -> bool:
        return procedures.find(tx, LEAD) is not None

    if not await res.db.team(team_id).read(known):
        await apply(res, team_id, document)


async def plan(res: Resources, team_id: str, document: Document) -> Plan:
    """What applying this would do. Raises BadRequest with everything that is wrong with the document."""
    planned = await res.db.team(team_id).read(_plan, document)
    return planned._replace(losses=await _losses(res, team_id, planned.changes))


async def apply(
    res: Resources,
    team_id: str,
    document: Document,
    *,
    force: bool = False,
    actor_id: str | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Make the team's procedures and entities what the document says; what it doesn't name stays.

    Raises Conflict where rows would lose values, unless it is forced; then they are made to fit, which is a
    job that goes on after a crash. Attributes that are filterable have their index when this returns.
    """
    planned = await plan(res, team_id, document)
    if planned.losses and not force:
        raise Conflict(*planned.losses, "Nothing was changed. With --force these values are given up.")
    await apply_plan(res, team_id, planned, actor_id=actor_id, progress=progress)
    return planned


async def apply_plan(
    res: Resources,
    team_id: str,
    planned: Plan,
    *,
    actor_id: str | None = None,
    progress: Progress | None = None,
) -> None:
    """Do what was planned, losses and all. Raises Conflict where the definitions are others since."""
    fits = [*_touched(planned, "entity"), *_touched(planned, "procedure")]

    def unit(tx: Tx) -> None:
        procedures.next_numbers(tx, LOCK, 0)
        entities, before = _known(tx)
        if _texts(planned.document, entities, before) != planned.seen:
            raise Conflict("The definitions were changed meanwhile. Apply again.")
        now = res.clock()
        happened = []
        for entity in planned.document.entities:
            old = entities.get(entity.short_id)
            if old == entity:
                continue
            (procedures.replace_entity if old else procedures.add_entity)(tx, entity, at=now)
            name = "entity.changed" if old else "entity.created"
            happened.append(
                Event(team_id, name, entity.id, actor_id, _said(planned, f"entity {entity.short_id}"))
            )
        for it in planned.document.procedures:
            known = before.get(it.short_id)
            if known == it:
                continue
            (procedures.replace if known else procedures.add)(tx, it, at=now)
            name = "procedure.changed" if known else "procedure.created"
            happened.append(Event(team_id, name, it.id, actor_id, _said(planned, f"procedure {it.short_id}")))
        record(tx, happened, at=now)
        enqueue(
            tx, [Job(team_id, CONFORM, it, lane=f"conform/{next(iter(it.values()))}") for it in fits], at=now
        )

    if planned.changes:
        await res.db.team(team_id).write(unit)
    # Rows first: what is too long for an index is gone then.
    for which in fits:
        await _conform(res, team_id, which, progress=progress)
    for it in planned.document.procedures:
        await index(res.db, it)


async def list_procedures(res: Resources, team_id: str) -> list[tuple[Definition, int]]:
    """The team's procedures by short id, and how many processes each has."""

    def unit(tx: Tx) -> list[tuple[Definition, int]]:
        known = _known(tx)[1]
        return [(known[it], queries.count(tx, known[it].id)) for it in sorted(known)]

    return await res.db.team(team_id).read(unit)


async def export(res: Resources, team_id: str, short_ids: Sequence[str] = ()) -> str:
    """Procedures of a team, or all of them, with the entities they are of, as the YAML that makes them again."""

    def unit(tx: Tx) -> Document:
        entities, known = _known(tx)
        for word in short_ids:
            if word not in known:
                there_are = ", ".join(sorted(known)) or "none yet"
                raise NotFound(
                    f"There is no procedure {word!r:.80}{nearest(word, known)} There are: {there_are}."
                )
        chosen = tuple(known[it] for it in sorted(set(short_ids) or known))
        named = {it.entity for it in chosen} if short_ids else set(entities)
        return Document(
            entities=tuple(entities[it] for it in sorted(entities) if it in named), procedures=chosen
        )

    return write_document(await res.db.team(team_id).read(unit))


async def index_all(db: Database) -> None:
    """Have the indexes of every team's filterable attributes: a migration of SQLite's may have lost them."""
    for column, short_id, kind in sorted(await db.read(_wanted_indexes)):
        await queries.index(db, column, short_id, kind)


def _wanted_indexes(tx: Tx) -> set[tuple[str, str, ScalarKind]]:
    return {
        it for row in procedures.of_every_team(tx) for it in _indexes_of(definitions.decode(row.definition))
    }


async def index(db: Database, it: Definition) -> None:
    """Every filterable attribute, and the primary key, is found by an index."""
    for column, short_id, kind in _indexes_of(it):
        await queries.index(db, column, short_id, kind)


def _indexes_of(it: Definition) -> Iterator[tuple[str, str, ScalarKind]]:
    """Lists and objects have none: an index of values does not find what holds them."""
    for attribute in it.attributes:
        kind = types.kind_of(attribute)
        if kind in ("text", "number", "boolean") and (
            attribute.filterable or attribute.short_id == it.primary_key
        ):
            yield "derived" if attribute.derived is not None else "data", attribute.short_id, kind


async def conform_promised(res: Resources, job: Job) -> None:
    """The job behind a definition that is another now: rows are made to fit it, whoever was to do it."""
    await _conform(res, job.team_id, job.args, progress=None)


async def conform(
    res: Resources, team_id: str, procedure_id: str, *, progress: Progress | None = None
) -> int:
    """Make every process and task fit its procedure as it is now; returns how many were changed."""
    return await _conform(res, team_id, {"procedure": procedure_id}, progress=progress)


async def _conform(
    res: Resources, team_id: str, which: Mapping[str, str], *, progress: Progress | None
) -> int:
    """May be run again, and beside others: each chunk is looked at and written in one transaction."""
    procedure_id = which.get("procedure")
    if procedure_id is None:
        return await _each_chunk(res, team_id, _conform_records, which["entity"], progress=progress)
    # Tasks first: processes count and sum what is in them.
    changed = await _each_chunk(res, team_id, _conform_tasks, procedure_id, progress=None)
    changed += await _each_chunk(res, team_id, _conform_processes, procedure_id, progress=progress)
    found = await res.db.team(team_id).read(procedures.find, procedure_id)
    if found is not None:
        await index(res.db, found.definition)
    return changed


Chunk = Callable[..., tuple[str | None, int, int]]
"""Past this id: the last id if there may be more, how many were looked at, and how many changed."""


async def _each_chunk(
    res: Resources, team_id: str, unit: Chunk, owner_id: str, *, progress: Progress | None
) -> int:
    after: str | None = ""
    changed = 0
    while after is not None:
        after, looked_at, fitted = await res.db.team(team_id).write(unit, owner_id, after, at=res.clock())
        changed += fitted
        if progress is not None and looked_at:
            progress(looked_at)
    return changed


def _conform_processes(tx: Tx, procedure_id: str, after: str, *, at: int) -> tuple[str | None, int, int]:
    desk = _desk(tx, procedure_id, at=at)
    if desk is None:
        return None, 0, 0
    rows = queries.in_order(tx, procedure_id, after=after, limit=CHUNK, lock=True)
    tasks: dict[str, list[Task]] = {it.id: [] for it in rows}
    if desk.plan.schema.aggregates:
        for task in queries.tasks_of(tx, list(tasks)):
            tasks[task.process_id].append(task)
    fitted = [it for row in rows if (it := _fitted(desk, row, tasks[row.id])) != row]
    queries.set_processes(tx, fitted)
    deriving.refresh_records(desk, [it.record_id for it in fitted])
    return (rows[-1].id if len(rows) == CHUNK else None), len(rows), len(fitted)


def _conform_tasks(tx: Tx, procedure_id: str, after: str, *, at: int) -> tuple[str | None, int, int]:
    desk = _desk(tx, procedure_id, at=at)
    if desk is None:
        return None, 0, 0
    rows = queries.tasks_in_order(tx, procedure_id, after=after, limit=CHUNK, lock=True)
    fitted = []
    for row in rows:
        schema = desk.plan.task_schemas.get(row.state_task_id)
        if schema is None:
            continue  # what the task was of is gone; it is shown without its values
        data = _fitting(schema, row.data, zone=desk.settings.time_zone)
        it = deriving.with_formulas(desk.plan, replace(row, data=data, derived={}), at=at)
        if it != row:
            fitted.append(replace(it, updated_at=at))
    queries.set_tasks(tx, fitted)
    return (rows[-1].id if len(rows) == CHUNK else None), len(rows), len(fitted)


def _conform_records(tx: Tx, entity_id: str, after: str, *, at: int) -> tuple[str | None, int, int]:
    entity = procedures.find_entity(tx, entity_id)
    team = accounts.find_team(tx, str(tx.team_id))
    if entity is None or team is None:
        return None, 0, 0
    settings = TeamSettings.of(team.settings)
    rows = queries.records_in_order(tx, entity_id, after=after, limit=CHUNK, lock=True)
    bare = []
    for row in rows:
        data = _fitting(entity.schema, row.data, zone=settings.time_zone)
        phone = phone_key(entity.schema, entity.entity.primary_phone, data, country=settings.country)
        bare.append(replace(row, data=data, derived={}, phone_key=phone))
    after_them = [replace(it, derived=derived) for it, derived in deriving.counted(tx, entity, bare, at=at)]
    fitted = [replace(it, updated_at=at) for row, it in zip(rows, after_them, strict=True) if it != row]
    queries.set_records(tx, fitted)
    return (rows[-1].id if len(rows) == CHUNK else None), len(rows), len(fitted)


def _desk(tx: Tx, procedure_id: str, *, at: int) -> Desk | None:
    if procedures.find(tx, procedure_id) is None:
        return None
    return open_desk(tx, None, procedure_id, at=at)


def _fitted(desk: Desk, it: Process, tasks: Sequence[Task]) -> Process:
    """A process as its procedure can hold it: what fits no more is left out, a state that is gone is the first."""
    plan = desk.plan
    data = _fitting(plan.schema, it.data, zone=desk.settings.time_zone)
    after = replace(
        it,
        data=data,
        derived={},
        state_id=it.state_id if it.state_id in plan.state_by_id else plan.start_state.id,
        phone_key=desk.phone_key(plan.schema, plan.definition.primary_phone, data),
    )
    after = replace(
        after,
        derived=deriving.of_process(
            plan, after, at=desk.at, tasks=tasks, record=desk.record_data(it.record_id)
        ),
    )
    return after if after == it else replace(after, updated_at=desk.at)


def _fitting(schema: Schema, data: Mapping[str, Any], *, zone: str) -> dict[str, Any]:
    """Of these values those that still fit, as they are kept now."""
    found = {}
    for name, value in data.items():
        attribute = schema.settable.get(name)
        if attribute is not None and (kept := _kept(attribute, value, zone=zone)) is not None:
            found[name] = kept
    return found


def _kept(attribute: Attribute, value: Any, *, zone: str) -> Any:
    """A value as the attribute can hold it, None where it cannot."""
    try:
        return types.coercer_for(attribute, zone=zone)(value)
    except types.Mismatch:
        return None


def _known(tx: Tx) -> tuple[dict[str, Entity], dict[str, Definition]]:
    """Entities and procedures there are, by short id."""
    return (
        {row.short_id: definitions.decode_entity(row.definition) for row in procedures.all_entities(tx)},
        {row.short_id: definitions.decode(row.definition) for row in procedures.all_by_short_id(tx)},
    )


def _plan(tx: Tx, document: Document) -> Plan:
    """Everything but the losses, which take a look at the rows."""
    entities, before = _known(tx)
    wanted_entities = tuple(
        definitions.entity_with_ids(it, entities.get(it.short_id), id=_id_of(entities.get(it.short_id)))
        for it in document.entities
    )
    known = entities | {it.short_id: it for it in wanted_entities}
    wanted = tuple(
        _with_entity(
            definitions.with_ids(it, before.get(it.short_id), id=_id_of(before.get(it.short_id))), known
        )
        for it in document.procedures
    )
    problems = [it for entity in wanted_entities for it in definitions.entity_problems(entity)]
    problems += [it for one in wanted for it in definitions.problems_of(one, entities=known)]
    roles = {row.name for row in accounts.roles_oldest_first(tx)}
    problems += [
        f"procedure {one.short_id}: there is no role {word!r:.80} in this team; there are {', '.join(sorted(roles))}."
        for one in wanted
        for word in one.roles
        if word not in roles
    ]
    for what, names in (
        ("procedure", [it.short_id for it in wanted]),
        ("entity", [it.short_id for it in wanted_entities]),
    ):
        problems += [
            f"{what} {name} is there twice." for name in sorted({it for it in names if names.count(it) > 1})
        ]
    if problems:
        raise BadRequest(*dict.fromkeys(problems))
    problems += [it for one in wanted for it in _fixed(tx, before.get(one.short_id), one)]
    problems += [
        it for entity in wanted_entities for it in _fixed_entity(tx, entities.get(entity.short_id), entity)
    ]
    if problems:
        raise BadRequest(*problems)
    changes = [
        it for one in wanted_entities for it in definitions.entity_changes(entities.get(one.short_id), one)
    ]
    changes += [it for one in wanted for it in definitions.changes_between(before.get(one.short_id), one)]
    planned = Plan(changes, [], Document(entities=wanted_entities, procedures=wanted), 0, {})
    rows = sum(queries.count(tx, it["procedure"]) for it in _touched(planned, "procedure"))
    return planned._replace(rows=rows, seen=_texts(planned.document, entities, before))


def _texts(
    document: Document, entities: Mapping[str, Entity], before: Mapping[str, Definition]
) -> dict[str, str]:
    """What is there under the names in this document."""
    found = {f"entity {it.short_id}": entities.get(it.short_id) for it in document.entities}
    there: dict[str, Entity | Definition | None] = {**found}
    there |= {f"procedure {it.short_id}": before.get(it.short_id) for it in document.procedures}
    return {name: definitions.encode(it) for name, it in there.items() if it is not None}


def _fixed(tx: Tx, old: Definition | None, new: Definition) -> Iterator[str]:
    """What cannot be changed once processes may depend on it."""
    if old is None:
        return
    at = f"procedure {new.short_id}"
    for name, before, after in (
        ("startState", old.start_state, new.start_state),
        ("completedState", old.completed_state, new.completed_state),
    ):
        if before != after:
            yield f"{at}: {name} cannot be changed once the procedure is there; it is {before}."
    if not _same_key(old, new) and queries.any_process(tx, old.id):
        yield f"{at}: primaryKey, and its type, cannot be changed while there are processes; it is {old.primary_key}."
    if old.entity_id != new.entity_id and queries.any_process(tx, old.id):
        yield f"{at}: entity cannot be changed while there are processes; it is {old.entity}."


def _fixed_entity(tx: Tx, old: Entity | None, new: Entity) -> Iterator[str]:
    if old is not None and not _same_key(old, new) and queries.any_record(tx, old.id):
        at = f"entity {new.short_id}"
        yield f"{at}: primaryKey, and its type, cannot be changed while there are records; it is {old.primary_key}."


def _same_key(old: Definition | Entity, new: Definition | Entity) -> bool:
    """Whether the keys there are stay what they are."""
    if old.primary_key != new.primary_key:
        return False
    before, after = (by_short_id(it.attributes).get(it.primary_key or "") for it in (old, new))
    return before is None or after is None or types.kind_of(before) == types.kind_of(after)


async def _losses(res: Resources, team_id: str, changes: Sequence[Change]) -> list[str]:
    """Of these changes, those by which rows that are there lose something, and how many of them."""
    risky = [(it, it.risk) for it in changes if it.risk is not None]
    if not risky:
        return []
    db = res.db.team(team_id)

    def parts(tx: Tx) -> list[str]:
        found = []
        for it, risk in risky:
            if risk.kind == "state" and queries.any_in_state(tx, risk.owner, risk.part):
                found.append(f"{it.path}: processes are in it; they would go to the first state.")
            elif risk.kind == "tasks" and queries.any_task_of(tx, risk.owner, risk.part):
                found.append(f"{it.path}: tasks of it are there; their values would be seen no more.")
        return found

    found = await db.read(parts)
    counts: Counter[str] = Counter()
    values = [(it, risk) for it, risk in risky if risk.before is not None]
    for kind, owner in sorted({(risk.kind, risk.owner) for _, risk in values}):
        those = [(it.path, risk) for it, risk in values if (risk.kind, risk.owner) == (kind, owner)]
        after: str | None = ""
        while after is not None:
            after, lost = await db.read(_lost, those, after)
            counts.update(lost)
    for it, risk in values:
        if many := counts[it.path]:
            those_are = (
                f"1 {risk.kind} loses its value"
                if many == 1
                else f"{many:,} {PLURAL[risk.kind]} lose their value"
            )
            found.append(f"{it.path} ({it.words if it.mark == '~' else 'goes'}): {those_are}.")
    return found


PLURAL = {"process": "processes", "task": "tasks", "record": "records"}


def _lost(tx: Tx, those: Sequence[tuple[str, Risk]], after: str) -> tuple[str | None, Counter[str]]:
    """A chunk of the rows that these are about: how many of them would lose a value by each."""
    kind, owner = those[0][1].kind, those[0][1].owner
    team = accounts.find_team(tx, str(tx.team_id))
    zone = TeamSettings.of(team.settings if team else {}).time_zone
    ways: dict[str, Callable[..., Sequence[Process | Task | Record]]] = {
        "process": queries.in_order,
        "task": queries.tasks_in_order,
        "record": queries.records_in_order,
    }
    rows = ways[kind](tx, owner, after=after, limit=CHUNK)
    lost: Counter[str] = Counter()
    for row in rows:
        for path, risk in those:
            if isinstance(row, Task) and row.state_task_id != risk.part:
                continue
            assert risk.before is not None
            value, wanted = row.data.get(risk.before.short_id), risk.after
            if value is not None and (
                wanted is None or wanted.derived is not None or _kept(wanted, value, zone=zone) is None
            ):
                lost[path] += 1
    return (rows[-1].id if len(rows) == CHUNK else None), lost


def _touched(planned: Plan, what: Literal["procedure", "entity"]) -> list[dict[str, str]]:
    """Procedures, or entities, whose rows may not fit any more, or have something derived that is new."""
    marked = {
        it.path.split(":")[0]
        for it in planned.changes
        if it.mark != "+" or ": " in it.path  # what is new as a whole has no rows
        if it.risk is not None or ": attribute " in it.path or it.words.startswith("primaryPhone:")
    }
    parts: Sequence[Entity | Definition] = (
        planned.document.entities if what == "entity" else planned.document.procedures
    )
    return [{what: it.id} for it in parts if f"{what} {it.short_id}" in marked]


def _said(planned: Plan, at: str) -> dict[str, Any]:
    return {"changes": [it.path for it in planned.changes if it.path.split(":")[0] == at][:100]}


def _with_entity(it: Definition, entities: Mapping[str, Entity]) -> Definition:
    entity = entities.get(it.entity or "")
    return msgspec.structs.replace(it, entity_id=entity.id if entity else None)


def _id_of(known: Definition | Entity | None) -> str:
    return known.id if known else new_id()
