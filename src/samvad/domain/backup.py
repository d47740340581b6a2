"""What a backup has to hold: the files that rows name, and how many rows there are to tell whether it is whole."""

from typing import Any

from sqlalchemy import Table, func

from samvad.domain.accounts.tables import teams
from samvad.domain.contacts.tables import contacts
from samvad.domain.inbound.tables import inbound_events
from samvad.domain.media.model import key_of
from samvad.domain.media.tables import media, public_files
from samvad.domain.messages.tables import messages
from samvad.domain.photos.tables import photos
from samvad.domain.processes.tables import processes
from samvad.domain.webhooks.tables import deliveries
from samvad.storage import Tx, every_team

COUNTED: tuple[Table, ...] = (teams, contacts, messages, inbound_events, deliveries, processes, media, photos)


def files_named(tx: Tx) -> dict[str, str]:
    """The sha256 (hex) of every file that a row names, by its key in the store, over all teams."""
    stored = every_team.select(media.c.team_id, media.c.sha256).where(media.c.state == "STORED")
    queries: tuple[Any, ...] = (
        stored,
        every_team.select(public_files.c.team_id, public_files.c.sha256),
        every_team.select(photos.c.team_id, photos.c.sha256),
    )
    return {
        key_of(row.team_id, row.sha256): row.sha256 for query in queries for row in tx.all(query.distinct())
    }


def counts(tx: Tx) -> dict[str, int]:
    """How many rows the tables have that a person would miss first."""
    return {it.name: _count(tx, it) for it in COUNTED}


def _count(tx: Tx, table: Table) -> int:
    row = tx.first(every_team.select(func.count()).select_from(table))
    return int(row[0]) if row else 0
