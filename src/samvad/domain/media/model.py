"""Files as WhatsApp wants them: types, limits and names. No I/O."""

import mimetypes
from pathlib import PurePosixPath

from samvad.kit.errors import BadRequest, TooLarge

MEGABYTE = 1024 * 1024
LIMITS = {"image": 5 * MEGABYTE, "video": 16 * MEGABYTE, "audio": 16 * MEGABYTE}
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

NEVER_SERVED_AS = ("text/html", "application/xhtml+xml", "image/svg+xml", "text/xml", "application/xml")
"""A browser would run what is in these; they are served as plain bytes to be downloaded."""


def type_of(declared: str | None, filename: str | None) -> str:
    """A file's type: as declared, or by its name where the declaration says nothing."""
    declared = (declared or "").split(";")[0].strip().lower()
    if declared in ("", UNKNOWN):
        declared = mimetypes.guess_type(filename or "")[0] or _by_extension(filename) or UNKNOWN
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
    kind = mime_type.split("/")[0]
    limit = LIMITS.get(kind, LARGEST)
    if size == 0:
        raise BadRequest("The file is empty.")
    if size > limit:
        what = kind if kind in LIMITS else "document"
        raise TooLarge(
            f"WhatsApp takes {what} files up to {limit // MEGABYTE} MB; this one has {size:,} bytes."
        )


def served_type(mime_type: str) -> str:
    return UNKNOWN if mime_type in NEVER_SERVED_AS else mime_type


def _by_extension(filename: str | None) -> str | None:
    suffix = PurePosixPath(filename or "").suffix.lower()
    return next((mime for mime, extension in EXTENSIONS.items() if extension == suffix), None)
