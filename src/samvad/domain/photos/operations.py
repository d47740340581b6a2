"""What one can do with photos: send one up, under an id of one's own if need be, and read it."""

import hashlib

from samvad.domain.context import Context
from samvad.domain.events.log import Event, record
from samvad.domain.media.model import StoredFile, key_of
from samvad.domain.photos import model, queries
from samvad.domain.photos.model import Photo
from samvad.kit.errors import Conflict, NotFound
from samvad.kit.ids import new_id
from samvad.storage import Tx


async def upload(
    ctx: Context, *, content: bytes, filetype: str | None, filename: str | None, photo_id: str | None = None
) -> Photo:
    """Keep a photo; with an id that this team has used before, in the place of that one.

    Sent again unchanged, it stays as it is. Raises BadRequest for what is no image, TooLarge, and Conflict
    where another team has the id.
    """
    photo_id = new_id() if photo_id is None else model.photo_id_of(photo_id)
    kind, now = model.kind_of(content), ctx.now()
    width, height = model.sides_of(content)
    sha256 = hashlib.sha256(content).hexdigest()
    said = {
        "id": photo_id,
        "mime_type": kind.mime_type,
        "filetype": model.filetype_of(kind, filetype, filename),
        "filename": filename,
        "size": len(content),
        "sha256": sha256,
        "width": width,
        "height": height,
        "user_id": None if ctx.key_id else ctx.user_id or None,
    }
    if await ctx.db.read(queries.is_others, photo_id):
        raise _taken(photo_id)
    await ctx.resources.blobs.put(key_of(ctx.team_id, sha256), content)

    def unit(tx: Tx) -> Photo:
        before = queries.find(tx, photo_id)
        if before is not None and all(getattr(before, name) == value for name, value in said.items()):
            return before
        if not queries.put(tx, said | {"created_at": now, "updated_at": now}):
            raise _taken(photo_id)
        record(tx, [Event(ctx.team_id, "photo.stored", photo_id, actor_id=ctx.user_id or None)], at=now)
        after = queries.find(tx, photo_id)
        assert after is not None, "a photo that was just written down is there"
        return after

    return await ctx.db.write(unit)


async def get_photo(ctx: Context, photo_id: str) -> Photo:
    """A photo of this team. Raises NotFound, also for an id that can be none."""
    photo = await ctx.db.read(queries.find, photo_id.lower()) if model.is_uuid(photo_id) else None
    if photo is None:
        raise NotFound(f"Photo {photo_id:.40} not found")
    return photo


async def open_photo(ctx: Context, photo_id: str) -> StoredFile:
    photo = await get_photo(ctx, photo_id)
    name = None if photo.filename is None else _with_extension(photo.filename, photo.filetype)
    return StoredFile(key_of(ctx.team_id, photo.sha256), photo.mime_type, photo.size, photo.sha256, name)


def _with_extension(filename: str, filetype: str) -> str:
    """`holiday` → `holiday.png`: whoever saves it wants to open it."""
    return filename if filename.lower().endswith(f".{filetype}") else f"{filename}.{filetype}"


def _taken(photo_id: str) -> Conflict:
    return Conflict(f"The id {photo_id} is taken; make a new UUID for this photo.")
