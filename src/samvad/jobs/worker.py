"""The worker: claims due jobs and runs their handlers; at least once, so handlers are idempotent."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog

from samvad.jobs import queue
from samvad.jobs.queue import Job
from samvad.kit.clock import Clock
from samvad.realtime.bell import Bell
from samvad.storage import TROUBLE, Database

Handler = Callable[[Job], Awaitable[None]]

AT_ONCE = 20
LOOK_EVERY_S = 1.0

log = structlog.get_logger(__name__)


class Worker:
    """Runs jobs until it is closed; then it finishes those it has begun."""

    def __init__(self, db: Database, handlers: Mapping[str, Handler], *, clock: Clock, bell: Bell) -> None:
        self._db = db
        self._handlers = handlers
        self._clock = clock
        self._bell = bell
        self._closing = False

    async def run(self) -> None:
        while not self._closing:
            if not await self._do_due():
                await self._bell.wait(LOOK_EVERY_S)

    def close(self) -> None:
        self._closing = True
        self._bell.ring()

    async def _do_due(self) -> int:
        """Do what is due, as far as the database lets us; a job whose end is not written comes again."""
        try:
            claimed = await self._db.write(queue.claim, now=self._clock(), limit=AT_ONCE)
        except TROUBLE as error:
            log.warning("jobs.database_trouble", error=repr(error))
            return 0
        ends = await asyncio.gather(*(self._do(job) for job in claimed), return_exceptions=True)
        for end in ends:
            if end is not None:
                log.error("job.end_not_written", error=repr(end))
        return len(claimed)

    async def _do(self, job: Job) -> None:
        """A handler may fail in any way; the job keeps the reason and comes again."""
        try:
            await self._handlers[job.name](job)
        except Exception as error:
            log.warning("job.failed", job=job.name, id=job.id, attempts=job.attempts + 1, error=repr(error))
            await self._db.write(queue.fail, job, why=repr(error), now=self._clock())
        else:
            await self._db.write(queue.finish, job)
