"""A unit of work: a plain function of an open transaction.

Plain on purpose. `await` is a syntax error in it, so no transaction can span network I/O, and a
forgotten `await` cannot lose a write. On PostgreSQL it runs in one greenlet, where SQLAlchemy
waits for the driver on its behalf. A unit may run twice: it has no side effects but its rows.
"""

from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

from samvad.storage.tx import Tx

P = ParamSpec("P")
T = TypeVar("T")

Unit = Callable[Concatenate[Tx, P], T]
Step = Callable[[Connection], T]


def step(team_id: str | None, unit: Unit[P, T], *args: P.args, **kwargs: P.kwargs) -> Step[T]:
    """A unit with its arguments, waiting only for a connection."""
    assert not iscoroutinefunction(unit), f"{name(unit)}: a unit of work is a plain function"

    def run(connection: Connection) -> T:
        tx = Tx(connection, team_id)
        result = unit(tx, *args, **kwargs)
        tx.finish()
        return result

    return run


def name(unit: Callable[..., Any]) -> str:
    return getattr(unit, "__qualname__", repr(unit))
