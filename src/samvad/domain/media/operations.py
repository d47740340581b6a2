"""Public files: put one where anyone with its address can read it."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

from samvad.domain.context import Context, Resources
from samvad.domain.events.log import Event, record
from samvad.domain.media import model, queries
from samvad.kit.errors import NotFound
from samvad.kit.ids import new_id
from samvad.storage import Tx


@dataclass(frozen=True, slots=True)
class PublicFile:
    """A file to be served."""

    mime_type: str
    size: int
    content: AsyncIterator[bytes]


async def upload_public(
    ctx: Context, plugin_id: str, *, content: bytes, declared_type: str | None, filename: str | None
) -> str:
    """Keep a file and return its public path, `<team>/<day>/<uuid>.<ext>`; it does not expire."""
    mime_type = model.type_of(declared_type, filename)
    model.check_size(mime_type, len(content))
    sha256 = hashlib.sha256(content).hexdigest()
    day = datetime.fromtimestamp(ctx.now() / 1000, UTC).date().isoformat()
    path = f"{ctx.team_id}/{day}/{new_id()}{model.extension_of(mime_type, filename)}"
    await ctx.resources.blobs.put(_key(ctx.team_id, sha256), content)

    def unit(tx: Tx) -> None:
        row = {"path": path, "plugin_id": plugin_id, "mime_type": mime_type, "filename": filename}
        queries.add_public_file(tx, {**row, "size": len(content), "sha256": sha256, "created_at": ctx.now()})
        record(tx, [Event(ctx.team_id, "file.published", path, actor_id=ctx.user_id)], at=ctx.now())

    await ctx.db.write(unit)
    return path


async def open_public(res: Resources, path: str) -> PublicFile:
    row = await res.db.read(queries.find_public_file, path)
    content = await res.blobs.get(_key(row.team_id, row.sha256)) if row else None
    if row is None or content is None:
        raise NotFound("No public file at this address")
    return PublicFile(model.served_type(row.mime_type), row.size, content)


def _key(team_id: str, sha256: str) -> str:
    """By content, so the same file twice is kept once; by team, so that one can be exported or erased."""
    return f"{team_id}/{sha256[:2]}/{sha256}"
