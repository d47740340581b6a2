"""Processes in and out as a table, however many: in through the same code as a bulk call, out a chunk at a time."""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from samvad.domain.accounts import queries as accounts
from samvad.domain.accounts.access import Who
from samvad.domain.context import Context
from samvad.domain.processes import bulk, queries
from samvad.domain.processes.bulk import CHUNK, CREATE, UPDATE, Item
from samvad.domain.processes.operations import query_of
from samvad.domain.processes.sheets import Matched, Row, Writer, columns_of
from samvad.domain.processes.where import Condition
from samvad.domain.processes.writing import open_desk
from samvad.kit.errors import Forbidden
from samvad.storage import Tx


class Expected(NamedTuple):
    """A row as it would be kept, as cells under `headers`; or why it would not."""

    row: Row
    cells: list[str] | None
    problem: str | None


class Outcome(NamedTuple):
    """What became of a row."""

    row: Row
    problem: str | None
    merged: bool


@dataclass(frozen=True)
class Outgoing:
    """What an export writes: its columns, how many processes, and they themselves."""

    writer: Writer
    total: int
    condition: Condition | None

    @property
    def header(self) -> list[str]:
        return self.writer.header


async def match(
    ctx: Context, procedure: str, header: Sequence[str], said: Mapping[str, str], *, update: bool
) -> Matched:
    """Which column is what. Raises NotFound for an unknown procedure, BadRequest for columns that fit nothing."""

    def unit(tx: Tx) -> Matched:
        desk = open_desk(tx, bulk.bound(Who.of(ctx)), procedure, at=ctx.now())
        columns = columns_of(header, desk.plan, said, update=update)
        return Matched(desk.plan, columns, desk.settings.time_zone, update)

    return await ctx.db.read(unit)


async def expect(ctx: Context, matched: Matched, rows: Sequence[Row]) -> list[Expected]:
    """What would become of these rows; a chunk of them knows nothing of the one before."""
    writer = await _writer(ctx, matched.plan.id, derived=False)
    found = []
    for some in _chunks(iter(rows)):
        rehearsed = await bulk.rehearse(ctx, matched.plan.id, _kind(matched), _items(matched, some))
        for row, it in zip(some, rehearsed, strict=True):
            found.append(Expected(row, writer.row(it.process) if it.process else None, it.problem))
    return found


def headers_of(matched: Matched) -> list[str]:
    """The columns of what is expected."""
    return Writer(matched.plan, zone=matched.zone, users={}, derived=False).header


async def bring_in(
    ctx: Context, matched: Matched, rows: Iterator[Row]
) -> AsyncGenerator[list[Outcome], None]:
    """Make or change the processes that these rows are, as a background job; yields a chunk once it is committed."""
    job_id = await bulk.begin(ctx, matched.plan.id, _kind(matched))
    try:
        for position, some in enumerate(_chunks(rows)):
            entries = await bulk.carry_out(ctx, job_id, position, _items(matched, some))
            ctx.resources.bells.deliveries.ring()
            yield [
                Outcome(row, entry.get("message"), entry.get("merged", False))
                for row, entry in zip(some, entries, strict=True)
            ]
    except BaseException as error:
        await bulk.close(ctx, job_id, broken_off=f"Broken off: {error or type(error).__name__}")
        raise
    await bulk.close(ctx, job_id)


async def open_export(
    ctx: Context, procedure: str, query: Mapping[str, Any], *, derived: bool = False
) -> Outgoing:
    """What an export will write. Raises NotFound for an unknown procedure, BadRequest for a wrong query."""
    writer = await _writer(ctx, procedure, derived=derived)

    def unit(tx: Tx) -> Outgoing:
        desk = open_desk(tx, bulk.bound(Who.of(ctx)), procedure, at=ctx.now())
        if desk.access.mode not in ("all", "view-only"):
            raise Forbidden(f"An export is of all rows, and this role does not see every {procedure}.")
        condition = query_of(desk, query)
        return Outgoing(writer, queries.count(tx, writer.plan.id, condition), condition)

    return await ctx.db.read(unit)


async def take_out(ctx: Context, outgoing: Outgoing) -> AsyncGenerator[list[list[str]], None]:
    """The processes of an export as rows, oldest first, a chunk at a time."""
    after, procedure_id = "", outgoing.writer.plan.id
    while True:
        found = await ctx.db.read(
            queries.in_order, procedure_id, after=after, limit=CHUNK, condition=outgoing.condition
        )
        if found:
            yield [outgoing.writer.row(it) for it in found]
        if len(found) < CHUNK:
            return
        after = found[-1].id


async def _writer(ctx: Context, procedure: str, *, derived: bool) -> Writer:
    def unit(tx: Tx) -> Writer:
        desk = open_desk(tx, bulk.bound(Who.of(ctx)), procedure, at=ctx.now())
        users = accounts.usernames(tx)
        return Writer(desk.plan, zone=desk.settings.time_zone, users=users, derived=derived)

    return await ctx.db.read(unit)


def _items(matched: Matched, rows: Sequence[Row]) -> list[Item]:
    return [Item(*matched.item(row)) for row in rows]


def _kind(matched: Matched) -> str:
    return UPDATE if matched.update else CREATE


def _chunks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while some := list(islice(rows, CHUNK)):
        yield some
