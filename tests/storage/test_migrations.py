"""Migrations, on both databases: from nothing to the tables as the product declares them."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, make_url, text

import samvad.app  # noqa: F401  (it knows every feature, and so imports every tables module)
from samvad.storage import Database, open_database
from samvad.storage.columns import metadata
from samvad.storage.schema import current, migrate, newest


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database with nothing in it."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    url = request.getfixturevalue("postgres_url")
    asyncio.run(_as_owner(url, "CREATE DATABASE samvad_empty"))
    yield make_url(url).set(database="samvad_empty").render_as_string(hide_password=False)
    asyncio.run(_as_owner(url, "DROP DATABASE samvad_empty WITH (FORCE)"))


async def test_from_nothing_the_migrations_make_the_tables_as_declared(empty_url: str):
    db = open_database(empty_url)
    await migrate(db)

    differences = await asked(db, lambda c: compare_metadata(MigrationContext.configure(c), metadata))
    assert differences == []
    assert await asked(db, partial_indexes) == declared_partial_indexes()
    assert await asked(db, current) == newest()
    await db.close()


async def test_migrating_twice_is_harmless(database_url: str):
    db = open_database(database_url)

    await migrate(db)
    await migrate(db)

    assert await asked(db, current) == newest()
    await db.close()


async def test_an_empty_database_has_no_revision(empty_url: str):
    db = open_database(empty_url)

    assert await asked(db, current) is None
    await db.close()


async def test_two_processes_may_start_on_one_empty_server_together(empty_url: str):
    if empty_url.startswith("sqlite"):
        pytest.skip("one process owns a SQLite file")
    dbs = [open_database(empty_url) for _ in range(2)]

    await asyncio.gather(*(migrate(db) for db in dbs))

    for db in dbs:
        assert await asked(db, current) == newest()
        await db.close()


def partial_indexes(connection: Connection) -> dict[str, str]:
    """What compare_metadata does not compare: the conditions of indexes."""
    kind = connection.dialect.name
    found = {}
    for table in metadata.tables:
        for index in inspect(connection).get_indexes(table):
            where = index.get("dialect_options", {}).get(f"{kind}_where")
            if where is not None:
                found[str(index["name"])] = normal(str(where))
    return found


def declared_partial_indexes() -> dict[str, str]:
    return {
        str(index.name): normal(str(where.compile(compile_kwargs={"literal_binds": True})))
        for table in metadata.tables.values()
        for index in table.indexes
        if (where := index.dialect_options["sqlite"]["where"]) is not None
    }


def normal(condition: str) -> str:
    """PostgreSQL shows ((status)::text = 'OPEN'::text) for status = 'OPEN'; a table's name may stand before."""
    bare = condition.replace("::text", "").replace("(", "").replace(")", "")
    return " ".join(word.split(".")[-1] for word in bare.split()).lower()


async def asked(db: Database, question):
    answers = []
    await db.migrate(lambda connection: answers.append(question(connection)))
    return answers[0]


async def _as_owner(url: str, sql: str) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"), isolation_level="AUTOCOMMIT"
    )
    async with engine.connect() as connection:
        await connection.execute(text(sql))
    await engine.dispose()
