"""PostgreSQL: every unit is a transaction of its own on a pooled connection."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg
from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.ext.asyncio import create_async_engine

from samvad.kit.errors import Unavailable
from samvad.storage.database import Database
from samvad.storage.unit import Step, T

CONNECTIONS = 10  # per process; state it when you size max_connections
ATTEMPTS = 5
LOST_A_RACE = {"40001", "40P01"}  # serialization failure, deadlock: run the unit again
MIGRATION_LOCK = 0x53414D56  # "SAMV": two processes starting together migrate one after the other


class PostgresDatabase(Database):
    def __init__(self, url: str, *, connections: int = CONNECTIONS) -> None:
        self._engine = create_async_engine(
            make_url(url).set(drivername="postgresql+asyncpg"),
            pool_size=connections,
            max_overflow=0,
            pool_pre_ping=False,
            connect_args={"prepared_statement_cache_size": 500},
        )
        self._reading = self._engine.execution_options(postgresql_readonly=True)
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False

    async def run_write(self, step: Step[T]) -> T:
        async with self._accepted():
            for attempt in range(1, ATTEMPTS):
                try:
                    return await self._attempt(step)
                except DBAPIError as error:
                    if not lost_a_race(error):
                        raise
                    await asyncio.sleep(random.random() * 0.005 * attempt)
            return await self._attempt(step)

    async def run_read(self, step: Step[T]) -> T:
        async with self._accepted(), self._reading.connect() as connection:
            return await connection.run_sync(step)

    async def migrate(self, upgrade: Callable[[Connection], None]) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
            await connection.run_sync(upgrade)

    async def close(self) -> None:
        self._closed = True
        await self._idle.wait()
        await self._engine.dispose()

    @asynccontextmanager
    async def _accepted(self) -> AsyncIterator[None]:
        """Work under way, which close() waits for; a server that is not there makes nobody's unit wrong."""
        if self._closed:
            raise Unavailable("Shutting down; try again in a moment.")
        self._under_way += 1
        self._idle.clear()
        try:
            yield
        except (OSError, NoConnectionFree, asyncpg.PostgresError) as error:  # no connection was to be had
            raise Unavailable("The database cannot be reached; try again in a moment.") from error
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            raise Unavailable("The database went away; try again in a moment.") from error
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def _attempt(self, step: Step[T]) -> T:
        """One greenlet for the whole unit instead of one for each statement."""
        async with self._engine.begin() as connection:
            return await connection.run_sync(step)


def lost_a_race(error: DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) in LOST_A_RACE
