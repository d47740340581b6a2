"""Replies as bytes, ready for the wire."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.types import Send

_encode = msgspec.json.Encoder().encode

JSON = (b"content-type", b"application/json")
TEXT = (b"content-type", b"text/plain; charset=utf-8")
ANY_ORIGIN = (b"access-control-allow-origin", b"*")  # keys are used from browsers too; no cookies here

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply."""

    status: int
    body: bytes | AsyncIterator[bytes]
    headers: Headers

    async def send(self, send: Send) -> None:
        if isinstance(self.body, bytes):
            length = (b"content-length", str(len(self.body)).encode())
            await send(
                {"type": "http.response.start", "status": self.status, "headers": [*self.headers, length]}
            )
            await send({"type": "http.response.body", "body": self.body})
            return
        await send({"type": "http.response.start", "status": self.status, "headers": list(self.headers)})
        async for piece in self.body:
            await send({"type": "http.response.body", "body": bytes(piece), "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def json_reply(body: Any, *, status: int = 200, headers: Headers = ()) -> Reply:
    return Reply(status, _encode(body), (JSON, ANY_ORIGIN, *headers))


def data(value: Any, **beside: Any) -> Reply:
    """Success: the payload in `_data`, and what goes beside it."""
    return json_reply({"_data": value, **beside})


def text(words: str) -> Reply:
    return Reply(200, words.encode(), (TEXT,))
