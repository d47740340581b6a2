"""SQLite: units run on the event loop, many to a commit; only the commit visits a thread."""

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.schema import CreateIndex

from samvad.kit.errors import Unavailable
from samvad.kit.tracing import of_nobody
from samvad.storage.attributes import ScalarKind, attribute_index
from samvad.storage.database import Database, too_slow
from samvad.storage.unit import Step, T

GROUP = 64  # units per commit: bounds how long the first one waits for the last one
SEARCHES = 2  # long reads at once, each with a thread and a connection of its own
LOOK_EVERY = 10_000  # steps of SQLite's machine between two looks at the clock: well under a millisecond
WAITING = 10_000  # units; beyond this a caller hears Unavailable instead of waiting for minutes
OLDEST_S = 20.0

PASSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
}
"""Result codes that say what the file cannot do just now, whatever it is asked: its disk is full or broken, or
somebody else holds it."""

WAL_KEPT = 32 * 2**20
"""Bytes of the WAL's file that stay for use again. While somebody reads for long, it becomes as large as it must."""
VISITORS_MS = 30_000
"""How long a command waits for the file while a busy server writes."""
SERVERS_MS = 1_000
"""How long a server does, whose loop stands still meanwhile: for the odd visit of a command."""

PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",  # we answer 200 only for what survives a power cut
    "foreign_keys = ON",
    f"busy_timeout = {VISITORS_MS}",
    "cache_size = -65536",
    "temp_store = MEMORY",
    "wal_autocheckpoint = 4000",
    f"journal_size_limit = {WAL_KEPT}",
)


@dataclass(slots=True, eq=False)
class Work:
    """A unit waiting for its turn, and then what became of it."""

    step: Step[Any]
    future: asyncio.Future[Any]
    since: float = field(default_factory=time.monotonic)
    result: Any = None
    error: Exception | None = None

    def attempt(self, connection: Connection) -> None:
        """A unit that fails takes back what it did, and nothing of its neighbours."""
        command(connection, "SAVEPOINT unit")
        try:
            self.result = self.step(connection)
        except Exception as error:
            self.error = error
            try:
                command(connection, "ROLLBACK TO unit")
            except sqlite3.OperationalError:  # a full disk made SQLite take back all of the transaction
                raise error from None
        command(connection, "RELEASE unit")

    def settle(self) -> None:
        if self.future.done():  # its caller went away while we worked
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(trouble_of(self.error) or self.error)


