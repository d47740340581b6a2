"""Batching without a timer: a batch is whatever queued while the one before was committing.

Where nobody is in a hurry a lane may wait a moment for company besides.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from samvad.kit.errors import SamvadError, Unavailable
from samvad.kit.tracing import of_nobody
from samvad.storage.database import TROUBLE, Database
from samvad.storage.tx import Tx

Item = TypeVar("Item")
Done = TypeVar("Done")

Plural = Callable[[Tx, list[Item]], Sequence[Done | SamvadError]]
"""A unit over many items: one result each, in their order. A person's mistake is a result too."""

BATCH = 256
WAITING = 10_000
OLDEST_S = 20.0  # past this the caller, often Meta, has given up and will come again


@dataclass(slots=True, eq=False)
class Entry(Generic[Item, Done]):
    """An item on its way, and the future its caller waits on."""

    item: Item
    future: asyncio.Future[Done]
    since: float = field(default_factory=time.monotonic)


class Lane(Generic[Item, Done]):
    """Turns many concurrent single calls into few plural ones, in order of arrival."""

    def __init__(
        self,
        db: Database,
        unit: Plural[Item, Done],
        *,
        batch: int = BATCH,
        waiting: int = WAITING,
        enough: int = 1,
        gather_s: float = 0.0,
        on_batch: Callable[[int, float], None] | None = None,
    ) -> None:
        """`on_batch` is told the size of each batch and the seconds its commit took.

        A batch of fewer than `enough` waits for more for `gather_s` seconds.
        """
        self.on_batch = on_batch
        self._db = db
        self._unit = unit
        self._batch = batch
        self._limit = waiting
        self._enough = enough
        self._gather_s = gather_s
        self._waiting: deque[Entry[Item, Done]] = deque()
        self._runner: asyncio.Task[None] | None = None
        self._closed = False

    async def put(self, item: Item) -> Done:
        """Hand in one item; its result comes once the batch that carried it is durable.

        Raises Unavailable when the lane is full, too slow, or closing; nothing was then written.
        """
        self._refuse_when_full()
        entry: Entry[Item, Done] = Entry(item, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        if self._runner is None:
            self._runner = asyncio.create_task(self._run(), context=of_nobody())
        return await entry.future

    async def close(self) -> None:
        """Take nothing new; return when everything accepted has been committed."""
        self._closed = True
        if self._runner is not None:
            await self._runner

    def _refuse_when_full(self) -> None:
        if self._closed:
            raise Unavailable("Shutting down; try again in a moment.")
        full = len(self._waiting) >= self._limit
        slow = self._waiting and time.monotonic() - self._waiting[0].since > OLDEST_S
        if full or slow:
            raise Unavailable("Too much work is waiting; try again in a moment.")

    async def _run(self) -> None:
        try:
            while self._waiting:
                if len(self._waiting) < self._enough:
                    await asyncio.sleep(self._gather_s)
                await self._commit(self._next_batch())
        finally:
            self._runner = None

    def _next_batch(self) -> list[Entry[Item, Done]]:
        size = min(len(self._waiting), self._batch)
        taken = [self._waiting.popleft() for _ in range(size)]
        return [entry for entry in taken if not entry.future.cancelled()]

    async def _commit(self, batch: list[Entry[Item, Done]]) -> None:
        if not batch:
            return
        began = time.monotonic()
        try:
            results = await self._db.write(self._unit, [entry.item for entry in batch])
        except TROUBLE as error:
            refuse(batch, error)
        except Exception as error:
            if len(batch) == 1:
                refuse(batch, error)
            else:
                await self._commit_halves(batch)
        else:
            if self.on_batch is not None:
                self.on_batch(len(batch), time.monotonic() - began)
            self._answer(batch, results)

    async def _commit_halves(self, batch: list[Entry[Item, Done]]) -> None:
        """Somewhere in here is an item that cannot be stored; its neighbours can."""
        middle = len(batch) // 2
        await self._commit(batch[:middle])
        await self._commit(batch[middle:])

    def _answer(self, batch: list[Entry[Item, Done]], results: Sequence[Done | SamvadError]) -> None:
        if len(results) != len(batch):
            mistake = f"{self._unit.__name__}: {len(results)} results for {len(batch)} items"
            return refuse(batch, AssertionError(mistake))
        for entry, result in zip(batch, results, strict=True):
            if entry.future.done():  # its caller went away while we worked
                continue
            if isinstance(result, SamvadError):
                entry.future.set_exception(result)
            else:
                entry.future.set_result(result)


def refuse(batch: list[Entry[Item, Done]], error: Exception) -> None:
    for entry in batch:
        if not entry.future.done():
            entry.future.set_exception(error)
