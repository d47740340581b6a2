"""A relay between the sandbox and the server that measures every webhook, and remembers what was acknowledged.

The sandbox is told the relay's address, so what passes is the sandbox's own delivery, retries included. Bytes
go on as they come; the price is one more hop on loopback, which counts against the server.
"""

import asyncio
import re
import time
from array import array
from typing import cast

from samvad.bench.load import Latency, percentiles, read_reply

_told = re.compile(rb'"id":"([^"]+)","status":"(\w+)"')


class Relay:
    """Listens on loopback; hands every connection on to the server."""

    def __init__(self, server_port: int) -> None:
        self.server_port = server_port
        self.acknowledged: set[tuple[str, str]] = set()
        """Wamid and status of everything the server answered with 200."""
        self.refused = 0
        self.measuring = False
        self._took_s = array("d")
        self._inlets: set[_Inlet] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """Begin to listen; returns the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Inlet(self), "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        for inlet in tuple(self._inlets):
            inlet.close()
        if self._server is not None:
            self._server.close()

    @property
    def latency(self) -> Latency:
        """From the first byte of a webhook to the last byte of its answer, while measuring."""
        return percentiles(self._took_s)

    def joined(self, inlet: "_Inlet") -> None:
        self._inlets.add(inlet)

    def left(self, inlet: "_Inlet") -> None:
        self._inlets.discard(inlet)

    def answered(self, body: bytes, status: int, took_s: float) -> None:
        if status != 200:
            self.refused += 1
            return
        if self.measuring:
            self._took_s.append(took_s)
        for wamid, word in _told.findall(body):
            self.acknowledged.add((wamid.decode(), word.decode()))


class _Inlet(asyncio.Protocol):
    """A connection of the sandbox's, and the one to the server that belongs to it."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._transport: asyncio.Transport | None = None
        self._outlet: asyncio.Transport | None = None
        self._request = b""
        self._reply = b""
        self._since = 0.0
        self._opening: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._relay.joined(self)
        self._opening = asyncio.get_running_loop().create_task(self._open())

    def data_received(self, data: bytes) -> None:
        if not self._request:
            self._since = time.perf_counter()
        self._request += data
        if self._outlet is not None:
            self._outlet.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._relay.left(self)
        if self._outlet is not None:
            self._outlet.close()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def reply_received(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)
        self._reply += data
        reply = read_reply(self._reply)
        if reply is not None:
            self._relay.answered(self._request, reply[0], time.perf_counter() - self._since)
            self._request = self._reply = b""

    async def _open(self) -> None:
        try:
            outlet, _ = await asyncio.get_running_loop().create_connection(
                lambda: _Outlet(self), "127.0.0.1", self._relay.server_port
            )
        except OSError:
            return self.close()  # the server is away: so the sandbox sees it
        self._outlet = outlet
        if self._request:
            outlet.write(self._request)


class _Outlet(asyncio.Protocol):
    """The connection to the server."""

    def __init__(self, inlet: _Inlet) -> None:
        self._inlet = inlet

    def data_received(self, data: bytes) -> None:
        self._inlet.reply_received(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._inlet.close()
