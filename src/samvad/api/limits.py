"""How many requests a second one key may make. Each process counts for itself."""

import math
import time
from collections.abc import Callable

from samvad.kit.errors import TooMany

MOST_KEYS = 10_000  # remembered; a key that is forgotten begins with a full bucket


class Limits:
    """A token bucket for each key: `rate` requests a second, and a burst of one second's worth."""

    def __init__(self, rate: float, *, now: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._now = now
        self._buckets: dict[str, tuple[float, float]] = {}

    def count(self, key_id: str, own_rate: float | None) -> None:
        """One request more with this key; `own_rate` goes before everybody's. Raises TooMany."""
        rate = self._rate if own_rate is None else own_rate
        if not rate:
            return
        now, most = self._now(), max(1.0, rate)
        left, since = self._buckets.get(key_id, (most, now))
        left = min(most, left + (now - since) * rate)
        if left < 1:
            self._buckets[key_id] = (left, now)
            raise TooMany(retry_after_ms=math.ceil((1 - left) / rate * 1000))
        if len(self._buckets) >= MOST_KEYS and key_id not in self._buckets:
            self._buckets.clear()
        self._buckets[key_id] = (left - 1, now)
