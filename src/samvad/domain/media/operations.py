"""What one can do with files: make one public, read one of a message, see which are missing."""

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from samvad.domain.context import Context, Resources
from samvad.domain.events.log import Event, record
from samvad.domain.media import fetching, model, queries
from samvad.domain.media.model import MediaFile, State, StoredFile
from samvad.kit.errors import NotFound
from samvad.kit.ids import new_id
from samvad.storage import Tx


async def upload_public(
    ctx: Context, plugin_id: str, *, content: bytes, declared_type: str | None, filename: str | None
) -> str:
    """Keep a file and return its public path, `<team>/<day>/<uuid>.<ext>`; it does not expire."""
    mime_type = model.type_of(declared_type, filename, content)
    model.check_size(mime_type, len(content))
    sha256 = hashlib.sha256(content).hexdigest()
    day = datetime.fromtimestamp(ctx.now() / 1000, UTC).date().isoformat()
    path = f"{ctx.team_id}/{day}/{new_id()}{model.extension_of(mime_type, filename)}"
    await ctx.resources.blobs.put(model.key_of(ctx.team_id, sha256), content)

    def unit(tx: Tx) -> None:
        row = {"path": path, "plugin_id": plugin_id, "mime_type": mime_type, "filename": filename}
        queries.add_public_file(tx, {**row, "size": len(content), "sha256": sha256, "created_at": ctx.now()})
        record(tx, [Event(ctx.team_id, "file.published", path, actor_id=ctx.user_id)], at=ctx.now())

    await ctx.db.write(unit)
    return path


async def open_public(res: Resources, path: str) -> StoredFile:
    row = await res.db.read(queries.find_public_file, path)
    if row is None:
        raise NotFound("No public file at this address")
    key = model.key_of(row.team_id, row.sha256)
    return StoredFile(key, model.served_type(row.mime_type), row.size, row.sha256, row.filename)


async def open_media(ctx: Context, media_id: str) -> StoredFile:
    """A file of a message, or one the business uploaded; fetched now where it is not here yet.

    Raises as `fetching.hold` does.
    """
    _check(media_id)
    file = await fetching.hold(ctx.resources, ctx.team_id, media_id)
    if not await ctx.resources.blobs.has(model.key_of(ctx.team_id, file.sha256 or "")):
        file = await fetching.hold(ctx.resources, ctx.team_id, media_id, anew=True)
    assert file.sha256 is not None, "what is stored has a hash"
    assert file.size is not None, "what is stored has a size"
    key = model.key_of(ctx.team_id, file.sha256)
    return StoredFile(key, model.served_type(file.mime_type), file.size, file.sha256, file.filename)


async def media_id_of(ctx: Context, mid: str) -> str:
    """The file that the `mid` of an address in a webhook stands for; one unknown here is taken for an id."""
    file = await ctx.db.read(queries.find_by_mid, mid)
    return mid if file is None else file.id


async def describe_media(ctx: Context, media_id: str, *, version: str) -> dict[str, Any]:
    """Meta's media object without a `url`: from what we hold, or else from Meta. Raises as `open_media`."""
    _check(media_id)
    file = await ctx.db.read(queries.find, media_id)
    if file is not None and file.state == State.STORED:
        return {
            "messaging_product": "whatsapp",
            "mime_type": file.mime_type or model.UNKNOWN,
            "sha256": file.sha256,
            "file_size": file.size,
            "id": file.id,
        }
    _, _, said = await fetching.describe(ctx.resources, ctx.team_id, media_id, version=version)
    sha256 = model.hex_of(said.get("sha256")) or said.get("sha256")
    return {name: value for name, value in said.items() if name != "url"} | {"sha256": sha256, "id": media_id}


async def read(res: Resources, file: StoredFile, start: int, end: int) -> AsyncIterator[bytes]:
    """Its bytes from `start` up to before `end`, in pieces. Raises NotFound where the store has lost it."""
    content = await res.blobs.get(file.key, start=start, end=end)
    if content is None:
        raise NotFound("The file is gone from the store")
    return content


async def list_media(
    ctx: Context, *, state: str | None, limit: int, skip: int
) -> tuple[list[MediaFile], bool]:
    """One page of the files of messages, newest first, and whether there is more; of every chat of the team."""
    ctx.must_manage("Listing files")
    page = await ctx.db.read(queries.newest_first, state=state, limit=limit + 1, skip=skip)
    return page[:limit], len(page) > limit


async def fetch_again(ctx: Context, media_id: str) -> MediaFile:
    """Try to bring a file now, from the start of the back-off; one we hold stays as it is. Raises NotFound."""
    now = ctx.now()

    def unit(tx: Tx) -> MediaFile:
        file = queries.find(tx, media_id)
        if file is None:
            raise NotFound("Media not found")
        if file.state == State.STORED:
            return file
        queries.change(tx, media_id, state=State.PENDING, attempts=0, retry_at=None, updated_at=now)
        fetching.fetch_later(tx, [(ctx.team_id, media_id)], at=now)
        again = queries.find(tx, media_id)
        assert again is not None
        return again

    file = await ctx.db.write(unit)
    ctx.resources.bells.media.ring()
    return file


def _check(media_id: str) -> None:
    if not model.is_media_id(media_id):
        raise NotFound(f"Media not found: {media_id!r:.60} is no id of a file at WhatsApp.")
