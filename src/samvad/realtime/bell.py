"""A bell: whoever has made work rings, whoever waits for work wakes."""

import asyncio
from contextlib import suppress


class Bell:
    """Rings within this process; a waiter also looks by itself after `at_most_s`.

    The look by itself is what finds another process's work, and what survives a lost ring.
    """

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self._rung.set()

    async def wait(self, at_most_s: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._rung.wait(), at_most_s)
        self._rung.clear()
