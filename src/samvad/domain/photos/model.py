"""What a photo is: told by how its bytes begin, never by what somebody calls it. No I/O."""

import io
import re
import uuid
from dataclasses import dataclass
from pathlib import PurePosixPath

import imagesize

from samvad.kit.errors import BadRequest, TooLarge

MEGABYTE = 1024 * 1024
LARGEST = 20 * MEGABYTE
LONGEST_NAME = 255  # characters

MOST_READS, MOST_READ = 2_000, 256 * 1024
"""How much of a file is looked at for its size: headers need less, and a file made to be long to read gets none."""

SIDE_LIMIT = 2**31  # pixels; what both databases' integers hold, and more than any picture has


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of image; the first of its extensions is what we call it by ourselves."""

    mime_type: str
    extensions: tuple[str, ...]


JPEG = Kind("image/jpeg", ("jpg", "jpeg", "jpe", "jfif"))
PNG = Kind("image/png", ("png",))
GIF = Kind("image/gif", ("gif",))
WEBP = Kind("image/webp", ("webp",))
BMP = Kind("image/bmp", ("bmp", "dib"))
TIFF = Kind("image/tiff", ("tiff", "tif"))
HEIC = Kind("image/heic", ("heic", "heif"))
HEIF = Kind("image/heif", ("heif", "heic"))
AVIF = Kind("image/avif", ("avif",))
KINDS = (JPEG, PNG, GIF, WEBP, BMP, TIFF, HEIC, HEIF, AVIF)

BEGINNINGS = (
    (re.compile(rb"\xff\xd8\xff"), JPEG),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), PNG),
    (re.compile(rb"GIF8[79]a"), GIF),
    (re.compile(rb"RIFF.{4}WEBPVP8", re.DOTALL), WEBP),
    # What was "reserved" is zero, and no text begins with it: two letters alone would let a letter to Bob in.
    (re.compile(rb"BM.{4}\x00{4}", re.DOTALL), BMP),
    (re.compile(rb"II\*\x00|MM\x00\*|II\+\x00|MM\x00\+"), TIFF),
)

BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), HEIC),
    **dict.fromkeys((b"avif", b"avis"), AVIF),
}
GENERAL_BRANDS = (b"mif1", b"msf1", b"mif2")  # some image of this family; the compatible brands say which
MOST_BRANDS = 32

_ftyp = re.compile(rb"(.{4})ftyp(.{4}).{4}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo of a team; `width` and `height` are in pixels as stored, before any turning a viewer does."""

    team_id: str
    id: str
    mime_type: str
    filetype: str
    filename: str | None
    size: int
    sha256: str
    width: int | None
    height: int | None
    user_id: str | None
    created_at: int
    updated_at: int


def photo_id_of(given: str) -> str:
    """The id a client made, in lower case. Raises BadRequest for what is no UUID."""
    if not is_uuid(given):
        raise BadRequest(
            f"The photo's id must be a UUID that you made, like {uuid.uuid4()}; got {given!r:.60}."
        )
    return given.lower()


def is_uuid(given: str) -> bool:
    return re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", given) is not None


def kind_of(content: bytes) -> Kind:
    """Which kind of image these bytes are. Raises TooLarge, BadRequest."""
    if not content:
        raise BadRequest("The photo is empty.")
    if len(content) > LARGEST:
        raise TooLarge(f"A photo has {LARGEST // MEGABYTE} MB at most; this one has {len(content):,} bytes.")
    found = next((kind for beginning, kind in BEGINNINGS if beginning.match(content)), None)
    kind = found or _by_brand(content)
    if kind is None:
        names = ", ".join(it.mime_type.removeprefix("image/").upper() for it in KINDS)
        raise BadRequest(f"These bytes are no photo that is kept here; send one of {names}.")
    return kind


def filetype_of(kind: Kind, said: str | None, filename: str | None) -> str:
    """The extension a photo is known by: the client's word where the bytes bear it out, or else our own."""
    words = ((said or "").strip().lower().removeprefix("."), PurePosixPath(filename or "").suffix[1:].lower())
    return next((word for word in words if word in kind.extensions), kind.extensions[0])


def filename_of(*given: str | None) -> str | None:
    """The first name that is one."""
    found = next((it.strip() for it in given if it is not None and it.strip()), None)
    if found is not None and len(found) > LONGEST_NAME:
        raise BadRequest(f"filename has {len(found):,} characters; {LONGEST_NAME} is the most.")
    return found


def sides_of(content: bytes) -> tuple[int | None, int | None]:
    """Width and height, from the headers alone: nothing is unpacked, however large it says it is."""
    # Without its turning: the list of places of a HEIC may be made to take hours.
    width, height = imagesize.get(_Sparing(content), exif_rotation=False)
    if 0 < width < SIDE_LIMIT and 0 < height < SIDE_LIMIT:
        return int(width), int(height)
    return None, None


class _Sparing(io.BytesIO):
    """A file of which little is read; past that there is nothing to see."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._reads, self._bytes = 0, 0

    def read(self, size: int | None = -1, /) -> bytes:
        self._reads += 1
        if size is None or size < 0 or self._bytes + size > MOST_READ or self._reads > MOST_READS:
            raise ValueError("more is to be read than a header has")
        self._bytes += size
        return super().read(size)


def _by_brand(content: bytes) -> Kind | None:
    """HEIC, HEIF or AVIF: boxes of one family, which the brands in the first one tell apart."""
    found = _ftyp.match(content)
    if found is None:
        return None
    length, brand = int.from_bytes(found[1], "big"), found[2]
    if brand in BRANDS:
        return BRANDS[brand]
    if brand not in GENERAL_BRANDS:
        return None
    compatible = content[16 : min(length, 16 + 4 * MOST_BRANDS)]
    brands = (compatible[at : at + 4] for at in range(0, len(compatible), 4))
    return next((BRANDS[it] for it in brands if it in BRANDS), HEIF)
