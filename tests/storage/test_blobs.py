"""The store of files: what goes in comes out, in pieces, and a file that breaks off leaves nothing behind.

The same of a folder and of S3, which is a real server that checks signatures.
"""

import asyncio
import hashlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from samvad.kit.errors import BadRequest, StoreUnavailable, TooLarge
from samvad.storage.blobs import PART, Blobs
from tests.s3 import PATIENCE_S, S3

FILE = bytes(range(256)) * 100
LARGE = FILE * (2 * PART // len(FILE) + 1)  # three parts of an upload
DOWN = "http://127.0.0.1:1"


@dataclass
class Store:
    """A place for files, and what is in it."""

    url: str
    keys: Callable[[], list[str]]
    unfinished: Callable[[], list[str]] = list


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of files; each test that takes it runs on both kinds."""
    if request.param == "folder":
        return Store(f"file://{tmp_path}", lambda: files_below(tmp_path))
    return on_s3(request.getfixturevalue("s3"))


def on_s3(s3: S3, prefix: str = "of/samvad") -> Store:
    bucket = s3.bucket()
    return Store(
        f"s3://{bucket}/{prefix}",
        lambda: [it.removeprefix(f"{prefix}/") for it in s3.keys(bucket)],
        lambda: s3.unfinished(bucket),
    )


def files_below(folder: Path) -> list[str]:
    return sorted(it.relative_to(folder).as_posix() for it in folder.rglob("*") if it.is_file())


async def pieces(content: bytes, *, breaks: bool = False) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 1000):
        yield content[start : start + 1000]
    if breaks:
        raise ConnectionError("gone")


async def read(blobs: Blobs, key: str, **which: int) -> bytes:
    found = await blobs.get(key, **which)
    assert found is not None
    return b"".join([bytes(piece) async for piece in found])


async def test_a_file_in_pieces_is_measured_on_the_way_and_then_gets_its_place(store: Store):
    blobs = Blobs(store.url)
    for content in (FILE, b"", LARGE):
        file = await blobs.take_in(pieces(content), most=len(content))
        await blobs.settle(file, "team/ab/abc")

        assert (file.size, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        assert await read(blobs, "team/ab/abc") == content
        assert await blobs.has("team/ab/abc")
        assert not await blobs.has(file.key)
    assert await read(blobs, "team/ab/abc", start=300, end=301) == content[300:301]
    assert await read(blobs, "team/ab/abc", start=len(content) - 7) == content[-7:]
    assert await blobs.get("team/ab/abd") is None
    assert not await blobs.has("team/ab/abd")
    assert store.keys() == ["team/ab/abc"]


async def test_a_file_in_one_piece_is_kept_and_the_same_again_is_harmless(store: Store):
    blobs = Blobs(store.url)
    for content in (FILE, FILE, LARGE, LARGE):
        await blobs.put("team/ab/abc", content)

        assert await read(blobs, "team/ab/abc") == content
    taken = [await blobs.take_in(pieces(LARGE), most=len(LARGE)) for _ in range(2)]
    for file in taken:
        await blobs.settle(file, "team/ab/abc")

    assert await read(blobs, "team/ab/abc") == LARGE
    assert store.keys() == ["team/ab/abc"]


async def test_what_breaks_off_or_is_too_large_or_is_dropped_leaves_nothing_behind(store: Store):
    blobs = Blobs(store.url)

    for content in (FILE, LARGE):
        with pytest.raises(ConnectionError, match="gone"):
            await blobs.take_in(pieces(content, breaks=True), most=len(content))
        with pytest.raises(TooLarge, match="larger than"):
            await blobs.take_in(pieces(content), most=len(content) - 1)
        await blobs.drop(await blobs.take_in(pieces(content), most=len(content)))

    assert store.keys() == []
    assert store.unfinished() == [], "parts that nobody will ask for and somebody pays for"


async def test_two_processes_see_each_others_files_and_may_keep_the_same_one_at_once(store: Store):
    script = f"""
import asyncio
from samvad.storage.blobs import Blobs

async def pieces():
    for _ in range(7):
        yield b"same" * 262144

async def main():
    blobs = Blobs("{store.url}")
    for _ in range(5):
        await blobs.settle(await blobs.take_in(pieces(), most=7 << 20), "team/ab/same")
    await blobs.close()

asyncio.run(main())
"""
    await asyncio.gather(*(run(script) for _ in range(2)))

    assert await read(Blobs(store.url), "team/ab/same") == b"same" * 262144 * 7
    assert store.keys() == ["team/ab/same"]


async def test_a_process_that_is_killed_while_it_takes_a_file_in_leaves_no_file_of_that_name(store: Store):
    script = f"""
import asyncio, sys
from samvad.storage.blobs import Blobs

async def pieces():
    for _ in range(13):
        yield bytes(1 << 20)
    print("under way", flush=True)
    await asyncio.sleep(1000)

async def main():
    blobs = Blobs("{store.url}")
    await blobs.settle(await blobs.take_in(pieces(), most=100 << 20), "team/ab/abc")

asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=subprocess.PIPE)
    assert process.stdout is not None
    await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)
    process.kill()
    await process.wait()

    assert not await Blobs(store.url).has("team/ab/abc")
    left = store.keys()
    assert [it for it in left if not it.startswith("incoming/")] == []
    assert left == [] or store.url.startswith("file:")


