"""A filterable attribute is found in an index of its own, in the order of the list, on both databases."""

import asyncio
import threading
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest
from sqlalchemy import MetaData, event, text
from sqlalchemy.engine import Engine

from samvad.domain.procedures.model import Attribute
from samvad.domain.processes.filtering import to_sql
from samvad.domain.processes.tables import processes
from samvad.domain.processes.where import Fields, parse
from samvad.storage import Database, Tx, open_database
from samvad.storage.attributes import index_name
from samvad.storage.postgres import PostgresDatabase, connect_apart
from tests.domain.processes.searched import PROCEDURE, TEAM, Row, add_rows, create_processes

ROWS = 4_000
FIELDS = Fields(
    attributes={
        it.short_id: it
        for it in (
            Attribute(short_id="city", type="string", filterable=True),
            Attribute(short_id="score", type="integer", filterable=True),
            Attribute(short_id="price", type="float", filterable=True),
            Attribute(short_id="paid", type="boolean", filterable=True),
            Attribute(short_id="note", type="string"),
        )
    }
)


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """Thousands of processes; few have each value, few any `paid` or `price` at all."""
    db = open_database(database_url)
    await create_processes(db)
    rows = [
        Row(
            id=f"p{number:05}",
            status="OPEN",
            state_id="s",
            created_at=number,
            assigned_to=None,
            data={"city": f"city {number % 400}", "score": number % 400, "note": "x"}
            | ({"paid": number % 500 == 0, "price": number / 7} if number % 250 == 0 else {}),
            derived={"score": -number} if number % 100 == 0 else {},
        )
        for number in range(ROWS)
    ]
    await db.write(add_rows, rows)
    yield db
    await db.close()


def newest_first(tx: Tx, query: dict[str, Any]) -> Any:
    return (
        tx.select(processes, processes.c.id)
        .where(processes.c.procedure_id == PROCEDURE, processes.c.deleted_at.is_(None))
        .where(to_sql(parse(query, FIELDS)))
        .order_by(processes.c.created_at.desc(), processes.c.id.desc())
        .limit(51)
    )


def ids(tx: Tx, query: dict[str, Any]) -> list[str]:
    return [row.id for row in tx.all(newest_first(tx, query))]


def plan(tx: Tx, query: dict[str, Any]) -> str:
    """What the database says of how it finds them, for the very statement it was sent."""
    said: list[tuple[str, Any]] = []

    def listen(connection: Any, cursor: Any, sql: str, params: Any, context: Any, many: bool) -> None:
        said.append((sql, params))

    event.listen(Engine, "before_cursor_execute", listen)
    try:
        tx.all(newest_first(tx, query))
    finally:
        event.remove(Engine, "before_cursor_execute", listen)
    sql, params = said[-1]
    if tx.connection.dialect.name == "sqlite":
        return "\n".join(
            row[3] for row in tx.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", tuple(params))
        )
    # Of a statement that was prepared long ago PostgreSQL knows no value: the harder case.
    tx.execute(text("SET LOCAL plan_cache_mode = force_generic_plan"))
    tx.connection.exec_driver_sql(f"PREPARE asked AS {sql}")
    given = ", ".join(f"'{it}'" if isinstance(it, str) else str(it) for it in params)
    lines = [row[0] for row in tx.connection.exec_driver_sql(f"EXPLAIN EXECUTE asked ({given})")]
    tx.connection.exec_driver_sql("DEALLOCATE asked")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("query", "short_id", "kind"),
    [
        ({"city": "city 7"}, "city", "text"),
        ({"score": 7}, "score", "number"),
        ({"price": 0.5}, "price", "number"),
        ({"paid": True}, "paid", "boolean"),
        ({"score": 7, "status": "OPEN", "note": {"!=": "y"}}, "score", "number"),
    ],
)
async def test_a_value_is_found_in_the_index_in_the_order_of_the_list(
    db: Database, query: dict[str, Any], short_id: str, kind: Any
) -> None:
    before = await db.team(TEAM).read(ids, query)

    await db.create_attribute_index(processes, "data", short_id, kind)

    said = await db.team(TEAM).read(plan, query)
    assert index_name("process", "data", short_id, kind) in said
    assert "TEMP B-TREE" not in said
    assert "Sort" not in said
    assert await db.team(TEAM).read(ids, query) == before


async def test_an_index_holds_only_rows_with_a_value_of_its_kind(db: Database) -> None:
    await db.create_attribute_index(processes, "data", "price", "number")
    await db.create_attribute_index(processes, "data", "price", "text")

    assert await db.write(entries, index_name("process", "data", "price", "number")) == ROWS // 250
    assert await db.write(entries, index_name("process", "data", "price", "text")) == 0


async def test_making_an_index_again_changes_nothing(db: Database) -> None:
    for _ in range(2):
        await db.create_attribute_index(processes, "data", "score", "number")
        await db.create_attribute_index(processes, "derived", "score", "number")

    names = await db.read(index_names)
    assert {
        index_name("process", "data", "score", "number"),
        index_name("process", "derived", "score", "number"),
    } < names
    assert not [it for it in processes.indexes if str(it.name).startswith("at_")]


async def test_several_may_make_the_same_index_at_once(db: Database) -> None:
    async with asyncio.TaskGroup() as all_of_them:
        for _ in range(4):
            all_of_them.create_task(db.create_attribute_index(processes, "data", "city", "text"))

    assert index_name("process", "data", "city", "text") in await db.read(index_names)


