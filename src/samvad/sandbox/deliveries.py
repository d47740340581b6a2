"""Webhooks on their way to the business's server: signed, retried, remembered."""

import asyncio
import hmac
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import aiohttp
from aiohttp import hdrs

from samvad.sandbox.courier import courier_for
from samvad.sandbox.settings import Settings
from samvad.sandbox.timeline import Timeline

log = logging.getLogger(__name__)

LOG_LENGTH = 20_000
CONCURRENT_PER_URL = 128  # one slow receiver holds this many connections and no more
CONNECTIONS = 512
MAX_PENDING = 200_000  # past this the oldest promise is not kept, as memory is not endless
ATTEMPT_TIMEOUT_S = 10
GIVE_UP_AFTER_S = 7 * 24 * 3600
HEADERS: dict[str, str] = {
    hdrs.CONTENT_TYPE: "application/json",
    hdrs.USER_AGENT: "facebookexternalua",
    hdrs.ACCEPT: "*/*",
}
SIGNATURE = "X-Hub-Signature-256"
LOST = 0  # the status of an attempt that brought no answer


@dataclass(slots=True, eq=False)
class Delivery:
    """One webhook body for one URL; the bytes and the signature stay the same over all attempts."""

    id: int
    url: str
    body: bytes
    signature: str
    wamids: tuple[str, ...]
    since: float
    attempts: int = 0
    last_status: int | None = None
    given_up: bool = False
    to_lose: int = 0  # how many attempts get lost on their way


@dataclass(slots=True)
class DeliveryCounts:
    delivered: int = 0
    failed_attempts: int = 0
    given_up: int = 0
    without_callback: int = 0
    pending: int = 0
    replayed: int = 0


