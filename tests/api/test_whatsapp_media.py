"""Files of WhatsApp: brought home behind the message, read with our key, long after Meta has forgotten them."""

import asyncio
import base64
import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from samvad.app import MEDIA_AT_ONCE
from samvad.domain import audit
from samvad.domain.media import fetching
from samvad.domain.media import queries as media
from samvad.domain.media.model import State
from tests.api.asking import refuse_next, second_team, sentence
from tests.harness import PATIENCE_S, Product, asking, running, until

LIST = "/v1/samvad/media"
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40

KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "image": ({"mime_type": "image/jpeg", "caption": "the menu"}, "image/jpeg"),
    "document": ({"mime_type": "application/pdf", "filename": 'Ménü "1".pdf'}, "application/pdf"),
    "audio": ({"mime_type": "audio/ogg; codecs=opus"}, "audio/ogg; codecs=opus"),
    "video": ({"mime_type": "video/mp4"}, "video/mp4"),
    "sticker": ({"mime_type": "image/webp"}, "image/webp"),
}


def show(media_id: str, prefix: str = "/v1") -> str:
    return f"{prefix}/whatsapp/v19.0/media/{media_id}/show"


async def customer_sends(product: Product, kind: str, content: bytes, **more: Any) -> str:
    """Meta's id of the file of a message that a customer sends, once the message is stored."""
    before = len(await product.listed())
    data = base64.b64encode(content).decode()
    await product.customer_sends({"type": kind, kind: {"data": data, **more}})

    async def listed() -> list[Any] | None:
        found = await product.listed()
        return found if len(found) > before else None

    newest = (await until(listed))[0]
    return str(newest["attachments"][0]["mediaId"])


async def stored(product: Product, *ids: str) -> None:
    async def all_stored() -> bool:
        files = [await product.app.db.team(product.team.id).read(media.find, it) for it in ids]
        return all(it is not None and it.state == State.STORED for it in files)

    await until(all_stored)


def meta_forgets(product: Product) -> None:
    product.sandbox.world.media.forget()


async def test_what_customers_send_is_brought_home_and_outlives_metas_copy(product: Product) -> None:
    contents = {kind: PICTURE + kind.encode() for kind in KINDS}
    ids = {kind: await customer_sends(product, kind, contents[kind], **KINDS[kind][0]) for kind in KINDS}
    await stored(product, *ids.values())
    meta_forgets(product)

    for message in await product.listed():
        kind, (attachment,) = message["dataType"], message["attachments"]
        assert attachment["url"] == f"{product.base_url}/v1/whatsapp/v25.0/media/{ids[kind]}/show"
        assert (await product.api.get(attachment["url"])).content == contents[kind]
    for kind, media_id in ids.items():
        given, mime_type = KINDS[kind]
        for prefix in ("/v1", "/v2"):
            shown = await product.api.get(
                show(media_id, prefix), headers={"Content-Type": "application/json"}
            )
            assert shown.content == contents[kind]
            assert shown.headers["content-type"] == mime_type
            assert shown.headers["content-length"] == str(len(contents[kind]))
            assert shown.headers["x-content-type-options"] == "nosniff"
            assert "sandbox" in shown.headers["content-security-policy"]
            assert shown.headers["content-disposition"].startswith("inline")
            described = (await product.api.get(f"{prefix}/whatsapp/v19.0/media/{media_id}")).json()
            assert described["mime_type"] == given["mime_type"]
            assert described["file_size"] == len(contents[kind])
            assert described["sha256"] == hashlib.sha256(contents[kind]).hexdigest()
            assert (described["id"], described["messaging_product"]) == (media_id, "whatsapp")
            assert (await product.api.get(described["url"])).content == contents[kind]
    named = (await product.api.get(show(ids["document"]))).headers["content-disposition"]
    assert named == "inline; filename=\"M_n_ _1_.pdf\"; filename*=UTF-8''M%C3%A9n%C3%BC%20%221%22.pdf"