async def run(script: str) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script)
    assert await process.wait() == 0


async def test_a_store_that_can_be_used_passes_a_try_and_keeps_nothing_of_it(store: Store):
    await Blobs(store.url).try_out()

    assert store.keys() == []


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("AWS_SECRET_ACCESS_KEY", "another", "refuses us"),
        ("AWS_ACCESS_KEY_ID", "nobody", "refuses us"),
        ("AWS_ENDPOINT_URL", DOWN, "does not do its work"),
        ("bucket", "never-made", "no such bucket"),
    ],
)
async def test_a_store_that_fails_is_a_sentence_whatever_is_asked_of_it_and_shows_no_address(
    s3: S3, monkeypatch: pytest.MonkeyPatch, setting: str, value: str, sentence: str
):
    bucket = value if setting == "bucket" else s3.bucket()
    monkeypatch.setenv(setting, value)
    blobs = Blobs(f"s3://{bucket}/files")

    for asked in (
        lambda: blobs.put("team/ab/abc", FILE),
        lambda: blobs.take_in(pieces(FILE), most=len(FILE)),
        lambda: blobs.get("team/ab/abc"),
        lambda: blobs.try_out(),
    ):
        with pytest.raises(StoreUnavailable, match=sentence) as told:
            await asked()
        assert bucket not in told.value.problems[0]
        assert bucket in told.value.why
        assert "\n" not in told.value.why


async def test_a_store_that_says_nothing_is_given_up(s3: S3, monkeypatch: pytest.MonkeyPatch):
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("AWS_READ_TIMEOUT", "200ms")

        with pytest.raises(StoreUnavailable, match="does not do its work"):
            await Blobs(f"s3://{s3.bucket()}").put("key", FILE)


async def test_a_store_that_ends_while_a_file_is_read_is_said(
    tmp_path: Path, s3: S3, monkeypatch: pytest.MonkeyPatch
):
    own = S3(tmp_path)
    own.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", own.settings["AWS_ENDPOINT_URL"])
    blobs = Blobs(f"s3://{own.bucket()}")
    await blobs.put("large", LARGE * 4)

    found = await blobs.get("large")
    assert found is not None
    await anext(found)
    own.stop()

    with pytest.raises(StoreUnavailable, match="does not do its work"):
        async for _ in found:
            pass


@pytest.mark.parametrize("url", ["s3://", "ftp://somewhere", "somewhere", "az://container"])
def test_an_address_that_can_be_none_of_a_store_is_a_sentence(url: str):
    with pytest.raises(BadRequest, match="SAMVAD_BLOB_URL must be like"):
        Blobs(url)


def test_an_endpoint_in_the_clear_has_to_be_meant(s3: S3, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AWS_ALLOW_HTTP")

    with pytest.raises(BadRequest, match=r"AWS_ENDPOINT_URL begins with http://.*AWS_ALLOW_HTTP=true"):
        Blobs("s3://files")


def test_a_large_file_costs_a_few_parts_of_memory_and_not_its_size(store: Store):
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
    blobs, size = Blobs("{store.url}"), 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    await blobs.settle(await blobs.take_in(pieces(), most={megabytes} << 20), "large")
    async for piece in await blobs.get("large"):
        size += len(bytes(piece))
    await blobs.close()
    print(size, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env=os.environ.copy(), capture_output=True, text=True, check=True
    )

    size, grown = map(int, done.stdout.split())
    assert size == megabytes << 20
    assert grown < megabytes // 2, "megabytes"
