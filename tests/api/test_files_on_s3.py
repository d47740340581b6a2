"""The whole product with its files on S3; and what clients and customers see of a store that fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from samvad.domain.media import fetching
from tests.api import pictures
from tests.api.asking import sentence
from tests.api.test_photos import PHOTO, upload, uploaded
from tests.api.test_whatsapp_media import LIST, PICTURE, customer_sends, meta_forgets, show, stored
from tests.harness import Product, copy_file, running, until
from tests.s3 import S3

LARGE = PICTURE * 600  # some 6 MB: two parts of an upload


@asynccontextmanager
async def with_files_in(bucket: str, migrated: Path, folder: Path) -> AsyncIterator[Product]:
    async with running(
        copy_file(migrated, folder / "samvad.db"), folder, blob_url=f"s3://{bucket}/files"
    ) as it:
        yield it


async def published(product: Product, content: bytes) -> Any:
    return await product.api.post(
        product.plugin("upload-public-media"), files={"file": ("a.png", content, "image/png")}
    )


async def test_files_of_customers_photos_and_public_media_are_kept_in_the_bucket_and_served_from_it(
    s3: S3, database_url: str, tmp_path: Path
) -> None:
    bucket = s3.bucket()
    async with running(database_url, tmp_path, blob_url=f"s3://{bucket}/files") as product:
        media_id = await customer_sends(product, "video", LARGE, mime_type="video/mp4")
        await stored(product, media_id)
        meta_forgets(product)
        photo = await uploaded(product, pictures.jpeg())
        public = (await published(product, PICTURE)).json()["_data"]["publicMediaUrl"]

        whole = await product.api.get(show(media_id))
        part = await product.api.get(show(media_id), headers={"Range": f"bytes=10-{len(LARGE) - 6}"})
        tail = await product.api.get(show(media_id), headers={"Range": "bytes=-7"})
        photo_read = await product.api.get(f"{PHOTO}/{photo['id']}")
        public_read = await product.api.get(public)
        public_part = await product.api.get(public, headers={"Range": "bytes=1-3"})

        assert (whole.status_code, whole.content) == (200, LARGE)
        assert whole.headers["content-type"] == "video/mp4"
        assert (part.status_code, part.content) == (206, LARGE[10:-5])
        assert part.headers["content-range"] == f"bytes 10-{len(LARGE) - 6}/{len(LARGE)}"
        assert tail.content == LARGE[-7:]
        assert (photo_read.content, photo_read.headers["content-type"]) == (pictures.jpeg(), "image/jpeg")
        assert (public_read.content, public_read.headers["content-type"]) == (PICTURE, "image/png")
        assert (public_part.status_code, public_part.content) == (206, b"PNG")
        assert len(s3.keys(bucket)) == 3
        assert not (tmp_path / "files").exists()


async def test_a_file_that_the_bucket_has_lost_is_fetched_again_while_meta_has_it(
    s3: S3, migrated_sqlite: Path, tmp_path: Path
) -> None:
    bucket = s3.bucket()
    async with with_files_in(bucket, migrated_sqlite, tmp_path) as product:
        media_id = await customer_sends(product, "image", PICTURE)
        await stored(product, media_id)
        public = (await published(product, PICTURE + b"2")).json()["_data"]["publicMediaUrl"]
        for key in s3.keys(bucket):
            (s3.folder / bucket / key).unlink()

        assert (await product.api.get(show(media_id))).content == PICTURE
        sentence(await product.api.get(public), 404)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "does not do its work"),
        ({"AWS_SECRET_ACCESS_KEY": "another"}, "refuses us"),
        ({}, "no such bucket"),
    ],
    ids=["down", "wrong credentials", "no bucket"],
)
async def test_while_the_store_fails_clients_get_a_503_messages_come_in_and_their_files_follow_when_it_works_again(
    s3: S3,
    migrated_sqlite: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wrong: dict[str, str],
    words: str,
) -> None:
    monkeypatch.setattr(fetching, "BACK_OFF_MS", (1, 3_600_000))
    bucket = s3.bucket()
    async with with_files_in(bucket, migrated_sqlite, tmp_path) as product:
        photo = await uploaded(product, pictures.png())
        public = (await published(product, PICTURE)).json()["_data"]["publicMediaUrl"]
        for name, value in wrong.items():
            monkeypatch.setenv(name, value)
        await product.start_again(blob_url=f"s3://{bucket if wrong else 'never-made'}/files")

        media_id = await customer_sends(product, "image", PICTURE)
        file = await until(lambda: failed_twice(product, media_id))
        replies = [
            await upload(product, pictures.gif()),
            await published(product, PICTURE + b"new"),
            await product.api.get(show(media_id)),
            await product.api.get(f"{PHOTO}/{photo['id']}"),
            await product.api.get(public),
        ]
        health = await product.api.get("/v1/health")

        assert [it["dataType"] for it in await product.listed()] == ["image"]
        assert words in file["error"]
        for reply in replies:
            assert words in sentence(reply, 503)
            assert int(reply.headers["retry-after"]) > 0
            assert bucket not in reply.text
        assert health.status_code == 200

        for name, value in s3.settings.items():
            monkeypatch.setenv(name, value)
        await product.start_again(blob_url=f"s3://{bucket}/files")
        await product.api.post(f"{LIST}/{media_id}/fetch")
        await stored(product, media_id)

        assert (await product.api.get(show(media_id))).content == PICTURE
        assert (await product.api.get(public)).content == PICTURE


async def failed_twice(product: Product, media_id: str) -> dict[str, Any] | None:
    reply = await product.api.get(LIST)
    found = [it for it in reply.json()["_data"] if it["id"] == media_id and it["state"] == "FAILED"]
    return found[0] if found and found[0]["attemptCount"] == 2 else None


async def test_a_file_that_came_while_the_store_was_down_is_fetched_by_itself_when_it_is_up(
    migrated_sqlite: Path, s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "BACK_OFF_MS", (100,) * 100)
    (tmp_path / "s3").mkdir()
    own = S3(tmp_path / "s3")
    own.start()
    try:
        for name, value in own.settings.items():
            monkeypatch.setenv(name, value)
        async with with_files_in(own.bucket(), migrated_sqlite, tmp_path) as product:
            own.stop()
            media_id = await customer_sends(product, "image", PICTURE)
            await until(lambda: failed(product, media_id))

            await asyncio.to_thread(own.start)
            await stored(product, media_id)

            assert (await product.api.get(show(media_id))).content == PICTURE
    finally:
        own.stop()


async def failed(product: Product, media_id: str) -> bool:
    reply = await product.api.get(LIST, params={"state": "FAILED"})
    return media_id in [it["id"] for it in reply.json()["_data"]]


async def test_a_store_that_is_down_takes_no_server_out_of_the_balancer(
    s3: S3, migrated_sqlite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them would go at once, and with them messages that need no file."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    async with with_files_in(s3.bucket(), migrated_sqlite, tmp_path) as product:
        ready = await product.control.get(f"{product.base_url}/ready")

        assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
