"""Thousands of processes in one call: taken in at once, done behind, a chunk with each commit.

An entry is an item of the call and what became of it. Hundreds of them stand in one row, whose commit is that of the
processes they changed: after a crash no entry is done twice, and none is forgotten.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import structlog

from samvad.domain.accounts.access import Who
from samvad.domain.context import Context, Resources
from samvad.domain.events.log import Event, record
from samvad.domain.processes import jobs_queries as queries
from samvad.domain.processes.drafts import Draft, read_draft
from samvad.domain.processes.model import Process
from samvad.domain.processes.writing import (
    Desk,
    Done,
    Outcome,
    Target,
    create_many,
    open_desk,
    resolve,
    update_many,
)
from samvad.jobs.queue import Job, enqueue
from samvad.kit.errors import BadRequest, NotFound, SamvadError, TooLarge
from samvad.kit.ids import is_id, new_id
from samvad.storage import TROUBLE, Tx

RUN = "processes.bulk"
MOST_ITEMS = 10_000
LARGEST_BODY = 10 * 1024 * 1024  # bytes
CHUNK = 250  # entries to a commit: on SQLite they hold up the loop for some milliseconds
STATUSES = ("INVALID", "NOT_STARTED", "SUCCESS", "ERROR")
CREATE, UPDATE = "bulk-create", "bulk-update"
DEFAULT_PAGE, LONGEST_PAGE = 100, 1_000
KEEP_ORPHANS_MS = 60 * 60 * 1000

log = structlog.get_logger(__name__)

Entry = dict[str, Any]
"""`input`, `status`, and once it is known `message` and `output`, and `merged` where it was there already."""


class Item(NamedTuple):
    """A body, and what is wrong with it already."""

    body: Any
    problems: Sequence[str] = ()


class Rehearsed(NamedTuple):
    """A process as it would be, or why it would not."""

    process: Process | None
    problem: str | None


class Shown(NamedTuple):
    """A background job and how many of its entries have come how far."""

    job: Any
    counts: dict[str, int]


class Entries(NamedTuple):
    """A page of entries, each with its number, and how many there are in all."""

    job: Any
    entries: list[tuple[int, Entry, Any]]
    total: int


async def start(ctx: Context, procedure: str, kind: str, items: Any) -> Any:
    """Take in a bulk call; what it asks is done once this returns, or after the next start. Returns the job.

    Raises BadRequest where the items are no list, TooLarge past MOST_ITEMS.
    """
    if not isinstance(items, list):
        what = "an array of processes" if kind == CREATE else '{"processes": [...]}'
        raise BadRequest(f"The body must be {what}.")
    if len(items) > MOST_ITEMS:
        raise TooLarge(f"At most {MOST_ITEMS} processes in one call; got {len(items)}. Send them in several.")
    job_id, who = new_id(), Who.of(ctx)

    def open_it(tx: Tx) -> str:
        return open_desk(tx, who, procedure, at=ctx.now()).plan.id

    procedure_id = await ctx.db.read(open_it)
    for position, begin in enumerate(range(0, len(items), CHUNK)):
        some = items[begin : begin + CHUNK]
        await ctx.db.write(_take_in, who, procedure_id, kind, job_id, position, some, at=ctx.now())

    def unit(tx: Tx) -> Any:
        now = ctx.now()
        queries.add_job(tx, _job_row(job_id, kind, procedure_id, who, total=len(items), at=now))
        # Bulk jobs of one procedure go one after the other: the later call is the later word.
        enqueue(tx, [Job(ctx.team_id, RUN, {"job": job_id}, lane=f"bulk/{procedure_id}")], at=now)
        record(tx, [Event(ctx.team_id, "background_job.created", job_id, ctx.user_id or None)], at=now)
        return queries.find_job(tx, job_id)

    job = await ctx.db.write(unit)
    ctx.resources.bells.bulk.ring()
    return job


async def begin(ctx: Context, procedure: str, kind: str) -> str:
    """Open a job whose items this process brings, chunk by chunk, and carries out itself. Returns its id."""
    job_id, who = new_id(), Who.of(ctx)

    def unit(tx: Tx) -> None:
        procedure_id = open_desk(tx, bound(who), procedure, at=ctx.now()).plan.id
        queries.add_job(tx, _job_row(job_id, kind, procedure_id, who, total=0, at=ctx.now()))
        record(tx, [Event(ctx.team_id, "background_job.created", job_id, ctx.user_id or None)], at=ctx.now())

    await ctx.db.write(unit)
    return job_id


async def carry_out(ctx: Context, job_id: str, position: int, items: Sequence[Item]) -> list[Entry]:
    """Take in a chunk and do it, in one commit; returns what became of each item.

    All chunks but the last hold CHUNK items. What nobody thought of falls on its row alone.
    """

    def unit(tx: Tx, *, does: bool) -> list[Entry]:
        job, now = queries.find_job(tx, job_id), ctx.now()
        assert job is not None
        desk = open_desk(tx, bound(_hands_of(job)), job.procedure_id, at=now)
        entries = _entries(desk, job.kind, items)
        if does:
            _do(tx, job, [it for it in entries if it["status"] == "NOT_STARTED"], at=now)
        chunk = {
            "job_id": job_id,
            "position": position,
            "entries": entries,
            "created_at": now,
            "updated_at": now,
        }
        queries.add_chunk(tx, chunk | _counted(entries))
        queries.set_job(tx, job_id, total=position * CHUNK + len(items), updated_at=now)
        return entries

    try:
        return await ctx.db.write(unit, does=True)
    except TROUBLE:
        raise
    except SamvadError:
        raise
    except Exception as error:
        log.error("bulk.chunk_failed", job=job_id, error=repr(error), exc_info=error)
    await ctx.db.write(unit, does=False)
    await _do_one_by_one(ctx.resources, ctx.team_id, job_id)

    def told(tx: Tx) -> list[Entry]:
        return list(queries.chunks_in_order(tx, job_id, first=position, last=position)[0].entries)

    return await ctx.db.read(told)


async def close(ctx: Context, job_id: str, *, broken_off: str | None = None) -> None:
    """The last chunk was carried out; or no more will come, and why."""

    def unit(tx: Tx) -> None:
        job = queries.find_job(tx, job_id)
        assert job is not None
        _complete(tx, job, at=ctx.now())
        if broken_off is not None:
            queries.set_job(tx, job_id, status="ERROR", status_message=broken_off[:2_000])

    await ctx.db.write(unit)


async def rehearse(ctx: Context, procedure: str, kind: str, items: Sequence[Item]) -> list[Rehearsed]:
    """What would become of these items by themselves: they are done, and all of it is undone."""
    who = Who.of(ctx)

    def unit(tx: Tx) -> None:
        desk = open_desk(tx, bound(who), procedure, at=ctx.now())
        entries = _entries(desk, kind, items)
        job = _Rehearsal(ctx.team_id, desk.plan.id, kind, _acts_as(who))
        outcomes = _do(tx, job, [it for it in entries if it["status"] == "NOT_STARTED"], at=ctx.now())
        done = {id(entry): outcome.process for entry, outcome in outcomes if isinstance(outcome, Done)}
        raise _Undo([Rehearsed(done.get(id(it)), it.get("message")) for it in entries])

    try:
        await ctx.db.write(unit)
    except _Undo as undone:
        return undone.rehearsed
    raise AssertionError("a rehearsal is always undone")


class _Rehearsal(NamedTuple):
    """A job that is none."""

    team_id: str
    procedure_id: str
    kind: str
    acts_as: dict[str, str]


class _Undo(Exception):
    """Leaves a transaction with what it found out, and without what it wrote."""

    def __init__(self, rehearsed: list[Rehearsed]) -> None:
        super().__init__()
        self.rehearsed = rehearsed


async def get_job(ctx: Context, job_id: str) -> Shown:
    def unit(tx: Tx) -> Shown:
        job = _job(tx, ctx, job_id)
        return Shown(job, dict(zip(STATUSES, queries.counts(tx, job_id), strict=True)))

    return await ctx.db.read(unit)


async def list_entries(ctx: Context, job_id: str, *, limit: int, skip: int) -> Entries:
    """A page of a job's entries, in the order in which they were given."""

    def unit(tx: Tx) -> Entries:
        job = _job(tx, ctx, job_id)
        first, last = skip // CHUNK, (skip + limit - 1) // CHUNK
        found = [
            (row.position * CHUNK + number, entry, row)
            for row in queries.chunks_in_order(tx, job_id, first=first, last=last)
            for number, entry in enumerate(row.entries)
        ]
        return Entries(job, [it for it in found if skip <= it[0] < skip + limit], job.total)

    return await ctx.db.read(unit)


