"""PostgreSQL: every unit is a transaction of its own on a pooled connection."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
import msgspec
from sqlalchemy import Connection, Table, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.schema import CreateIndex, DropIndex

from samvad.kit.chance import chance
from samvad.kit.errors import Lost, Unavailable
from samvad.storage.attributes import ScalarKind, attribute_index
from samvad.storage.columns import dump_json
from samvad.storage.database import Database, too_slow
from samvad.storage.unit import Step, T

CONNECTIONS = 10  # per process; state it when you size max_connections
CONNECT_S = 10.0
ATTEMPTS = 5
BACK_S = 0.05  # and twice that each time: after a crash a server is back in some tenths of a second
LOST_A_RACE = {"40001", "40P01"}  # serialization failure, deadlock: run the unit again
BROKEN_OFF = "57014"  # query_canceled: of its statement_timeout
WENT_AWAY = "The database went away; try again in a moment."
PASSING = ("08", "53", "57P", "58", "25006", "25P03")
"""Beginnings of SQLSTATEs that say what the server cannot do just now, whatever it is asked: the line broke, its disk
is full, its memory or connections are used up, it is shut down, it is a replica now, or it waited too long for us."""
INDEX_LOCK = 0x53414D57  # and the index: two processes do not make one at the same time
INDEX_POLL_S = 0.2
MIGRATION_LOCK = 0x53414D56  # "SAMV": two processes starting together migrate one after the other

NOTICE_DEATH = {
    # The locks of a machine that is gone, without a word, are free after some eleven seconds instead of two hours.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    # And those of a process that stands still in the middle of a unit, which never waits for anybody else.
    "idle_in_transaction_session_timeout": "60000",
}


class NotConnected(Exception):
    """No connection could be made, for whatever reason: SQLAlchemy tells all of them as errors of a statement."""


class PostgresDatabase(Database):
    def __init__(self, url: str, *, connections: int = CONNECTIONS) -> None:
        self._engine = create_async_engine(
            make_url(url).set(drivername="postgresql+asyncpg"),
            pool_size=connections,
            max_overflow=0,
            pool_pre_ping=False,
            json_serializer=dump_json,
            json_deserializer=msgspec.json.decode,
            connect_args={"prepared_statement_cache_size": 500, "server_settings": NOTICE_DEATH},
        )
        self._reading = self._engine.execution_options(postgresql_readonly=True)
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False

    async def run_write(self, step: Step[T]) -> T:
        return await self._run(self._attempt, step)

    async def run_read(self, step: Step[T]) -> T:
        return await self._run(self._look, step)

    async def run_search(self, step: Step[T], *, within_s: float) -> T:
        def within(connection: Connection) -> T:
            connection.execute(text(f"SET LOCAL statement_timeout = {round(within_s * 1000)}"))
            return step(connection)

        try:
            return await self.run_read(within)
        except DBAPIError as error:
            if sqlstate(error) != BROKEN_OFF:
                raise
            raise too_slow(within_s) from None

    async def migrate(self, upgrade: Callable[[Connection], None]) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
            await connection.run_sync(upgrade)

    async def create_attribute_index(
        self, table: Table, column: str, short_id: str, kind: ScalarKind
    ) -> None:
        index = attribute_index(table, column, short_id, kind)
        async with self._accepted(), self._connection(self._engine) as plain:
            connection = await plain.execution_options(isolation_level="AUTOCOMMIT")
            async with index_lock(connection, str(index.name)):
                is_valid = await connection.scalar(IS_VALID, {"name": index.name})
                if is_valid:
                    return
                if is_valid is False:  # whoever made it was interrupted, and it serves no query
                    await connection.execute(DropIndex(index))
                await connection.execute(CreateIndex(index))
                # Only this tells the planner how rare a value of the expression is.
                await connection.execute(text(f'ANALYZE "{table.name}"'))

    def serve(self) -> None:
        """A server has no file that another holds."""

    async def close(self) -> None:
        self._closed = True
        await self._idle.wait()
        await self._engine.dispose()

    async def _run(self, attempt: Callable[[Step[T]], Awaitable[T]], step: Step[T]) -> T:
        """Again where nothing was written: a race was lost, or the connection, before anything was committed."""
        async with self._accepted():
            for n in range(1, ATTEMPTS):
                try:
                    return await attempt(step)
                except DBAPIError as error:
                    if lost_a_race(error):
                        await asyncio.sleep(chance.random() * 0.005 * n)
                    elif error.connection_invalidated:
                        await asyncio.sleep(BACK_S * 2**n)
                    else:
                        raise
                except NotConnected:
                    await asyncio.sleep(BACK_S * 2**n)
            return await attempt(step)

    @asynccontextmanager
    async def _connection(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        """A connection of the pool. Raises NotConnected where none could be made: nothing was begun then."""
        async with AsyncExitStack() as stack:
            try:
                connection = await stack.enter_async_context(engine.connect())
            except (OSError, DBAPIError, asyncpg.PostgresError) as error:
                raise NotConnected(f"{error}") from error
            yield connection

    @asynccontextmanager
    async def _accepted(self) -> AsyncIterator[None]:
        """Work under way, which close() waits for; a server that is not there makes nobody's unit wrong."""
        if self._closed:
            raise Unavailable("Shutting down; try again in a moment.")
        self._under_way += 1
        self._idle.clear()
        try:
            yield
        except (OSError, NoConnectionFree, NotConnected) as error:
            raise Unavailable("The database cannot be reached; try again in a moment.") from error
        except DBAPIError as error:
            if (trouble := trouble_of(error)) is None:
                raise
            raise trouble from error
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def _attempt(self, step: Step[T]) -> T:
        """One greenlet for the whole unit instead of one for each statement."""
        async with self._connection(self._engine) as connection, connection.begin() as transaction:
            result = await connection.run_sync(step)
            try:
                await transaction.commit()
            except OSError as error:
                raise Lost(WENT_AWAY) from error
            except DBAPIError as error:
                if error.connection_invalidated or sqlstate(error).startswith(("08", "57P")):
                    raise Lost(WENT_AWAY) from error
                raise
            return result

    async def _look(self, step: Step[T]) -> T:
        async with self._connection(self._reading) as connection:
            return await connection.run_sync(step)


