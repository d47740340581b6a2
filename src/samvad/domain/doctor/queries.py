"""What the doctor asks the database."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, Select, Table, extract, func

from samvad.domain.waba.tables import business_accounts, phone_numbers, plugins
from samvad.storage import Tx, every_team


def plugins_oldest_first(tx: Tx) -> Sequence[Row[Any]]:
    """Of the team that asks; of every team for the doctor on the command line, who looks after all of it."""
    query = _select(tx, plugins).where(plugins.c.is_active, plugins.c.access_token_sealed != "")
    return tx.all(query.order_by(plugins.c.created_at, plugins.c.id))


def accounts_and_numbers(tx: Tx, plugin_id: str) -> tuple[list[str], list[str]]:
    """The ids of what is connected through a plugin, oldest first."""
    found = []
    for table in (business_accounts, phone_numbers):
        query = _select(tx, table).where(table.c.plugin_id == plugin_id, table.c.disconnected_at.is_(None))
        found.append([row.id for row in tx.all(query.order_by(table.c.created_at, table.c.id))])
    return found[0], found[1]


def _select(tx: Tx, table: Table) -> Select[Any]:
    return every_team.select(table) if tx.team_id is None else tx.select(table)


def database_clock(tx: Tx) -> int:
    """The database's own time in milliseconds, to the second."""
    row = tx.first(every_team.select(extract("epoch", func.current_timestamp())))
    assert row is not None
    return int(row[0]) * 1000
