"""A small table, and units of work over it."""

from collections.abc import Sequence

from sqlalchemy import Column, ForeignKey, Index, Integer, MetaData, Table, Text

from samvad.storage import Database, Tx, every_team
from samvad.storage.columns import JsonText

_metadata = MetaData()
owners = Table("test_owner", _metadata, Column("id", Integer, primary_key=True))
notes = Table(
    "test_note",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("team_id", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("data", JsonText),
    # Checked at COMMIT and not before: the way to make a commit fail on both databases.
    Column("owner", ForeignKey("test_owner.id", deferrable=True, initially="DEFERRED")),
)
Index("ix_test_note_text", notes.c.text)


class Wrong(Exception):
    """A unit's own mistake."""


def add(tx: Tx, *texts: str, team: str = "a", wrong: bool = False, owner: int | None = None) -> int:
    rows = [{"team_id": team, "text": text, "owner": owner} for text in texts]
    tx.execute(every_team.insert(notes), rows)
    if wrong:
        raise Wrong
    return len(texts)


def add_all(tx: Tx, texts: Sequence[str]) -> list[str]:
    """For lanes: refuses what is called poison, answers each of the others in capitals."""
    for text in texts:
        if text.startswith("poison"):
            raise Wrong(text)
        add(tx, text)
    return [text.upper() for text in texts]


async def texts(db: Database, team: str | None = None) -> list[str]:
    def unit(tx: Tx) -> list[str]:
        query = every_team.select(notes.c.text).order_by(notes.c.id)
        return [row.text for row in tx.all(query if team is None else query.where(notes.c.team_id == team))]

    return await db.read(unit)
