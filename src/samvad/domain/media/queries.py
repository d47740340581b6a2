"""Files in the database: public ones, and those of WhatsApp messages."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from samvad.domain.media.model import Expected, MediaFile, State
from samvad.domain.media.tables import media, public_files
from samvad.storage import Tx, every_team
from samvad.storage.columns import among

MOST_ALIKE = 20

EXPECT = (
    every_team.upsert(media)
    .on_conflict_do_nothing(index_elements=["team_id", "id"])
    .returning(media.c.team_id, media.c.id)
)


def add_public_file(tx: Tx, row: dict[str, Any]) -> None:
    tx.execute(tx.insert(public_files), row)


def find_public_file(tx: Tx, path: str) -> Row[Any] | None:
    """Across teams: whoever has the address may read it, that is what it is for."""
    return tx.first(every_team.select(public_files).where(public_files.c.path == path))


def add_expected(tx: Tx, expected: Sequence[Expected], *, at: int) -> list[tuple[str, str]]:
    """Note files that messages speak of; returns team and id of those not known before. Across teams: the fold."""
    common = {"state": State.PENDING, "attempts": 0, "created_at": at, "updated_at": at}
    return [(row.team_id, row.id) for row in tx.all(EXPECT, [it._asdict() | common for it in expected])]


def find(tx: Tx, media_id: str) -> MediaFile | None:
    row = tx.first(tx.select(media).where(media.c.id == media_id))
    return as_file(row) if row else None


def find_by_mid(tx: Tx, mid: str) -> MediaFile | None:
    """The newest, should Meta ever name two files alike."""
    rows = tx.all(tx.select(media).where(media.c.mid == mid).limit(MOST_ALIKE))  # in an order, it would be
    newest = max(rows, key=lambda row: row.created_at, default=None)  # looked for in the index of that order
    return as_file(newest) if newest else None


def newest_first(tx: Tx, *, state: str | None, limit: int, skip: int) -> list[MediaFile]:
    query = tx.select(media).order_by(media.c.created_at.desc(), media.c.id.desc()).limit(limit).offset(skip)
    return [as_file(row) for row in tx.all(query if state is None else query.where(media.c.state == state))]


def failed_newest_first(tx: Tx, *, limit: int) -> Sequence[Row[Any]]:
    """Of every team, for the audit."""
    query = every_team.select(media).where(media.c.state == State.FAILED)
    return tx.all(query.order_by(media.c.updated_at.desc(), media.c.id).limit(limit))


def put_stored(tx: Tx, row: dict[str, Any]) -> None:
    """Write down that we hold a file, whether or not it was expected; what a message said of it stays."""
    changed = {name: row[name] for name in row if name not in ("id", "created_at")}
    upsert = tx.insert(media).values(row)
    tx.execute(upsert.on_conflict_do_update(index_elements=["team_id", "id"], set_=changed))


def change(tx: Tx, media_id: str, **changes: Any) -> None:
    """Only of what is not here yet: another asker may have brought it meanwhile."""
    tx.execute(
        tx.update(media).where(media.c.id == media_id, media.c.state != State.STORED).values(**changes)
    )


def as_file(row: Row[Any]) -> MediaFile:
    return MediaFile(**row._mapping)


FORGET_OF_MESSAGES = every_team.delete(media).where(among(media.c.message_id, "ids"))


def forget_of_messages(tx: Tx, message_ids: Sequence[str]) -> None:
    """The files of these messages are shown no more; their bytes stay in the store."""
    tx.execute(FORGET_OF_MESSAGES, {"ids": message_ids})
