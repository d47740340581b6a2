"""Photos over the wire: what goes up comes down the same, under the key alone, and one id is one photo."""

import asyncio
import uuid
from typing import Any

import httpx

from tests.api import pictures
from tests.api.asking import NOBODY, second_team, sentence
from tests.api.pictures import HEIGHT, WIDTH
from tests.harness import Product

PHOTO = "/v1/ext/photo"
MB = 1024 * 1024
KEYS = ["id", "createdAt", "updatedAt", "filetype", "filename", "height", "width", "isPublic", "team", "user"]


async def upload(
    product: Product,
    content: bytes,
    photo_id: str | None = None,
    *,
    client: httpx.AsyncClient | None = None,
    name: str | None = "blob",
    **fields: str,
) -> httpx.Response:
    path = PHOTO if photo_id is None else f"{PHOTO}/{photo_id}"
    part: Any = (name, content, "application/octet-stream")
    return await (client or product.api).post(path, files={"photo": part}, data=fields or None)


async def uploaded(product: Product, content: bytes, *args: Any, **fields: Any) -> dict[str, Any]:
    reply = await upload(product, content, *args, **fields)
    assert reply.status_code == 200, reply.text
    photo: dict[str, Any] = reply.json()["_data"]
    return photo


async def test_a_photo_of_each_kind_goes_up_and_comes_down_the_same(product: Product) -> None:
    for mime_type, (extension, content) in pictures.KINDS.items():
        photo = await uploaded(product, content, filename="mobile_screenshot")
        read = await product.api.get(f"{PHOTO}/{photo['id']}")
        meta = await product.api.get(f"{PHOTO}/{photo['id']}", params={"meta": "true"})

        assert list(photo) == KEYS
        assert photo["filetype"] == extension
        assert (photo["width"], photo["height"]) == (WIDTH, HEIGHT), mime_type
        assert photo["filename"] == "mobile_screenshot"
        assert (photo["team"], photo["user"], photo["isPublic"]) == (product.team.id, None, False)
        assert photo["createdAt"] == photo["updatedAt"]
        assert meta.json() == {"_data": photo}
        assert read.content == content
        assert read.headers["content-type"] == mime_type
        assert read.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in read.headers["content-security-policy"]
        assert "private" in read.headers["cache-control"]
        assert f'filename="mobile_screenshot.{extension}"' in read.headers["content-disposition"]


async def test_part_of_a_photo_can_be_read_and_one_that_is_known_is_not_sent_again(product: Product) -> None:
    photo = await uploaded(product, pictures.png())
    path = f"{PHOTO}/{photo['id']}"

    part = await product.api.get(path, headers={"Range": "bytes=1-3"})
    head = await product.api.head(path)
    known = await product.api.get(path, headers={"If-None-Match": head.headers["etag"]})
    beyond = await product.api.get(path, headers={"Range": "bytes=100000-"})

    assert (part.status_code, part.content) == (206, b"PNG")
    assert part.headers["content-type"] == "image/png"
    assert head.headers["content-length"] == str(len(pictures.png()))
    assert (known.status_code, known.content) == (304, b"")
    sentence(beyond, 416)


async def test_a_photo_has_the_name_and_the_type_its_client_gives_it_where_they_are_true(
    product: Product,
) -> None:
    by_part = await uploaded(product, pictures.jpeg(), name="holiday.jpeg")
    by_field = await uploaded(product, pictures.jpeg(), name="x.gif", filename="é\0è", filetype="png")
    nameless = await product.api.post(
        PHOTO,
        content=b'--x\r\nContent-Disposition: form-data; name="photo"\r\n\r\n'
        + pictures.gif()
        + b"\r\n--x--\r\n",
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    )

    assert (by_part["filename"], by_part["filetype"]) == ("holiday.jpeg", "jpeg")
    assert (by_field["filename"], by_field["filetype"]) == ("é\ufffdè", "jpg")
    assert nameless.json()["_data"]["filename"] is None
    shown = await product.api.get(f"{PHOTO}/{by_field['id']}")
    assert shown.headers["content-type"] == "image/jpeg"


