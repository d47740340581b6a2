"""The queue: work to do later is a row, committed with what causes it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, exists

from samvad.jobs.tables import jobs
from samvad.storage import Tx, every_team
from samvad.storage.columns import among

LEASE_MS = 15_000  # renewed while it is worked at; a job whose worker died is due again after this
BACK_OFF_MS = (1_000, 5_000, 30_000, 120_000, 600_000, 3_600_000)  # then it has given up, visibly

ADD = every_team.insert(jobs)

_older = jobs.alias("older")


def _due(*conditions: ColumnElement[bool]) -> Select[Any]:
    return (
        every_team.select(jobs.c.id, jobs.c.team_id, jobs.c.name, jobs.c.lane, jobs.c.args, jobs.c.attempts)
        .where(
            jobs.c.gave_up_at.is_(None),
            jobs.c.run_at <= bindparam("now"),
            # Behind another of its lane a job is not due, or a lane in trouble would fill every claim.
            ~exists().where(
                _older.c.lane == jobs.c.lane, _older.c.id < jobs.c.id, _older.c.gave_up_at.is_(None)
            ),
            *conditions,
        )
        .order_by(jobs.c.run_at, jobs.c.id)
        .limit(bindparam("limit"))
        .with_for_update(of=jobs, skip_locked=True)
    )


DUE = _due()
DUE_OF = _due(among(jobs.c.name, "names"))
DUE_BUT = _due(~among(jobs.c.name, "names"))

LEASE = (
    every_team.update(jobs)
    .where(jobs.c.id == bindparam("job_id"))
    .values(run_at=bindparam("until"), attempts=jobs.c.attempts + 1)
)

RENEW = (
    every_team.update(jobs)
    .where(jobs.c.id == bindparam("job_id"), jobs.c.gave_up_at.is_(None))
    .values(run_at=bindparam("until"))
)

DONE = every_team.delete(jobs).where(jobs.c.id == bindparam("job_id"))

FAILED = (
    every_team.update(jobs)
    .where(jobs.c.id == bindparam("job_id"))
    .values(run_at=bindparam("again"), error=bindparam("why"), gave_up_at=bindparam("end"))
)

NOT_BEGUN = (
    every_team.update(jobs)
    .where(jobs.c.lane == bindparam("in_lane"), jobs.c.attempts == 0, jobs.c.gave_up_at.is_(None))
    .values(args=bindparam("new_args"))
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


def enqueue(tx: Tx, wanted: Sequence[Job], *, at: int, run_at: int | None = None) -> None:
    """Promise work; it is done once this transaction is committed, never otherwise, and not before `run_at`."""
    if wanted:
        tx.execute(
            ADD,
            [
                {
                    "team_id": job.team_id,
                    "name": job.name,
                    "lane": job.lane,
                    "args": job.args,
                    "run_at": at if run_at is None else run_at,
                    "attempts": 0,
                    "created_at": at,
                }
                for job in wanted
            ],
        )


def enqueue_once(tx: Tx, wanted: Sequence[Job], *, at: int) -> None:
    """Promise work, except where a job of the same lane is promised and not begun: that one takes these args.

    With its own it might think itself done by one that began before this promise was made.
    """
    enqueue(tx, [job for job in wanted if not _takes_on(tx, job)], at=at)


def _takes_on(tx: Tx, job: Job) -> bool:
    return tx.execute(NOT_BEGUN, {"in_lane": job.lane, "new_args": job.args}).rowcount > 0


def claim(
    tx: Tx, *, now: int, limit: int, only: Collection[str] = (), but: Collection[str] = ()
) -> list[Job]:
    """Take due jobs for a while; of a lane only its oldest, so that it stays in order.

    `only` those of these names, or all `but` these: so that slow work has workers of its own.
    """
    assert not (only and but), "a worker takes only some names, or all but some"
    query = DUE_OF if only else DUE_BUT if but else DUE
    names = {"names": only or but} if only or but else {}
    mine = [
        Job(row.team_id, row.name, row.args, row.lane, row.id, row.attempts)
        for row in tx.all(query, {"now": now, "limit": limit, **names})
    ]
    if mine:
        tx.execute(LEASE, [{"job_id": job.id, "until": now + LEASE_MS} for job in mine])
    return mine


def renew(tx: Tx, job_ids: Sequence[int], *, now: int) -> None:
    """Keep jobs that take longer than a lease from being taken again."""
    tx.execute(RENEW, [{"job_id": job_id, "until": now + LEASE_MS} for job_id in sorted(job_ids)])


def finish(tx: Tx, job: Job) -> None:
    tx.execute(DONE, {"job_id": job.id})


def fail(tx: Tx, job: Job, *, why: str, now: int) -> None:
    """Try again later, or give up where it can be seen (`samvad audit` lists it)."""
    left = job.attempts < len(BACK_OFF_MS)
    again = now + BACK_OFF_MS[min(job.attempts, len(BACK_OFF_MS) - 1)]
    tx.execute(FAILED, {"job_id": job.id, "again": again, "why": why[:2000], "end": None if left else now})
