"""When a delivery is tried again, and what an answer of a customer's server means. No I/O."""

import base64
import hashlib
import hmac
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from yarl import URL

from samvad.kit.chance import chance
from samvad.kit.errors import BadRequest

SIGNATURE_HEADER = "X-Chakra-Signature-256"
ID_HEADER, TIMESTAMP_HEADER, STANDARD_HEADER = "webhook-id", "webhook-timestamp", "webhook-signature"
"""Standard Webhooks (https://www.standardwebhooks.com), beside ChakraHQ's own header."""

STANDARD_PREFIX = "whsec_"

BACK_OFF_MS = (10_000, 60_000, 300_000, 1_800_000, 7_200_000, 21_600_000, 86_400_000)
"""10 s, 1 min, 5 min, 30 min, 2 h, 6 h, 24 h; each with jitter."""

AT_ONCE = 0
"""When a delivery is due that waits for nothing but its endpoint: before everything that is due by the clock, which may
have gone back since."""
DAY_MS = 24 * 60 * 60 * 1000
LONGEST_REST_MS = DAY_MS  # however long a `Retry-After` asks us to wait

FAILURES_IN_ORDER = 3
"""An event that fails this often while its endpoint takes others steps aside: those behind it get through."""

ONE_LINE = ""
"""The order key of events that are about no chat."""

EVERY_CHAT = "*"
"""The order key of a body about several chats: it goes alone, after all before it and before all after it."""

FORMATS = ("meta", "chakra", "object")

OBJECTS, DEEDS = ("process", "record", "task"), ("create", "update", "delete")
OBJECT_EVENTS = tuple(f"{it}:{deed}:post" for it in OBJECTS for deed in DEEDS)
"""What an endpoint of the format `object` may want to hear of; ChakraHQ's names, whose `pre` we have not."""

LONGEST_URL = 2_048
MOST_PROCEDURES = 100  # that one endpoint names
LONGEST_SHORT_ID = 100  # characters

ECHO_FIELD, TEMPLATE_FIELD, TEST_EVENT = "smb_message_echoes", "chakra_send_template", "samvad.test"

NAT64, COMPATIBLE = ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96")
"""IPv6 addresses whose last four bytes are the IPv4 address they lead to."""

State = Literal["PENDING", "DELIVERED", "EXHAUSTED", "CANCELLED"]
STATES: tuple[State, ...] = ("PENDING", "DELIVERED", "EXHAUSTED", "CANCELLED")
Pause = Literal["HAND", "FAILING", "GONE"]


@dataclass(frozen=True, slots=True)
class Rules:
    """How patient we are with customers' servers."""

    back_off_ms: Sequence[int] = BACK_OFF_MS
    pause_after_ms: int = 3 * DAY_MS
    """An endpoint that takes nothing for so long is paused; from then on it is only probed."""

    probe_every_ms: int = DAY_MS
    at_once: int = 8
    """POSTs to one endpoint under way at the same time, each of another chat."""


@dataclass(frozen=True, slots=True)
class Health:
    """How an endpoint itself fares. Only trouble of its own counts, and a round of parallel POSTs only once."""

    failures: int = 0
    failing_since_at: int | None = None
    failed_at: int | None = None
    delivered_at: int | None = None
    rests_until_at: int | None = None
    paused_at: int | None = None
    paused_why: str | None = None

    def rests(self, now: int) -> bool:
        return self.paused_at is not None or (self.rests_until_at is not None and self.rests_until_at > now)


class ActsAs(NamedTuple):
    """Whom an endpoint stands for: it is told what they may see."""

    user_id: str | None
    role_id: str | None
    role_type: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A customer's URL: for one plugin and one format, or for the objects of a team, which have no plugin."""

    id: str
    team_id: str
    plugin_id: str | None
    format: str
    url: str
    is_active: bool
    health: Health