async def test_an_id_of_the_clients_own_is_one_photo_however_often_it_is_sent(product: Product) -> None:
    photo_id = str(uuid.uuid4())
    first = await uploaded(product, pictures.png(), photo_id.upper(), filename="a")

    again = await uploaded(product, pictures.png(), photo_id, filename="a")
    product.clock.pass_by(1_000)
    other = await uploaded(product, pictures.gif(), photo_id, filename="b")
    read = await product.api.get(f"{PHOTO}/{photo_id.upper()}")

    assert first["id"] == photo_id
    assert again == first
    assert other["id"] == photo_id
    assert other["createdAt"] == first["createdAt"]
    assert other["updatedAt"] > first["updatedAt"]
    assert (other["filetype"], other["filename"]) == ("gif", "b")
    assert (read.content, read.headers["content-type"]) == (pictures.gif(), "image/gif")


async def test_one_id_sent_many_times_at_once_is_one_photo(product: Product) -> None:
    photo_id = str(uuid.uuid4())
    kinds = [content for _, content in pictures.KINDS.values()]

    replies = await asyncio.gather(*(upload(product, it, photo_id) for it in kinds))

    assert [it.status_code for it in replies] == [200] * len(kinds)
    assert (await product.api.get(f"{PHOTO}/{photo_id}")).content in kinds


async def test_a_photo_is_seen_by_its_own_team_alone(product: Product) -> None:
    photo = await uploaded(product, pictures.png())
    _, other = await second_team(product)
    path = f"{PHOTO}/{photo['id']}"
    async with other, product.client(None) as stranger:
        taken = sentence(await upload(product, pictures.gif(), photo["id"], client=other), 409)
        sentence(await other.get(path), 404)
        sentence(await other.get(path, params={"meta": "true"}), 404)
        sentence(await stranger.get(path), 401)
        sentence(await upload(product, pictures.gif(), client=stranger), 401)
        theirs = await uploaded(product, pictures.png(), client=other)

    assert product.team.id not in taken
    assert theirs["id"] != photo["id"]
    assert (await product.api.get(path)).content == pictures.png()
    assert (await product.api.get(path, params={"meta": "true"})).json()["_data"] == photo


async def test_two_teams_that_take_one_id_at_once_do_not_both_get_it(product: Product) -> None:
    _, other = await second_team(product)
    async with other:
        for _ in range(5):
            photo_id = str(uuid.uuid4())
            replies = await asyncio.gather(
                upload(product, pictures.png(), photo_id),
                upload(product, pictures.gif(), photo_id, client=other),
            )

            assert sorted(it.status_code for it in replies) == [200, 409]


async def test_what_is_no_photo_is_refused_with_a_sentence(product: Product) -> None:
    png = pictures.png()
    for content, status, words in (
        (b"", 400, "empty"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', 400, "send one of JPEG"),
        (b"<!doctype html><script>alert(1)</script>", 400, "send one of JPEG"),
        (png + bytes(20 * MB), 413, "20 MB"),
        (png + bytes(21 * MB), 413, "larger than"),
    ):
        assert words in sentence(await upload(product, content, filetype="png"), status)
    assert (await upload(product, png.ljust(20 * MB, b"\0"))).status_code == 200

    form = {"file": ("a.png", png, "image/png")}
    assert "the part `photo`" in sentence(await product.api.post(PHOTO, files=form), 400)
    assert "multipart/form-data" in sentence(await product.api.post(PHOTO, json={"photo": "abc"}), 400)
    assert "255" in sentence(await upload(product, png, filename="x" * 256), 400)
    assert "must be a UUID" in sentence(await upload(product, png, "mine"), 400)
    for wrong in (NOBODY, "mine", "a" * 3000, "%00"):
        sentence(await product.api.get(f"{PHOTO}/{wrong}"), 404)
    photo = await uploaded(product, png)
    wrong_meta = await product.api.get(f"{PHOTO}/{photo['id']}", params={"meta": "yes"})
    assert "true or false" in sentence(wrong_meta, 400)
