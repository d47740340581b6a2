"""One POST to a customer's server: never into somebody's own network, and every failure is a value."""

import socket
import time
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from samvad.domain.webhooks.model import Attempt, is_private, names_private_host
from samvad.kit.clock import Clock

TIMEOUT_S = 10.0
KEPT_RESPONSE = 2_000  # bytes of an endpoint's answer
KEPT_HEADERS = 40  # of an answer, each of them cut at:
KEPT_VALUE = 300
USER_AGENT = "Samvad-Webhooks"


class Poster:
    """Connections to customers' servers. How many there may be at once is for whoever uses it to bound."""

    def __init__(self, clock: Clock, *, allow_private: bool) -> None:
        self._clock = clock
        self._allow_private = allow_private
        self._session = open_session(allow_private=allow_private)

    async def close(self) -> None:
        await self._session.close()

    async def post(self, url: str, body: bytes, headers: dict[str, str], *, at: int) -> Attempt:
        """One POST of the exact bytes; every way it can fail is an attempt with its reason."""
        started = time.monotonic()
        headers = {"Content-Type": "application/json", "User-Agent": USER_AGENT, **headers}

        def took(**came: Any) -> Attempt:
            duration_ms = round((time.monotonic() - started) * 1000)
            return Attempt(at, duration_ms, url, request_headers=headers, **came)

        if not self._allow_private and names_private_host(url):
            return took(error="Refused: the address is private (see SAMVAD_ALLOW_PRIVATE_WEBHOOKS)")
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                answer = await response.content.read(KEPT_RESPONSE)
                return took(
                    status=response.status,
                    response_headers=_kept_headers(response),
                    response_body=_storable(answer.decode(errors="replace")),
                )
        except TimeoutError:
            return took(error=f"No answer within {TIMEOUT_S:.0f} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return took(error=_storable(f"{type(error).__name__}: {error}"[:500]))


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
        connector=aiohttp.TCPConnector(limit=0, resolver=resolver),  # a shared limit: one could starve others
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )


def _kept_headers(response: aiohttp.ClientResponse) -> dict[str, str]:
    return {
        _storable(name[:KEPT_VALUE]): _storable(value[:KEPT_VALUE])
        for name, value in list(response.headers.items())[:KEPT_HEADERS]
    }


def _storable(text: str) -> str:
    """Without NUL, which PostgreSQL has not, and without the halves of characters that are no UTF-8."""
    return text.encode(errors="replace").decode().replace("\x00", "\ufffd")
