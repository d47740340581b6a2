"""Where Meta delivers: believe, keep the bytes, 200. Nothing is parsed here."""

import hmac
import re
import time
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from samvad.asgi.bodies import header, read_body
from samvad.asgi.errors import error_reply, not_allowed
from samvad.asgi.replies import Reply, text
from samvad.domain.context import Resources
from samvad.domain.inbound.probe import PROBE, REFUSED_HEADER
from samvad.domain.inbound.queries import Body
from samvad.domain.waba.directory import Directory
from samvad.kit.errors import NotFound, Unauthorized
from samvad.whatsapp import signature

LARGEST = 4 * 1024 * 1024  # Meta's own limit is 3 MB
PREFIX = "/webhooks/whatsapp/"

_plugin = re.compile(r"/webhooks/whatsapp/([0-9a-f-]{36})")  # a stranger's path never reaches a query
_received = text("EVENT_RECEIVED")


class Ingress:
    """The ASGI application behind Meta's callback URL of each plugin."""

    def __init__(
        self,
        res: Resources,
        directory: Directory,
        *,
        on_reply: Callable[[str, int, float], None] | None = None,
    ) -> None:
        """`on_reply` is told the operation, the status and the seconds of each reply."""
        self._on_reply = on_reply
        self._res = res
        self._directory = directory
        self._refused: dict[
            str, tuple[int, int]
        ] = {}  # by plugin: how many since the last good one, and when

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.monotonic()
        try:
            reply = await self._answer(scope, receive)
        except Exception as error:
            reply = error_reply(error)
        if self._on_reply is not None:
            self._on_reply("meta_webhook", reply.status, time.monotonic() - began)
        await reply.send(send)

    async def _answer(self, scope: Scope, receive: Receive) -> Reply:
        found = _plugin.fullmatch(scope["path"])
        callback = await self._directory.callback(found[1]) if found else None
        if callback is None or not callback.app_secrets:
            raise NotFound("No plugin of that id; `samvad connect` prints the address to give to Meta.")
        if scope["method"] == "POST":
            body = await read_body(scope, receive, LARGEST)
            signed = header(scope, b"x-hub-signature-256")
            if not any(signature.verify(it, body, signed) for it in callback.app_secrets):
                self._note_refused(callback.plugin_id, body)
                raise Unauthorized(
                    "X-Hub-Signature-256 does not fit the body and the app secret of this plugin."
                )
            if body == PROBE:
                return self._probed(callback.plugin_id)
            if self._refused:
                self._refused.pop(callback.plugin_id, None)
            kept = Body(callback.team_id, callback.plugin_id, body, self._res.clock())
            await self._res.inbound.put(kept)
            self._res.bells.inbound.ring()
            return _received
        if scope["method"] == "GET":
            return _verified(scope, callback.verify_token)
        return not_allowed("Meta sends GET to verify this address and POST to deliver.", allow="GET, POST")

    def _note_refused(self, plugin_id: str, body: bytes) -> None:
        """For the doctor. In memory: a stranger must not be able to make us write."""
        if body != PROBE:
            count, _ = self._refused.get(plugin_id, (0, 0))
            self._refused[plugin_id] = (count + 1, self._res.clock())

    def _probed(self, plugin_id: str) -> Reply:
        count, last = self._refused.get(plugin_id, (0, 0))
        told = (REFUSED_HEADER.lower().encode(), f"{count} {last}".encode())
        return replace(_received, headers=(*_received.headers, told))


def _verified(scope: Scope, verify_token: str) -> Reply:
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    challenge, given = (query.get(name, [""])[0] for name in ("hub.challenge", "hub.verify_token"))
    knows = hmac.compare_digest(given.encode(errors="replace"), verify_token.encode())
    if query.get("hub.mode") != ["subscribe"] or not knows or not verify_token or not challenge:
        raise Unauthorized("hub.verify_token is not the one this plugin was connected with.")
    return text(challenge)