async def test_the_address_in_a_webhook_opens_here_by_its_mid(product: Product) -> None:
    media_id = await customer_sends(product, "image", PICTURE)
    (message,) = await product.listed()
    await stored(product, media_id)
    meta_forgets(product)
    address = urlsplit(message["body"]["url"])
    assert address.path == "/whatsapp_business/attachments/"
    assert "hash=" in address.query

    for prefix in ("/v1", "/v2"):
        path = f"{prefix}/whatsapp/v23.0/media/whatsapp_business/attachments"
        assert (await product.api.get(f"{path}?{address.query}")).content == PICTURE
        assert "mid is missing" in sentence(await product.api.get(path), 400)
        assert (await product.api.get(f"{path}?mid=0&ext=1")).status_code == 400  # Meta's own word
    assert "v25.0" in sentence(await product.api.get(f"/v1/whatsapp/latest/media/{media_id}"), 400)


async def test_a_file_comes_in_ranges_and_only_when_it_changed(product: Product) -> None:
    media_id = await customer_sends(product, "image", PICTURE)
    upload = await product.api.post(
        product.plugin("upload-public-media"), files={"file": ("a.png", PICTURE, "image/png")}
    )
    size = len(PICTURE)
    for url in (show(media_id), upload.json()["_data"]["publicMediaUrl"]):
        for asked, start, end in (
            ("bytes=0-0", 0, 1),
            ("bytes=10-99", 10, 100),
            ("bytes=100-", 100, size),
            ("bytes=-5", size - 5, size),
            (f"bytes=5-{size * 9}", 5, size),
        ):
            part = await product.api.get(url, headers={"Range": asked})
            assert part.status_code == 206, asked
            assert part.content == PICTURE[start:end]
            assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
            assert part.headers["content-length"] == str(end - start)
        for asked in (f"bytes={size}-", "bytes=-0"):
            reply = await product.api.get(url, headers={"Range": asked})
            assert sentence(reply, 416).startswith("The file has")
            assert reply.headers["content-range"] == f"bytes */{size}"
        for asked in ("bytes=0-1,4-5", "lines=1-2", "bytes=x", "bytes=9-3", "bytes=-", "bytes=0-" + "9" * 30):
            assert (await product.api.get(url, headers={"Range": asked})).content == PICTURE, asked

        whole = await product.api.get(url)
        etag = whole.headers["etag"]
        for known in (etag, f'"x", W/{etag}', "*"):
            reply = await product.api.get(url, headers={"If-None-Match": known})
            assert (reply.status_code, reply.content) == (304, b"")
        assert (await product.api.get(url, headers={"If-None-Match": '"x"'})).content == PICTURE
        changed = {"Range": "bytes=0-1", "If-Range": '"x"'}
        assert (await product.api.get(url, headers=changed)).status_code == 200
        head = await product.api.head(url)
        assert (head.status_code, head.headers["content-length"], head.content) == (200, str(size), b"")


async def test_nothing_is_served_that_a_browser_would_run(product: Product) -> None:
    for mime_type in (
        "text/html",
        "image/svg+xml",
        "application/xhtml+xml; charset=utf-8",
        "text/javascript",
        "multipart/x-mixed-replace",
        "no type",
    ):
        given = {"mime_type": mime_type, "filename": "x.html"}
        media_id = await customer_sends(product, "document", b"<script>alert(1)</script>", **given)
        shown = await product.api.get(show(media_id))

        assert shown.headers["content-type"] == "application/octet-stream", mime_type
        assert shown.headers["content-disposition"].startswith("attachment; filename="), mime_type


