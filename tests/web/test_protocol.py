"""A reply leaves in one piece, and every kind of reply still arrives whole."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from samvad.asgi.protocol import GATHERED, Gathering, Protocol


class Recording(asyncio.Transport):
    """What reaches the socket, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.is_closed = False

    def write(self, data: Any) -> None:
        assert not self.is_closed
        self.written.append(bytes(data))

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def get_write_buffer_size(self) -> int:
        return 0


async def test_what_is_written_in_one_turn_leaves_in_one_piece():
    below = Recording()
    transport = Gathering(below)

    transport.write(b"head")
    transport.write(b"body")
    assert (below.written, transport.get_write_buffer_size()) == ([], 8)
    await asyncio.sleep(0)
    transport.write(b"next")
    await asyncio.sleep(0)

    assert below.written == [b"headbody", b"next"]
    assert transport.get_write_buffer_size() == 0


async def test_to_whoever_has_hung_up_nothing_is_written():
    below = Recording()
    transport = Gathering(below)

    transport.write(b"too late")
    below.close()
    await asyncio.sleep(0)

    assert below.written == []


async def test_what_was_written_before_the_end_goes_out_before_it():
    below = Recording()
    transport = Gathering(below)

    transport.write(b"the last word")
    transport.close()

    assert below.written == [b"the last word"]
    assert below.is_closed
    await asyncio.sleep(0)
    assert below.written == [b"the last word"], "and only once"


async def test_much_is_not_held_back():
    below = Recording()
    transport = Gathering(below)

    transport.write(b"x" * GATHERED)

    assert [len(it) for it in below.written] == [GATHERED]


async def test_whole_streamed_and_last_replies_arrive_over_a_connection_that_stays_open():
    async with served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        got = []
        for path, more in (("whole", ""), ("stream", ""), ("whole", "Connection: close\r\n")):
            writer.write(f"GET /{path} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            got.append(
                await (reader.readuntil(b"0\r\n\r\n") if b"chunked" in head else reader.readexactly(5))
            )
        rest = await reader.read()
        writer.close()

    assert got == [b"whole", b"2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n", b"whole"]
    assert rest == b"", "the server hangs up when it was asked to"


async def answering(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in (b"ab", b"cd"):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(0.01)
        await send({"type": "http.response.body", "body": b""})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"whole"})


@asynccontextmanager
async def served() -> AsyncIterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(answering, http=Protocol, log_config=None, access_log=False, lifespan="off")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server._serve([listening]))
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            await serving