class Pending(NamedTuple):
    """A delivery that is due; its body is read when it goes."""

    id: str
    inbound_event_id: int | None
    webhook_event_id: str | None
    order_key: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Which:
    """Which deliveries of a team; what is None says nothing. `to_at` and `from_at` are of their making."""

    state: str | None = None
    plugin_id: str | None = None
    format: str | None = None
    event: str | None = None
    peer: str | None = None
    wamid: str | None = None
    from_at: int | None = None
    to_at: int | None = None


class About(NamedTuple):
    """What a body is about, as its deliveries are ordered and found."""

    event: str
    order_key: str = ONE_LINE
    peer: str | None = None
    wamid: str | None = None

    def and_also(self, other: "About") -> "About":
        """One body about both: of two chats it belongs to every one."""
        return self if other.order_key == self.order_key else self._replace(order_key=EVERY_CHAT)


def chat_key(phone_number_id: str, peer: str | None) -> str:
    """The order key of a conversation: one person and one number of ours."""
    return f"{phone_number_id}/{peer}" if peer else ONE_LINE


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one POST."""

    at: int
    duration_ms: int
    url: str
    status: int | None = None
    error: str | None = None
    request_headers: dict[str, str] = field(default_factory=dict, repr=False)
    response_headers: dict[str, str] | None = field(default=None, repr=False)
    response_body: str | None = field(default=None, repr=False)

    @property
    def ended_at(self) -> int:
        return self.at + self.duration_ms

    @property
    def delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def refused(self) -> bool:
        """The endpoint is alive and wants no such event; as opposed to being in trouble itself."""
        return self.status is not None and 400 <= self.status < 500 and self.status not in (408, 410, 429)

    @property
    def asks_to_wait_ms(self) -> int | None:
        """`Retry-After` of a 429 or 503, in seconds or as a date."""
        if self.status not in (429, 503) or not self.response_headers:
            return None
        said = next((v for k, v in self.response_headers.items() if k.lower() == "retry-after"), "").strip()
        if said.isascii() and said.isdigit():
            return min(int(said[:9]) * 1000, LONGEST_REST_MS)
        try:
            moment = parsedate_to_datetime(said)
        except ValueError:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return min(max(0, round(moment.timestamp() * 1000) - self.ended_at), LONGEST_REST_MS)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a delivery after an attempt, and how its endpoint fares then."""

    state: State
    next_attempt_at: int
    holds: bool
    """Its chat waits with it."""

    health: Health


def verdict(delivery: Pending, attempt: Attempt, health: Health, rules: Rules) -> Verdict:
    """Decide: done, again in order, again out of order, or given up; and whether the endpoint gets a rest.

    Trouble is the endpoint's own, unless it took something else meanwhile: then it is the event's, as a
    refusal is. An event in trouble holds its chat back a few times, then steps aside, then is given up.
    What waits for an endpoint in trouble is not given up: it goes when the endpoint is well, or is resumed.
    """
    now, tries = attempt.ended_at, delivery.attempts + 1
    if attempt.delivered:
        return Verdict("DELIVERED", now, False, _well(health, at=now))
    if health.paused_at is not None:  # a probe that failed
        rest = now + _jittered(rules.probe_every_ms)
        return Verdict("PENDING", AT_ONCE, False, replace(health, failed_at=now, rests_until_at=rest))
    if attempt.status == 410:
        return Verdict("PENDING", AT_ONCE, False, _paused(health, "GONE", rules, at=now))
    taken_meanwhile = health.delivered_at is not None and health.delivered_at >= attempt.at
    if attempt.refused or (taken_meanwhile and attempt.asks_to_wait_ms is None and attempt.status != 429):
        if not taken_meanwhile:
            health = replace(health, failing_since_at=health.failing_since_at or now)
            if now - (health.failing_since_at or now) >= rules.pause_after_ms:
                return Verdict("PENDING", AT_ONCE, False, _paused(health, "FAILING", rules, at=now))
        if tries > len(rules.back_off_ms):
            return Verdict("EXHAUSTED", now, False, health)
        wait = _jittered(rules.back_off_ms[tries - 1])
        return Verdict("PENDING", now + wait, tries < FAILURES_IN_ORDER, health)
    return Verdict("PENDING", AT_ONCE, False, _ill(health, attempt, rules))


