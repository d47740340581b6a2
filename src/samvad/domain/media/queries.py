"""Public files in the database."""

from typing import Any

from sqlalchemy import Row

from samvad.domain.media.tables import public_files
from samvad.storage import Tx, every_team


def add_public_file(tx: Tx, row: dict[str, Any]) -> None:
    tx.execute(tx.insert(public_files), row)


def find_public_file(tx: Tx, path: str) -> Row[Any] | None:
    """Across teams: whoever has the address may read it, that is what it is for."""
    return tx.first(every_team.select(public_files).where(public_files.c.path == path))
