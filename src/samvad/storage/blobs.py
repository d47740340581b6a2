"""Files, by content: a local folder by default; S3, GCS or Azure by URL."""

import asyncio
import hashlib
import os
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import structlog
from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore, ObjectStore, from_url

from samvad.kit.errors import BadRequest, StoreUnavailable, TooLarge

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

PIECE = 256 * 1024  # bytes handed on at a time: what a slow reader makes us keep
PART = 5 * 1024 * 1024  # bytes written at a time; S3 takes no smaller part of a file
LETS_GO_AFTER_S = 0.1
"""obstore's threads hold on to Python's objects a little longer than a call takes, and a Python that ends
meanwhile is aborted."""
PARTS_AT_ONCE = 2  # so that a large file costs a few parts of memory and not its size

CLIENT: "ClientConfig" = {"connect_timeout": "5s", "read_timeout": "30s", "timeout": "1 day"}
"""Silence ends a request, its length does not: whoever reads a large file over a slow line may take minutes."""

RETRIES: "RetryConfig" = {
    "max_retries": 5,
    "retry_timeout": timedelta(seconds=10),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2), "base": 2},
}
"""A hiccup goes unnoticed. A store that is down is told in seconds (obstore's own patience is three minutes):
somebody waits for the answer, and a job comes again by itself."""

SETTINGS_OF = {
    "s3": "AWS_",
    "s3a": "AWS_",
    "gs": "GOOGLE_",
    "az": "AZURE_",
    "abfs": "AZURE_",
    "abfss": "AZURE_",
}
CLIENT_SETTINGS = (
    *("allow_http", "allow_invalid_certificates", "connect_timeout", "read_timeout", "timeout"),
    *("proxy_url", "proxy_ca_certificate", "proxy_excludes"),
)
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")  # S3 and GCS; Azure

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Incoming:
    """A file that was taken in and has no place yet; `sha256` is hex."""

    key: str
    size: int
    sha256: str


class Blobs:
    """A store of files by key; keys are ours, never a stranger's words.

    Each method raises StoreUnavailable where the store fails: it is down, there is no such bucket, it refuses us.
    """

    def __init__(self, url: str) -> None:
        """`file:///folder`, `s3://bucket/prefix`, `gs://…`, `az://…`; nothing is asked of it yet.

        Endpoint and credentials are those of the environment: AWS_…, GOOGLE_…, AZURE_…. Raises BadRequest.
        """
        parts = urlsplit(url)
        if parts.scheme == "file":
            Path(parts.path).mkdir(parents=True, exist_ok=True)
            self._opened: ObjectStore = LocalStore(parts.path)
        else:
            self._opened = _open(url, parts.scheme, os.environ)
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
        with _answering():
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
        with _answering():
            await self._store.put_async(
                key, measured(), use_multipart=True, chunk_size=PART, max_concurrency=PARTS_AT_ONCE
            )
        return Incoming(key, size, digest.hexdigest())

    async def settle(self, file: Incoming, key: str) -> None:
        """Give a file its place; one of the same content that is there already is replaced."""
        with _answering():
            await self._store.rename_async(file.key, key)

    async def drop(self, file: Incoming) -> None:
        with _answering():
            await self._store.delete_async(file.key)

    async def has(self, key: str) -> bool:
        with _answering():
            try:
                await self._store.head_async(key)
            except (FileNotFoundError, NotFoundError):
                return False  # or there is no bucket, which an answer without a body does not tell
        return True

    async def get(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes] | None:
        """A file's bytes in pieces, from `start` up to before `end`; None when there is none of that key."""
        with _answering():
            try:
                if end is None:
                    found = await self._store.get_async(
                        key, options={"range": {"offset": start}} if start else {}
                    )
                else:
                    found = await self._store.get_async(key, options={"range": (start, end)})
            except (FileNotFoundError, NotFoundError) as error:
                if _names_no_bucket(error):
                    raise  # the file may well be there, once the bucket is
                return None
        return _read(found.stream(min_chunk_size=PIECE))

    async def try_out(self) -> None:
        """Keep a file, read it and delete it: whatever is needed of a store, this needs too."""
        key = f"incoming/{uuid.uuid4()}"
        await self.put(key, key.encode())
        content = await self.get(key)
        if content is None or b"".join([bytes(piece) async for piece in content]) != key.encode():
            raise StoreUnavailable("The store of files does not give back what it was given.")
        await self.drop(Incoming(key, len(key), ""))


async def _read(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    with _answering():
        async for piece in pieces:
            yield piece


def _open(url: str, scheme: str, env: Mapping[str, str]) -> ObjectStore:
    """What we say of the client replaces what the environment says, so that is read here, too."""
    client: dict[str, Any] = dict(CLIENT)
    for name in CLIENT_SETTINGS:
        if said := env.get(f"{SETTINGS_OF.get(scheme, '')}{name.upper()}"):
            client[name] = said
    if SETTINGS_OF.get(scheme) == "AWS_" and not _is_on(client.get("allow_http")):
        for name in ENDPOINTS:
            if env.get(name, "").lower().startswith("http://"):
                raise BadRequest(
                    f"{name} begins with http://, where whoever is on the way sees the files. Set AWS_ALLOW_HTTP=true "
                    "if that is as it should be, or use https://."
                )
    try:
        return from_url(url, client_options=cast("ClientConfig", client), retry_config=RETRIES)
    except (BaseError, ValueError) as error:
        raise BadRequest(
            "SAMVAD_BLOB_URL must be like file:///folder, s3://bucket/prefix, gs://bucket or az://container, and what "
            f"belongs to it must be in the environment; got {url!r:.80}: {_first_line(error)}"
        ) from None


@contextmanager
def _answering() -> Iterator[None]:
    """Turn what a store fails with into a sentence for whoever asked; what it said itself stands in the log."""
    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        why = _first_line(error)
        log.error("files.store_failed", error=why)
        raise StoreUnavailable(f"{_what_is_wrong(error)} Try again later.", why=why) from error


def _what_is_wrong(error: Exception) -> str:
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return "The store of files refuses us: credentials or permissions are wrong."
    if isinstance(error, FileNotFoundError | NotFoundError):
        return "The store of files is not there: no such bucket or folder."
    return "The store of files does not do its work."


def _names_no_bucket(error: Exception) -> bool:
    return any(it in str(error) for it in NO_BUCKET)


def _first_line(error: Exception) -> str:
    """What obstore says, without the inside of its own that follows."""
    return str(error).partition("\n")[0][:500]


def _is_on(word: str | None) -> bool:
    return (word or "").lower() in ("1", "true", "yes", "on", "y")
