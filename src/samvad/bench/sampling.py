"""What a server holds and what waits in its database, looked at every few seconds while a load lasts.

The looks are made beside the server, on connections of their own: nothing is asked of the server itself.
"""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import func, literal_column, make_url

from samvad.app import KEEP_PROMISES_MS
from samvad.bench.rig import Rig
from samvad.domain import gauges
from samvad.domain.messages.tables import idempotency_keys
from samvad.jobs.tables import jobs
from samvad.kit.clock import system_clock
from samvad.kit.errors import TooSlow
from samvad.storage import Database, Tx, every_team
from samvad.storage.columns import metadata
from samvad.storage.unit import T, step

LOOK_WITHIN_S = 30.0
MB = 2**20
LARGE_MB = 0.1  # tables that are named

PROMISES_SWEPT_MS = 2 * 600_000  # two turns of the clock that forgets them


@dataclass(frozen=True, slots=True)
class Sample:
    """One look; sizes in MB of 2²⁰ bytes, None where there is no such thing or it cannot be told."""

    at_s: float
    """Since the first look."""

    rss_mb: float | None
    descriptors: int | None
    threads: int | None
    database_mb: float
    wal_mb: float | None
    """The file beside SQLite's in which commits are before they are in it."""

    jobs: int
    """Rows of jobs: finished ones are deleted, so these wait, run, or have given up."""

    inbound_waiting: int
    """Inbound events that are not folded."""

    deliveries_pending: int
    parked_statuses: int
    sends_unanswered: int
    promises: int
    """Of idempotency keys, which are kept for a day."""

    promises_overdue: int
    """Those that ought to be forgotten by now."""

    tables_mb: dict[str, float] = field(default_factory=dict)
    """With their indexes, the large ones; of SQLite only when it is over, since it has to read the whole file."""


@dataclass(slots=True)
class Looks:
    """What is sampled, from the first look on."""

    running: Rig
    db: Database
    began: float = field(default_factory=time.perf_counter)
    samples: list[Sample] = field(default_factory=list)

    async def look(self) -> Sample:
        """One look, also kept."""
        at_s = time.perf_counter() - self.began
        used, holds = self.running.server.usage(), self.running.server.holds()
        standing = await self._read(gauges.read)
        kept = await self._read(count_kept)
        file = sqlite_file(self.running)
        sizes = (size_mb(file), {}) if file else await self._read(postgres_sizes)
        sample = Sample(
            at_s=round(at_s, 3),
            rss_mb=used.rss_mb,
            descriptors=holds.descriptors,
            threads=holds.threads,
            database_mb=sizes[0],
            wal_mb=size_mb(wal_of(file)) if file else None,
            jobs=kept.jobs,
            inbound_waiting=standing.inbound_waiting,
            deliveries_pending=standing.deliveries_pending,
            parked_statuses=standing.parked_statuses,
            sends_unanswered=standing.sends_unanswered,
            promises=kept.promises,
            promises_overdue=kept.promises_overdue,
            tables_mb=sizes[1],
        )
        self.samples.append(sample)
        return sample

    async def _read(self, unit: Callable[[Tx], T]) -> T:
        """Beside the event loop on SQLite, so that a look is no hiccup of the load."""
        return await self.db.run_search(step(None, unit), within_s=LOOK_WITHIN_S)


@contextlib.asynccontextmanager
async def sampling(running: Rig, *, every_s: float) -> AsyncIterator[Looks]:
    """Looks from now on to the end; a look that the database has no time for is left out."""
    async with running.database() as db:
        looks = Looks(running, db)

        async def watch() -> None:
            while True:
                await asyncio.sleep(every_s)
                with contextlib.suppress(TooSlow):
                    await looks.look()

        await looks.look()
        task = asyncio.create_task(watch())
        try:
            yield looks
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class Kept:
    """Rows that are not for ever."""

    jobs: int
    promises: int
    promises_overdue: int


def count_kept(tx: Tx) -> Kept:
    overdue = idempotency_keys.c.created_at < system_clock() - KEEP_PROMISES_MS - PROMISES_SWEPT_MS
    counted = [
        tx.first(every_team.select(func.count()).select_from(table).where(*conditions))
        for table, conditions in ((jobs, ()), (idempotency_keys, ()), (idempotency_keys, (overdue,)))
    ]
    return Kept(*(int(row[0]) if row else 0 for row in counted))


def postgres_sizes(tx: Tx) -> tuple[float, dict[str, float]]:
    """Of the whole database, and of each large table; a table's holds its indexes."""
    names = sorted(metadata.tables)
    sizes = (func.pg_total_relation_size(literal_column(f"'\"{name}\"'")) for name in names)
    row = tx.first(every_team.select(func.pg_database_size(func.current_database()), *sizes))
    assert row is not None
    whole, *tables = (int(it) / MB for it in row)
    return round(whole, 2), _large(zip(names, tables, strict=True))


def sqlite_tables(file: Path) -> dict[str, float]:
    """The same of a SQLite file; empty where this SQLite cannot tell."""
    with contextlib.closing(sqlite3.connect(file)) as connection:
        try:
            found = connection.execute(
                "SELECT tbl_name, sum(pgsize) / 1048576.0 FROM dbstat JOIN sqlite_master USING (name) GROUP BY 1"
            ).fetchall()
        except sqlite3.OperationalError:
            return {}
    return _large(found)


def sqlite_file(running: Rig) -> Path | None:
    """None on PostgreSQL."""
    url = make_url(running.database_url)
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


def wal_of(file: Path) -> Path:
    return file.with_name(f"{file.name}-wal")


def size_mb(file: Path) -> float:
    try:
        return round(file.stat().st_size / MB, 2)
    except FileNotFoundError:
        return 0.0


def _large(sizes: Iterable[tuple[str, float]]) -> dict[str, float]:
    ranked = sorted(sizes, key=lambda it: -it[1])
    return {name: round(size, 2) for name, size in ranked if size >= LARGE_MB}
