"""A short memory for answers that are asked for on every request."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

FOR_S = 1.0  # a revoked key, a changed token or secret is effective this long after the last answer
MOST = 10_000


class Remembered(Generic[K, V]):
    """Asks once a second at most for each key, and once for all who want to know; errors are not kept.

    One question for all matters: when everybody under way asks anew at the same moment, the answers take
    longer than they are remembered, and a busy server never gets out of it.
    """

    def __init__(self, ask: Callable[[K], Awaitable[V]], *, for_s: float = FOR_S, most: int = MOST) -> None:
        self._ask = ask
        self._for_s = for_s
        self._most = most
        self._known: dict[K, tuple[float, V]] = {}
        self._asking: dict[K, asyncio.Task[V]] = {}

    async def __call__(self, key: K) -> V:
        known = self._known.get(key)
        if known is not None and time.monotonic() < known[0]:
            return known[1]
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.create_task(self._find(key))
            asking.add_done_callback(_seen)
        return await asyncio.shield(asking)  # whoever goes away leaves the others their answer

    def forget(self) -> None:
        """What this process just changed is seen by its next request."""
        self._known.clear()
        self._asking.clear()

    async def _find(self, key: K) -> V:
        me = asyncio.current_task()
        try:
            value = await self._ask(key)
            if self._asking.get(key) is me:  # nobody said forget() meanwhile
                if len(self._known) >= self._most:
                    self._known.clear()
                self._known[key] = (time.monotonic() + self._for_s, value)
            return value
        finally:
            if self._asking.get(key) is me:
                del self._asking[key]


def _seen(task: asyncio.Task[V]) -> None:
    """An error whose askers have all gone away is nobody's to hear."""
    if not task.cancelled():
        task.exception()
