"""The clock is a value: `Clock` is what a part of the product is given instead of the time."""

import time
from collections.abc import Callable
from zoneinfo import ZoneInfo

Clock = Callable[[], int]
"""Now, in integer milliseconds since the epoch."""


def system_clock() -> int:
    return time.time_ns() // 1_000_000


def is_zone(name: object) -> bool:
    """Whether this names a time zone of the IANA database."""
    try:
        return isinstance(name, str) and bool(ZoneInfo(name).key)
    except (ValueError, OSError, LookupError):
        return False
