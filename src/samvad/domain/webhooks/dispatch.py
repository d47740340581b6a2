"""Delivering to customers' endpoints: in order per endpoint, none waits for another."""

import asyncio
import socket
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from samvad.domain.accounts.operations import webhook_secret
from samvad.domain.context import Resources
from samvad.domain.inbound import queries as inbound
from samvad.domain.webhooks import queries
from samvad.domain.webhooks.model import (
    BACK_OFF_MS,
    SIGNATURE_HEADER,
    Attempt,
    Endpoint,
    Pending,
    Verdict,
    is_private,
    names_private_host,
    sign,
    verdict,
)
from samvad.storage import TROUBLE

TIMEOUT_S = 10.0
CHUNK = 20  # deliveries of one endpoint between two commits: what a crash would repeat at most
AT_ONCE = 100  # endpoints served at the same time
LOOK_EVERY_S = 1.0
KEPT_RESPONSE = 2_000  # bytes of an endpoint's answer

log = structlog.get_logger(__name__)


class Dispatcher:
    """Serves every endpoint that has something due; bodies are read as they are sent, not before."""

    def __init__(self, res: Resources, *, back_off_ms: Sequence[int] = BACK_OFF_MS) -> None:
        self._res = res
        self._back_off_ms = back_off_ms
        self._serving: dict[str, asyncio.Task[None]] = {}
        self._closing = False
        self._session: aiohttp.ClientSession | None = None

    async def run(self) -> None:
        self._session = open_session(allow_private=self._res.allow_private_webhooks)
        try:
            while not self._closing:
                try:
                    await self._serve_ready()
                except TROUBLE as error:  # what is due stays due
                    log.warning("webhooks.database_trouble", error=repr(error))
                await self._res.bells.deliveries.wait(LOOK_EVERY_S)
            await asyncio.gather(*self._serving.values(), return_exceptions=True)
        finally:
            await self._session.close()

    def close(self) -> None:
        """Finish the POSTs under way, begin no others; what is due stays due."""
        self._closing = True
        self._res.bells.deliveries.ring()

    async def _serve_ready(self) -> None:
        for endpoint in await self._res.db.read(queries.ready, now=self._res.clock()):
            if endpoint.id not in self._serving and len(self._serving) < AT_ONCE:
                task = asyncio.create_task(self._serve(endpoint))
                self._serving[endpoint.id] = task
                task.add_done_callback(partial(self._done, endpoint.id))

    def _done(self, endpoint_id: str, task: asyncio.Task[None]) -> None:
        del self._serving[endpoint_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("webhooks.endpoint_failed", endpoint=endpoint_id, error=repr(error))
            return  # the next look tries again; at once it would fail again
        self._res.bells.deliveries.ring()  # something may have come due meanwhile

    async def _serve(self, endpoint: Endpoint) -> None:
        """One chunk in its order; an endpoint in trouble ends it, and has its rest."""
        db, now = self._res.db, self._res.clock()
        due = await db.read(queries.due_oldest_first, endpoint.id, now=now, limit=CHUNK)
        if not due:
            return
        secret = await webhook_secret(self._res, endpoint.team_id)
        bodies = await db.read(inbound.bodies, [delivery.inbound_event_id for delivery in due])
        tried: list[tuple[Pending, Attempt, Verdict]] = []
        for delivery in due:
            attempt = await self._post(endpoint, bodies[delivery.inbound_event_id], secret)
            decided = verdict(delivery, attempt, failures=endpoint.failures, back_off_ms=self._back_off_ms)
            tried.append((delivery, attempt, decided))
            if decided.rests_until_at is not None or self._closing:
                break
        await db.write(queries.write_attempts, endpoint, tried, now=self._res.clock())

    async def _post(self, endpoint: Endpoint, body: bytes, secret: str) -> Attempt:
        """One POST of the exact bytes; every way it can fail is an attempt with its reason."""
        assert self._session is not None
        at, started = self._res.clock(), time.monotonic()

        def took(**came: Any) -> Attempt:
            return Attempt(at, round((time.monotonic() - started) * 1000), **came)

        if not self._res.allow_private_webhooks and names_private_host(endpoint.url):
            return took(error="Refused: the address is private (see SAMVAD_ALLOW_PRIVATE_WEBHOOKS)")
        headers = {"Content-Type": "application/json", SIGNATURE_HEADER: sign(secret, body)}
        try:
            async with self._session.post(
                endpoint.url, data=body, headers=headers, allow_redirects=False
            ) as response:
                answer = await response.content.read(KEPT_RESPONSE)
                text = answer.decode(errors="replace").replace("\x00", "\ufffd")
                return took(status=response.status, response_body=text)
        except TimeoutError:
            return took(error=f"No answer within {TIMEOUT_S:.0f} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return took(error=f"{type(error).__name__}: {error}"[:500])


class GuardedResolver(AbstractResolver):
    """Resolves a name once, and only to addresses on the internet: what it returns is connected to."""

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        public = [it for it in found if not is_private(it["host"])]
        if not public:
            raise OSError(f"{host} leads to a private address (see SAMVAD_ALLOW_PRIVATE_WEBHOOKS)")
        return public

    async def close(self) -> None:
        await self._resolver.close()


def open_session(*, allow_private: bool) -> aiohttp.ClientSession:
    resolver = ThreadedResolver() if allow_private else GuardedResolver()
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=AT_ONCE, resolver=resolver),
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "Samvad-Webhooks"},
        trust_env=False,
    )