async def connect_apart(url: str, **settings: str) -> "asyncpg.Connection[Any]":
    """A connection beside the pool, with these settings of the session; closed by whoever asked for it."""
    parts = make_url(url).set(drivername="postgresql+asyncpg")
    _, how = parts.get_dialect()().create_connect_args(parts)
    return await asyncpg.connect(**how, timeout=CONNECT_S, server_settings={**NOTICE_DEATH, **settings})


IS_VALID = text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")
INDEX_LOCKED = text(f"SELECT pg_try_advisory_lock({INDEX_LOCK}, hashtext(:name))")
INDEX_UNLOCKED = text(f"SELECT pg_advisory_unlock({INDEX_LOCK}, hashtext(:name))")


@asynccontextmanager
async def index_lock(connection: AsyncConnection, name: str) -> AsyncIterator[None]:
    """Held by the session. Polled: CREATE INDEX CONCURRENTLY waits for every statement that waits, also for a lock."""
    while not await connection.scalar(INDEX_LOCKED, {"name": name}):
        await asyncio.sleep(INDEX_POLL_S)
    try:
        yield
    finally:
        if not connection.invalidated:  # broken off in the middle: the session is gone, and its lock with it
            await connection.scalar(INDEX_UNLOCKED, {"name": name})


def lost_a_race(error: DBAPIError) -> bool:
    return sqlstate(error) in LOST_A_RACE


def sqlstate(error: DBAPIError) -> str:
    """PostgreSQL's code of what went wrong, empty where the server said nothing."""
    return str(getattr(error.orig, "sqlstate", None) or "")


def trouble_of(error: DBAPIError) -> Unavailable | None:
    """What to say of an error that is the server's, and no fault of what it was asked."""
    if error.connection_invalidated:
        return Unavailable(WENT_AWAY)
    if lost_a_race(error):
        return Unavailable("Others are writing the same rows; try again in a moment.")
    if sqlstate(error).startswith(PASSING):
        # The driver's own words, which name the cause: "could not extend file …: No space left on device".
        words = str(getattr(error.orig, "__cause__", None) or error.orig)
        return Unavailable(f"The database cannot do its work just now ({words:.200}); try again in a moment.")
    return None
