"""A stand-in for Meta that costs next to nothing, for loads under which the sandbox would be what is measured.

It answers every send after a fixed delay with a wamid of its own, and whatever a server asks when a number is
connected; nothing else. It lives on the event loop of the generator.
"""

import asyncio
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from typing import Self, cast

from samvad.bench.rig import OWN

REPLY_DELAY_S = 0.080

_send = re.compile(rb'"to":"(\d+)".*"body":"Order (\d+) ')
_traced = re.compile(rb'"biz_opaque_callback_data":"([^"]+)"')

Accepted = Callable[[str, str, str], None]
"""Is told of each answered send: its wamid, whom it is to, and what travels along and comes back."""


class Listener(ABC):
    """Listens on loopback."""

    def __init__(self) -> None:
        self.port = 0
        self._server: asyncio.Server | None = None
        self._open: set[Line] = set()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Line(self), "127.0.0.1", 0, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for line in tuple(self._open):
            line.close()

    @abstractmethod
    def asked(self, line: "Line", target: bytes, body: bytes) -> None:
        """One request, to be answered on its line."""

    def opened(self, line: "Line") -> None:
        self._open.add(line)

    def closed(self, line: "Line") -> None:
        self._open.discard(line)


class StandIn(Listener):
    """Meta."""

    def __init__(self) -> None:
        super().__init__()
        self.on_accepted: Accepted = lambda wamid, to, traced: None
        self.orders: Counter[int] = Counter()
        """How often each order was sent to us; once is right."""

    def asked(self, line: "Line", target: bytes, body: bytes) -> None:
        """One request; the answer to a send comes later."""
        if not target.endswith(b"/messages"):
            line.answer(_told(target))
            return
        found = _send.search(body)
        assert found is not None, f"a send that the bench did not write: {body[:200]!r}"
        to, number = found[1].decode(), int(found[2])
        self.orders[number] += 1
        traced = _traced.search(body)
        wamid = wamid_of_order(number, self.orders[number])
        asyncio.get_running_loop().call_later(
            REPLY_DELAY_S, self._accept, line, wamid, to, traced[1].decode() if traced else ""
        )

    def _accept(self, line: "Line", wamid: str, to: str, traced: str) -> None:
        line.answer(
            f'{{"messaging_product":"whatsapp","contacts":[{{"input":"{to}","wa_id":"{to}"}}],'
            f'"messages":[{{"id":"{wamid}"}}]}}'.encode()
        )
        self.on_accepted(wamid, to, traced)


def wamid_of_order(number: int, times: int = 1) -> str:
    """Which wamid an order gets; were it sent again, another."""
    return f"wamid.GOAL{number:010d}" + ("" if times == 1 else f"x{times}")


def _told(target: bytes) -> bytes:
    path = target.partition(b"?")[0].decode().split("/")[2:]
    number = f'{{"id":"{OWN.id}","display_phone_number":"{OWN.display}","verified_name":"Bench"}}'
    match path:
        case [OWN.id]:
            return number.encode()
        case [OWN.waba_id]:
            return f'{{"id":"{OWN.waba_id}","name":"Bench"}}'.encode()
        case [OWN.waba_id, "phone_numbers"]:
            return f'{{"data":[{number}]}}'.encode()
        case [OWN.waba_id, "subscribed_apps"]:
            return b'{"success":true}'
        case _:
            return b'{"data":[]}'


class Taker(Listener):
    """A customer's server: it answers 200, and counts."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/taker"

    def asked(self, line: "Line", target: bytes, body: bytes) -> None:
        self.taken += 1
        line.answer(b"OK")


class Line(asyncio.Protocol):
    """One connection of the server's pool."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._got = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._listener.opened(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._listener.closed(self)

    def data_received(self, data: bytes) -> None:
        self._got += data
        head_ends = self._got.find(b"\r\n\r\n")
        if head_ends < 0:
            return
        head = self._got[:head_ends]
        at = head.lower().find(b"\r\ncontent-length:")
        ends = head_ends + 4
        if at >= 0:
            ends += int(head[at + 17 :].partition(b"\r\n")[0])
        if len(self._got) < ends:
            return
        body, self._got = self._got[head_ends + 4 : ends], b""
        self._listener.asked(self, head.split(b" ", 2)[1], body)

    def answer(self, body: bytes) -> None:
        if self._transport is not None:
            length = len(body)
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (length, body)
            )

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()
