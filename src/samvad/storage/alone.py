"""What only one transaction at a time may do, whichever process has it open."""

from typing import Any

from sqlalchemy import Boolean, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from samvad.storage.tx import Tx

FOLD = 0x53414D46  # "SAMF"


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
