"""Serving files: whole or a range of them, only what changed, and never as something a browser would run."""

import re
from collections.abc import AsyncIterator
from urllib.parse import quote

from samvad.api.call import Call
from samvad.asgi.errors import refusal
from samvad.asgi.replies import ANY_ORIGIN, Headers, Reply
from samvad.domain.media import operations as media
from samvad.domain.media.model import UNKNOWN, StoredFile

EXPOSED = (b"access-control-expose-headers", b"content-disposition, content-range, etag")
_range = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


async def file_reply(call: Call, file: StoredFile, *, cache: bytes) -> Reply:
    """The file as the caller wants it: 200, 206 for one range, 304 for what is known, 416 for what is not there."""
    etag = f'"{file.sha256}"'
    common: Headers = (
        (b"etag", etag.encode()),
        (b"accept-ranges", b"bytes"),
        (b"cache-control", cache),
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", b"default-src 'none'; sandbox"),
        ANY_ORIGIN,
        EXPOSED,
    )
    if _knows(call.header(b"if-none-match"), etag):
        return Reply(304, _nothing(), common)
    wanted = _wanted(call, etag, file.size)
    if wanted is None:
        reply = refusal(416, f"The file has {file.size:,} bytes; the range that was asked for is not in it.")
        return Reply(416, reply.body, (*reply.headers, (b"content-range", f"bytes */{file.size}".encode())))
    start, end = wanted
    whole = (start, end) == (0, file.size)
    headers = (
        *common,
        (b"content-type", file.mime_type.encode()),
        (b"content-length", str(end - start).encode()),
        (b"content-disposition", _disposition(file)),
    )
    if not whole:
        headers = (*headers, (b"content-range", f"bytes {start}-{end - 1}/{file.size}".encode()))
    empty = call.scope["method"] == "HEAD" or start == end
    content = _nothing() if empty else await media.read(call.res, file, start, end)
    return Reply(200 if whole else 206, content, headers)


async def _nothing() -> AsyncIterator[bytes]:
    nothing: tuple[bytes, ...] = ()
    for piece in nothing:
        yield piece


def _knows(given: str | None, etag: str) -> bool:
    """Whether If-None-Match names this very file."""
    tags = [tag.strip().removeprefix("W/") for tag in (given or "").split(",")]
    return etag in tags or "*" in tags


def _wanted(call: Call, etag: str, size: int) -> tuple[int, int] | None:
    """From where up to before where; the whole file where one range was not asked for, None outside of it."""
    given = _range.fullmatch((call.header(b"range") or "").strip())
    only_if = call.header(b"if-range")
    if given is None or given.group(0) == "bytes=-" or only_if not in (None, etag):
        return 0, size
    first, last = given.groups()
    if not first:
        return (max(0, size - int(last)), size) if int(last) and size else None
    start, end = int(first), min(int(last) + 1, size) if last else size
    if last and int(last) < start:
        return 0, size  # not a range at all, which RFC 9110 wants ignored
    return (start, end) if start < size else None


def _disposition(file: StoredFile) -> bytes:
    """Its name, also for clients that read ASCII only; what has no type to be shown as is saved."""
    kind = "attachment" if file.mime_type == UNKNOWN else "inline"
    name = "".join(it for it in file.filename or "" if it.isprintable()).strip()[:255]
    if not name:
        return kind.encode()
    plain = re.sub(r'[^ -~]|["\\/%]', "_", name)
    full = quote(name.encode("utf-8", "replace"), safe="")
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{full}".encode()
