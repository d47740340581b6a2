"""How much of its calls an account has used up, in the header Graph sends with its answers."""

import json
from collections import deque
from dataclasses import dataclass, field

from samvad.sandbox.errors import GraphError
from samvad.sandbox.world import Account, World

HEADER = "x-business-use-case-usage"
HOUR_S = 3600
USUAL_CALLS_PER_HOUR = 5_000  # of an account with a registered number
MAX_COUNTED = 100_000
THROTTLES = (4, 80007, 130429)
REGAIN_MINUTES = 5


@dataclass
class Usage:
    """The times of the calls of the last hour, by account."""

    by_account: dict[str, deque[float]] = field(default_factory=dict)

    def count(self, waba_id: str, now: float) -> int:
        """One more call; answers how many the hour had, with this one."""
        times = self.by_account.setdefault(waba_id, deque(maxlen=MAX_COUNTED))
        while times and times[0] <= now - HOUR_S:
            times.popleft()
        times.append(now)
        return len(times)


def counted(world: World, account: Account) -> str:
    """The header of one more call; refuses when the limit that is set is passed."""
    limit = world.settings.graph_calls_per_hour
    calls = world.area(Usage).count(account.waba_id, world.clock())
    if limit and calls > limit:
        raise GraphError(80007, "There have been too many calls to this WhatsApp Business account.")
    return header(account.waba_id, min(100, calls * 100 // (limit or USUAL_CALLS_PER_HOUR)))


def header(waba_id: str, percent: int, regain_minutes: int = 0) -> str:
    """The value of the header: percentages, and the minutes until calls are allowed again."""
    used = {
        "type": "whatsapp",
        "call_count": percent,
        "total_cputime": percent // 4,
        "total_time": percent // 4,
        "estimated_time_to_regain_access": regain_minutes,
    }
    return json.dumps({waba_id: [used]}, separators=(",", ":"))


def header_of_refusal(error: GraphError, waba_id: str) -> str | None:
    """The header that goes with a refusal for too many calls."""
    return header(waba_id, 100, REGAIN_MINUTES) if error.code in THROTTLES and waba_id else None