def entry_id(job_id: str, number: int) -> str:
    """The same for the same entry, without being kept."""
    return str(uuid.uuid5(uuid.UUID(job_id), str(number)))


def type_id(kind: str) -> str:
    """The vendor's acknowledgement names a job's type by an id."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"samvad/{kind}"))


async def run(res: Resources, job: Job) -> None:
    """The job behind a bulk call: its chunks, one after the other, until none is left."""
    db, job_id = res.db.team(job.team_id), job.args["job"]
    while True:
        try:
            more = await db.write(_do_next, job_id, at=res.clock())
        except TROUBLE:
            raise
        except Exception as error:
            # Something nobody thought of, in some row of this chunk: each by itself, and the rest goes on.
            log.error("bulk.chunk_failed", job=job_id, error=repr(error), exc_info=error)
            more = await _do_one_by_one(res, job.team_id, job_id)
        res.bells.deliveries.ring()
        if not more:
            return


def _take_in(
    tx: Tx,
    who: Who,
    procedure_id: str,
    kind: str,
    job_id: str,
    position: int,
    items: Sequence[Any],
    *,
    at: int,
) -> None:
    """Keep a chunk of items; what is wrong with their shape, or names nothing, is said at once."""
    desk = open_desk(tx, who, procedure_id, at=at)
    entries = _entries(desk, kind, [Item(it) for it in items])
    queries.add_chunk(
        tx,
        {"job_id": job_id, "position": position, "entries": entries, "created_at": at, "updated_at": at}
        | _counted(entries),
    )


def _entries(desk: Desk, kind: str, items: Sequence[Item]) -> list[Entry]:
    """Items with what is wrong with their shape, or that they name nothing."""
    entries: list[Entry] = [{"input": it.body, "status": "NOT_STARTED"} for it in items]
    targets: dict[int, Target] = {}
    for number, entry in enumerate(entries):
        problems = list(items[number].problems)
        if problems:
            pass
        elif kind == UPDATE:
            target, _, problems = _read_update(desk, entry["input"])
            if target is not None:
                targets[number] = target
        else:
            _, problems = read_draft(entry["input"], key=desk.plan.definition.primary_key)
        if problems:
            _end(entry, "INVALID", _sentences(problems))
    found = resolve(desk, list(targets.values()))
    for number, target in targets.items():
        row = found.get(target)
        if entries[number]["status"] == "NOT_STARTED" and (row is None or not desk.access.sees(row)):
            _end(entries[number], "INVALID", f"{desk.plan.definition.name} {target.word:.100} not found")
    return entries


def _read_update(desk: Desk, item: Any) -> tuple[Target | None, Draft, list[str]]:
    """An item of a bulk update: which process, and what of it."""
    if not isinstance(item, Mapping):
        return None, Draft(), [f"An item must be an object; got {item!r:.60}."]
    definition = desk.plan.definition
    problems: list[str] = []
    target = None
    by_key = item.get(definition.primary_key) if definition.primary_key else None
    if isinstance(by_key, (str, int, float)) and not isinstance(by_key, bool):
        target = Target(str(by_key), by="key")
    elif isinstance(item.get("id"), (str, int)) and not isinstance(item.get("id"), bool):
        target = Target(str(item["id"]))
    elif definition.primary_phone and isinstance(item.get(definition.primary_phone), (str, int)):
        target = Target(str(item[definition.primary_phone]), by="phone")
    else:
        names = " or ".join(it for it in ("id", definition.primary_key) if it)
        problems.append(f"An item names its process by {names}.")
    update = item.get("update")
    if not isinstance(update, Mapping):
        problems.append(f"update must be an object; got {update!r:.60}.")
        return target, Draft(), problems
    draft, more = read_draft(update)
    return target, draft, problems + more


def _do_next(tx: Tx, job_id: str, *, at: int) -> bool:
    """One chunk; whether there may be another."""
    job = queries.find_job(tx, job_id)
    if job is None or job.completed_at is not None:
        return False
    chunk = queries.next_chunk(tx, job_id)
    if chunk is None:
        _complete(tx, job, at=at)
        return False
    entries: list[Entry] = chunk.entries
    _do(tx, job, [it for it in entries if it["status"] == "NOT_STARTED"], at=at)
    queries.set_chunk(tx, job_id, chunk.position, {"entries": entries, "updated_at": at} | _counted(entries))
    queries.touch_job(tx, job_id, at=at)
    return True


async def _do_one_by_one(res: Resources, team_id: str, job_id: str) -> bool:
    db = res.db.team(team_id)

    def one(tx: Tx, number: int, *, gives_up: bool) -> None:
        job, chunk = queries.find_job(tx, job_id), queries.next_chunk(tx, job_id)
        if job is None or chunk is None:
            return
        entries: list[Entry] = chunk.entries
        if number < len(entries) and entries[number]["status"] == "NOT_STARTED":
            if gives_up:
                _end(
                    entries[number],
                    "ERROR",
                    "This row could not be processed; the server's log has the reason.",
                )
            else:
                _do(tx, job, [entries[number]], at=res.clock())
            now = res.clock()
            queries.set_chunk(
                tx, job_id, chunk.position, {"entries": entries, "updated_at": now} | _counted(entries)
            )

    for number in range(CHUNK):
        try:
            await db.write(one, number, gives_up=False)
        except TROUBLE:
            raise
        except Exception as error:
            log.error("bulk.row_failed", job=job_id, number=number, error=repr(error))
            await db.write(one, number, gives_up=True)
    return True


def _do(tx: Tx, job: Any, entries: Sequence[Entry], *, at: int) -> list[tuple[Entry, Outcome]]:
    """Make or change what these entries ask for, with the hands of whoever asked, and write down each outcome."""
    who = _hands_of(job)
    try:
        desk = open_desk(tx, bound(who), job.procedure_id, at=at, actor_id=who.user_id or None)
    except SamvadError as error:  # the procedure, or the right to it, is gone since
        for entry in entries:
            _end(entry, "ERROR", error.problems[0])
        return []
    if job.kind == CREATE:
        drafts = [read_draft(it["input"], key=desk.plan.definition.primary_key)[0] for it in entries]
        outcomes: list[Outcome] = create_many(desk, drafts)
        done = list(entries)
    else:
        wanted, done = [], []
        for entry in entries:
            target, draft, problems = _read_update(desk, entry["input"])
            if target is None or problems:  # the procedure is another since
                _end(entry, "ERROR", _sentences(problems))
            else:
                wanted.append((target, draft))
                done.append(entry)
        outcomes = update_many(desk, wanted)
    for entry, outcome in zip(done, outcomes, strict=True):
        if isinstance(outcome, Done):
            entry["status"], entry["output"] = "SUCCESS", outcome.process.id
            if job.kind == CREATE and outcome.before is not None:
                entry["merged"] = True
        else:
            _end(entry, "ERROR", _sentences(outcome.problems))
    return list(zip(done, outcomes, strict=True))


def bound(who: Who) -> Who | None:
    """Whom rules of access bind: not whoever holds the database, who is no user and has no role."""
    return who if who.user_id or who.role_id or who.role_type != "ADMIN" else None


def _hands_of(job: Any) -> Who:
    acts_as = job.acts_as
    return Who(job.team_id, acts_as["user_id"], acts_as["role_id"], acts_as["role_type"])


def _acts_as(who: Who) -> dict[str, str]:
    return {"user_id": who.user_id, "role_id": who.role_id, "role_type": who.role_type}


def _job_row(job_id: str, kind: str, procedure_id: str, who: Who, *, total: int, at: int) -> dict[str, Any]:
    return {
        "id": job_id,
        "kind": kind,
        "procedure_id": procedure_id,
        "status": "IN_PROGRESS",
        "status_message": None,
        "acts_as": _acts_as(who),
        "total": total,
        "started_at": at,
        "created_at": at,
        "updated_at": at,
    }


def _sentences(problems: Sequence[str]) -> str:
    return " ".join(it if it.endswith((".", "?")) else f"{it}." for it in problems)


def _end(entry: Entry, status: str, message: str) -> None:
    entry["status"], entry["message"] = status, message[:2_000]


def _counted(entries: Sequence[Entry]) -> dict[str, int]:
    return {it.lower(): sum(entry["status"] == it for entry in entries) for it in STATUSES}


def _complete(tx: Tx, job: Any, *, at: int) -> None:
    """All failed is an error; whatever else the counts tell."""
    invalid, _, success, error = queries.counts(tx, job.id)
    status = "ERROR" if job.total and not success else "SUCCESS"
    message = f"{error + invalid} of {job.total} failed." if error + invalid else None
    queries.set_job(tx, job.id, status=status, status_message=message, completed_at=at, updated_at=at)
    record(tx, [Event(job.team_id, "background_job.completed", job.id, data={"status": status})], at=at)


def _job(tx: Tx, ctx: Context, job_id: str) -> Any:
    """A job of the team; whoever only takes part sees their own."""
    job = queries.find_job(tx, job_id) if is_id(job_id) else None
    is_others = job is not None and ctx.role_type == "USER" and job.acts_as["user_id"] != ctx.user_id
    if job is None or is_others:
        raise NotFound(f"Background job {job_id:.60} not found")
    return job
