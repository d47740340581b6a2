"""A customer's server on loopback that fails at random, and remembers everything it was sent."""

import asyncio
import contextlib
import hashlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from samvad.domain.webhooks.model import (
    ID_HEADER,
    SIGNATURE_HEADER,
    STANDARD_HEADER,
    TIMESTAMP_HEADER,
    sign,
    standard_signature,
)

MAX_HEAD = 64 * 1024
HANG_S = 60.0  # longer than anybody waits
MOST_BODIES = 400_000


class Moods(NamedTuple):
    """How often the server fails, each a chance between 0 and 1."""

    error: float = 0.0
    """500."""
    drop: float = 0.0
    """Reads it and hangs up."""
    lost: float = 0.0
    """Takes it, and its answer is lost on the way."""
    slow: float = 0.0
    """Answers after up to 100 ms."""
    busy: float = 0.0
    """429, with Retry-After of a second."""
    hang: float = 0.0
    """Never answers."""


CALM = Moods()
FAILING = Moods(error=0.10, drop=0.04, lost=0.02, slow=0.05, busy=0.0005, hang=0.0002)


@dataclass(slots=True)
class Heard:
    """One event, over all its attempts."""

    digest: bytes
    body: dict[str, Any]
    attempts: int = 0
    taken: int = 0
    """How often it was answered with 200."""
    first_at: int | None = None
    """The place of the first of these among all."""
    arrived_at_s: float = field(default_factory=time.perf_counter)
    """When its first attempt arrived."""


@dataclass(slots=True)
class Book:
    """What one endpoint was sent, by `webhook-id`."""

    heard: dict[str, Heard] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)


class Customer:
    """Listens on loopback; each path is an endpoint of its own."""

    def __init__(self, moods: Callable[[str], Moods], *, seed: int) -> None:
        self.port = 0
        self.secret = ""
        self.books: dict[str, Book] = {}
        self._moods = moods
        self._chance = random.Random(seed)
        self._server: asyncio.Server | None = None
        self._taken = 0
        self._closing = asyncio.Event()
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> "Customer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=MAX_HEAD)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self._closing.set()
        for writer in tuple(self._open):
            writer.transport.abort()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            with contextlib.suppress(OSError, EOFError, asyncio.LimitOverrunError):
                while await self._answer_one(reader, writer):
                    pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; False: the connection ends here."""
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (it.partition(":") for it in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        path = first.split(" ")[1]
        book = self.books.setdefault(path, Book())
        heard = self._note(book, headers, body)
        mood = self._mood(self._moods(path))
        book.answers[mood] = book.answers.get(mood, 0) + 1
        match mood:
            case "hang":
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), HANG_S)
                return False
            case "drop" | "lost":
                return False
            case "slow":
                await asyncio.sleep(self._chance.random() / 10)
        status, more = {"error": ("500 Oops", ""), "busy": ("429 Busy", "Retry-After: 1\r\n")}.get(
            mood, ("200 OK", "")
        )
        if status == "200 OK":
            heard.taken += 1
            if heard.first_at is None:
                self._taken += 1
                heard.first_at = self._taken
        writer.write(f"HTTP/1.1 {status}\r\n{more}Content-Length: 2\r\n\r\nOK".encode())
        await writer.drain()
        return True

    def _mood(self, moods: Moods) -> str:
        dice = self._chance.random()
        for name, chance in zip(Moods._fields, moods, strict=True):
            if dice < chance:
                return name
            dice -= chance
        return "well"

    def _note(self, book: Book, headers: dict[str, str], body: bytes) -> Heard:
        """Remember an attempt, and hold it against the first one of the same event."""
        event_id = headers.get(ID_HEADER, "")
        digest = hashlib.sha256(body).digest()
        if headers.get(SIGNATURE_HEADER.lower()) != sign(self.secret, body):
            book.problems.append(f"{event_id} has a wrong {SIGNATURE_HEADER}")
        second = int(headers.get(TIMESTAMP_HEADER, "0"))
        standard = standard_signature(self.secret, id=event_id, second=second, body=body)
        if standard not in headers.get(STANDARD_HEADER, "").split():
            book.problems.append(f"{event_id} has a wrong {STANDARD_HEADER}")
        heard = book.heard.get(event_id)
        if heard is None:
            assert len(book.heard) < MOST_BODIES, "more events than a run may have"
            heard = book.heard[event_id] = Heard(digest, msgspec.json.decode(body))
        elif heard.digest != digest:
            book.problems.append(f"{event_id} came again with other bytes")
        heard.attempts += 1
        return heard
