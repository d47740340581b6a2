"""Files as WhatsApp wants them: types, limits and names; and what a message says of its files. No I/O."""

import base64
import binascii
import mimetypes
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from samvad.kit.errors import BadRequest, TooLarge

MEGABYTE = 1024 * 1024
LIMITS = {"image": 5 * MEGABYTE, "video": 16 * MEGABYTE, "audio": 16 * MEGABYTE}
STICKER = "image/webp"
LARGEST_STICKER = 500 * 1024  # an animated one; WhatsApp takes no other image of this type
LARGEST = 100 * MEGABYTE  # a document; the largest file WhatsApp carries

SAME_AS = {"audio/mp3": "audio/mpeg", "image/jpg": "image/jpeg", "audio/x-m4a": "audio/mp4"}
"""Names clients use for types that Meta accepts under another name only."""

UNKNOWN = "application/octet-stream"

EXTENSIONS = {
    "audio/aac": ".aac",
    "audio/amr": ".amr",
    "audio/mp4": ".m4a",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "video/3gpp": ".3gp",
    "video/mp4": ".mp4",
}

BEGINNINGS = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), STICKER),
    (re.compile(rb"%PDF-"), "application/pdf"),
    (re.compile(rb"OggS"), "audio/ogg"),
    (re.compile(rb"#!AMR"), "audio/amr"),
    (re.compile(rb"ID3"), "audio/mpeg"),
    (re.compile(rb".{4}ftyp3gp", re.DOTALL), "video/3gpp"),
    (re.compile(rb".{4}ftypM4A", re.DOTALL), "audio/mp4"),
    (re.compile(rb".{4}ftyp", re.DOTALL), "video/mp4"),
)
"""How files of WhatsApp's types begin, for a file that neither its sender nor its name says anything of."""

RUN_BY_BROWSERS = re.compile(r"html|xml|svg|script|xsl|^(?!application/|audio/|image/|text/|video/)")
"""A browser would run what is in these, or they are no files at all; they are served as plain bytes."""

MEDIA = ("image", "video", "audio", "document", "sticker")
DEEPEST = 8  # a file in the header of a card of a template is six levels down


class State(StrEnum):
    """How far a file of a message has come."""

    PENDING = "PENDING"
    STORED = "STORED"
    FAILED = "FAILED"
    """The last attempt failed; `retry_at` says when the next one is, if there is to be one."""


class Expected(NamedTuple):
    """A file that a message speaks of, before we have it; `sha256` is hex."""

    team_id: str
    plugin_id: str
    message_id: str
    id: str
    mid: str | None
    mime_type: str | None
    filename: str | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A file at WhatsApp, and how far it is ours."""

    team_id: str
    id: str
    plugin_id: str
    message_id: str | None
    mid: str | None
    mime_type: str | None
    filename: str | None
    sha256: str | None
    size: int | None
    state: str
    attempts: int
    error: str | None
    retry_at: int | None
    fetched_at: int | None
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that can be served; `key` is where it lies."""

    key: str
    mime_type: str
    size: int
    sha256: str
    filename: str | None


def type_of(declared: str | None, filename: str | None, content: bytes = b"") -> str:
    """A file's type: as declared, or by its name where that says nothing, or else by how it begins."""
    declared = (declared or "").split(";")[0].strip().lower()
    if declared in ("", UNKNOWN):
        named = mimetypes.guess_type(filename or "")[0] or _by_extension(filename)
        declared = named or _by_beginning(content) or UNKNOWN
    if not declared.isascii() or len(declared) > 100 or declared.count("/") != 1:
        raise BadRequest(f"The file's content type is not one: {declared!r:.60}.")
    return SAME_AS.get(declared, declared)


def extension_of(mime_type: str, filename: str | None) -> str:
    """`.jpg` and the like, from the name or else from the type; at most eight letters and digits."""
    suffix = PurePosixPath(filename or "").suffix.lower()
    if suffix[1:].isalnum() and suffix.isascii() and len(suffix) <= 9:
        return suffix
    return EXTENSIONS.get(mime_type) or mimetypes.guess_extension(mime_type) or ".bin"


