"""When a delivery is tried again, and what an answer of a customer's server means. No I/O."""

import hashlib
import hmac
import ipaddress
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from yarl import URL

SIGNATURE_HEADER = "X-Chakra-Signature-256"

BACK_OFF_MS = (10_000, 60_000, 300_000, 1_800_000, 7_200_000, 21_600_000, 86_400_000)
"""10 s, 1 min, 5 min, 30 min, 2 h, 6 h, 24 h; each with jitter."""

GIVE_UP_AFTER_MS = 36 * 60 * 60 * 1000
"""How long an endpoint that does not answer is waited for, for each delivery."""

REFUSALS_IN_ORDER = 3
"""An event that its endpoint refuses this often steps aside, so that those behind it get through."""

State = Literal["PENDING", "DELIVERED", "EXHAUSTED", "CANCELLED"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A customer's URL for one plugin and one format."""

    id: str
    team_id: str
    plugin_id: str
    format: str
    url: str
    is_active: bool
    failures: int


class Pending(NamedTuple):
    """A delivery that is due."""

    id: str
    inbound_event_id: int
    attempts: int
    created_at: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one POST."""

    at: int
    duration_ms: int
    status: int | None = None
    error: str | None = None
    response_body: str | None = field(default=None, repr=False)

    @property
    def delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def refused(self) -> bool:
        """The endpoint is alive and wants no such event; as opposed to being in trouble itself."""
        return self.status is not None and 400 <= self.status < 500 and self.status not in (408, 429)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a delivery after an attempt, and whether its endpoint gets a rest."""

    state: State
    next_attempt_at: int
    rests_until_at: int | None


def verdict(delivery: Pending, attempt: Attempt, *, failures: int, back_off_ms: Sequence[int]) -> Verdict:
    """Decide: done, again in order, again out of order, or given up.

    `failures` counts those of the endpoint in a row, this one not included.
    """
    now, tries = attempt.at + attempt.duration_ms, delivery.attempts + 1
    if attempt.delivered:
        return Verdict("DELIVERED", now, None)
    if attempt.refused and tries > len(back_off_ms):
        return Verdict("EXHAUSTED", now, None)
    if attempt.refused and tries >= REFUSALS_IN_ORDER:
        return Verdict("PENDING", now + _jittered(back_off_ms[tries - 1]), None)
    if not attempt.refused and now - delivery.created_at > GIVE_UP_AFTER_MS:
        return Verdict("EXHAUSTED", now, None)
    step = min(failures, len(back_off_ms) - 1)
    return Verdict("PENDING", now, now + _jittered(back_off_ms[step]))


def _jittered(wait_ms: int) -> int:
    return round(wait_ms * random.uniform(0.8, 1.2))


def sign(secret: str, body: bytes) -> str:
    """Lower-case hex of HMAC-SHA256 over the exact bytes, with no prefix: receivers compare it as is."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def is_private(address: str) -> bool:
    """Whether an IP address leads into somebody's own network rather than the internet."""
    ip = ipaddress.ip_address(address.split("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None)
    return not (mapped or ip).is_global or ip.is_multicast


def names_private_host(url: str) -> bool:
    """Whether the URL itself says so; a name that resolves to a private address is found at delivery."""
    try:
        host = (URL(url).raw_host or "").rstrip(".")  # as the client reads it: １２７.0.0.1 is 127.0.0.1
    except ValueError:
        return False  # no address at all: the attempt will say so
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        return True
    try:
        return is_private(host)
    except ValueError:
        return False
