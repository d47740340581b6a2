"""The queue: work to do later is a row, committed with what causes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, exists

from samvad.jobs.tables import jobs
from samvad.storage import Tx, every_team

LEASE_MS = 60_000  # a job whose worker died is due again after this
BACK_OFF_MS = (1_000, 5_000, 30_000, 120_000, 600_000, 3_600_000)  # then it has given up, visibly

ADD = every_team.insert(jobs)

_older = jobs.alias("older")

DUE = (
    every_team.select(jobs.c.id, jobs.c.team_id, jobs.c.name, jobs.c.lane, jobs.c.args, jobs.c.attempts)
    .where(
        jobs.c.gave_up_at.is_(None),
        jobs.c.run_at <= bindparam("now"),
        # Behind another of its lane a job is not due, or a lane in trouble would fill every claim.
        ~exists().where(_older.c.lane == jobs.c.lane, _older.c.id < jobs.c.id, _older.c.gave_up_at.is_(None)),
    )
    .order_by(jobs.c.run_at, jobs.c.id)
    .limit(bindparam("limit"))
    .with_for_update(of=jobs, skip_locked=True)
)

LEASE = (
    every_team.update(jobs)
    .where(jobs.c.id == bindparam("job_id"))
    .values(run_at=bindparam("until"), attempts=jobs.c.attempts + 1)
)

DONE = every_team.delete(jobs).where(jobs.c.id == bindparam("job_id"))

FAILED = (
    every_team.update(jobs)
    .where(jobs.c.id == bindparam("job_id"))
    .values(run_at=bindparam("again"), error=bindparam("why"), gave_up_at=bindparam("end"))
)


@dataclass(frozen=True, slots=True)
class Job:
    """Work to do later: a handler's name and the ids it needs."""

    team_id: str
    name: str
    args: dict[str, Any]
    lane: str | None = None
    id: int = 0
    attempts: int = 0


def enqueue(tx: Tx, wanted: Sequence[Job], *, at: int) -> None:
    """Promise work; it is done once this transaction is committed, never otherwise."""
    if wanted:
        tx.execute(
            ADD,
            [
                {
                    "team_id": job.team_id,
                    "name": job.name,
                    "lane": job.lane,
                    "args": job.args,
                    "run_at": at,
                    "attempts": 0,
                    "created_at": at,
                }
                for job in wanted
            ],
        )


def claim(tx: Tx, *, now: int, limit: int) -> list[Job]:
    """Take due jobs for a while; of a lane only its oldest, so that it stays in order."""
    mine = [
        Job(row.team_id, row.name, row.args, row.lane, row.id, row.attempts)
        for row in tx.all(DUE, {"now": now, "limit": limit})
    ]
    if mine:
        tx.execute(LEASE, [{"job_id": job.id, "until": now + LEASE_MS} for job in mine])
    return mine


def finish(tx: Tx, job: Job) -> None:
    tx.execute(DONE, {"job_id": job.id})


def fail(tx: Tx, job: Job, *, why: str, now: int) -> None:
    """Try again later, or give up where it can be seen (`samvad audit` lists it)."""
    left = job.attempts < len(BACK_OFF_MS)
    again = now + BACK_OFF_MS[min(job.attempts, len(BACK_OFF_MS) - 1)]
    tx.execute(FAILED, {"job_id": job.id, "again": again, "why": why[:2000], "end": None if left else now})
