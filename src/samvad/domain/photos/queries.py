"""Photos in the database."""

from typing import Any

from samvad.domain.photos.model import Photo
from samvad.domain.photos.tables import photos
from samvad.storage import Tx, every_team


def find(tx: Tx, photo_id: str) -> Photo | None:
    row = tx.first(tx.select(photos).where(photos.c.id == photo_id))
    return Photo(**row._mapping) if row else None


def is_others(tx: Tx, photo_id: str) -> bool:
    """Whether another team has a photo of this id. Across teams: ids are, too."""
    found = tx.first(every_team.select(photos.c.team_id).where(photos.c.id == photo_id))
    return found is not None and found.team_id != tx.team_id


def put(tx: Tx, row: dict[str, Any]) -> bool:
    """Write a photo down, or over this team's own of that id; False where it is another team's."""
    changed = {name: row[name] for name in row if name not in ("id", "created_at")}
    upsert = tx.insert(photos).values(row)
    mine = upsert.on_conflict_do_update(
        index_elements=["id"], set_=changed, where=photos.c.team_id == tx.team_id
    )
    return tx.first(mine.returning(photos.c.id)) is not None
