"""PostgreSQL: every unit is a transaction of its own on a pooled connection."""

import asyncio
import random
from collections.abc import Callable

from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

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

    async def run_write(self, step: Step[T]) -> T:
        for attempt in range(1, ATTEMPTS):
            try:
                return await self._attempt(step)
            except DBAPIError as error:
                if not lost_a_race(error):
                    raise
                await asyncio.sleep(random.random() * 0.005 * attempt)
        return await self._attempt(step)

    async def run_read(self, step: Step[T]) -> T:
        async with self._reading.connect() as connection:
            return await connection.run_sync(step)

    async def migrate(self, upgrade: Callable[[Connection], None]) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
            await connection.run_sync(upgrade)

    async def close(self) -> None:
        await self._engine.dispose()

    async def _attempt(self, step: Step[T]) -> T:
        """One greenlet for the whole unit instead of one for each statement."""
        async with self._engine.begin() as connection:
            return await connection.run_sync(step)


def lost_a_race(error: DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) in LOST_A_RACE