async def test_texts_of_any_length_can_be_indexed(db: Database) -> None:
    """A row that is older than the wish to filter by it may hold more than an index can."""
    some = Random(1)  # what repeats itself would be compressed, and fit
    long = "".join(chr(some.randrange(0x10000, 0x110000)) for _ in range(10_000))
    await db.write(
        add_rows,
        [
            Row("long", "OPEN", "s", 1, None, {"city": long}, {}),
            Row("cut", "OPEN", "s", 1, None, {"city": long[:500]}, {}),
        ],
    )

    await db.create_attribute_index(processes, "data", "city", "text")

    assert await db.team(TEAM).read(ids, {"city": long[:500]}) == ["cut"]
    assert await db.team(TEAM).read(ids, {"city": {">": long[:500]}}) == ["long"]


async def test_reads_go_on_and_writes_wait_their_turn_while_an_index_is_made(db: Database) -> None:
    threads: list[bool] = []

    def listen(connection: Any, cursor: Any, sql: str, params: Any, context: Any, many: bool) -> None:
        if sql.startswith("CREATE INDEX"):
            threads.append(threading.current_thread() is threading.main_thread())

    event.listen(Engine, "before_cursor_execute", listen)
    try:
        making = asyncio.create_task(db.create_attribute_index(processes, "data", "city", "text"))
        writing = asyncio.create_task(
            db.write(add_rows, [Row("late", "OPEN", "s", ROWS, None, {"city": "late"}, {})])
        )
        while not making.done():
            assert await db.team(TEAM).read(ids, {"score": 7})
            await asyncio.sleep(0)
        await writing
    finally:
        event.remove(Engine, "before_cursor_execute", listen)

    assert await db.team(TEAM).read(ids, {"city": "late"}) == ["late"]
    # PostgreSQL makes it in another process: the loop only waits.
    assert threads == [isinstance(db, PostgresDatabase)]


async def test_a_failure_leaves_everything_as_it_was(db: Database) -> None:
    elsewhere = processes.to_metadata(MetaData(), name="not_there")

    with pytest.raises(Exception, match="not_there"):
        await db.create_attribute_index(elsewhere, "data", "city", "text")

    await db.write(add_rows, [Row("after", "OPEN", "s", ROWS, None, {"city": "after"}, {})])
    assert await db.team(TEAM).read(ids, {"city": "after"}) == ["after"]


async def test_an_index_that_was_interrupted_is_made_anew(db: Database) -> None:
    """PostgreSQL only: CREATE INDEX CONCURRENTLY leaves what it has begun, and no query uses it."""
    if not isinstance(db, PostgresDatabase):
        pytest.skip("on SQLite an index is made in a transaction")
    name = index_name("process", "data", "score", "number")
    async with db._engine.connect() as plain:
        connection = await plain.execution_options(isolation_level="AUTOCOMMIT")
        with pytest.raises(Exception, match="could not create unique index"):
            await connection.execute(
                text(f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON process (procedure_id)")
            )

    await db.create_attribute_index(processes, "data", "score", "number")

    assert name in await db.team(TEAM).read(plan, {"score": 7})


@pytest.mark.parametrize("short_id", ["a" * 64, "A" * 64, "x", "fooBar", "foobar"])
def test_a_name_fits_into_postgresql(short_id: str) -> None:
    name = index_name("process", "derived", short_id, "boolean")

    assert len(name) <= 63
    assert name == name.lower()


def test_names_differ_where_short_ids_do() -> None:
    """SQLite does not tell names of indexes apart by their capitals."""
    assert index_name("process", "data", "fooBar", "text") != index_name("process", "data", "foobar", "text")
    assert index_name("process", "data", "a" * 63, "text") != index_name("process", "data", "a" * 64, "text")


def entries(tx: Tx, index: str) -> int:
    """How many entries the index has, from what the database counts for its planner."""
    if tx.connection.dialect.name == "postgresql":
        row = tx.first(text("SELECT reltuples FROM pg_class WHERE relname = :name"), {"name": index})
        return int(row[0]) if row else -1
    tx.execute(text(f"ANALYZE {index}"))
    row = tx.first(text("SELECT stat FROM sqlite_stat1 WHERE idx = :name"), {"name": index})
    return int(row[0].split()[0]) if row else 0


def index_names(tx: Tx) -> set[str]:
    if tx.connection.dialect.name == "postgresql":
        return {row[0] for row in tx.all(text("SELECT indexname FROM pg_indexes"))}
    return {row[0] for row in tx.all(text("SELECT name FROM sqlite_master WHERE type = 'index'"))}


async def test_whoever_is_told_to_stop_while_an_index_is_made_stops_and_the_index_is_made_next_time(
    db: Database, database_url: str
) -> None:
    if not isinstance(db, PostgresDatabase):
        pytest.skip("on SQLite it is made in one piece")
    writer = await connect_apart(database_url)
    try:
        await writer.execute("BEGIN")
        await writer.execute('LOCK TABLE "process" IN ACCESS EXCLUSIVE MODE')  # it is under way, and waits
        making = asyncio.create_task(db.create_attribute_index(processes, "data", "city", "text"))
        await asyncio.sleep(0.3)
        making.cancel()
        with pytest.raises(asyncio.CancelledError):
            await making
    finally:
        await writer.close()

    await db.create_attribute_index(processes, "data", "city", "text")

    assert index_name("process", "data", "city", "text") in await db.read(index_names)
