"""Public files: what goes up comes down the same, for everyone, and never as a page a browser runs."""

import asyncio
from typing import Any

import httpx

from tests.api.asking import NOBODY, sentence
from tests.harness import Product, asking

MB = 1024 * 1024
BYTES = bytes(range(256)) * 64 + "é\r\n--x".encode()


async def upload(product: Product, *file: Any, **fields: str) -> httpx.Response:
    """`file` is what httpx takes: name, bytes, type."""
    path = product.plugin("upload-public-media")
    return await product.api.post(
        path, files={"file": file if len(file) > 1 else file[0]}, data=fields or None
    )


async def test_what_goes_up_comes_down_the_same_without_a_key(product: Product) -> None:
    kinds: dict[str, tuple[Any, dict[str, str], str, str]] = {
        "declared": (("photo.PNG", BYTES, "image/png"), {}, "image/png", ".png"),
        "by its name": (("menu.pdf", BYTES, "application/octet-stream"), {}, "application/pdf", ".pdf"),
        "by its field": (
            ("blob", BYTES, "application/octet-stream"),
            {"filename": "a.jpg"},
            "image/jpeg",
            ".jpg",
        ),
        "the field wins": (("a.png", BYTES, "image/png"), {"filename": "b.jpeg"}, "image/png", ".jpeg"),
        "mp3 under Meta's name": (("a.mp3", BYTES, "audio/mp3"), {}, "audio/mpeg", ".mp3"),
        "a voice message": (("v", BYTES, "audio/ogg; codecs=opus"), {}, "audio/ogg", ".ogg"),
        "nothing known": (
            ("blob", BYTES, "application/octet-stream"),
            {},
            "application/octet-stream",
            ".bin",
        ),
        "a page of a script": (("a.js", BYTES, ""), {}, "application/octet-stream", ".js"),
        "a page": (("a.html", BYTES, "text/html"), {}, "application/octet-stream", ".html"),
        "a drawing": (("a.svg", BYTES, "image/svg+xml"), {}, "application/octet-stream", ".svg"),
        "a page by its name": (
            ("blob", BYTES, ""),
            {"filename": "x.htm"},
            "application/octet-stream",
            ".htm",
        ),
        "a name that climbs": (("../../etc/passwd", BYTES, "text/plain"), {}, "text/plain", ".txt"),
        "a name with a NUL": (("a.png", BYTES, "image/png"), {"filename": "a\0b.png"}, "image/png", ".png"),
        "an extension that is none": (("a.p/../g", BYTES, "image/png"), {}, "image/png", ".png"),
    }
    async with asking() as anyone, product.client(None) as stranger:
        for what, (file, fields, mime_type, extension) in kinds.items():
            reply = await upload(product, *file, **fields)
            assert reply.status_code == 200, f"{what}: {reply.text}"
            url = reply.json()["_data"]["publicMediaUrl"]
            read = await anyone.get(url)
            policed = await stranger.get(url)

            assert url.startswith(f"{product.base_url}/public-media/{product.team.id}/"), what
            assert url.endswith(extension), what
            assert read.content == policed.content == BYTES, what
            assert read.headers["content-type"] == mime_type, what
            assert read.headers["content-length"] == str(len(BYTES)), what
            assert read.headers["x-content-type-options"] == "nosniff", what
            assert "sandbox" in read.headers["content-security-policy"], what
            head = await stranger.head(url)
            assert (head.status_code, head.headers["content-length"]) == (200, str(len(BYTES))), what


async def test_each_kind_of_file_has_metas_limit(product: Product) -> None:
    assert (await upload(product, "a.png", b"x" * 5 * MB, "image/png")).status_code == 200
    for mime_type, size, words in (
        ("image/png", 5 * MB + 1, "image files up to 5 MB"),
        ("audio/mpeg", 16 * MB + 1, "audio files up to 16 MB"),
        ("image/webp", 500 * 1024 + 1, "stickers only, up to 500 KB"),
    ):
        assert words in sentence(await upload(product, "a", bytes(size), mime_type), 413)

    assert "413" in await told_of_a_body_of(200 * MB, product)


