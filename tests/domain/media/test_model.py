"""What a file is, and what a message says of its files."""

from typing import Any

import pytest

from samvad.domain.media.model import files_in, hex_of, mid_of, served_type, type_of

LOOKASIDE = "https://lookaside.fbsbx.com/whatsapp_business/attachments/"


@pytest.mark.parametrize(
    ("beginning", "mime_type"),
    [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"RIFF\n\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"%PDF-1.7", "application/pdf"),
        (b"OggS\x00", "audio/ogg"),
        (b"\x00\x00\x00\x18ftypmp42", "video/mp4"),
        (b"\x00\x00\x00\x18ftyp3gp4", "video/3gpp"),
        (b"<html>", "application/octet-stream"),
    ],
)
def test_a_file_that_says_nothing_is_known_by_how_it_begins(beginning: bytes, mime_type: str):
    assert type_of("application/octet-stream", "blob", beginning) == mime_type
    assert type_of("text/plain", "blob", beginning) == "text/plain", "what is declared wins"
    assert type_of(None, "a.png", beginning) == "image/png", "and so does a name"


def test_a_type_is_served_as_it_is_unless_a_browser_would_run_it():
    for mime_type in ("image/png", "audio/ogg; codecs=opus", "text/plain", "application/vnd.ms-excel"):
        assert served_type(mime_type) == mime_type
    for run in (
        None,
        "",
        "TEXT/HTML",
        "image/svg+xml",
        "application/rss+xml",
        "application/x-javascript",
        "message/rfc822",
        "image/png\r\nSet-Cookie: a=b",
    ):
        assert served_type(run) == "application/octet-stream"


def test_the_files_of_a_message_are_found_wherever_they_stand():
    image: dict[str, Any] = {"id": "17", "mime_type": "image/png"}
    header = {"type": "image", "image": image}
    card = {"components": [{"type": "header", "parameters": [header]}]}
    messages: tuple[tuple[str, Any], ...] = (
        ("image", image),
        ("interactive", {"type": "button", "header": header}),
        ("template", {"components": [{"type": "header", "parameters": [header]}]}),
        ("template", {"components": [{"type": "carousel", "cards": [card]}]}),
    )
    for data_type, content in messages:
        assert list(files_in(data_type, content)) == [image], data_type
    without: tuple[Any, ...] = ({}, {"link": "https://a.test"}, {"id": 17}, {"id": "../17"}, {"id": ""}, None)
    assert [it for content in without for it in files_in("image", content)] == []
    deep: Any = header
    for _ in range(2000):
        deep = [deep]
    assert list(files_in("interactive", deep)) == []


def test_a_hash_is_read_in_hex_and_in_base64_and_a_mid_from_its_address():
    assert hex_of("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=") == hex_of(
        "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"
    )
    assert [hex_of(it) for it in (None, 5, "", "abc=", "é")] == [None] * 5
    assert mid_of(f"{LOOKASIDE}?mid=12&ext=1&hash=x") == "12"
    assert [mid_of(it) for it in (None, "", LOOKASIDE, "http://[", f"{LOOKASIDE}?mid={'1' * 500}")] == [
        None
    ] * 5
