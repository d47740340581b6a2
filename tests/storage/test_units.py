"""A unit of work, on both databases: durable when it returns, or as if it had never been."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import func, make_url, text
from sqlalchemy.exc import IntegrityError

from samvad.kit.errors import NotFound, Unavailable
from samvad.storage import Database, Tx, every_team, open_database, sqlite
from samvad.storage.postgres import PostgresDatabase
from samvad.storage.sqlite import WAITING, WAL_KEPT, SqliteDatabase
from tests.storage.notes import Wrong, add, notes, texts


async def test_what_a_unit_wrote_is_seen_by_another_connection_once_it_returns(
    db: Database, database_url: str
):
    await db.write(add, "kept")

    other = open_database(database_url)
    assert await texts(other) == ["kept"]
    await other.close()


async def test_a_unit_returns_what_it_found(db: Database):
    assert await db.write(add, "one", "two") == 2


async def test_a_failing_unit_takes_back_its_own_work_and_nothing_of_its_neighbours(db: Database):
    # On SQLite these share one commit.
    before, wrong, after = await asyncio.gather(
        db.write(add, "before"),
        db.write(add, "mistaken", "words", wrong=True),
        db.write(add, "after"),
        return_exceptions=True,
    )

    assert (before, after) == (1, 1)
    assert isinstance(wrong, Wrong)
    assert sorted(await texts(db)) == ["after", "before"]


async def test_a_statement_that_fails_takes_back_its_unit_only(db: Database):
    def twice(tx: Tx) -> None:
        add(tx, "first")
        tx.execute(every_team.insert(notes), {"id": 1, "team_id": "a", "text": "same id"})
        tx.execute(every_team.insert(notes), {"id": 1, "team_id": "a", "text": "same id"})

    results = await asyncio.gather(
        db.write(add, "x"), db.write(twice), db.write(add, "y"), return_exceptions=True
    )

    assert isinstance(results[1], IntegrityError)
    assert sorted(await texts(db)) == ["x", "y"]


async def test_a_persons_mistake_in_a_unit_reaches_the_caller_and_writes_nothing(db: Database):
    def refusing(tx: Tx) -> None:
        add(tx, "half")
        raise NotFound("No such thing.")

    with pytest.raises(NotFound):
        await db.write(refusing)

    assert await texts(db) == []


async def test_after_a_failed_commit_the_database_goes_on(db: Database):
    for _ in range(3):
        with pytest.raises(IntegrityError):
            await db.write(add, "of nobody", owner=404)

    await db.write(add, "of somebody")

    assert await texts(db) == ["of somebody"]


async def test_a_failed_commit_on_sqlite_fails_the_whole_group_and_stores_none_of_it(db: Database):
    if not isinstance(db, SqliteDatabase):
        pytest.skip("PostgreSQL gives each unit a commit of its own")

    results = await asyncio.gather(db.write(add, "x"), db.write(add, "y", owner=404), return_exceptions=True)

    assert [type(it) for it in results] == [IntegrityError, IntegrityError]
    assert await texts(db) == []


async def test_a_cancelled_caller_harms_nobody(db: Database):
    going = asyncio.create_task(db.write(add, "goes"))
    await asyncio.sleep(0)
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going

    await asyncio.gather(*(db.write(add, f"stays {n}") for n in range(5)))

    assert {f"stays {n}" for n in range(5)} <= set(await texts(db))


async def test_many_writers_at_once_lose_nothing(db: Database):
    def count(tx: Tx) -> None:
        row = tx.first(every_team.select(notes).where(notes.c.text == "counter").with_for_update())
        assert row is not None
        tx.execute(
            every_team.update(notes)
            .where(notes.c.id == row.id)
            .values(data={"n": (row.data or {"n": 0})["n"] + 1})
        )

    await db.write(add, "counter")
    await asyncio.gather(*(db.write(count) for _ in range(60)), *(db.write(add, f"{n}") for n in range(60)))

    def read(tx: Tx) -> tuple[int, int]:
        row = tx.first(every_team.select(notes.c.data).where(notes.c.text == "counter"))
        all_of_them = tx.first(every_team.select(func.count()).select_from(notes))
        assert row is not None
        assert all_of_them is not None
        return row.data["n"], all_of_them[0]

    assert await db.read(read) == (60, 61)


async def test_a_coroutine_is_no_unit_of_work(db: Database):
    async def unit(tx): ...

    with pytest.raises(AssertionError, match="plain function"):
        _ = await db.write(unit)
    with pytest.raises(AssertionError, match="plain function"):
        _ = await db.team("a").read(unit)


async def test_a_reading_unit_cannot_write(db: Database):
    with pytest.raises(Exception, match=r"readonly|read-only"):
        await db.read(add, "through the wrong door")

    assert await texts(db) == []


async def test_after_close_a_caller_hears_that_it_shuts_down(db: Database, database_url: str):
    closing = open_database(database_url)
    await closing.write(add, "kept")
    await closing.close()

    with pytest.raises(Unavailable):
        await closing.write(add, "too late")


async def test_close_finishes_the_work_already_accepted(db: Database, database_url: str):
    closing = open_database(database_url)
    work = [asyncio.create_task(closing.write(add, f"{n}")) for n in range(20)]
    await asyncio.sleep(0)

    await closing.close()

    assert all(task.done() for task in work)
    assert await asyncio.gather(*work) == [1] * 20
    assert len(await texts(db)) == 20


async def test_too_much_waiting_work_on_sqlite_is_refused_and_the_rest_is_done(
    db: Database, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sqlite, "OLDEST_S", 600.0)  # how long it takes is the machine's affair
    if not isinstance(db, SqliteDatabase):
        pytest.skip("PostgreSQL's callers wait for a connection")

    def nothing(tx: Tx) -> None: ...

    work = [db.write(nothing) for _ in range(WAITING + 5)]
    results = await asyncio.gather(*work, return_exceptions=True)

    assert [it for it in results if it is not None] == [it for it in results if isinstance(it, Unavailable)]
    assert 0 < sum(isinstance(it, Unavailable) for it in results) <= 5


async def test_a_locked_sqlite_file_fails_the_waiting_units_and_no_later_one(db: Database, database_url: str):
    if not isinstance(db, SqliteDatabase):
        pytest.skip("a file is locked, a server is not")
    file = make_url(database_url).database
    assert file is not None
    visitor = sqlite3.connect(Path(file), isolation_level=None)
    visitor.execute("BEGIN IMMEDIATE")
    db.serve()  # a command would wait

    with pytest.raises(Unavailable, match="locked"):
        await db.write(add, "in vain")
    visitor.execute("ROLLBACK")
    visitor.close()
    await db.write(add, "later")

    assert await texts(db) == ["later"]


async def test_a_unit_that_lost_a_race_runs_again(db: Database):
    """Two units lock two rows in opposite orders: PostgreSQL ends one of them, and it runs again."""
    if not isinstance(db, PostgresDatabase):
        pytest.skip("SQLite's units never run at the same time")
    await db.write(add, "one", "two")
    tries: list[str] = []

    def in_order(tx: Tx, *order: str) -> None:
        tries.append(order[0])
        for name in order:
            query = every_team.select(notes.c.id).where(notes.c.text == name).with_for_update()
            tx.all(query)
            tx.execute(text("SELECT pg_sleep(0.1)"))
        tx.execute(every_team.update(notes).where(notes.c.text == order[0]).values(data={"by": order[0]}))

    await asyncio.gather(db.write(in_order, "one", "two"), db.write(in_order, "two", "one"))

    assert len(tries) == 3
    assert sorted(await texts(db)) == ["one", "two"]


async def test_a_serialization_failure_runs_again(db: Database):
    if not isinstance(db, PostgresDatabase):
        pytest.skip("SQLite's units never run at the same time")
    tries: list[int] = []

    def unlucky_twice(tx: Tx) -> str:
        add(tx, "at last")
        tries.append(1)
        if len(tries) < 3:
            tx.execute(text("DO $$ BEGIN RAISE EXCEPTION 'lost' USING ERRCODE = '40001'; END $$"))
        return "done"

    assert await db.write(unlucky_twice) == "done"
    assert len(tries) == 3
    assert await texts(db) == ["at last"]


async def test_a_server_that_cut_its_connections_costs_no_more_than_an_unavailable(db: Database):
    if not isinstance(db, PostgresDatabase):
        pytest.skip("SQLite has no server")
    await asyncio.gather(*(db.write(add, f"{n}") for n in range(5)))

    def cut(tx: Tx) -> None:
        tx.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )

    await db.write(cut)
    results = await asyncio.gather(*(db.write(add, "again") for _ in range(8)), return_exceptions=True)

    assert all(it == 1 or isinstance(it, Unavailable) for it in results), results
    assert await db.write(add, "at last") == 1


async def test_a_server_that_is_not_there_is_unavailable_and_no_ones_fault():
    db = open_database("postgresql://nobody@127.0.0.1:9/nothing")

    with pytest.raises(Unavailable):
        await db.write(add, "in vain")
    await db.close()


async def test_a_sqlite_file_may_stand_in_a_folder_that_is_not_there_yet(tmp_path: Path):
    db = open_database(f"sqlite:///{tmp_path / 'new' / 'folder' / 'samvad.db'}")

    assert await db.read(lambda tx: tx.execute(text("SELECT 1")).scalar()) == 1
    await db.close()


async def test_a_long_read_of_a_sqlite_file_leaves_no_large_wal_behind(db: Database, database_url: str):
    """SQLite cannot move commits into the file while somebody reads what was before them."""
    if not isinstance(db, SqliteDatabase):
        pytest.skip("only SQLite has that file")
    file = str(make_url(database_url).database)

    def wal_size() -> int:
        return Path(f"{file}-wal").stat().st_size

    def add_a_megabyte(tx: Tx) -> None:
        tx.execute(every_team.insert(notes), {"team_id": "a", "text": "large", "data": "x" * 1_000_000})

    visitor = sqlite3.connect(file, isolation_level=None)
    visitor.execute("BEGIN")
    visitor.execute("SELECT count(*) FROM test_note").fetchone()
    for _ in range(50):
        await db.write(add_a_megabyte)
    while_it_read = wal_size()
    visitor.close()
    for _ in range(20):
        await db.write(add_a_megabyte)

    assert while_it_read > 50_000_000
    assert wal_size() <= WAL_KEPT
