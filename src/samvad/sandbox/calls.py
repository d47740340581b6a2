"""Voice calls as both ends know them: who calls, how far it got, who may call whom. No wire here."""

from collections.abc import Iterator
from dataclasses import dataclass, field

PERMISSION_S = 7 * 24 * 3600
DAY_S, WEEK_S = 24 * 3600, 7 * 24 * 3600
REQUESTS_PER_DAY, REQUESTS_PER_WEEK = 1, 2
CALLS_PER_DAY = 10
CONCURRENT = 1_000
RING_S = 60
MAX_CALLS = 10_000

Pair = tuple[str, str]  # phone number id and the person's digits


@dataclass(slots=True, eq=False)
class PhoneCall:
    """One call. `state` goes ringing, perhaps pre_accepted, connected, ended; `offer` is the caller's SDP."""

    id: str
    number_id: str
    digits: str
    by_business: bool
    offer: str
    opaque: str | None = None
    answer: str | None = None
    state: str = "ringing"
    started_at: int | None = None

    @property
    def pair(self) -> Pair:
        return self.number_id, self.digits


@dataclass
class Switchboard:
    """Every call, and the permissions to call with the requests for them."""

    calls: dict[str, PhoneCall] = field(default_factory=dict)
    allowed_until: dict[Pair, float | None] = field(default_factory=dict)  # None is for ever
    requests: dict[Pair, list[float]] = field(default_factory=dict)
    connected: dict[Pair, list[float]] = field(default_factory=dict)

    def keep(self, call: PhoneCall) -> None:
        if len(self.calls) >= MAX_CALLS:
            del self.calls[next(iter(self.calls))]
        self.calls[call.id] = call

    def live(self, number_id: str) -> Iterator[PhoneCall]:
        """Calls of a number that have not ended, the latest first."""
        return (
            call
            for call in reversed(self.calls.values())
            if call.number_id == number_id and call.state != "ended"
        )

    def permission(self, pair: Pair, now: float) -> tuple[str, int | None]:
        """The status of the business's permission to call, and when it ends."""
        if pair not in self.allowed_until:
            return "no_permission", None
        until = self.allowed_until[pair]
        if until is None:
            return "permanent", None
        return ("temporary", int(until)) if until > now else ("no_permission", None)

    def since(self, times: dict[Pair, list[float]], pair: Pair, now: float, period_s: float) -> list[float]:
        """The times of a pair within a period that ends now."""
        return [at for at in times.get(pair, ()) if at > now - period_s]

    def may_ask(self, pair: Pair, now: float) -> bool:
        """Whether one more request for permission is within the limits."""
        return (
            len(self.since(self.requests, pair, now, DAY_S)) < REQUESTS_PER_DAY
            and len(self.since(self.requests, pair, now, WEEK_S)) < REQUESTS_PER_WEEK
        )


def session_description(origin: int) -> str:
    """A small SDP of one Opus line, well formed and leading nowhere."""
    return "\r\n".join(
        (
            "v=0",
            f"o=- {origin} 2 IN IP4 127.0.0.1",
            "s=-",
            "t=0 0",
            "a=group:BUNDLE audio",
            "a=ice-lite",
            "m=audio 3480 UDP/TLS/RTP/SAVPF 111 126",
            "c=IN IP4 127.0.0.1",
            "a=rtcp-mux",
            "a=mid:audio",
            "a=sendrecv",
            "a=rtpmap:111 opus/48000/2",
            "a=rtpmap:126 telephone-event/8000",
            "a=setup:passive",
            "a=fingerprint:sha-256 " + ":".join(["AB"] * 32),
            "",
        )
    )
