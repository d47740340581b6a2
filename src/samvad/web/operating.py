"""For whoever runs it: alive, ready, and how it is doing. These are no operations of the API, nor in its contract."""

import asyncio
import hmac
import ipaddress
from collections.abc import Callable

import structlog
from starlette.types import Receive, Scope, Send

from samvad.asgi.bodies import header
from samvad.asgi.errors import error_reply, not_allowed, refusal
from samvad.asgi.replies import Reply, json_reply
from samvad.domain import gauges
from samvad.domain.context import Resources
from samvad.domain.gauges import Gauges
from samvad.kit.errors import SamvadError, Unauthorized
from samvad.storage import TROUBLE, Tx, schema
from samvad.storage.unit import step
from samvad.web.measures import CONTENT_TYPE, Measures

LIVE, READY, METRICS = "/live", "/ready", "/metrics"
WITHIN_S = 2.0  # for the database to answer: whoever asks comes again in some seconds
FORWARDED = (b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via")
NO_STORE = (b"cache-control", b"no-store")

log = structlog.get_logger(__name__)


class Operating:
    """The ASGI application of /live and /ready, and of /metrics where there are measures."""

    def __init__(
        self, res: Resources, *, is_serving: Callable[[], bool], measures: Measures | None, token: str
    ) -> None:
        self._res = res
        self._is_serving = is_serving
        self._measures = measures
        self._token = token
        self._one_at_a_time = asyncio.Lock()  # two who scrape must not cost twice at once

    def is_ours(self, path: str) -> bool:
        return path in (LIVE, READY) or (path == METRICS and self._measures is not None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            reply = await self._answer(scope)
        except Exception as error:
            reply = error_reply(error)
        if scope["method"] == "HEAD":
            reply = Reply(reply.status, b"", reply.headers)
        await reply.send(send)

    async def _answer(self, scope: Scope) -> Reply:
        if scope["method"] not in ("GET", "HEAD"):
            return not_allowed("These are looked at; ask with GET.", allow="GET")
        if scope["path"] == LIVE:
            return json_reply({"status": "live"}, headers=(NO_STORE,))
        if scope["path"] == READY:
            return await self._ready()
        if not (is_from_here(scope) or self._bears_token(scope)):
            raise Unauthorized(
                "Metrics are of all teams: ask from this machine itself, or bear SAMVAD_METRICS_TOKEN."
            )
        return await self._metrics()

    async def _ready(self) -> Reply:
        """503 with the reason while it should get no traffic: a server of before it, or one that ends."""
        if not self._is_serving():
            return refusal(503, "Starting up or shutting down.")
        try:
            async with asyncio.timeout(WITHIN_S):
                found = await self._res.db.read(_revision)
        except (TimeoutError, *TROUBLE):
            return refusal(503, "The database does not answer.")
        if found != schema.newest():
            return refusal(503, f"The database is at revision {found}; this version is of {schema.newest()}.")
        return json_reply({"status": "ready"}, headers=(NO_STORE,))

    async def _metrics(self) -> Reply:
        assert self._measures is not None
        async with self._one_at_a_time:
            page = self._measures.page(await self._gauges(), self._res.clock())
        return Reply(200, page, ((b"content-type", CONTENT_TYPE), NO_STORE))

    async def _gauges(self) -> Gauges | None:
        """A page without them says more than none: that the database is slow."""
        try:
            async with asyncio.timeout(WITHIN_S + 1):
                return await self._res.db.run_search(step(None, gauges.read), within_s=WITHIN_S)
        except (TimeoutError, SamvadError, *TROUBLE) as error:
            log.warning("metrics.no_gauges", error=repr(error))
            return None

    def _bears_token(self, scope: Scope) -> bool:
        scheme, _, given = (header(scope, b"authorization") or "").partition(" ")
        right = hmac.compare_digest(given.strip().encode(), self._token.encode())
        return bool(self._token) and scheme.lower() == "bearer" and right


def is_from_here(scope: Scope) -> bool:
    """Whether this machine itself asks, as far as can be told: a proxy on it asks for others.

    What a proxy usually adds, the old HTTP that some speak behind it, and a name that is not this machine's (which
    a page in somebody's browser may have made to lead here) all speak against it.
    """
    client = scope.get("client")
    if client is None or scope.get("http_version") == "1.0":
        return False
    if any(name in FORWARDED for name, _ in scope["headers"]):
        return False
    return _is_loopback(client[0]) and _is_loopback(_host(header(scope, b"host") or ""))


def _host(given: str) -> str:
    return given[1:].partition("]")[0] if given.startswith("[") else given.partition(":")[0]


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _revision(tx: Tx) -> str | None:
    return schema.current(tx.connection)
