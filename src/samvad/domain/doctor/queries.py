"""What the doctor asks the database."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, extract, func, literal

from samvad.domain.waba.tables import business_accounts, phone_numbers, plugins
from samvad.storage import Tx, every_team


def plugins_oldest_first(tx: Tx) -> Sequence[Row[Any]]:
    """Of every team: the doctor on the command line looks after the whole installation."""
    query = every_team.select(plugins).where(plugins.c.is_active)
    return tx.all(query.order_by(plugins.c.created_at, plugins.c.id))


def accounts_and_numbers(tx: Tx, plugin_id: str) -> tuple[list[str], list[str]]:
    """The ids of what is connected through a plugin, oldest first; the plugin was read before."""
    found = []
    for table in (business_accounts, phone_numbers):
        query = every_team.select(table.c.id).where(table.c.plugin_id == literal(plugin_id))
        found.append([row.id for row in tx.all(query.order_by(table.c.created_at, table.c.id))])
    return found[0], found[1]


def database_clock(tx: Tx) -> int:
    """The database's own time in milliseconds, to the second."""
    row = tx.first(every_team.select(extract("epoch", func.current_timestamp())))
    assert row is not None
    return int(row[0]) * 1000
