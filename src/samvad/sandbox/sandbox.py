"""The sandbox as one ASGI application, with the methods behind its control API."""

import asyncio
import json
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from samvad.sandbox import control, graph, inbound
from samvad.sandbox.deliveries import Delivery
from samvad.sandbox.errors import HTTP_AND_TITLE
from samvad.sandbox.inbound import BadRequest
from samvad.sandbox.model import Business, Json, Message
from samvad.sandbox.sends import Receive, Scope, Send, Sends
from samvad.sandbox.settings import Settings
from samvad.sandbox.statuses import Statuses
from samvad.sandbox.templates import render
from samvad.sandbox.world import WINDOW_S, Refusal, World

DRAIN_S, DRAIN_STEP_S = 0.5, 0.01
BEHAVIOURS = ("hang", "drop", "accept_then_drop", "500")
MAX_REPLAYED = 100_000
MAX_CONCURRENT = 256
MAX_TIMES = 1_000_000
GRAPH_METHODS = ["GET", "POST", "DELETE", "PUT", "PATCH", "HEAD"]

_MESSAGES = re.compile(r"/(?:v\d{1,3}\.\d{1,2}/)?(\d{1,32})/(marketing_)?messages")


class Sandbox:
    """Meta's Cloud API for some businesses, with virtual phones on the other side.

    `app` is an ASGI application that works alone and below any root path. All chance comes from `seed`; all
    times that Meta tells come from `clock` (epoch seconds). One event loop serves it.
    """

    def __init__(
        self,
        *businesses: Business,
        settings: Settings | None = None,
        seed: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        assert businesses, "a sandbox needs at least one business"
        assert any(business.phone_numbers for business in businesses), "a business needs a phone number"
        self.world = World(businesses, settings or Settings(), seed, clock)
        self._statuses = Statuses(self.world)
        self._sends = Sends(self.world, self._statuses)
        self._cold = Starlette(
            routes=[
                *control.routes(self),
                Route("/{path:path}", self._answer_graph, methods=GRAPH_METHODS),
            ]
        )

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            # A function and no bound method, which uvicorn would take for an application of ASGI 2.
            await self._answer(scope, receive, send)

        self.app = app

    async def start(self) -> None:
        """Open the client session; without this it opens with the first webhook."""
        self.world.deliveries.session  # noqa: B018 — the property opens it

    async def close(self) -> None:
        """Give webhooks half a second to leave and arrive, forget the others, close all connections."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while len(self.world.timeline) or self.world.deliveries.is_busy:
                    await asyncio.sleep(DRAIN_STEP_S)
        self.world.timeline.forget()
        await self._sends.close()
        await self.world.deliveries.close()

    def customer_writes(self, digits: str, message: Json) -> Json:
        """A customer sends a message to the business: `{"type": "text", "text": {"body": "hi"}}`.

        Answers `{"wamid", "message"}`, the message as the webhook tells it. Raises BadRequest.
        """
        kept, sent = inbound.receive(self.world, digits, message)
        return {"wamid": kept.wamid, "message": sent}

    def customer_reads(self, digits: str) -> int:
        """The customer opens the chat: what was delivered is read now. Answers how many messages."""
        phone = self.world.phones.get(self.world.wa_id(digits))
        unread = (
            [one for one in phone.messages if one.from_business and one.status == "delivered"]
            if phone
            else []
        )
        for message in unread:
            self._statuses.tell(message, "read")
        return len(unread)

    def set_window(self, digits: str, is_open: bool, phone_number_id: str | None = None) -> None:
        """Open (for 24 hours from now) or shut the customer service window. Raises BadRequest."""
        number = inbound.chosen_number(self.world, phone_number_id)
        self.world.phone(self.world.wa_id(digits)).windows[number.id] = (
            self.world.clock() + WINDOW_S if is_open else 0
        )

    def shown_on(self, digits: str) -> list[Json]:
        """What the phone shows, oldest first, in both directions."""
        phone = self.world.phones.get(self.world.wa_id(digits))
        return [self._shown(message) for message in phone.messages] if phone else []

    def refuse_next(
        self,
        code: int | None = None,
        *,
        behaviour: str | None = None,
        times: int = 1,
        details: str | None = None,
        to: str | None = None,
        asynchronous: bool = False,
        calls: str = "sends",
        path: str = "",
        method: str = "",
    ) -> None:
        """Refuse the next sends with an error code, or answer them with a broken connection.

        `asynchronous` accepts the send and fails it by status. With calls="graph" it is the next calls that are no
        sends, all or those whose `path` (without version) begins so and that have this `method`; calls="media" is
        downloads. Raises BadRequest.
        """
        if (code is None) == (behaviour is None):
            raise BadRequest("give either a code or a behaviour")
        if code is not None and code not in HTTP_AND_TITLE:
            raise BadRequest(f"code {code} is none of Meta's: {', '.join(map(str, HTTP_AND_TITLE))}")
        if behaviour is not None and behaviour not in BEHAVIOURS:
            raise BadRequest(f"behaviour {behaviour!r} is none of {', '.join(BEHAVIOURS)}")
        if not 1 <= times <= MAX_TIMES:
            raise BadRequest(f"times must be from 1 to {MAX_TIMES}")
        if calls not in ("sends", "graph", "media"):
            raise BadRequest("calls is one of sends, graph, media")
        if calls != "sends" and (to or asynchronous):
            raise BadRequest("to and asynchronous are for sends")
        if calls == "media":
            calls, path = "graph", graph.ATTACHMENTS
        digits = to.lstrip("+") if to else None
        self.world.refusals.append(
            Refusal(
                code, behaviour, times, details, digits, asynchronous, calls, path.strip("/"), method.upper()
            )
        )

    async def replay(
        self,
        *,
        message_id: str | None = None,
        last: int = 1,
        times: int = 1,
        concurrent: int = 1,
        shuffle: bool = False,
    ) -> tuple[int, int]:
        """Post the webhooks of a message, or the last ones of all, again with the same bytes.

        Answers how many were sent and how many were answered with 200. Raises BadRequest, LookupError.
        """
        chosen: Sequence[Delivery]
        if message_id is not None:
            chosen = [one for one in self.world.deliveries.log if message_id in one.wamids]
            if not chosen:
                raise LookupError(f"no webhook about message {message_id} is remembered")
        else:
            chosen = list(self.world.deliveries.log)[-last:] if last > 0 else []
        if times < 1 or not 1 <= concurrent <= MAX_CONCURRENT or last < 1:
            raise BadRequest(
                f"times, last and concurrent are at least 1, concurrent at most {MAX_CONCURRENT}"
            )
        if len(chosen) * times > MAX_REPLAYED:
            raise BadRequest(f"at most {MAX_REPLAYED} webhooks are replayed at once")
        return await self.world.deliveries.replay(chosen, times=times, concurrent=concurrent, shuffle=shuffle)

    def configure(self, **partial: Any) -> None:
        """Change some settings; raises InvalidSettings, which names the wrong one."""
        self.world.settings = self.world.settings.changed(partial)

    def settings_shown(self) -> Json:
        """The settings as JSON."""
        shown: Json = msgspec.to_builtins(self.world.settings)
        return shown

    def webhooks(self, limit: int = 100) -> list[Json]:
        """The latest webhook deliveries, newest first."""
        latest = list(self.world.deliveries.log)[-limit:]
        return [
            {
                "id": one.id,
                "url": one.url,
                "attempts": one.attempts,
                "last_status": one.last_status,
                "signature": one.signature,
                "body": json.loads(one.body),
            }
            for one in reversed(latest)
        ]

    def calls(self, limit: int = 100) -> list[Json]:
        """What Meta was asked last, newest first, whatever it answered."""
        latest = list(self.world.calls)[-limit:]
        return [
            {"number": number, "method": method, "path": path} for number, method, path in reversed(latest)
        ]

    def stats(self) -> Json:
        """Counters since the start or the last reset."""
        counts, world = self.world.counts, self.world
        return {
            "sends": {"accepted": counts.accepted, "refused": counts.refused},
            "received": counts.received,
            "wamids": counts.wamids,
            "webhooks": asdict(world.deliveries.counts),
            "scheduled": len(world.timeline),
            "phones": len(world.phones),
        }

    def reset(self) -> None:
        """Forget everything but the businesses and where they listen."""
        self._statuses.forget()
        self.world.reset()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            root: str = scope.get("root_path", "")
            path: str = scope["path"]
            if root and path.startswith(root):
                path = path[len(root) :]
            if not self.world.base_url:
                self.world.base_url = _base_url(Request(scope))
            if scope["method"] == "POST" and (match := _MESSAGES.fullmatch(path)):
                self.world.note_call("POST", path)
                await self._sends.answer(scope, receive, send, match[1], marketing=match[2] is not None)
            else:
                await self._cold(scope, receive, send)
        elif kind == "lifespan":
            await self._live(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _answer_graph(self, request: Request) -> Response:
        self.world.base_url = _base_url(request)
        self.world.note_call(request.method, f"/{request.path_params['path']}")
        return await graph.answer(self.world, request, request.path_params["path"])

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            event = await receive()
            if event["type"] == "lifespan.startup":
                await self.start()
                await send({"type": "lifespan.startup.complete"})
            elif event["type"] == "lifespan.shutdown":
                await self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _shown(self, message: Message) -> Json:
        number = self.world.numbers[message.number_id]
        shown: Json = {
            "wamid": message.wamid,
            "direction": "business" if message.from_business else "customer",
            "phone_number_id": message.number_id,
            "type": message.kind,
            "at": message.at,
            "status": message.status or "accepted",
            **message.payload,
        }
        if message.kind == "template":
            sent = message.payload["template"]
            template = number.account.templates.get((sent["name"], sent["language"]["code"]))
            if template is not None:  # it may be deleted by now
                shown["rendered"] = render(template, sent)
        asset = self.world.media.find(message.media_id) if message.media_id else None
        if asset is not None:
            shown["media"] = {
                "id": asset.id,
                "mime_type": asset.mime_type,
                "sha256": asset.sha256,
                "file_size": len(asset.data),
                "filename": asset.filename,
            }
        if message.error is not None:
            shown["errors"] = [message.error]
        return shown


def _base_url(request: Request) -> str:
    """Where the caller finds us, mount included; Starlette's own base_url stops at the outermost app."""
    return f"{request.url.scheme}://{request.url.netloc}{request.scope.get('root_path', '')}"
