"""The store of files: what goes in comes out, in pieces, and a file that breaks off leaves nothing behind."""

import hashlib
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from samvad.kit.errors import TooLarge
from samvad.storage.blobs import PART, Blobs

FILE = bytes(range(256)) * 100


async def pieces(content: bytes, *, breaks: bool = False) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 1000):
        yield content[start : start + 1000]
    if breaks:
        raise ConnectionError("gone")


async def read(blobs: Blobs, key: str, **which: int) -> bytes:
    found = await blobs.get(key, **which)
    assert found is not None
    return b"".join([bytes(piece) async for piece in found])


def files_below(folder: Path) -> list[Path]:
    return [it for it in folder.rglob("*") if it.is_file()]


async def test_a_file_in_pieces_is_measured_on_the_way_and_then_gets_its_place(tmp_path: Path):
    blobs = Blobs(f"file://{tmp_path}")
    for content in (FILE, b"", FILE * (2 * PART // len(FILE) + 1)):
        file = await blobs.take_in(pieces(content), most=len(content))
        await blobs.settle(file, "team/ab/abc")

        assert (file.size, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        assert await read(blobs, "team/ab/abc") == content
        assert await blobs.has("team/ab/abc")
        assert not await blobs.has(file.key)
    assert await read(blobs, "team/ab/abc", start=300, end=301) == content[300:301]
    assert await read(blobs, "team/ab/abc", start=len(content) - 7) == content[-7:]
    assert await blobs.get("team/ab/abd") is None


async def test_what_breaks_off_or_is_too_large_or_is_dropped_leaves_nothing_behind(tmp_path: Path):
    blobs = Blobs(f"file://{tmp_path}")

    with pytest.raises(ConnectionError, match="gone"):
        await blobs.take_in(pieces(FILE, breaks=True), most=len(FILE))
    with pytest.raises(TooLarge, match="larger than"):
        await blobs.take_in(pieces(FILE), most=len(FILE) - 1)
    await blobs.drop(await blobs.take_in(pieces(FILE), most=len(FILE)))

    assert files_below(tmp_path) == []


def test_a_large_file_costs_a_few_parts_of_memory_and_not_its_size(tmp_path: Path):
    """In a process of its own, whose memory is nobody else's."""
    megabytes = 120
    script = f"""
import asyncio, resource
from samvad.storage.blobs import Blobs

async def pieces():
    for _ in range({megabytes} * 16):
        await asyncio.sleep(0)
        yield bytes(64 * 1024)

async def main():
    blobs, size = Blobs("file://{tmp_path}"), 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    await blobs.settle(await blobs.take_in(pieces(), most={megabytes} << 20), "large")
    async for piece in await blobs.get("large"):
        size += len(bytes(piece))
    await blobs.close()
    print(size, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    size, grown = map(int, done.stdout.split())
    assert size == megabytes << 20
    assert grown < megabytes // 2, "megabytes"
