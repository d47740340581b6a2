"""What a photo is, by its bytes alone; and that a file made to be long to read is not read for long."""

import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samvad.domain.photos.model import (
    JPEG,
    KINDS,
    LARGEST,
    MOST_READS,
    filename_of,
    filetype_of,
    kind_of,
    photo_id_of,
    sides_of,
)
from samvad.kit.errors import BadRequest, SamvadError, TooLarge
from tests.api import pictures
from tests.api.pictures import HEIGHT, WIDTH

AT_MOST_S = 3.0  # of a processor, for what takes some ten milliseconds


@pytest.mark.parametrize(("mime_type", "picture"), list(pictures.KINDS.items()))
def test_each_kind_of_image_is_known_by_its_bytes_and_so_are_its_sides(mime_type, picture):
    extension, content = picture

    kind = kind_of(content)

    assert (kind.mime_type, kind.extensions[0]) == (mime_type, extension)
    assert sides_of(content) == (WIDTH, HEIGHT)


def test_there_is_a_picture_here_of_each_kind_that_is_taken():
    assert {it.mime_type for it in KINDS} == pictures.KINDS.keys()


@pytest.mark.parametrize(
    "content",
    [
        b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>',
        b'<?xml version="1.0"?><svg/>',
        b"<!doctype html><script>alert(1)</script>",
        b"%PDF-1.7",
        b"BMW is not a bitmap, whatever its letters say",
        b"RIFF\x00\x00\x00\x00WAVEfmt ",
        b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00",
        b" \x89PNG\r\n\x1a\n",
        b"\xff\xd8",
        b"P6 1 1 255 abc",
    ],
)
def test_what_is_no_photo_is_refused_with_the_kinds_that_are(content):
    with pytest.raises(BadRequest, match="send one of JPEG, PNG"):
        kind_of(content)


def test_a_photo_is_neither_empty_nor_larger_than_its_limit():
    with pytest.raises(BadRequest, match="empty"):
        kind_of(b"")
    with pytest.raises(TooLarge, match="20 MB"):
        kind_of(pictures.png() + bytes(LARGEST))
    assert kind_of(pictures.png().ljust(LARGEST, b"\0")).mime_type == "image/png"


@pytest.mark.parametrize(
    ("said", "filename", "known_as"),
    [
        ("jpeg", None, "jpeg"),
        (".JPG", "a.jpeg", "jpg"),
        (None, "holiday.JPEG", "jpeg"),
        ("png", "holiday.png", "jpg"),
        ("html", "x.html", "jpg"),
        ("", "", "jpg"),
    ],
)
def test_the_clients_word_for_the_type_counts_where_the_bytes_bear_it_out(said, filename, known_as):
    assert filetype_of(JPEG, said, filename) == known_as


def test_the_first_name_that_is_one_is_the_name():
    assert filename_of(None, " ", "a.png") == "a.png"
    assert filename_of(None, "") is None
    with pytest.raises(BadRequest, match="255 is the most"):
        filename_of("x" * 256)


def test_an_id_is_a_uuid_in_any_case():
    assert photo_id_of("01942000-2710-4000-8000-0000000000FF") == "01942000-2710-4000-8000-0000000000ff"
    for wrong in ("", "1", "01942000271040008000000000000000", "{01942000-2710-4000-8000-0000000000ff}"):
        with pytest.raises(BadRequest, match="must be a UUID"):
            photo_id_of(wrong)


def test_a_picture_that_says_it_is_enormous_costs_nothing():
    started = time.thread_time()

    assert sides_of(pictures.png(2**31 - 1, 2**31 - 1)) == (2**31 - 1, 2**31 - 1)
    assert sides_of(pictures.png(2**32 - 1, 1)) == (None, None)

    assert time.thread_time() - started < AT_MOST_S


def long_to_read() -> dict[str, bytes]:
    def box(name: bytes, content: bytes) -> bytes:
        return struct.pack(">L", len(content) + 8) + name + content

    head = box(b"ftyp", b"heic" + bytes(4))
    places = b"\x01\0\0\0\0\0" + struct.pack(">H", 65535) + (bytes(6) + b"\xff\xff") * 65535
    return {
        "segments without end": pictures.jpeg(before=b"\xff\xe1\x00\x02" * 4_000_000),
        "fill bytes": b"\xff\xd8\xff\xe0\x00\x02" + b"\xff" * 15_000_000,
        "entries without end": b"II+\x00\x08\0\0\0" + struct.pack("<QQ", 16, 2**60) + bytes(15_000_000),
        "boxes without end": head + box(b"meta", bytes(4) + box(b"free", b"") * 1_800_000),
        "brands without end": box(b"ftyp", b"mif1" + bytes(4) + b"none" * 4_000_000),
        "places without end": head + box(b"meta", bytes(4) + box(b"iloc", places)),
        "names without end": head
        + box(
            b"meta",
            bytes(4) + box(b"iprp", box(b"ipma", bytes(4) + struct.pack(">L", 2**31) + bytes(15_000_000))),
        ),
    }


@pytest.mark.parametrize(("what", "content"), list(long_to_read().items()), ids=list(long_to_read()))
def test_a_file_made_to_be_long_to_read_is_given_up_early(what, content):
    started = time.thread_time()

    kind_of(content)
    sides = sides_of(content)

    assert sides == (None, None)
    assert time.thread_time() - started < AT_MOST_S


def test_a_photo_with_many_notes_before_its_size_still_has_one():
    notes = (b"\xff\xe1" + struct.pack(">H", 65_535) + bytes(65_533)) * 30

    assert len(notes) < MOST_READS * 65_535
    assert sides_of(pictures.jpeg(before=notes)) == (WIDTH, HEIGHT)


@given(
    st.sampled_from([it for _, it in pictures.KINDS.values()]), st.binary(max_size=80), st.integers(0, 120)
)
def test_a_broken_photo_has_sides_or_none_and_never_breaks_us(content, garbage, at):
    spoilt = content[:at] + garbage + content[at + len(garbage) :]

    try:
        kind_of(spoilt)
    except SamvadError:
        return
    width, height = sides_of(spoilt)

    assert (width is None) == (height is None)
    assert width is None or width > 0