async def test_a_fetch_that_fails_is_seen_and_tried_again_while_the_message_is_there(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "BACK_OFF_MS", (50, 100, 600_000))
    await refuse_next(product, code=803, calls="media", times=3)
    media_id = await customer_sends(product, "image", PICTURE)
    assert len(await product.listed()) == 1, "the message is there"

    async def failed() -> Any:
        page = (await product.api.get(LIST, params={"state": "FAILED"})).json()["_data"]
        return page[0] if page and page[0]["attemptCount"] == 3 else None

    file = await until(failed)
    assert (file["id"], file["size"], file["fetchedAt"]) == (media_id, None, None)
    assert "404" in file["error"]
    assert file["retryAt"] > file["updatedAt"]
    assert file["message"] == (await product.listed())[0]["id"]
    seen = await product.app.db.read(_audit)
    assert [it["id"] for it in seen["mediaFailed"]] == [media_id]

    again = await product.api.post(f"{LIST}/{media_id}/fetch")

    assert again.json()["_data"]["state"] == "PENDING"
    await stored(product, media_id)
    (file,) = (await product.api.get(LIST)).json()["_data"]
    assert (file["state"], file["error"], file["retryAt"]) == ("STORED", None, None)
    assert (await product.api.get(show(media_id))).content == PICTURE
    assert (await product.api.get(LIST, params={"state": "FAILED"})).json()["_data"] == []
    assert (await product.api.post(f"{LIST}/{media_id}/fetch")).json()["_data"]["state"] == "STORED"
    sentence(await product.api.post(f"{LIST}/4711/fetch"), 404)
    assert "PENDING, STORED, FAILED" in sentence(await product.api.get(LIST, params={"state": "x"}), 400)


async def test_a_file_that_is_not_the_announced_one_is_not_kept(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "BACK_OFF_MS", (600_000,))
    wrong = base64.b64encode(hashlib.sha256(b"another").digest()).decode()
    asset = product.sandbox.world.media.add(product.team.waba_id, PICTURE, "image/png", lives_s=600)
    await product.customer_sends({"type": "image", "image": {"id": asset.id, "sha256": wrong}})

    async def failed() -> Any:
        return (await product.api.get(LIST, params={"state": "FAILED"})).json()["_data"]

    (file,) = await until(failed)
    await product.api.post(f"{LIST}/{file['id']}/fetch")
    (file,) = await until(failed)
    assert "SHA-256 differs" in file["error"]
    assert "SHA-256 differs" in sentence(await product.api.get(show(asset.id)), 502)


async def test_what_the_business_uploaded_to_meta_is_shown_and_then_kept(product: Product) -> None:
    async with asking(product.sandbox_url) as meta:
        upload = await meta.post(
            f"/v25.0/{product.team.phone_number_id}/media",
            headers={"Authorization": "Bearer EAAtest-token-of-ada"},
            data={"messaging_product": "whatsapp"},
            files={"file": ("logo.png", PICTURE, "image/png")},
        )
    media_id = upload.json()["id"]
    await product.open_window()
    await product.send({"to": "15550001111", "type": "image", "image": {"id": media_id}})
    link = "https://pictures.example.test/a.png"
    await product.send({"to": "15550001111", "type": "image", "image": {"link": link}})
    by_link, by_id = [it["attachments"][0] for it in (await product.listed())[:2]]
    assert (by_link["url"], by_link["mediaId"]) == (link, None)

    described = (await product.api.get(f"/v1/whatsapp/v25.0/media/{media_id}")).json()
    first = await product.api.get(by_id["url"])
    meta_forgets(product)
    second = await product.api.get(described["url"])

    assert first.content == second.content == PICTURE
    assert second.headers["content-type"] == "image/png"
    assert "logo.png" in second.headers["content-disposition"]


