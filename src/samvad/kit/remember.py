"""A short memory for answers that are asked for on every request."""

import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

FOR_S = 1.0  # a revoked key, a changed token or secret is effective within this time
MOST = 10_000


class Remembered(Generic[K, V]):
    """Asks once a second at most for each key; what raised is not remembered."""

    def __init__(self, ask: Callable[[K], Awaitable[V]], *, for_s: float = FOR_S, most: int = MOST) -> None:
        self._ask = ask
        self._for_s = for_s
        self._most = most
        self._known: dict[K, tuple[float, V]] = {}

    async def __call__(self, key: K) -> V:
        now = time.monotonic()
        known = self._known.get(key)
        if known is not None and now < known[0]:
            return known[1]
        value = await self._ask(key)
        if len(self._known) >= self._most:
            self._known.clear()
        self._known[key] = (now + self._for_s, value)
        return value

    def forget(self) -> None:
        """What this process just changed is seen by its next request."""
        self._known.clear()
