"""Media: uploads, downloads, what customers send, and what Meta fetches from links."""

import base64
import hashlib
import zlib
from typing import Any

import httpx
import pytest

from tests.sandbox.wire import NUMBER, WABA, Wire, error_of, until, wamid_of

PNG = b"\x89PNG\r\n\x1a\n" + b"tea" * 10


async def upload(wire: Wire, data: bytes = PNG, mime_type: str = "image/png", **form: str) -> httpx.Response:
    fields = {"messaging_product": "whatsapp"} | form
    return await wire.meta.post(
        f"/v25.0/{NUMBER}/media", data=fields, files={"file": ("tea.png", data, mime_type)}
    )


@pytest.mark.parametrize(
    ("kind", "mime_type", "magic"),
    [
        ("image", "image/png", b"\x89PNG"),
        ("sticker", "image/webp", b"RIFF"),
        ("audio", "audio/ogg; codecs=opus", b"OggS"),
        ("video", "video/mp4", b"\x00\x00\x00\x18ftyp"),
        ("document", "application/pdf", b"%PDF-1.4"),
    ],
)
async def test_a_customer_sends_a_real_small_file(
    wire: Wire, kind: str, mime_type: str, magic: bytes
) -> None:
    message: dict[str, Any] = {"type": kind, kind: {"caption": "look"}}
    await wire.writes(**message)
    await until(lambda: wire.receiver.messages)
    media = wire.receiver.messages[0][kind]

    found = (await wire.meta.get(f"/v25.0/{media['id']}", params={"phone_number_id": NUMBER})).json()
    data = await wire.meta.get(found["url"])

    assert media["mime_type"] == found["mime_type"] == mime_type
    assert data.content.startswith(magic)
    assert base64.b64encode(hashlib.sha256(data.content).digest()).decode() == media["sha256"]
    assert found["file_size"] == len(data.content)
    assert (await wire.meta.get(media["url"])).content == data.content
    assert (await wire.shown())[0]["media"]["file_size"] == len(data.content)


async def test_the_picture_is_a_picture(wire: Wire) -> None:
    media = (await wire.writes(type="image"))["message"]["image"]

    data = (await wire.meta.get(media["url"])).content

    start = data.index(b"IDAT") + 4
    pixels = zlib.decompress(data[start : data.index(b"IEND") - 8])
    assert len(pixels) == 64 * (1 + 64 * 3)


async def test_a_customer_sends_given_bytes(wire: Wire) -> None:
    data = base64.b64encode(b"col1,col2\n").decode()

    sent = await wire.writes(
        type="document", document={"data": data, "mime_type": "text/csv", "filename": "t.csv"}
    )

    document = sent["message"]["document"]
    assert (document["mime_type"], document["filename"]) == ("text/csv", "t.csv")
    assert "data" not in document
    shown = await wire.meta.get(f"/phones/919812345678/messages/{sent['wamid']}/media")
    assert shown.content == b"col1,col2\n"


async def test_a_download_needs_the_owners_token_and_a_fresh_url(wire: Wire, clock: Any) -> None:
    media_id = (await upload(wire)).json()["id"]
    url = (await wire.meta.get(f"/{media_id}")).json()["url"]
    stranger = {"authorization": "Bearer a-token-of-the-book-shop"}

    good = await wire.meta.get(url)
    without = await wire.meta.get(url, headers={"authorization": ""})
    of_stranger = await wire.meta.get(url, headers=stranger)
    forged = await wire.meta.get(url.replace("hash=", "hash=0"))
    clock.now += 301
    expired = await wire.meta.get(url)

    assert "/whatsapp_business/attachments/?mid=" in url
    assert good.content == PNG
    assert [one.status_code for one in (without, of_stranger, forged, expired)] == [401, 404, 404, 404]
    fresh = (await wire.meta.get(f"/{media_id}")).json()["url"]
    assert (await wire.meta.get(fresh)).status_code == 200
    assert error_of(await wire.meta.get(f"/{media_id}", headers=stranger))["error_subcode"] == 33