async def test_a_part_needs_no_file_name_and_a_form_that_cannot_be_read_is_a_400(product: Product) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="%s"; filename="a.png"\r\n\r\nabc\r\n'
    form = "multipart/form-data; boundary=x"
    bodies: dict[str, tuple[bytes, str, str]] = {
        "no boundary": (b"x", "multipart/form-data", "boundary"),
        "no form": (b"{}", "application/json", "multipart/form-data"),
        "a form of another kind": (b"file=abc", "application/x-www-form-urlencoded", "multipart/form-data"),
        "no type": (b"abc", "", "multipart/form-data"),
        "nothing": (b"", form, "breaks off"),
        "garbage": (b"garbage", form, "could not be read"),
        "a form that breaks off": (part % b"file", form, "breaks off"),
        "a part without a name": (b"--x\r\nA: b\r\n\r\nabc\r\n--x--\r\n", form, "the part `file`"),
        "another part": (part % b"photo" + b"--x--\r\n", form, "the part `file`"),
        "too many parts": (part % b"file" * 30 + b"--x--\r\n", form, "more than 20 parts"),
        "a boundary of bytes": (b"x", "multipart/form-data; boundary=\xff\xfe", "could not be read"),
        "an empty file": ((part % b"file").replace(b"abc", b"") + b"--x--\r\n", form, "is empty"),
        "a type that is none": (
            (part % b"file").replace(b"\r\n\r\n", b"\r\nContent-Type: picture\r\n\r\n") + b"--x--\r\n",
            form,
            "content type",
        ),
    }
    for what, (body, content_type, words) in bodies.items():
        reply = await product.api.post(
            product.plugin("upload-public-media"),
            content=body,
            headers={b"Content-Type": content_type.encode("latin-1")},
        )
        assert words in sentence(reply, 400), what

    disposition = b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
    raw = bytes(range(256))
    for end in (b"\r\n--x--\r\n", b"\r\n--x--"):
        reply = await product.api.post(
            product.plugin("upload-public-media"),
            content=disposition + raw + end,
            headers={"Content-Type": "multipart/form-data; boundary=x"},
        )

        assert reply.status_code == 200, reply.text
        assert (await product.api.get(reply.json()["_data"]["publicMediaUrl"])).content == raw


async def test_an_address_that_was_not_given_out_leads_nowhere(product: Product) -> None:
    reply = await upload(product, "a.png", BYTES, "image/png")
    path = httpx.URL(reply.json()["_data"]["publicMediaUrl"]).path
    folder, _, name = path.rpartition("/")
    team_folder = folder.rpartition("/")[0]

    for tried in (
        f"{folder}/{NOBODY}.png",
        f"{folder}/{name}x",
        f"{folder}/{name}%00",
        f"{folder}/%2e%2e%2f{name}",
        f"{folder}/..%2f..%2f..%2fsecret.key",
        "/public-media/%2e%2e/%2e%2e/secret.key",
        "/public-media/..%5c/..%5c/samvad.db",
        f"{team_folder}/2020-01-01/{name}",
        f"/public-media/{NOBODY}/{folder.rpartition('/')[2]}/{name}",
        f"{folder}/",
        f"{team_folder}/",
        "/public-media/",
        f"{folder}/{'a' * 5000}",
        f"{folder}/%ff%fe",
    ):
        sentence(await product.api.get(tried), 404)
    assert (await product.api.get(path)).content == BYTES


async def told_of_a_body_of(size: int, product: Product) -> str:
    """The first line of the reply to an upload that only names its size: nobody waits for the bytes."""
    url = httpx.URL(product.base_url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = (
        f"POST {product.plugin('upload-public-media')} HTTP/1.1",
        f"Host: {url.host}",
        f"Authorization: Bearer {product.team.token}",
        "Content-Type: multipart/form-data; boundary=x",
        f"Content-Length: {size}",
    )
    writer.write("\r\n".join((*head, "", "")).encode())
    line = await reader.readline()
    writer.close()
    return line.decode()
