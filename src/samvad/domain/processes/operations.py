"""What one can do with processes and tasks: fetch, list, make, change, delete."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from samvad.domain.accounts.access import Who
from samvad.domain.context import Context
from samvad.domain.procedures.blueprint import Blueprint
from samvad.domain.processes import queries, tasks, where
from samvad.domain.processes.drafts import read_draft
from samvad.domain.processes.model import Process, shown_process, shown_task
from samvad.domain.processes.writing import (
    Desk,
    Done,
    Outcome,
    Target,
    create_many,
    delete,
    open_desk,
    resolve,
    unknown,
    update_many,
)
from samvad.kit.errors import BadRequest, SamvadError
from samvad.storage import Tx

DEFAULT_PAGE, LONGEST_PAGE = 10, 100
LONGEST_LIST_S = 10.0
"""A list that takes longer is broken off: it asks for what no index holds."""

Shown = dict[str, Any]


class Page(NamedTuple):
    """Some processes as they are shown, and whether there are more."""

    processes: list[Shown]
    has_more: bool


async def get_process(ctx: Context, procedure: str, process_id: str) -> Shown:
    def unit(tx: Tx) -> Shown:
        desk = _desk(tx, ctx, procedure)
        target = Target(process_id, by="id")
        found = resolve(desk, [target]).get(target)
        if found is None or not desk.access.sees(found):
            raise unknown(desk, target)
        return _shown(desk, found)

    return await ctx.db.read(unit)


async def list_processes(
    ctx: Context, procedure: str, query: Mapping[str, Any], *, limit: int, skip: int
) -> Page:
    """A page of a procedure's processes that fit a query, newest first, of those one sees."""

    def unit(tx: Tx) -> Page:
        desk = _desk(tx, ctx, procedure)
        condition = query_of(desk, query)
        access = desk.access
        if condition is not None and _looks_inside(desk, condition):
            access = access.only_own()  # or a search would tell what is not shown
        page = queries.newest_first(tx, desk.plan.id, condition, access, limit=limit + 1, skip=skip)
        return Page([_shown(desk, it) for it in page[:limit]], len(page) > limit)

    return await ctx.db.search(unit, within_s=LONGEST_LIST_S)


async def create_process(ctx: Context, procedure: str, body: Mapping[str, Any]) -> Shown:
    def unit(tx: Tx) -> Shown:
        desk = _desk(tx, ctx, procedure)
        draft, problems = read_draft(body, key=desk.plan.definition.primary_key)
        done = _done(create_many(desk, [draft])[0], problems)
        return _shown(desk, done.process)

    return await _write(ctx, unit)


async def update_process(ctx: Context, procedure: str, target: Target, body: Mapping[str, Any]) -> Shown:
    """Change what the body names; the rest stays."""

    def unit(tx: Tx) -> Shown:
        desk = _desk(tx, ctx, procedure)
        target_ = _as_called(desk, target)
        draft, problems = read_draft(body)
        done = _done(update_many(desk, [(target_, draft)])[0], problems)
        return _shown(desk, done.process)

    return await _write(ctx, unit)


async def delete_process(ctx: Context, procedure: str, target: Target) -> Shown:
    def unit(tx: Tx) -> Shown:
        desk = _desk(tx, ctx, procedure)
        return _shown(desk, delete(desk, _as_called(desk, target)))

    return await _write(ctx, unit)


async def create_task(ctx: Context, procedure: str, word: str, task: str, body: Mapping[str, Any]) -> Shown:
    """Add a task to a process, which is named by its id or its primary key."""

    def unit(tx: Tx) -> Shown:
        desk = _desk(tx, ctx, procedure)
        return shown_task(tasks.add(desk, word, task, body), desk.plan)

    return await _write(ctx, unit)


def query_of(desk: Desk, query: Mapping[str, Any]) -> where.Condition | None:
    """What a query asks of this procedure, None where it asks for all. Raises BadRequest with all its problems."""
    return where.parse(query, _fields(desk, query)) if query else None


def _fields(desk: Desk, query: Mapping[str, Any]) -> where.Fields:
    """What a query over this procedure may name."""
    users = {it: desk.user_id(it) for it in where.users_named_in(query)}
    return where.Fields(
        attributes=desk.plan.schema.attributes,
        states={word: it.id for word, it in desk.plan.states.items()},
        users={it: found for it, found in users.items() if found is not None},
        zone=desk.settings.time_zone,
    )


def _looks_inside(desk: Desk, condition: where.Condition) -> bool:
    """Whether a query asks for more than what is shown of somebody else's process."""
    plan: Blueprint = desk.plan
    shown = {plan.definition.primary_key, plan.definition.primary_identifier}
    return bool(where.attributes_in(condition) - {it for it in shown if it})


def _desk(tx: Tx, ctx: Context, procedure: str) -> Desk:
    return open_desk(tx, Who.of(ctx), procedure, at=ctx.now(), actor_id=ctx.user_id or None)


def _as_called(desk: Desk, target: Target) -> Target:
    """`primary key short id / value` in a path: it must be the key, or the phone, by which one may be found."""
    if target.by != "key":
        return target
    definition = desk.plan.definition
    if target.called == definition.primary_key:
        return target._replace(called="")
    if target.called == definition.primary_phone:
        return target._replace(by="phone", called="")
    keys = [it for it in (definition.primary_key, definition.primary_phone) if it]
    hint = f"it is found by {' or '.join(keys)}" if keys else "it has no primary key"
    raise BadRequest(f"{target.called!r:.80} is not the primary key of {desk.plan.short_id}: {hint}.")


def _done(outcome: Outcome, problems: list[str]) -> Done:
    """The outcome, or everything that is wrong: with the shape of the body, and with what it says."""
    if isinstance(outcome, Done) and not problems:
        return outcome
    if isinstance(outcome, SamvadError) and (not problems or not isinstance(outcome, BadRequest)):
        raise outcome
    more = outcome.problems if isinstance(outcome, SamvadError) else ()
    raise BadRequest(*problems, *more)


def _shown(desk: Desk, it: Process) -> Shown:
    return shown_process(it, desk.plan, whole=desk.access.sees_whole(it))


async def _write(ctx: Context, unit: Any) -> Shown:
    shown: Shown = await ctx.db.write(unit)
    ctx.resources.bells.deliveries.ring()
    ctx.resources.bells.jobs.ring()
    return shown
