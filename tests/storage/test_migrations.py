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
from samvad.storage.schema import current, migrate, newest, upgrade


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


async def test_who_was_a_user_before_there_were_usernames_is_called_by_their_address(empty_url: str):
    db = open_database(empty_url)
    await db.migrate(lambda connection: upgrade(connection, "0011"))

    def add(connection: Connection) -> None:
        for statement in (
            "INSERT INTO team (id, name, webhook_secret_sealed, settings, created_at) VALUES ('t', 'T', '', '{}', 1)",
            "INSERT INTO role (id, team_id, name, type, created_at) VALUES ('r', 't', 'Admin', 'ADMIN', 1)",
            'INSERT INTO "user" (id, team_id, role_id, email, name, password_hash, is_active, created_at, updated_at)'
            " VALUES ('u', 't', 'r', 'a@example.com', 'Ada King', '', TRUE, 1, 1)",
            "INSERT INTO api_key (id, team_id, user_id, role_id, name, token_hash, created_at)"
            " VALUES ('k', 't', 'u', 'r', 'key', 'h', 1)",
        ):
            connection.execute(text(statement))

    await db.migrate(add)
    await migrate(db)

    columns = "username, first_name, last_name, display_name, availability_status, deleted_at"
    (user,) = await asked(db, lambda c: c.execute(text(f'SELECT {columns} FROM "user"')).all())
    assert tuple(user) == ("a@example.com", "Ada King", "", "Ada King", "AVAILABLE", None)
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
