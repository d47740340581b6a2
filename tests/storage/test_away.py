"""A PostgreSQL server that is not there, or not yet: nobody's unit is wrong, and what was not begun is tried again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from samvad.kit.errors import Unavailable
from samvad.storage import Tx, open_database

Meets = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Before a word: nobody behind the address."""


async def hangs_up_in_the_middle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A proxy without a server behind it, or a server that was killed while it let somebody in."""
    await reader.read(8)
    writer.write(b"N")  # no TLS
    await writer.drain()
    await reader.read(100)


def says(sqlstate: bytes, words: bytes) -> Meets:
    async def meets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(8)
        writer.write(b"N")
        await reader.read(1000)
        fields = b"SFATAL\x00VFATAL\x00C" + sqlstate + b"\x00M" + words + b"\x00\x00"
        writer.write(b"E" + (len(fields) + 4).to_bytes(4) + fields)
        await writer.drain()

    return meets


@asynccontextmanager
async def server(meets: Meets) -> AsyncIterator[tuple[str, list[int]]]:
    """The URL of a server that meets everybody so, and how often it did."""
    met: list[int] = []

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        met.append(1)
        try:
            await meets(reader, writer)
        finally:
            writer.close()

    listening = await asyncio.start_server(meet, "127.0.0.1", 0)
    async with listening:
        yield f"postgresql://a:b@127.0.0.1:{listening.sockets[0].getsockname()[1]}/c", met


@pytest.mark.parametrize(
    "meets",
    [
        hangs_up,
        hangs_up_in_the_middle,
        says(b"57P03", b"the database system is starting up"),
        says(b"53300", b"too many clients already"),
        says(b"08006", b"the line broke"),
    ],
    ids=["hangs up", "hangs up in the middle", "starts up", "is full", "line broke"],
)
async def test_a_server_that_lets_nobody_in_is_asked_again_and_then_said_to_be_unavailable(meets: Meets):
    def nothing(tx: Tx) -> None: ...

    async with server(meets) as (url, met):
        db = open_database(url)
        for ask in (db.write, db.read):
            met.clear()
            with pytest.raises(Unavailable, match="cannot be reached"):
                await ask(nothing)
            assert len(met) > 1, "what was not begun is tried again"
        await db.close()