def check_size(mime_type: str, size: int) -> None:
    """Raises TooLarge over Meta's limit for the kind of file, BadRequest for an empty one."""
    if size == 0:
        raise BadRequest("The file is empty.")
    if mime_type == STICKER and size > LARGEST_STICKER:
        raise TooLarge(
            f"WhatsApp takes {STICKER} as stickers only, up to {LARGEST_STICKER // 1024} KB; "
            f"this one has {size:,} bytes."
        )
    kind = mime_type.split("/")[0]
    limit = LIMITS.get(kind, LARGEST)
    if size > limit:
        what = kind if kind in LIMITS else "document"
        raise TooLarge(
            f"WhatsApp takes {what} files up to {limit // MEGABYTE} MB; this one has {size:,} bytes."
        )


def served_type(mime_type: str | None) -> str:
    """The type a file is served as: its own, unless it is none or one that a browser would run."""
    if mime_type is None or not _type.fullmatch(mime_type):
        return UNKNOWN
    plain = mime_type.split(";")[0].strip().lower()
    return UNKNOWN if RUN_BY_BROWSERS.search(plain) else mime_type


def key_of(team_id: str, sha256: str) -> str:
    """By content, so the same file twice is kept once; by team, so that one can be exported or erased."""
    return f"{team_id}/{sha256[:2]}/{sha256}"


def files_in(data_type: str, content: Any) -> Iterator[dict[str, Any]]:
    """The media objects with an id in a message: itself, or in its header, its components, its cards."""
    if data_type in MEDIA:
        content = {data_type: content}
    yield from _files_below(content, 0)


def expected(file: dict[str, Any], *, team_id: str, plugin_id: str, message_id: str) -> Expected:
    """What a media object of a webhook says of its file; what is not text says nothing."""
    said = {name: value for name, value in file.items() if isinstance(value, str)}
    return Expected(
        team_id,
        plugin_id,
        message_id,
        said["id"],
        mid_of(said.get("url")),
        said.get("mime_type"),
        said.get("filename"),
        hex_of(said.get("sha256")),
    )


def mid_of(url: str | None) -> str | None:
    """The `mid` of the address in Meta's webhook."""
    try:
        found = parse_qs(urlsplit(url or "").query).get("mid", [""])[0]
    except ValueError:  # brackets that hold no address
        return None
    return found if 0 < len(found) <= LONGEST_ID else None


def hex_of(sha256: Any) -> str | None:
    """A SHA-256 in hex, from hex or from base64: Meta writes both."""
    if not isinstance(sha256, str):
        return None
    if re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        return sha256.lower()
    try:
        digest = base64.b64decode(sha256, validate=True)
    except (binascii.Error, ValueError):
        return None
    return digest.hex() if len(digest) == 32 else None


LONGEST_ID = 128
_id = re.compile(rf"[A-Za-z0-9_-]{{1,{LONGEST_ID}}}")
_type = re.compile(r"[\w.+-]+/[\w.+-]+(; ?[\w.+-]+=[\w.+-]+)*", re.ASCII)


def is_media_id(value: Any) -> bool:
    return isinstance(value, str) and _id.fullmatch(value) is not None


def _files_below(value: Any, depth: int) -> Iterator[dict[str, Any]]:
    if depth > DEEPEST:
        return
    if isinstance(value, dict):
        for name, it in value.items():
            if name in MEDIA and isinstance(it, dict) and is_media_id(it.get("id")):
                yield it
            else:
                yield from _files_below(it, depth + 1)
    elif isinstance(value, list):
        for it in value:
            yield from _files_below(it, depth + 1)


def _by_extension(filename: str | None) -> str | None:
    suffix = PurePosixPath(filename or "").suffix.lower()
    return next((mime for mime, extension in EXTENSIONS.items() if extension == suffix), None)


def _by_beginning(content: bytes) -> str | None:
    return next((mime for beginning, mime in BEGINNINGS if beginning.match(content)), None)