async def test_another_teams_file_is_as_unknown_as_one_that_never_was(product: Product) -> None:
    media_id = await customer_sends(product, "image", PICTURE)
    await stored(product, media_id)
    _, theirs = await second_team(product)
    mid = f"/v2/whatsapp/v25.0/media/whatsapp_business/attachments?mid={media_id}"

    async with theirs:
        for path in (show(media_id), f"/v1/whatsapp/v25.0/media/{media_id}", mid):
            refused, unknown = await theirs.get(path), await theirs.get(path.replace(media_id, "4711"))
            assert (
                refused.status_code == unknown.status_code == 400
            )  # as Meta says it of any id it does not know
            assert refused.json()["error"]["code"] == unknown.json()["error"]["code"] == 100
        sentence(await theirs.post(f"{LIST}/{media_id}/fetch"), 404)
        assert (await theirs.get(LIST)).json()["_data"] == []
    async with product.client(None) as nobody:
        assert (await nobody.get(show(media_id))).status_code == 401
    sentence(await product.api.get(show("not an id")), 404)


async def test_a_lost_copy_is_fetched_again_and_metas_trouble_is_a_502(product: Product) -> None:
    media_id = await customer_sends(product, "image", PICTURE)
    await stored(product, media_id)
    for file in product.settings.data_dir.glob("files/**/*"):
        if file.is_file():
            file.unlink()

    assert (await product.api.get(show(media_id))).content == PICTURE

    for file in product.settings.data_dir.glob("files/**/*"):
        if file.is_file():
            file.unlink()
    await product.start_again(graph_url="http://127.0.0.1:9")
    assert "could not be asked" in sentence(await product.api.get(show(media_id)), 502)


class Gate:
    """Stands before Meta, and holds each download back until it is opened."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.opened = asyncio.Event()
        self.asked: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].startswith("/whatsapp_business/attachments"):
            self.asked += parse_qs(scope["query_string"].decode())["mid"]
            await self.opened.wait()
        await self._app(scope, receive, send)


async def test_downloads_that_hang_hold_up_nothing_else_and_not_the_end_either(
    database_url: str, tmp_path: Path
) -> None:
    """As many as there is room for; a contact's lead is a job too, and comes at once."""
    gates: list[Gate] = []

    def gated(app: Any) -> Gate:
        gates.append(Gate(app))
        return gates[0]

    async with running(database_url, tmp_path, meta=gated) as product:
        (gate,) = gates
        ids = [await customer_sends(product, "image", PICTURE + bytes([n])) for n in range(6)]
        await until(lambda: len(gate.asked) == MEDIA_AT_ONCE)
        await product.customer_writes("hello", phone="15550007777")

        async def has_a_lead() -> bool:
            found = await product.listed("15550007777")
            return bool(found and found[0]["process"])

        await until(has_a_lead)
        assert len(gate.asked) == MEDIA_AT_ONCE
        gate.opened.set()
        await stored(product, *ids)
        assert sorted(gate.asked) == sorted(ids), "each is asked for once"

        gate.opened.clear()
        await customer_sends(product, "image", PICTURE + b"last")
        await until(lambda: len(gate.asked) == 7)
        async with asyncio.timeout(PATIENCE_S):
            await product.app.stop()


async def test_a_large_file_comes_whole_and_a_caller_that_comes_early_waits_for_the_same_download(
    product: Product,
) -> None:
    large = b"".join(n.to_bytes(4) for n in range(30 * 1024 * 1024 // 4))
    asset = product.sandbox.world.media.add(product.team.waba_id, large, "video/mp4", lives_s=60)
    message = {"type": "video", "video": {"id": asset.id, "mime_type": "video/mp4"}}
    await product.customer_sends(message)
    await until(product.listed)

    first, second = await asyncio.gather(*(product.api.get(show(asset.id)) for _ in range(2)))
    await stored(product, asset.id)

    asked = [it["path"] for it in await product.asked_of_meta()]
    assert asked.count("/whatsapp_business/attachments/") == 1
    for shown in (first, second, await product.api.get(show(asset.id))):
        assert hashlib.sha256(shown.content).digest() == hashlib.sha256(large).digest()


def _audit(tx: Any) -> dict[str, Any]:
    return audit.audit(tx, now=2**50)
