"""The worker: claims due jobs and runs their handlers; at least once, so handlers are idempotent."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress

import structlog

from samvad.jobs import queue
from samvad.jobs.queue import Job
from samvad.kit.clock import Clock
from samvad.realtime.bell import Bell
from samvad.storage import TROUBLE, Database

Handler = Callable[[Job], Awaitable[None]]

AT_ONCE = 20
LOOK_EVERY_S = 1.0
RENEW_EVERY_S = queue.LEASE_MS / 3000

log = structlog.get_logger(__name__)


class Worker:
    """Runs jobs until it is closed; then it finishes those it has begun.

    It claims `at_once` of them and waits for the slowest, so slow work of a kind gets workers of its own that
    take `only` its names, while the others take all `but` those.
    """

    def __init__(
        self,
        db: Database,
        handlers: Mapping[str, Handler],
        *,
        clock: Clock,
        bell: Bell,
        at_once: int = AT_ONCE,
        only: Collection[str] = (),
        but: Collection[str] = (),
    ) -> None:
        self._db = db
        self._handlers = handlers
        self._clock = clock
        self._bell = bell
        self._at_once = at_once
        self._only = only
        self._but = but
        self._busy: set[int] = set()
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
            claimed = await self._db.write(
                queue.claim, now=self._clock(), limit=self._at_once, only=self._only, but=self._but
            )
        except TROUBLE as error:
            log.warning("jobs.database_trouble", error=repr(error))
            return 0
        if not claimed:
            return 0
        self._busy = {job.id for job in claimed}
        renewing = asyncio.create_task(self._renew_leases())
        try:
            ends = await asyncio.gather(*(self._do(job) for job in claimed), return_exceptions=True)
        finally:
            renewing.cancel()
        for end in ends:
            if end is not None:
                log.error("job.end_not_written", error=repr(end))
        return len(claimed)

    async def _do(self, job: Job) -> None:
        """A handler may fail in any way; the job keeps the reason and comes again."""
        try:
            await self._handlers[job.name](job)
        except Exception as error:
            self._busy.discard(job.id)
            log.warning("job.failed", job=job.name, id=job.id, attempts=job.attempts + 1, error=repr(error))
            await self._db.write(queue.fail, job, why=repr(error), now=self._clock())
        else:
            self._busy.discard(job.id)
            await self._db.write(queue.finish, job)

    async def _renew_leases(self) -> None:
        """A job that takes longer than its lease stays ours as long as we live."""
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            with suppress(*TROUBLE):  # the next turn comes before the lease ends
                await self._db.write(queue.renew, list(self._busy), now=self._clock())
