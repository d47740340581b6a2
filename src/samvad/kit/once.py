"""One doing at a time for each key; whoever asks meanwhile gets the same result."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Once(Generic[K, V]):
    """Runs the same work once for all who want it at the same time; nothing is remembered afterwards."""

    def __init__(self) -> None:
        self._doing: dict[K, asyncio.Task[V]] = {}

    async def __call__(self, key: K, work: Callable[[], Coroutine[Any, Any, V]]) -> V:
        task = self._doing.get(key)
        if task is None:
            task = self._doing[key] = asyncio.create_task(work())
            task.add_done_callback(lambda done: self._ended(key, done))
        return await asyncio.shield(task)  # whoever goes away leaves the others their result

    async def close(self) -> None:
        """Break off what is under way."""
        tasks = list(self._doing.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, key: K, task: asyncio.Task[V]) -> None:
        if self._doing.get(key) is task:
            del self._doing[key]
        if not task.cancelled():
            task.exception()  # an error whose askers have all gone away is nobody's to hear
