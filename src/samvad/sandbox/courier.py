"""A lean HTTP/1.1 client for one plain `http` URL.

At 3,000 webhooks a second a general client costs more than all the rest of the sandbox, and then a benchmark
measures the sandbox and not its receiver. This one knows only POST with a body and reads only the status.
Whatever it does not understand (`https`, credentials in the URL) goes through aiohttp instead.
"""

import asyncio
from typing import Any, cast
from urllib.parse import urlsplit

httptools: Any
try:
    import httptools
except ImportError:  # there is no wheel for every platform
    httptools = None

MAX_ANSWER = 1024 * 1024


class Courier:
    """Posts to one URL over connections that stay open."""

    def __init__(self, host: str, port: int, target: str, authority: str, constant_headers: str) -> None:
        self._host, self._port = host, port
        self._head = f"POST {target} HTTP/1.1\r\nHost: {authority}\r\n{constant_headers}".encode()
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()

    async def post(self, body: bytes, header: str, timeout_s: float) -> int:
        """The status of the answer; raises OSError (TimeoutError too) when there is none."""
        request = b"%bContent-Length: %d\r\n%b\r\n\r\n%b" % (self._head, len(body), header.encode(), body)
        connection = self._idle_connection() or await self._connect(timeout_s)
        try:
            status = await connection.exchange(request, timeout_s)
        except BaseException:
            connection.close()
            raise
        if connection.is_usable:
            self._idle.append(connection)
        else:
            connection.close()
        return status

    def close(self) -> None:
        for connection in tuple(self._open):
            connection.close()
        self._idle.clear()

    def _idle_connection(self) -> "_Connection | None":
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable:
                return connection
        return None

    async def _connect(self, timeout_s: float) -> "_Connection":
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(timeout_s):
            _, connection = await loop.create_connection(
                lambda: _Connection(self._open), self._host, self._port
            )
        return connection


def courier_for(url: str, constant_headers: str) -> Courier | None:
    """A courier for this URL, if it is of the plain kind a courier understands."""
    parts = urlsplit(url)
    if httptools is None or parts.scheme != "http" or "@" in parts.netloc or not parts.hostname:
        return None
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not (url.isascii() and url.isprintable()) or " " in url:
        return None
    try:
        port = parts.port or 80
    except ValueError:
        return None
    return Courier(parts.hostname, port, target, parts.netloc, constant_headers)


class _Connection(asyncio.Protocol):
    """One connection with at most one request under way."""

    def __init__(self, register: "set[_Connection]") -> None:
        self.is_usable = True
        self._register = register
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[int] | None = None
        self._received = 0
        self._status = 0
        self._parser: Any = httptools.HttpResponseParser(self)

    async def exchange(self, request: bytes, timeout_s: float) -> int:
        loop = asyncio.get_running_loop()
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the connection was closed")
        self._received = self._status = 0
        self._answer = loop.create_future()
        deadline = loop.call_later(timeout_s, self._fail, TimeoutError("no answer in time"))
        self._transport.write(request)
        try:
            return await self._answer
        finally:
            deadline.cancel()
            self._answer = None

    def close(self) -> None:
        self.is_usable = False
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._register.add(self)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        try:
            if self._received > MAX_ANSWER:
                raise ConnectionAbortedError("the answer is too long")
            self._parser.feed_data(data)
        except (httptools.HttpParserError, OSError) as error:
            self._fail(ConnectionAbortedError(f"not an HTTP answer: {error}"))

    def connection_lost(self, error: Exception | None) -> None:
        self.is_usable = False
        self._register.discard(self)
        if self._status:
            self._succeed()  # an answer without a length ends with its connection
        self._fail(ConnectionResetError("the connection was lost before the answer"))

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        status: int = self._parser.get_status_code()
        if status >= 200:  # what is below is an interim answer, and the real one follows
            self._status = status

    def on_message_complete(self) -> None:
        """Called by the parser."""
        if self._status:
            self.is_usable = self._parser.should_keep_alive()
            self._succeed()

    def _succeed(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(self._status)

    def _fail(self, error: Exception) -> None:
        self.is_usable = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
