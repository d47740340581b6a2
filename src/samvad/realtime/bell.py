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
        # Not wait_for: on Python 3.11 it forgets a cancellation that comes together with the ring.
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await self._rung.wait()
        self._rung.clear()