class _Lane:
    """The deliveries to one URL, so that a receiver that hangs does not hold up the others."""

    __slots__ = ("courier", "queue", "workers")

    def __init__(self, url: str) -> None:
        self.courier = courier_for(url, "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items()))
        self.queue: deque[Delivery] = deque()
        self.workers = 0


class Deliveries:
    """Carries webhooks out; needs a running loop from the first `carry` on."""

    def __init__(self, timeline: Timeline, settings: Callable[[], Settings], chance: random.Random) -> None:
        self.log: deque[Delivery] = deque(maxlen=LOG_LENGTH)
        self.counts = DeliveryCounts()
        self._timeline = timeline
        self._settings = settings
        self._chance = chance
        self._lanes: dict[str, _Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self._serial = 0

    @property
    def session(self) -> aiohttp.ClientSession:
        """The one client session of the sandbox."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=30),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=ATTEMPT_TIMEOUT_S),
                skip_auto_headers=[hdrs.USER_AGENT, hdrs.ACCEPT, hdrs.ACCEPT_ENCODING],
                auto_decompress=False,
            )
        return self._session

    def carry(self, url: str | None, body: bytes, secret: bytes, wamids: tuple[str, ...]) -> None:
        """Send a webhook now, once or as often as the settings duplicate it."""
        if url is None:
            self.counts.without_callback += 1
            return
        settings = self._settings()
        self._serial += 1
        signature = "sha256=" + hmac.digest(secret, body, "sha256").hex()
        delivery = Delivery(self._serial, url, body, signature, wamids, time.monotonic())
        self.log.append(delivery)
        self._promise(delivery)
        if settings.duplicates:
            copies = int(settings.duplicates) + (self._chance.random() < settings.duplicates % 1)
            for _ in range(copies):
                self._promise(replace(delivery))  # with a wait of its own

    async def replay(
        self, chosen: Iterable[Delivery], *, times: int, concurrent: int, shuffle: bool
    ) -> tuple[int, int]:
        """Post these again, the same bytes; answers how many were sent and how many were met with 200."""
        work = [delivery for _ in range(times) for delivery in chosen]
        if shuffle:
            self._chance.shuffle(work)
        waiting = deque(work)
        welcomed = 0

        async def carrier() -> None:
            nonlocal welcomed
            while waiting:
                status = await self._post(waiting.popleft())
                welcomed += status == 200  # in a line of its own: an await within it would lose counts

        await asyncio.gather(*(carrier() for _ in range(min(concurrent, len(work)))))
        self.counts.replayed += len(work)
        return len(work), welcomed

    @property
    def is_busy(self) -> bool:
        """Whether a webhook is being posted right now."""
        return bool(self._tasks)

    def forget(self) -> None:
        """Drop what is queued, remembered and counted."""
        for lane in self._lanes.values():
            lane.queue.clear()
        self.log.clear()
        self.counts = DeliveryCounts()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for lane in self._lanes.values():
            if lane.courier is not None:
                lane.courier.close()
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _promise(self, delivery: Delivery) -> None:
        if self.counts.pending >= MAX_PENDING:
            self.counts.given_up += 1
            delivery.given_up = True
            return
        self.counts.pending += 1
        if jitter_ms := self._settings().jitter_ms:
            self._timeline.after(self._chance.random() * jitter_ms / 1000, lambda: self._queue(delivery))
        else:
            self._queue(delivery)

    def _queue(self, delivery: Delivery) -> None:
        lane = self._lane(delivery.url)
        lane.queue.append(delivery)
        if lane.workers < CONCURRENT_PER_URL:
            lane.workers += 1
            task = asyncio.get_running_loop().create_task(self._work(lane))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work(self, lane: _Lane) -> None:
        try:
            while lane.queue:
                await self._attempt(lane.queue.popleft())
        finally:
            lane.workers -= 1

    async def _attempt(self, delivery: Delivery) -> None:
        counts = self.counts
        settings = self._settings()
        if settings.drop and delivery.attempts == 0 and self._chance.random() < settings.drop:
            delivery.to_lose = settings.drop_attempts
        if delivery.attempts < delivery.to_lose:
            delivery.attempts += 1
            status = delivery.last_status = LOST
        else:
            status = await self._post(delivery)
        if counts is not self.counts:
            return  # the sandbox was reset meanwhile: this delivery is of a world that is gone
        if status == 200:
            counts.pending -= 1
            counts.delivered += 1
            return
        counts.failed_attempts += 1
        self._try_again(delivery)

    def _try_again(self, delivery: Delivery) -> None:
        if time.monotonic() - delivery.since > GIVE_UP_AFTER_S:
            self.counts.pending -= 1
            self.counts.given_up += 1
            delivery.given_up = True
            return
        if delivery.attempts == 1:
            self._queue(delivery)
            return
        retry = self._settings().retry
        wait_s = min(retry.max_s, retry.first_s * 2.0 ** min(delivery.attempts - 2, 30))
        self._timeline.after(wait_s, lambda: self._queue(delivery))

    async def _post(self, delivery: Delivery) -> int:
        """The HTTP status the receiver answered with; LOST when there was no answer."""
        delivery.attempts += 1
        try:
            delivery.last_status = await self._exchange(delivery)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            log.debug("webhook %d got no answer: %r", delivery.id, error)
            delivery.last_status = LOST
        return delivery.last_status

    async def _exchange(self, delivery: Delivery) -> int:
        courier = self._lane(delivery.url).courier
        if courier is not None:
            return await courier.post(delivery.body, f"{SIGNATURE}: {delivery.signature}", ATTEMPT_TIMEOUT_S)
        headers = HEADERS | {SIGNATURE: delivery.signature}
        async with self.session.post(
            delivery.url, data=delivery.body, headers=headers, allow_redirects=False
        ) as answer:
            await answer.read()
            return answer.status

    def _lane(self, url: str) -> _Lane:
        lane = self._lanes.get(url)
        if lane is None:
            lane = self._lanes[url] = _Lane(url)
        return lane
