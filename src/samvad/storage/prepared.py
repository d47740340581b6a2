"""A statement for many rows, compiled once and for all: per row only its values are picked out.

SQLAlchemy works out the parameters of each row of an `executemany` anew, which costs more than SQLite takes to
write the row. This is for the few statements that carry everything; they are still made with its Core.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Dialect, Executable
from sqlalchemy.engine import CursorResult

Row = Mapping[str, Any]


class Prepared:
    """The words of a statement for one dialect, and how a row becomes its values."""

    def __init__(self, sql: Executable, dialect: Dialect, columns: Sequence[str]) -> None:
        compiled: Any = sql.compile(dialect=dialect, column_keys=list(columns))  # type: ignore[attr-defined]
        assert not compiled.insert_prefetch, "a default of Python's is not asked"
        assert not compiled.update_prefetch, "a default of Python's is not asked"
        assert not compiled.post_compile_params, "its words depend on its values: see storage.columns.among"
        names: list[str] = list(compiled.positiontup)
        self.words: str = compiled.string
        own = [name for name in names if name not in columns]
        if missing := [name for name in own if compiled.binds[name].required]:
            raise KeyError(f"The rows lack {', '.join(missing)}.")  # and not NULL in their place
        self._constants = {name: compiled.binds[name].effective_value for name in own}
        self._take = _taker(names)
        self._process: list[tuple[int, Callable[[Any], Any]]] = [
            (place, process)
            for place, name in enumerate(names)
            if (process := compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect))
        ]

    def values(self, rows: Sequence[Row]) -> list[tuple[Any, ...]]:
        """Raises KeyError where a row lacks a name."""
        if self._constants:
            rows = [{**self._constants, **row} for row in rows]
        taken = [self._take(row) for row in rows]
        return [self._processed(it) for it in taken] if self._process else taken

    def _processed(self, taken: tuple[Any, ...]) -> tuple[Any, ...]:
        values = list(taken)
        for place, process in self._process:
            values[place] = process(values[place])
        return tuple(values)


def execute(connection: Connection, sql: Executable, rows: Sequence[Row]) -> CursorResult[Any]:
    """Run a statement that is made once, at import, for each of at least one row; all rows have the same names."""
    columns = tuple(rows[0])
    key = (sql, connection.dialect.name, columns)
    prepared = _known.get(key)
    if prepared is None:
        if len(_known) >= MOST:  # somebody makes one anew for each call: slow, but no leak
            _known.clear()
        prepared = _known[key] = Prepared(sql, connection.dialect, columns)
    return connection.exec_driver_sql(prepared.words, prepared.values(rows))


MOST = 500
_known: dict[tuple[Executable, str, tuple[str, ...]], Prepared] = {}


def _taker(names: Sequence[str]) -> Callable[[Row], tuple[Any, ...]]:
    if len(names) > 1:
        return itemgetter(*names)
    (name,) = names
    return lambda row: (row[name],)
