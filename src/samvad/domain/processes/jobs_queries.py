"""Background jobs and the chunks of their entries in the database."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, func

from samvad.domain.processes.tables import background_job_chunks as chunks
from samvad.domain.processes.tables import background_jobs as jobs
from samvad.storage import Tx, every_team


def add_job(tx: Tx, row: dict[str, Any]) -> None:
    tx.execute(tx.insert(jobs), row)


def find_job(tx: Tx, job_id: str) -> Row[Any] | None:
    return tx.first(tx.select(jobs).where(jobs.c.id == job_id))


def jobs_newest_first(tx: Tx, *, limit: int) -> Sequence[Row[Any]]:
    return tx.all(tx.select(jobs).order_by(jobs.c.id.desc()).limit(limit))


def set_job(tx: Tx, job_id: str, **changes: Any) -> None:
    tx.execute(tx.update(jobs).where(jobs.c.id == job_id).values(**changes))


def touch_job(tx: Tx, job_id: str, *, at: int) -> None:
    set_job(tx, job_id, updated_at=at)


def add_chunk(tx: Tx, row: dict[str, Any]) -> None:
    tx.execute(tx.insert(chunks), row)


def next_chunk(tx: Tx, job_id: str) -> Row[Any] | None:
    """The first chunk that has something left to do; nobody else takes it meanwhile."""
    query = (
        tx.select(chunks)
        .where(chunks.c.job_id == job_id, chunks.c.not_started > 0)
        .order_by(chunks.c.position)
        .limit(1)
    )
    return tx.first(query.with_for_update())


def chunks_in_order(tx: Tx, job_id: str, *, first: int, last: int) -> Sequence[Row[Any]]:
    return tx.all(
        tx.select(chunks)
        .where(chunks.c.job_id == job_id, chunks.c.position >= first, chunks.c.position <= last)
        .order_by(chunks.c.position)
    )


def set_chunk(tx: Tx, job_id: str, position: int, changes: dict[str, Any]) -> None:
    mine = tx.update(chunks).where(chunks.c.job_id == job_id, chunks.c.position == position)
    tx.execute(mine.values(**changes))


def counts(tx: Tx, job_id: str) -> tuple[int, int, int, int]:
    """Entries that are invalid, not started, done, and failed."""
    sums = (func.sum(it) for it in (chunks.c.invalid, chunks.c.not_started, chunks.c.success, chunks.c.error))
    row = tx.first(tx.select(chunks, *sums).where(chunks.c.job_id == job_id))
    invalid, waiting, success, error = (int(it or 0) for it in (row or (0, 0, 0, 0)))
    return invalid, waiting, success, error


def forget_orphans(tx: Tx, *, before: int) -> int:
    """Drop chunks of calls that were broken off while they were taken in; nobody was told of them."""
    known = every_team.select(jobs.c.id).where(jobs.c.id == chunks.c.job_id).exists()
    return tx.execute(every_team.delete(chunks).where(chunks.c.created_at < before, ~known)).rowcount
