"""Migrations, on both databases: from nothing to the tables as the product declares them."""

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, make_url, text
from structlog.testing import capture_logs

import samvad.app  # noqa: F401  (it knows every feature, and so imports every tables module)
from samvad.domain.procedures.definition import decode
from samvad.domain.procedures.tables import procedures
from samvad.domain.processes.tables import processes
from samvad.kit.errors import NotMigrated
from samvad.kit.phones import same_line
from samvad.storage import Database, every_team, open_database
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


PEOPLE = (  # contact, name, phone as Meta knows it
    ("01900000-0000-7000-8000-00000000000a", "Ada King", "15550001111"),
    ("01900000-0000-7000-8000-00000000000b", None, "5511987654321"),
    ("01900000-0000-7000-8000-00000000000c", "Nobody's number", None),
)


def of_0_1(connection: Connection) -> None:
    """A team of 0.1 with the leads its conversations opened; the last one's contact has no phone."""
    upgrade(connection, "0011")
    for statement in (
        "INSERT INTO team (id, name, webhook_secret_sealed, settings, created_at) VALUES ('t', 'T', '', '{}', 1)",
        "INSERT INTO procedure (id, team_id, short_id, name, created_at) VALUES ('p', 't', 'lead', 'Lead', 7)",
    ):
        connection.execute(text(statement))
    for number, (contact, name, phone) in enumerate(PEOPLE, start=1):
        values = {"c": contact, "n": name, "v": phone, "id": f"01900000-0000-7000-8000-00000000001{number}"}
        for statement in (
            "INSERT INTO contact (id, team_id, name, process_id, created_at, updated_at)"
            " VALUES (:c, 't', :n, :id, 5, 5)",
            "INSERT INTO process (id, team_id, procedure_id, contact_id, created_at, updated_at)"
            " VALUES (:id, 't', 'p', :c, 5, 5)",
            *(
                (
                    "INSERT INTO contact_identity (value, kind, team_id, contact_id, created_at)"
                    " VALUES (:v, 'phone', 't', :c, 5)",
                )
                if phone
                else ()
            ),
        ):
            connection.execute(text(statement), values)


async def test_the_leads_of_0_1_get_their_definition_their_numbers_names_and_phones(empty_url: str):
    db = open_database(empty_url)
    await db.migrate(of_0_1)

    await migrate(db)

    (procedure,) = await db.read(lambda tx: tx.all(every_team.select(procedures)))
    leads = await db.read(lambda tx: tx.all(every_team.select(processes).order_by(processes.c.id)))
    (counter,) = await asked(db, lambda c: c.execute(text("SELECT team_id, name, value FROM counter")).all())
    definition = decode(procedure.definition)
    assert (procedure.version, procedure.updated_at) == (1, 7)
    assert (definition.short_id, definition.primary_key, definition.primary_phone) == (
        "lead",
        "lead_id",
        "phone_number",
    )
    start = next(it.id for it in definition.states if it.short_id == "NEW")
    assert [(it.status, it.state_id, it.derived) for it in leads] == [("OPEN", start, {})] * 3
    assert [it.primary_key for it in leads] == ["LEAD-000001", "LEAD-000002", "LEAD-000003"]
    assert [it.data for it in leads] == [
        {"lead_id": "LEAD-000001", "name": "Ada King", "phone_number": "15550001111"},
        {"lead_id": "LEAD-000002", "phone_number": "5511987654321"},
        {"lead_id": "LEAD-000003", "name": "Nobody's number"},
    ]
    assert [it.phone_key for it in leads] == ["15550001111", same_line("5511987654321"), None]
    assert tuple(counter) == ("t", "p", 3)
    await db.close()


async def test_a_sqlite_file_is_copied_before_it_is_migrated_and_the_newest_three_copies_stay(tmp_path: Path):
    for number in range(4):  # copies of earlier upgrades
        old = tmp_path / f"before-000{number}-20250101T000000Z.db"
        old.write_bytes(b"old")
        os.utime(old, (1000 + number, 1000 + number))
    db = open_database(f"sqlite:///{tmp_path / 'samvad.db'}")
    await db.migrate(of_0_1)

    with capture_logs() as logs:
        await migrate(db)
        await migrate(db)  # the second time there is nothing to do, and no copy

    copies = copies_in(tmp_path)
    assert copies[:2] == ["before-0002-20250101T000000Z.db", "before-0003-20250101T000000Z.db"]
    assert len(copies) == 3
    assert copies[2].startswith(f"before-{newest()}-")
    assert revision_and_leads(tmp_path / copies[2]) == ("0011", 3)
    assert (tmp_path / copies[2]).stat().st_mode & 0o077 == 0
    assert [it["event"] for it in logs] == ["schema.copied", "schema.migrated"]
    assert logs[0]["copy"] == str(tmp_path / copies[2])
    await db.close()


async def test_a_new_sqlite_file_has_nothing_to_copy(tmp_path: Path):
    db = open_database(f"sqlite:///{tmp_path / 'samvad.db'}")

    await migrate(db)

    assert copies_in(tmp_path) == []
    await db.close()


async def test_a_migration_that_fails_leaves_everything_as_it_was_and_says_so(empty_url: str):
    db = open_database(empty_url)
    await db.migrate(of_0_1)
    # In the way of the last tables that the upgrade makes: much of it has happened by then.
    await asked(db, lambda connection: connection.execute(text("CREATE TABLE photo (other TEXT)")))

    with capture_logs() as logs, pytest.raises(NotMigrated) as refused:
        await migrate(db)

    assert "from 0011 to" in str(refused.value)
    assert "photo" in str(refused.value)
    assert "Nothing was changed" in str(refused.value)
    assert await asked(db, current) == "0011"
    assert "counter" not in await asked(db, lambda c: inspect(c).get_table_names())
    columns = await asked(db, lambda c: [it["name"] for it in inspect(c).get_columns("process")])
    assert columns == ["id", "team_id", "procedure_id", "contact_id", "created_at", "updated_at"]
    assert logs[-1]["event"] == "schema.not_migrated"
    if empty_url.startswith("sqlite"):
        assert revision_and_leads(Path(logs[-1]["copy"])) == ("0011", 3)
        assert logs[-1]["copy"] in str(refused.value)
    await db.close()


async def test_a_database_of_a_newer_version_is_left_alone(empty_url: str):
    db = open_database(empty_url)
    await migrate(db)
    await asked(db, lambda c: c.execute(text("UPDATE alembic_version SET version_num = '9999'")))

    with pytest.raises(NotMigrated, match="9999, which this version does not know"):
        await migrate(db)

    assert await asked(db, current) == "9999"
    await db.close()


def copies_in(folder: Path) -> list[str]:
    return sorted(it.name for it in folder.glob("before-*"))


def revision_and_leads(file: Path) -> tuple[str, int]:
    with closing(sqlite3.connect(file)) as opened:
        (revision,) = opened.execute("SELECT version_num FROM alembic_version").fetchone()
        (leads,) = opened.execute("SELECT count(*) FROM process").fetchone()
    return revision, leads


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