async def test_an_upload_can_be_sent_and_deleted(wire: Wire) -> None:
    await wire.control("/phones/919812345678/window", {"open": True})
    media_id = (await upload(wire)).json()["id"]

    sent = wamid_of(await wire.send("image", {"id": media_id, "caption": "Tea"}))
    deleted = await wire.meta.delete(f"/v25.0/{media_id}")
    gone = await wire.send("image", {"id": media_id})

    await until(lambda: wire.receiver.told_of(sent)[-1:] == ["read"])
    assert deleted.json() == {"success": True}
    assert "not a valid whatsapp business account media attachment ID" in error_of(gone)["message"]


async def test_an_upload_expires_after_thirty_days(wire: Wire, clock: Any) -> None:
    media_id = (await upload(wire)).json()["id"]
    clock.now += 30 * 24 * 3600

    assert error_of(await wire.meta.get(f"/{media_id}"))["error_subcode"] == 33


async def test_an_upload_of_the_wrong_type_or_without_a_file_is_refused(wire: Wire) -> None:
    wrong = await upload(wire, mime_type="application/x-tea")
    no_product = await upload(wire, messaging_product="")
    no_file = await wire.meta.post(f"/{NUMBER}/media", json={"messaging_product": "whatsapp"})
    headers = {"content-type": "multipart/form-data; boundary=x"}
    broken = await wire.meta.post(f"/{NUMBER}/media", content=b"--x\r\nbad", headers=headers)
    no_boundary = await wire.meta.post(
        f"/{NUMBER}/media", content=b"x", headers={"content-type": "multipart/form-data"}
    )

    assert "must be a file with one of the following types" in error_of(wrong)["message"]
    assert "messaging_product is required" in error_of(no_product)["message"]
    assert "file is required" in error_of(no_file)["message"]
    assert {one.status_code for one in (wrong, no_product, no_file, broken, no_boundary)} == {400}


async def test_a_link_is_fetched_after_the_answer_and_shown(wire: Wire) -> None:
    await wire.control("/phones/919812345678/window", {"open": True})
    wire.receiver.file = (PNG, "image/png")

    wamid = wamid_of(await wire.send("image", {"link": f"{wire.receiver.url}/file"}))

    await until(lambda: wire.receiver.told_of(wamid) == ["sent", "delivered", "read"])
    assert (await wire.shown())[0]["media"]["file_size"] == len(PNG)


@pytest.mark.parametrize(
    ("path", "mime_type"), [("/nothing", "image/png"), ("/file", "text/html"), (None, "image/png")]
)
async def test_a_link_that_cannot_be_used_fails_the_message(
    wire: Wire, path: str | None, mime_type: str
) -> None:
    await wire.control("/phones/919812345678/window", {"open": True})
    wire.receiver.file = (PNG, mime_type)
    link = f"{wire.receiver.url}{path}" if path else "http://127.0.0.1:9/file"

    wamid = wamid_of(await wire.send("image", {"link": link}))

    await until(lambda: wire.receiver.told_of(wamid) == ["failed"])
    assert wire.receiver.told[0]["errors"][0]["code"] == 131053


async def test_a_file_of_another_kind_fails_the_message(wire: Wire) -> None:
    await wire.control("/phones/919812345678/window", {"open": True})
    media_id = (await upload(wire, b"%PDF-1.4", "application/pdf")).json()["id"]

    wamid = wamid_of(await wire.send("image", {"id": media_id}))

    await until(lambda: wire.receiver.told_of(wamid) == ["failed"])


async def test_the_header_of_a_template_is_fetched_too(wire: Wire) -> None:
    header = {"type": "header", "parameters": [{"type": "image", "image": {"link": "http://127.0.0.1:9/"}}]}
    body = {"type": "body", "parameters": [{"type": "text", "text": "Asha"}]}

    wamid = wamid_of(await wire.template("new_arrivals", header, body))

    await until(lambda: wire.receiver.told_of(wamid) == ["failed"])
    assert wire.receiver.values[0]["metadata"]["phone_number_id"] == NUMBER
    assert wire.receiver.bodies[0]["entry"][0]["id"] == WABA


async def test_a_strange_media_type_cannot_break_the_download(wire: Wire) -> None:
    sent = await wire.writes(type="image", image={"mime_type": "image/png\r\nx-evil: 1", "data": ""})

    answer = await wire.meta.get(sent["message"]["image"]["url"])

    assert answer.status_code == 200
    assert "x-evil" not in answer.headers
