"""Processes on one PostgreSQL: rings by LISTEN and NOTIFY, the foreman by a lock that dies with its session.

One connection of its own for both. What is said here only saves time: a waiter looks by itself all the same.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import asyncpg
import structlog

from samvad.realtime.bell import Bell
from samvad.realtime.exchange import Exchange
from samvad.storage.postgres import connect_apart

CHANNEL = "samvad_bells"
FOREMAN_LOCK = 0x53414D57 + 1  # beside the locks of storage.postgres
GATHER_S = 0.01  # a NOTIFY is a commit: at most one in this time, for all bells that were rung
LOOK_EVERY_S = 1.0  # how soon a dead foreman is missed, and a dead connection noticed
STANDS_STILL_S = 10  # a process that says nothing for so long is no foreman: the database ends its session
RETRY_S = 1.0
ANSWER_S = 5.0  # a database that takes longer is as good as gone
RESIGNED = "foreman"  # rung by a foreman that goes: whoever stands for it tries at once

TROUBLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # of a connection on which something was broken off by its time-out
)

log = structlog.get_logger(__name__)


class SharedBell(Bell):
    """Rings in every process on this database: here at once, elsewhere a moment later."""

    def __init__(self, tell_others: Callable[[], None]) -> None:
        super().__init__()
        self._tell_others = tell_others

    def ring(self) -> None:
        self.ring_here()
        self._tell_others()

    def ring_here(self) -> None:
        super().ring()


class PostgresExchange(Exchange):
    def __init__(self, url: str, *, stands: bool) -> None:
        self._url = url
        self._stands = stands
        self._bells: dict[str, SharedBell] = {}
        self._untold: dict[str, None] = {}  # names of bells, in the order in which they were first rung
        self._something = asyncio.Event()
        self._connection: asyncpg.Connection[Any] | None = None
        self._foreman_of: asyncpg.Connection[Any] | None = None  # by which session this is the foreman
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    def bell(self, name: str) -> Bell:
        return self._bells.setdefault(name, SharedBell(lambda: self._tell(name)))

    def is_foreman(self) -> bool:
        held_by = self._foreman_of
        return self._stands and held_by is not None and not held_by.is_closed()

    async def open(self) -> None:
        try:
            await self._connect()
            await self._stand()
        except TROUBLE as error:  # the task tries again, on another connection
            log.warning("exchange.connection_lost", error=repr(error))
            await self._disconnect()
        self._task = asyncio.create_task(self._run(), name="exchange")

    def resign(self) -> None:
        self._stands = False
        self._something.set()

    async def close(self) -> None:
        self._closing = True
        self._something.set()
        if self._task is not None:
            await self._task
        await self._disconnect()

    def _tell(self, name: str) -> None:
        self._untold[name] = None
        self._something.set()

    async def _run(self) -> None:
        """Stay connected until closed; whoever was not heard meanwhile is told again."""
        while not self._closing:
            try:
                await self._connect()
                await self._serve()
            except TROUBLE as error:
                log.warning("exchange.connection_lost", error=repr(error))
                await self._disconnect()
                await asyncio.sleep(RETRY_S)

    async def _serve(self) -> None:
        while not self._closing:
            await self._stand()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._something.wait()
            self._something.clear()
            await self._tell_others()
            await asyncio.sleep(GATHER_S)
        await self._tell_others()

    async def _tell_others(self) -> None:
        """Everything that was rung, in one NOTIFY; what cannot be said now is said on the next connection."""
        connection = self._connection
        assert connection is not None
        names, self._untold = self._untold, {}
        try:
            if names:
                said = " ".join(names)
                await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, said, timeout=ANSWER_S)
            else:
                await connection.execute("SELECT 1", timeout=ANSWER_S)
        except TROUBLE:
            self._untold = names | self._untold
            raise

    async def _stand(self) -> None:
        """Become the foreman if nobody is, or cease to be."""
        connection = self._connection
        assert connection is not None
        is_foreman = self._foreman_of is connection
        if is_foreman and not self._stands:
            await connection.execute("SELECT pg_advisory_unlock($1)", FOREMAN_LOCK, timeout=ANSWER_S)
            self._foreman_of = None
            self._tell(RESIGNED)
        elif (
            self._stands
            and not is_foreman
            and await connection.fetchval("SELECT pg_try_advisory_lock($1)", FOREMAN_LOCK, timeout=ANSWER_S)
        ):
            self._foreman_of = connection
            log.info("foreman.began")
            self._ring_all()

    async def _connect(self) -> None:
        if self._connection is not None and not self._connection.is_closed():
            return
        # Without waiting for the disk: nobody needs a ring that survives a crash.
        connection = await connect_apart(
            self._url, synchronous_commit="off", idle_session_timeout=f"{STANDS_STILL_S}s"
        )
        connection.add_termination_listener(self._lost)
        try:
            await connection.add_listener(CHANNEL, self._hear)
        except TROUBLE:
            connection.terminate()
            raise
        self._connection = connection
        self._ring_all()  # what was rung while nobody listened

    async def _disconnect(self) -> None:
        connection, self._connection, self._foreman_of = self._connection, None, None
        if connection is not None and not connection.is_closed():
            try:
                await connection.close(timeout=ANSWER_S)
            except TROUBLE:
                connection.terminate()

    def _hear(self, connection: Any, pid: int, channel: str, said: object) -> None:
        if pid == connection.get_server_pid():
            return
        for name in str(said).split():
            if name == RESIGNED:
                self._something.set()
            elif name in self._bells:
                self._bells[name].ring_here()

    def _lost(self, connection: Any) -> None:
        self._something.set()

    def _ring_all(self) -> None:
        for bell in self._bells.values():
            bell.ring_here()
