"""Everything that happens later, on one heap with one timer."""

import asyncio
import heapq
import itertools
import logging
from collections.abc import Callable

log = logging.getLogger(__name__)

TICK_S = (
    0.002  # what is due within one tick goes together, so a busy sandbox wakes 500 times a second, not 3,000
)

Deed = Callable[[], None]


class Timeline:
    """Calls plain functions later; thousands of them cost one timer."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Deed]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = 0.0

    def after(self, delay_s: float, deed: Deed) -> None:
        """Call `deed` in so many seconds, in the order of their times."""
        loop = asyncio.get_running_loop()
        due = loop.time() + delay_s
        heapq.heappush(self._heap, (due, next(self._order), deed))
        if self._timer is None or due < self._wakes_at:
            self._wake(loop, due)

    def forget(self) -> None:
        """Drop everything that was still to come."""
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def __len__(self) -> int:
        return len(self._heap)

    def _wake(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._wakes_at = max(due, loop.time() + TICK_S)
        self._timer = loop.call_at(self._wakes_at, self._run)

    def _run(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._heap and self._heap[0][0] <= now:
            deed = heapq.heappop(self._heap)[2]
            try:
                deed()
            except Exception:
                log.exception("a scheduled step of the sandbox failed; the others go on")
        if self._heap:
            self._wake(loop, self._heap[0][0])
