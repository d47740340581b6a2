"""An open transaction, as a unit of work sees it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Executable,
    Row,
    Select,
    Table,
    Update,
    delete,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.engine import CursorResult

from samvad.storage import prepared
from samvad.storage.columns import aside

Values = Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""Parameters of one row, or of many."""


@dataclass(frozen=True, slots=True)
class Tx:
    """An open transaction, seeing one team's rows. Only a Database makes one.

    `team_id` is None for the system itself: ingress, the queues, migrations. Such a unit has no
    team's rows to see, so `select` and its kin refuse; it says `every_team` instead.
    """

    connection: Connection
    team_id: str | None = None
    _left: dict[Callable[["Tx", list[Any]], None], list[Any]] = field(default_factory=dict, repr=False)

    def select(self, table: Table, *columns: ColumnElement[Any]) -> Select[Any]:
        """Rows of this team, whole or only some columns of them."""
        return select(*(columns or (table,))).where(table.c.team_id == self._team())

    def find(self, table: Table, *columns: ColumnElement[Any]) -> Select[Any]:
        """The same for the few rows that an index of something else has: SQLite looks for none of the team."""
        return select(*(columns or (table,))).where(aside(table.c.team_id) == self._team())

    def update(self, table: Table) -> Update:
        return update(table).where(table.c.team_id == self._team())

    def delete(self, table: Table) -> Delete:
        return delete(table).where(table.c.team_id == self._team())

    def insert(self, table: Table) -> Insert:
        """PostgreSQL's INSERT, whose ON CONFLICT compiles for SQLite as well."""
        return insert(table).values(team_id=self._team())

    def execute(self, sql: Executable, values: Values | None = None) -> CursorResult[Any]:
        return self.connection.execute(sql, values)

    def execute_many(self, sql: Executable, rows: Sequence[Mapping[str, Any]]) -> CursorResult[Any]:
        """The same for each of these rows, at least one, that all have the same names; for what is done very often.

        The statement is made once, at import: it is compiled once for all.
        """
        return prepared.execute(self.connection, sql, rows)

    def all(self, sql: Executable, values: Values | None = None) -> Sequence[Row[Any]]:
        return self.execute(sql, values).all()

    def first(self, sql: Executable, values: Values | None = None) -> Row[Any] | None:
        return self.execute(sql, values).first()

    def at_the_end(self, do: Callable[["Tx", list[Any]], None], items: Sequence[Any]) -> None:
        """Have `do(tx, items)` once, when the unit has returned, with the items of all who asked for it.

        For what takes a lock that everybody wants: taken last, it is held for moments, and nobody who has it waits
        for another.
        """
        self._left.setdefault(do, []).extend(items)

    def finish(self) -> None:
        """Do what was left for the end."""
        for do, items in self._left.items():
            do(self, items)

    def _team(self) -> str:
        assert self.team_id is not None, (
            "this unit has no team: run it through db.team(id), or say every_team"
        )
        return self.team_id
