"""Files, by content: a local folder by default; S3, GCS or Azure by URL."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from obstore.exceptions import NotFoundError
from obstore.store import LocalStore, ObjectStore, from_url

from samvad.kit.errors import TooLarge

PIECE = 256 * 1024  # bytes handed on at a time: what a slow reader makes us keep
PART = 5 * 1024 * 1024  # bytes written at a time; S3 takes no smaller part of a file
LETS_GO_AFTER_S = 0.1
"""obstore's threads hold on to Python's objects a little longer than a call takes, and a Python that ends
meanwhile is aborted."""
PARTS_AT_ONCE = 2  # so that a large file costs a few parts of memory and not its size


@dataclass(frozen=True, slots=True)
class Incoming:
    """A file that was taken in and has no place yet; `sha256` is hex."""

    key: str
    size: int
    sha256: str


class Blobs:
    """A store of files by key; keys are ours, never a stranger's words."""

    def __init__(self, url: str) -> None:
        """`file:///folder`, `s3://bucket/prefix`, `gs://…`, `az://…`."""
        parts = urlsplit(url)
        if parts.scheme == "file":
            Path(parts.path).mkdir(parents=True, exist_ok=True)
            self._opened: ObjectStore = LocalStore(parts.path)
        else:
            self._opened = from_url(url)
        self._used = False

    async def close(self) -> None:
        """Let go, before the process ends."""
        if self._used:
            await asyncio.sleep(LETS_GO_AFTER_S)

    @property
    def _store(self) -> ObjectStore:
        self._used = True
        return self._opened

    async def put(self, key: str, content: bytes) -> None:
        """Keep a file; the same key with the same content again is harmless."""
        await self._store.put_async(key, content)

    async def take_in(self, pieces: AsyncIterator[bytes], *, most: int) -> Incoming:
        """Keep a file that comes in pieces, and learn its hash on the way; never all of it in memory.

        `settle` gives it its place, `drop` forgets it. Raises TooLarge past `most` bytes; then, and when the
        pieces break off, nothing stays behind.
        """
        digest, size = hashlib.sha256(), 0

        async def measured() -> AsyncIterator[bytes]:
            nonlocal size
            async for piece in pieces:
                size += len(piece)
                if size > most:
                    raise TooLarge(f"The file is larger than {most:,} bytes.")
                digest.update(piece)
                yield piece

        key = f"incoming/{uuid.uuid4()}"
        await self._store.put_async(
            key, measured(), use_multipart=True, chunk_size=PART, max_concurrency=PARTS_AT_ONCE
        )
        return Incoming(key, size, digest.hexdigest())

    async def settle(self, file: Incoming, key: str) -> None:
        """Give a file its place; one of the same content that is there already is replaced."""
        await self._store.rename_async(file.key, key)

    async def drop(self, file: Incoming) -> None:
        await self._store.delete_async(file.key)

    async def has(self, key: str) -> bool:
        try:
            await self._store.head_async(key)
        except (FileNotFoundError, NotFoundError):
            return False
        return True

    async def get(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes] | None:
        """A file's bytes in pieces, from `start` up to before `end`; None when there is none of that key."""
        try:
            if end is None:
                found = await self._store.get_async(
                    key, options={"range": {"offset": start}} if start else {}
                )
            else:
                found = await self._store.get_async(key, options={"range": (start, end)})
        except (FileNotFoundError, NotFoundError):
            return None
        return found.stream(min_chunk_size=PIECE)
