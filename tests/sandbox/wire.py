"""Real servers on loopback: the sandbox, and the business's server that receives its webhooks."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

import httpx
import uvicorn
from uvicorn.server import ServerState

from samvad.sandbox import Business, PhoneNumber, Sandbox

TOKEN = "a-token-of-the-tea-shop"
SECRET = "the-app-secret"
NUMBER = "880011"
SECOND_NUMBER = "880012"
WABA = "770001"
ASHA = "919812345678"
TEA_SHOP = Business(
    waba_id=WABA,
    name="Tea Shop",
    access_token=TOKEN,
    app_secret=SECRET,
    phone_numbers=(
        PhoneNumber(id=NUMBER, display="14155550123", verified_name="Tea Shop"),
        PhoneNumber(id=SECOND_NUMBER, display="14155550124", verified_name="Tea Shop Support"),
    ),
)
BOOK_SHOP = Business(
    waba_id="770002",
    name="Book Shop",
    access_token="a-token-of-the-book-shop",
    app_secret="another-secret",
    phone_numbers=(PhoneNumber(id="880021", display="442071838750", verified_name="Book Shop"),),
)
PATIENCE_S = 60.0


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    """Serve an ASGI application on loopback; answers its base URL.

    This is uvicorn's protocol without uvicorn's main loop, whose ticks would cost half a second per test.
    """
    config = uvicorn.Config(app, log_level="critical", ws="none", access_log=False)
    config.load()
    state = ServerState()
    protocol: Any = config.http_protocol_class
    server = await asyncio.get_running_loop().create_server(
        lambda: protocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in state.tasks:
            task.cancel()
        for connection in tuple(state.connections):
            connection.shutdown()
        await server.wait_closed()
        await asyncio.sleep(0)


async def until(true: Callable[[], Any]) -> None:
    """Wait until something is so; fails loudly when it never is."""
    async with asyncio.timeout(PATIENCE_S):
        while not true():
            await asyncio.sleep(0.005)


class Receiver:
    """The business's webhook endpoint: keeps what it gets, answers what `statuses` says next, else 200."""

    def __init__(self) -> None:
        self.url = ""
        self.posts: list[tuple[bytes, dict[str, str]]] = []
        self.statuses: list[int] = []
        self.verify_token = "tell-nobody"
        self.file: tuple[bytes, str] | None = None

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body, _ in self.posts]

    @property
    def values(self) -> list[dict[str, Any]]:
        return [body["entry"][0]["changes"][0]["value"] for body in self.bodies]

    @property
    def told(self) -> list[dict[str, Any]]:
        """Every status that was told, in order of arrival."""
        return [status for value in self.values for status in value.get("statuses", ())]

    @property
    def messages(self) -> list[dict[str, Any]]:
        """Every inbound message, in order of arrival."""
        return [message for value in self.values for message in value.get("messages", ())]

    def told_of(self, wamid: str) -> list[str]:
        return [status["status"] for status in self.told if status["id"] == wamid]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            event = await receive()
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        status, content, kind = 200, b"", "text/plain"
        if scope["method"] == "POST":
            self.posts.append((body, {name.decode(): value.decode() for name, value in scope["headers"]}))
            status = self.statuses.pop(0) if self.statuses else 200
        elif self.file is not None and scope["path"] == "/file":
            content, kind = self.file
        else:
            query = parse_qs(scope["query_string"].decode())
            given = query.get("hub.verify_token", [""])[0]
            status = 200 if given == self.verify_token else 403
            content = query.get("hub.challenge", [""])[0].encode() if status == 200 else b"no"
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})


class Wire:
    """A running sandbox: `meta` speaks Graph with the tea shop's token, `control` the control API."""

    def __init__(self, sandbox: Sandbox, url: str, receiver: Receiver, meta: httpx.AsyncClient) -> None:
        self.sandbox = sandbox
        self.url = url
        self.receiver = receiver
        self.meta = meta

    async def send(self, kind: str, content: Any, to: str = ASHA, **more: Any) -> httpx.Response:
        """Send a message of the tea shop."""
        body = {"messaging_product": "whatsapp", "to": to, "type": kind, kind: content, **more}
        return await self.meta.post(f"/v25.0/{NUMBER}/messages", json=body)

    async def text(self, body: str = "Your tea is ready", to: str = ASHA, **more: Any) -> httpx.Response:
        return await self.send("text", {"body": body}, to, **more)

    async def template(
        self,
        name: str = "hello_world",
        *components: Any,
        language: str = "en_US",
        to: str = ASHA,
        **more: Any,
    ) -> httpx.Response:
        content = {"name": name, "language": {"code": language}, "components": list(components)}
        return await self.send("template", content, to, **more)

    async def control(self, path: str, body: Any = None) -> httpx.Response:
        """GET a path of the control API, or POST to it."""
        if body is None:
            return await self.meta.get(path)
        return await self.meta.post(path, json=body)

    async def writes(self, digits: str = ASHA, **message: Any) -> dict[str, Any]:
        """Let a customer write; a text when nothing else is said."""
        given = message or {"type": "text", "text": {"body": "hello"}}
        reply = await self.control(f"/phones/{digits}/messages", given)
        assert reply.status_code == 200, reply.text
        answer: dict[str, Any] = reply.json()
        return answer

    async def shown(self, digits: str = ASHA) -> list[dict[str, Any]]:
        shown: list[dict[str, Any]] = (await self.control(f"/phones/{digits}/messages")).json()["messages"]
        return shown


def wamid_of(reply: httpx.Response) -> str:
    assert reply.status_code == 200, reply.text
    wamid: str = reply.json()["messages"][0]["id"]
    return wamid


def error_of(reply: httpx.Response) -> dict[str, Any]:
    error: dict[str, Any] = reply.json()["error"]
    assert error["fbtrace_id"]
    assert reply.headers["www-authenticate"].startswith('OAuth "Facebook Platform"')
    return error


def details_of(reply: httpx.Response) -> str:
    details: str = error_of(reply)["error_data"]["details"]
    return details


def signature_of(body: bytes, secret: str = SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
