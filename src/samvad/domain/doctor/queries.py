"""What the doctor asks the database."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Row, Select, Table, extract, func

from samvad.domain.waba.tables import business_accounts, phone_numbers, plugins
from samvad.storage import Tx, every_team


def plugins_oldest_first(tx: Tx) -> Sequence[Row[Any]]:
    """Of the team that asks; of every team for the doctor on the command line, who looks after all of it."""
    query = _select(tx, plugins).where(plugins.c.is_active, plugins.c.access_token_sealed != "")
    return tx.all(query.order_by(plugins.c.created_at, plugins.c.id))


class Held(NamedTuple):
    """What is connected with the same credentials; no sealed ones are those of the plugin itself."""

    waba_ids: list[str]
    phone_number_ids: list[str]
    access_token_sealed: str | None = None
    app_secret_sealed: str | None = None


def held_by(tx: Tx, plugin_id: str) -> list[Held]:
    """What a plugin holds, oldest first: all that shares its own credentials, then each WABA that has others."""
    accounts, numbers = (
        tx.all(
            _select(tx, table)
            .where(table.c.plugin_id == plugin_id, table.c.disconnected_at.is_(None))
            .order_by(table.c.created_at, table.c.id)
        )
        for table in (business_accounts, phone_numbers)
    )
    shared = {it.id for it in accounts if not it.access_token_sealed}
    own = [
        Held([it.id], [], it.access_token_sealed, it.app_secret_sealed)
        for it in accounts
        if it.id not in shared
    ]
    found = [Held([it.id for it in accounts if it.id in shared], [])] if shared or not own else []
    return [
        it._replace(phone_number_ids=[number.id for number in numbers if number.waba_id in it.waba_ids])
        for it in (*found, *own)
    ]


def _select(tx: Tx, table: Table) -> Select[Any]:
    return every_team.select(table) if tx.team_id is None else tx.select(table)


def database_clock(tx: Tx) -> int:
    """The database's own time in milliseconds, to the second."""
    row = tx.first(every_team.select(extract("epoch", func.current_timestamp())))
    assert row is not None
    return int(row[0]) * 1000