def _well(health: Health, *, at: int) -> Health:
    """Whatever rest or pause it had is over, unless somebody paused it by hand."""
    if health.paused_why == "HAND":
        return replace(health, delivered_at=at)
    return Health(delivered_at=at)


def _ill(health: Health, attempt: Attempt, rules: Rules) -> Health:
    now, asked = attempt.ended_at, attempt.asks_to_wait_ms
    if health.failed_at is not None and attempt.at <= health.failed_at:  # of a round that was counted
        until = max(health.rests_until_at or now, now + (asked or 0))
        return replace(health, rests_until_at=until)
    since = health.failing_since_at or now
    step = rules.back_off_ms[min(health.failures, len(rules.back_off_ms) - 1)]
    until = now + (_jittered(step) if asked is None else max(asked, 1))
    ill = replace(
        health,
        failures=health.failures + 1,
        failing_since_at=since,
        failed_at=now,
        rests_until_at=until,
    )
    return _paused(ill, "FAILING", rules, at=now) if now - since >= rules.pause_after_ms else ill


def _paused(health: Health, why: Pause, rules: Rules, *, at: int) -> Health:
    return replace(
        health,
        paused_at=at,
        paused_why=why,
        failed_at=at,
        failing_since_at=health.failing_since_at or at,
        rests_until_at=at + _jittered(rules.probe_every_ms),
    )


def _jittered(wait_ms: int) -> int:
    return round(wait_ms * chance.uniform(0.8, 1.2))


def sign(secret: str, body: bytes) -> str:
    """Lower-case hex of HMAC-SHA256 over the exact bytes, with no prefix: receivers compare it as is."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def standard_secret(secret: str) -> str:
    """The same secret as libraries of Standard Webhooks take it."""
    return STANDARD_PREFIX + base64.b64encode(secret.encode()).decode()


def standard_signature(secret: str, *, id: str, second: int, body: bytes) -> str:
    digest = hmac.new(secret.encode(), f"{id}.{second}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def signed_headers(secrets: Sequence[str], *, id: str, at: int, body: bytes) -> dict[str, str]:
    """Every header by which a receiver knows that it is us.

    ChakraHQ's header has room for one signature: of the first secret. The standard one bears all of them.
    """
    second = at // 1000
    signatures = [standard_signature(secret, id=id, second=second, body=body) for secret in secrets]
    return {
        SIGNATURE_HEADER: sign(secrets[0], body),
        ID_HEADER: id,
        TIMESTAMP_HEADER: str(second),
        STANDARD_HEADER: " ".join(signatures),
    }


def is_address(url: str) -> bool:
    try:
        return bool(_url.fullmatch(url) and urlsplit(url).hostname)
    except ValueError:  # brackets that hold no address
        return False


def refuse_private(name: str, url: str) -> None:
    """Raises BadRequest for an address that says by itself that it is in a private network."""
    if names_private_host(url):
        raise BadRequest(
            f"{name} leads into a private network ({url:.80}); webhooks go to public "
            "addresses. To deliver inside your own network, start Samvad with SAMVAD_ALLOW_PRIVATE_WEBHOOKS=1."
        )


def is_private(address: str) -> bool:
    """Whether an IP address leads into somebody's own network rather than the internet."""
    ip = ipaddress.ip_address(address.split("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and (inner := _carried(ip)) is not None:
        ip = inner
    return not ip.is_global or ip.is_multicast


def _carried(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a network on the way makes of this one, if it is of such a kind."""
    if ip in NAT64 or ip in COMPATIBLE:
        return ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour


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


_url = re.compile(r"https?://\S+")
