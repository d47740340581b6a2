"""Media: what was uploaded, what customers sent, and what Meta fetched from links."""

import base64
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

import aiohttp

MAX_ASSETS = 10_000
MAX_BYTES = 512 * 1024 * 1024
MAX_UPLOAD = 100 * 1024 * 1024
MAX_CACHED_LINKS = 1_000
URL_LIVES_S = 5 * 60
LINK_CACHE_S = 10 * 60
UPLOAD_LIVES_S = 30 * 24 * 3600
FETCH_TIMEOUT_S = 10
CHUNK = 64 * 1024

MIB = 1024 * 1024
ALLOWED: dict[str, tuple[int, tuple[str, ...]]] = {
    "audio": (16 * MIB, ("audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg")),
    "document": (
        100 * MIB,
        (
            "text/plain",
            "application/pdf",
            "application/msword",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "application/vnd.ms-excel",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            "application/vnd.ms-powerpoint",
            "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        ),
    ),
    "image": (5 * MIB, ("image/jpeg", "image/png")),
    "sticker": (500 * 1024, ("image/webp",)),
    "video": (16 * MIB, ("video/mp4", "video/3gpp")),
}


class NotFetched(Exception):
    """A link that could not be fetched, or that held something WhatsApp does not take; the text says why."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of one account; `sha256` is base64, as in webhooks."""

    id: str
    waba_id: str
    data: bytes
    mime_type: str
    sha256: str
    expires_at: float
    filename: str | None = None


class MediaShelf:
    """Keeps media files, the newest of them when there are too many."""

    def __init__(self, clock: Callable[[], float], new_id: Callable[[], str]) -> None:
        self._clock = clock
        self._new_id = new_id
        self._assets: dict[str, Asset] = {}
        self._bytes = 0
        self._links: dict[tuple[str, str], tuple[float, str]] = {}
        self._secret = secrets.token_bytes(16)
        self._void: dict[str, int] = {}  # how often the URLs of a file were made void

    def add(
        self, waba_id: str, data: bytes, mime_type: str, *, filename: str | None = None, lives_s: float
    ) -> Asset:
        """Keep a file under a new id."""
        mime_type = "".join(one for one in mime_type if " " <= one <= "~") or "application/octet-stream"
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
        expires_at = self._clock() + lives_s
        asset = Asset(self._new_id(), waba_id, data, mime_type, digest, expires_at, filename)
        self._assets[asset.id] = asset
        self._bytes += len(data)
        while len(self._assets) > 1 and (self._bytes > MAX_BYTES or len(self._assets) > MAX_ASSETS):
            self.remove(next(iter(self._assets)))
        return asset

    def find(self, media_id: str, waba_id: str | None = None) -> Asset | None:
        """The file with this id, unless it expired or belongs to another account."""
        asset = self._assets.get(media_id)
        if asset is None or asset.expires_at <= self._clock() or waba_id not in (None, asset.waba_id):
            return None
        return asset

    def remove(self, media_id: str) -> None:
        asset = self._assets.pop(media_id, None)
        if asset is not None:
            self._void.pop(media_id, None)
            self._bytes -= len(asset.data)

    def expire_urls(self, media_id: str) -> None:
        """Make every download URL of this file void; a new one can be asked for."""
        self._void[media_id] = self._void.get(media_id, 0) + 1

    def forget(self) -> None:
        self._void.clear()
        self._assets.clear()
        self._links.clear()
        self._bytes = 0

    def url(
        self, asset: Asset, base_url: str, source: str = "getMedia", *, lives_s: float = URL_LIVES_S
    ) -> str:
        """A download URL that is good for five minutes, if nothing else is said."""
        expires = int(self._clock() + lives_s)
        query = {
            "mid": asset.id,
            "source": source,
            "ext": expires,
            "hash": self._hash(asset.id, str(expires)),
        }
        return f"{base_url}/whatsapp_business/attachments/?{urlencode(query)}"

    def opened_by(self, mid: str, ext: str, given_hash: str) -> Asset | None:
        """The file a download URL stands for, if the URL is ours and still good."""
        genuine = secrets.compare_digest(self._hash(mid, ext).encode(), given_hash.encode())
        if not genuine or not ext.isdecimal() or int(ext) < self._clock():
            return None
        return self.find(mid)

    async def fetch(self, session: aiohttp.ClientSession, kind: str, link: str, waba_id: str) -> Asset:
        """Fetch what a business linked to; cached ten minutes per URL, as at Meta. Raises NotFetched."""
        cached_until, media_id = self._links.get((waba_id, link), (0.0, ""))
        asset = self.find(media_id)
        if asset is None or cached_until <= self._clock():
            data, mime_type = await _download(session, link)
            asset = self.add(waba_id, data, mime_type, lives_s=UPLOAD_LIVES_S)
            if len(self._links) >= MAX_CACHED_LINKS:
                del self._links[next(iter(self._links))]
            self._links[waba_id, link] = (self._clock() + LINK_CACHE_S, asset.id)
        complaint = misfit(kind, asset.mime_type, len(asset.data))
        if complaint is not None:
            raise NotFetched(complaint)
        return asset

    def _hash(self, mid: str, ext: str) -> str:
        return hashlib.blake2b(
            f"{mid}:{ext}:{self._void.get(mid, 0)}".encode(), key=self._secret, digest_size=20
        ).hexdigest()


def misfit(kind: str, mime_type: str, size: int) -> str | None:
    """Why WhatsApp does not take such a file for this kind of message; None when it does."""
    most, types = ALLOWED[kind]
    plain = mime_type.partition(";")[0].strip().lower()
    if plain not in types and kind != "document":
        return f"Unsupported {kind} mime type {plain}. Please use one of {', '.join(types)}."
    if size > most:
        return f"The file is too large for type {kind}: {size} bytes, at most {most} are allowed."
    return None


async def _download(session: aiohttp.ClientSession, link: str) -> tuple[bytes, str]:
    timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT_S)
    try:
        async with session.get(link, timeout=timeout) as answer:
            if answer.status != 200:
                raise NotFetched(f"Downloading media from weblink failed with http code {answer.status}")
            data = bytearray()
            async for chunk in answer.content.iter_chunked(CHUNK):
                data += chunk
                if len(data) > MAX_UPLOAD:
                    raise NotFetched("Downloading media from weblink failed: the file is too large")
            return bytes(data), answer.content_type
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise NotFetched(f"Downloading media from weblink failed: {type(error).__name__}") from error
