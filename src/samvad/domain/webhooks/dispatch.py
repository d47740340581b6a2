"""Delivering to customers' endpoints: in order per chat, many chats at once, and no endpoint waits for another."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import structlog

from samvad.domain.accounts.operations import webhook_secrets
from samvad.domain.context import Resources
from samvad.domain.webhooks import serving
from samvad.domain.webhooks.model import (
    EVERY_CHAT,
    Attempt,
    Endpoint,
    Pending,
    Rules,
    Verdict,
    signed_headers,
)
from samvad.domain.webhooks.posting import Poster
from samvad.kit.ids import new_id
from samvad.kit.remember import Remembered
from samvad.storage import TROUBLE, Lane

WINDOW = 50  # deliveries of one endpoint that are known at a time, without their bodies
AT_ONCE = 1_000  # POSTs under way in all; past it an endpoint has one at a time, and none waits
LOOK_EVERY_S = 1.0
GATHER_S = 0.01  # every send rings: one look for many
SETTLE_S = (
    0.008  # answers that come one by one are written down together: a commit for each costs as much as a POST
)
ENOUGH = 4  # answers that are written down at once
RENEW_EVERY_S = serving.LEASE_MS / 1000 / 3

log = structlog.get_logger(__name__)


class Dispatcher:
    """Serves every endpoint that has something due, as long as no other process does."""

    def __init__(self, res: Resources, *, rules: Rules) -> None:
        self.res = res
        self.rules = rules
        self.me = new_id()
        self.closing = False
        self.under_way = 0
        self.settled: Lane[serving.Tried, Verdict] = Lane(
            res.db, serving.settle, enough=ENOUGH, gather_s=SETTLE_S
        )
        self.secrets = Remembered(partial(webhook_secrets, res))
        self.poster: Poster | None = None
        self.on_attempt: Callable[[Pending, Attempt], None] | None = None
        self._serving: dict[str, tuple[Service, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        self.poster = Poster(self.res.clock, allow_private=self.res.allow_private_webhooks)
        try:
            while not self.closing:
                try:
                    await self._serve_ready()
                except TROUBLE as error:  # what is due stays due
                    log.warning("webhooks.database_trouble", error=repr(error))
                await self.res.bells.deliveries.wait(LOOK_EVERY_S)
                await asyncio.sleep(GATHER_S)
            await asyncio.gather(*(task for _, task in self._serving.values()), return_exceptions=True)
        finally:
            await self.settled.close()
            await self.poster.close()

    def close(self) -> None:
        """Finish the POSTs under way, begin no others; what is due stays due."""
        self.closing = True
        for service, _ in self._serving.values():
            service.wake.set()
        self.res.bells.deliveries.ring()

    async def _serve_ready(self) -> None:
        for endpoint_id in await self.res.db.read(serving.ready, me=self.me, now=self.res.clock()):
            if endpoint_id in self._serving:
                self._serving[endpoint_id][0].wake.set()  # perhaps of another chat than those it waits for
                continue
            service = Service(self, endpoint_id)
            task = asyncio.create_task(self._serve(service))
            self._serving[endpoint_id] = service, task
            task.add_done_callback(partial(self._done, service))

    def _done(self, service: "Service", task: asyncio.Task[None]) -> None:
        del self._serving[service.endpoint_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("webhooks.endpoint_failed", endpoint=service.endpoint_id, error=repr(error))
        elif service.posts:
            self.res.bells.deliveries.ring()  # something may have come due meanwhile

    async def _serve(self, service: "Service") -> None:
        db, whose = self.res.db, service.endpoint_id
        if not await db.read(serving.has_work, whose, now=self.res.clock()):
            return
        if not await db.write(serving.claim, whose, me=self.me, now=self.res.clock()):
            return
        renewing = asyncio.create_task(self._renew(service))
        try:
            await service.run()
        finally:
            renewing.cancel()
            await db.write(serving.release, whose, me=self.me)

    async def _renew(self, service: "Service") -> None:
        """Keep the endpoint ours while it is served; what would be sent after losing it is not begun."""
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            with suppress(*TROUBLE):
                claimed = await self.res.db.write(
                    serving.claim, service.endpoint_id, me=self.me, now=self.res.clock()
                )
                if not claimed:
                    service.lost = True
                    return


class Service:
    """One endpoint being served: several chats at a time, each in its order; bodies are read as they go."""

    def __init__(self, dispatcher: Dispatcher, endpoint_id: str) -> None:
        self.endpoint_id = endpoint_id
        self.wake = asyncio.Event()
        self.lost = False
        self.posts = 0
        self._dispatcher = dispatcher
        self._db, self._clock = dispatcher.res.db, dispatcher.res.clock
        self._endpoint: Endpoint | None = None
        self._resting = False
        self._chats: dict[str, deque[Pending]] = {}  # whose turn has come, or will: of each what is known
        self._running: dict[asyncio.Task[Verdict | None], str] = {}

    async def run(self) -> None:
        """Until nothing is due any more, or the endpoint is in trouble; then it has its rest."""
        try:
            while True:
                if not (self._dispatcher.closing or self.lost or self._resting):
                    await self._start()
                if not self._running:
                    return
                await self._wait()
        except asyncio.CancelledError:  # no time is left to hear the answers: these go again
            for task in self._running:
                task.cancel()
            raise
        finally:
            if self._running:
                await asyncio.wait(self._running)
                self._dispatcher.under_way -= len(self._running)

    async def _start(self) -> None:
        """Begin as many POSTs as there is room for, each of another chat."""
        room = self._room()
        waiting = [chat for chat in self._chats if chat not in self._running.values()]
        if len(waiting) < room and EVERY_CHAT not in self._chats:
            await self._look()
            waiting = [chat for chat in self._chats if chat not in self._running.values()]
        endpoint = self._endpoint
        if endpoint is None or not (begun := waiting[:room]):
            return
        first = [self._chats[chat][0] for chat in begun]
        taken = await self._db.read(serving.take, first, endpoint, me=self._dispatcher.me)
        for chat, delivery in zip(begun, first, strict=True):
            task = asyncio.create_task(self._deliver(delivery, taken.get(delivery.id), endpoint))
            self._running[task] = chat
            self._dispatcher.under_way += 1

    def _room(self) -> int:
        mine = self._dispatcher.rules.at_once - len(self._running)
        return max(0, min(mine, max(AT_ONCE - self._dispatcher.under_way, 1 - len(self._running))))

    async def _look(self) -> None:
        self._endpoint, due = await self._db.read(
            serving.due_oldest_first,
            self.endpoint_id,
            me=self._dispatcher.me,
            elsewhere=self._chats.keys(),
            now=self._clock(),
            limit=WINDOW,
        )
        if self._endpoint is None:  # turned off, paused, or another's
            self._resting = True
            return
        if self._endpoint.health.paused_at is not None:
            due = self._probe(due)
        for delivery in due:
            if delivery.order_key == EVERY_CHAT:
                if not self._chats:
                    self._chats[EVERY_CHAT] = deque([delivery])
                return
            self._chats.setdefault(delivery.order_key, deque()).append(delivery)

    def _probe(self, due: list[Pending]) -> list[Pending]:
        """One real delivery for an endpoint that is paused: a first of its chat, the least tried."""
        firsts = {it.order_key: it for it in reversed(due)}.values()
        return sorted(firsts, key=lambda it: (it.attempts, it.id))[:1] if not self._running else []

    async def _wait(self) -> None:
        """Until a POST has ended or something new is due."""
        woken = asyncio.create_task(self.wake.wait())
        try:
            done, _ = await asyncio.wait({*self._running, woken}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
        self.wake.clear()
        for task in done:
            if task is woken:
                continue
            chat = self._running.pop(task)  # type: ignore[arg-type]
            self._dispatcher.under_way -= 1
            self._after(chat, task.result())  # type: ignore[arg-type]

    def _after(self, chat: str, decided: Verdict | None) -> None:
        self._chats[chat].popleft()
        if decided is not None:
            self.posts += 1
            self._resting = decided.health.rests(self._clock())
        if decided is None or decided.state == "PENDING":
            # Looked up again, in its order and at the address of then: however short its wait was, what
            # follows must not overtake it.
            self._chats[chat].clear()
        if not self._chats[chat]:
            del self._chats[chat]
        if self._resting:  # what is not under way is looked up again when the rest is over
            under_way = set(self._running.values())
            self._chats = {key: rest for key, rest in self._chats.items() if key in under_way}

    async def _deliver(
        self, delivery: Pending, taken: serving.Taken | None, endpoint: Endpoint
    ) -> Verdict | None:
        dispatcher = self._dispatcher
        assert dispatcher.poster is not None
        if taken is None:
            return None
        body = taken.body
        if body is None:
            await self._db.write(serving.give_up, delivery.id, now=self._clock())
            return None
        secrets, at = await dispatcher.secrets(endpoint.team_id), self._clock()
        headers = signed_headers(secrets.signing, id=delivery.id, at=at, body=body)
        attempt = await dispatcher.poster.post(endpoint.url, body, headers, at=at)
        if dispatcher.on_attempt is not None:
            dispatcher.on_attempt(delivery, attempt)
        return await dispatcher.settled.put(
            serving.Tried(self.endpoint_id, delivery, attempt, dispatcher.rules)
        )
