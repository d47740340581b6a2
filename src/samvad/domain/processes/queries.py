"""Procedures and processes in the database."""

from collections.abc import Sequence

from samvad.domain.processes.tables import procedures, processes
from samvad.storage import Tx


def find_procedure(tx: Tx, short_id: str) -> str | None:
    row = tx.first(tx.select(procedures, procedures.c.id).where(procedures.c.short_id == short_id))
    return row.id if row else None


def add_procedure(tx: Tx, procedure_id: str, *, short_id: str, name: str, at: int) -> None:
    tx.execute(
        tx.insert(procedures), {"id": procedure_id, "short_id": short_id, "name": name, "created_at": at}
    )


def add_processes(tx: Tx, procedure_id: str, leads: Sequence[tuple[str, str]], *, at: int) -> None:
    """Contact id and process id, in pairs."""
    if leads:
        tx.execute(
            tx.insert(processes),
            [
                {"id": process_id, "procedure_id": procedure_id, "contact_id": contact_id}
                | {"created_at": at, "updated_at": at}
                for contact_id, process_id in leads
            ],
        )


def move_processes(tx: Tx, *, gone: str, kept: str, at: int) -> None:
    """Give one contact's processes to another."""
    tx.execute(
        tx.update(processes).where(processes.c.contact_id == gone).values(contact_id=kept, updated_at=at)
    )
