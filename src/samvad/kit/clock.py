"""The clock is a value: `Clock` is what a part of the product is given instead of the time."""

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Now, in integer milliseconds since the epoch."""


def system_clock() -> int:
    return time.time_ns() // 1_000_000
