"""How fast Meta lets a business send: per number and per pair of number and person."""

PAIR_INTERVAL_S = 6.0
PAIR_BURST = 45  # a burst borrows from the minutes that follow: 45 messages take 4.5 minutes to be forgiven
MAX_PAIRS = 100_000


class Pace:
    """Two leaky buckets, each remembered as the time at which it will be empty."""

    def __init__(self) -> None:
        self._numbers: dict[str, float] = {}
        self._pairs: dict[tuple[str, str], float] = {}

    def number_may(self, number_id: str, per_second: int, now: float) -> bool:
        """Whether the number is within its messages per second."""
        empty_at = max(self._numbers.get(number_id, now), now)
        if empty_at - now > (per_second - 1) / per_second:
            return False
        self._numbers[number_id] = empty_at + 1 / per_second
        return True

    def pair_may(self, number_id: str, digits: str, now: float) -> bool:
        """Whether the number may write to this person once more: one per 6 seconds, with bursts of 45."""
        empty_at = max(self._pairs.get((number_id, digits), now), now)
        if empty_at - now > (PAIR_BURST - 1) * PAIR_INTERVAL_S:
            return False
        if len(self._pairs) >= MAX_PAIRS:
            del self._pairs[next(iter(self._pairs))]
        self._pairs[number_id, digits] = empty_at + PAIR_INTERVAL_S
        return True
