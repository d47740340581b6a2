"""What only one transaction at a time may do, whichever process has it open."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Boolean, Text, bindparam, select, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from samvad.storage.columns import ListOf
from samvad.storage.tx import Tx

FOLD = 0x53414D46  # "SAMF"
DELIVERIES = 0x53414D44  # "SAMD", and an endpoint

# In one order for all, so that no two wait for each other.
_LOCK = text(
    "SELECT pg_advisory_xact_lock(:what, name) "
    "FROM (SELECT DISTINCT hashtext(it) AS name FROM unnest(:names) AS it ORDER BY name) AS names"
).bindparams(bindparam("names", type_=ListOf(Text())))


class _Alone(FunctionElement[bool]):
    """True for the one transaction that has this lock until it ends."""

    type = Boolean()
    inherit_cache = True


@compiles(_Alone)
def _on_sqlite(element: _Alone, compiler: Any, **kw: Any) -> str:
    return "1"  # one process owns the file, and one connection writes


@compiles(_Alone, "postgresql")
def _on_postgres(element: _Alone, compiler: Any, **kw: Any) -> str:
    return f"pg_try_advisory_xact_lock({compiler.process(element.clauses, **kw)})"


def alone(tx: Tx, what: int) -> bool:
    """Whether this transaction is the only one that does it; the next may once this one has ended, and sees it."""
    return bool(tx.connection.scalar(select(_Alone(what))))


def one_by_one(tx: Tx, what: int, names: Collection[str]) -> None:
    """Wait until no other transaction does this with any of these names; the next sees all that this one wrote.

    Only at a unit's end (Tx.at_the_end): whoever holds such a lock must wait for nobody.
    """
    if tx.connection.dialect.name == "postgresql":  # on SQLite there is no other
        tx.execute(_LOCK, {"what": what, "names": names})
