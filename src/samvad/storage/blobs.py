"""Files, by content: a local folder by default; S3, GCS or Azure by URL."""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

from obstore.exceptions import NotFoundError
from obstore.store import LocalStore, ObjectStore, from_url


class Blobs:
    """A store of files by key; keys are ours, never a stranger's words."""

    def __init__(self, url: str) -> None:
        """`file:///folder`, `s3://bucket/prefix`, `gs://…`, `az://…`."""
        parts = urlsplit(url)
        if parts.scheme == "file":
            Path(parts.path).mkdir(parents=True, exist_ok=True)
            self._store: ObjectStore = LocalStore(parts.path)
        else:
            self._store = from_url(url)

    async def put(self, key: str, content: bytes) -> None:
        """Keep a file; the same key with the same content again is harmless."""
        await self._store.put_async(key, content)

    async def get(self, key: str) -> AsyncIterator[bytes] | None:
        """A file's bytes in pieces, or None when there is none of that key."""
        try:
            found = await self._store.get_async(key)
        except (FileNotFoundError, NotFoundError):
            return None
        return found.stream()