class SqliteDatabase(Database):
    """One process owns the file; one connection writes, one reads."""

    def __init__(self, url: str) -> None:
        self._writing = open_engine(url, "BEGIN IMMEDIATE")
        self._reading = open_engine(url, "BEGIN", "query_only = ON")
        self._writer = self._writing.connect()
        self._reader = self._reading.connect()
        self._disk = ThreadPoolExecutor(1, "sqlite-commit")
        self._searching = ThreadPoolExecutor(SEARCHES, "sqlite-search")
        self._waiting: deque[Work] = deque()
        self._long: deque[Work] = deque()
        self._runner: asyncio.Task[None] | None = None
        self._closed = False

    async def run_write(self, step: Step[T]) -> T:
        self._refuse_when_full()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(Work(step, future))
        self._go_on()
        return await future

    async def run_read(self, step: Step[T]) -> T:
        """On the loop itself: a short indexed read is cheaper than a visit to a thread."""
        with named_trouble(), self._reader.begin():
            return step(self._reader)

    async def run_search(self, step: Step[T], *, within_s: float) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._searching, self._search, step, within_s)

    def _search(self, step: Step[T], within_s: float) -> T:
        """In a thread, on a connection of its own, broken off when its time is over."""
        until = time.monotonic() + within_s
        with named_trouble(), self._reading.connect() as connection:
            driver(connection).set_progress_handler(lambda: time.monotonic() > until, LOOK_EVERY)
            try:
                with connection.begin():
                    return step(connection)
            except OperationalError as error:
                if "interrupted" not in str(error.orig):
                    raise
                raise too_slow(within_s) from None
            finally:
                driver(connection).set_progress_handler(None, 0)

    async def migrate(self, upgrade: Callable[[Connection], None]) -> None:
        with self._writer.begin():
            upgrade(self._writer)

    async def create_attribute_index(
        self, table: Table, column: str, short_id: str, kind: ScalarKind
    ) -> None:
        index = attribute_index(table, column, short_id, kind)
        if await self.run_read(lambda connection: _has_index(connection, str(index.name))):
            return  # so that a start takes no lock for what is there
        await self._run_long(lambda connection: connection.execute(CreateIndex(index, if_not_exists=True)))

    def serve(self) -> None:
        for connection in (self._writer, self._reader):
            command(connection, f"PRAGMA busy_timeout = {SERVERS_MS}")

    async def close(self) -> None:
        self._closed = True
        if self._runner is not None:
            await self._runner
        self._disk.shutdown()
        self._searching.shutdown()
        self._reader.close()
        self._writer.close()
        self._reading.dispose()
        self._writing.dispose()

    async def _run_long(self, step: Step[Any]) -> None:
        """In the thread of the commits, alone in its transaction: the loop and its reads go on, writes wait."""
        self._refuse_when_full()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._long.append(Work(step, future))
        self._go_on()
        await future

    def _go_on(self) -> None:
        if self._runner is None:
            self._runner = asyncio.create_task(self._commit_until_idle(), context=of_nobody())

    def _refuse_when_full(self) -> None:
        if self._closed:
            raise Unavailable("Shutting down; try again in a moment.")
        full = len(self._waiting) >= WAITING
        slow = self._waiting and time.monotonic() - self._waiting[0].since > OLDEST_S
        if full or slow:
            raise Unavailable("Too much work is waiting; try again in a moment.")

    async def _commit_until_idle(self) -> None:
        try:
            while self._waiting or self._long:
                await self._commit(self._next_group())
                if self._long:  # one, and then whoever waited for it
                    await self._commit_long(self._long.popleft())
                await asyncio.sleep(0)  # lanes just answered put in their next batch
        finally:
            self._runner = None

    def _next_group(self) -> list[Work]:
        """Whatever queued during the commit before; a cancelled caller's unit never runs."""
        size = min(len(self._waiting), GROUP)
        taken = [self._waiting.popleft() for _ in range(size)]
        return [work for work in taken if not work.future.cancelled()]

    async def _commit(self, group: list[Work]) -> None:
        """One transaction and one disk flush for all of them."""
        if not group:
            return
        try:
            transaction = self._writer.begin()
            for work in group:
                work.attempt(self._writer)
            await asyncio.get_running_loop().run_in_executor(self._disk, transaction.commit)
        except Exception as error:  # nothing of the group is durable
            roll_back(self._writer)
            for work in group:
                work.error = error
        for work in group:
            work.settle()

    async def _commit_long(self, work: Work) -> None:
        if work.future.cancelled():
            return

        def alone() -> None:
            with self._writer.begin():
                work.step(self._writer)

        try:
            await asyncio.get_running_loop().run_in_executor(self._disk, alone)
        except Exception as error:
            roll_back(self._writer)
            work.error = error
        work.settle()


def _has_index(connection: Connection, name: str) -> bool:
    found = driver(connection).execute(
        "SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = ?", (name,)
    )
    return found.fetchone() is not None


def trouble_of(error: Exception) -> Unavailable | None:
    """What to say of an error that is the file's, and no fault of what it was asked."""
    orig = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(orig, "sqlite_errorcode", 0) & 0xFF  # the first byte; the others say more exactly what
    if code not in PASSING:
        return None
    return Unavailable(f"The database cannot do its work just now ({orig}); try again in a moment.")


@contextmanager
def named_trouble() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        if (trouble := trouble_of(error)) is None:
            raise
        raise trouble from error


def roll_back(connection: Connection) -> None:
    """After a failed COMMIT SQLAlchemy sends no ROLLBACK, but SQLite still has its transaction."""
    connection.rollback()
    driver(connection).rollback()


def command(connection: Connection, sql: str) -> None:
    """Straight to the driver: SQLAlchemy's begin_nested() costs ten times as much."""
    driver(connection).execute(sql)


def driver(connection: Connection) -> Any:
    return connection.connection.dbapi_connection


def open_engine(url: str, begin: str, *pragmas: str) -> Engine:
    """An engine that begins as told: sqlite3's own BEGIN is deferred, and comes too late."""
    engine = create_engine(url, connect_args={"check_same_thread": False, "cached_statements": 512})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in (*PRAGMAS, *pragmas):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
