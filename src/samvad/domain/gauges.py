"""How much waits at this moment, and for how long, over all teams: for whoever watches an installation."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, literal_column

from samvad.domain.inbound.tables import inbound_events
from samvad.domain.messages.tables import messages, parked_statuses
from samvad.domain.webhooks.tables import deliveries, endpoints
from samvad.jobs.tables import jobs
from samvad.kit.ids import made_at
from samvad.storage import Tx, every_team

PENDING = deliveries.c.state == literal_column("'PENDING'")
"""A literal, or SQLite would not see that the index of these is enough."""


@dataclass(frozen=True, slots=True)
class Gauges:
    """Counts, and moments (epoch ms) of the oldest; None where nothing waits."""

    inbound_waiting: int
    inbound_oldest_at: int | None
    deliveries_pending: int
    deliveries_oldest_at: int | None
    endpoints_paused: int
    parked_statuses: int
    sends_unanswered: int
    jobs_gave_up: int
    jobs: dict[str, tuple[int, int | None]]
    """How many wait or run, and since when the most overdue has been due, by name."""


def read(tx: Tx) -> Gauges:
    """Each from an index of what waits alone; a backlog of a million takes a second, so it is a search."""
    oldest = tx.first(
        every_team.select(inbound_events.c.received_at)
        .where(inbound_events.c.folded_at.is_(None))
        .order_by(inbound_events.c.id)
        .limit(1)
    )
    return Gauges(
        inbound_waiting=_count(tx, inbound_events, inbound_events.c.folded_at.is_(None)),
        inbound_oldest_at=oldest[0] if oldest else None,
        deliveries_pending=_count(tx, deliveries, PENDING),
        deliveries_oldest_at=_oldest_delivery(tx),
        endpoints_paused=_count(tx, endpoints, endpoints.c.paused_at.is_not(None)),
        parked_statuses=_count(tx, parked_statuses),
        sends_unanswered=_count(tx, messages, messages.c.status == literal_column("0")),
        jobs_gave_up=_count(tx, jobs, jobs.c.gave_up_at.is_not(None)),
        jobs=_jobs(tx),
    )


def _jobs(tx: Tx) -> dict[str, tuple[int, int | None]]:
    waiting = every_team.select(
        jobs.c.name, func.count().label("many"), func.min(jobs.c.run_at).label("due_at")
    )
    rows = tx.all(waiting.where(jobs.c.gave_up_at.is_(None)).group_by(jobs.c.name))
    return {row.name: (row.many, row.due_at) for row in rows}


def _oldest_delivery(tx: Tx) -> int | None:
    """Its id tells when it was made, and stands in the index, by endpoint."""
    first = (
        every_team.select(deliveries.c.id)
        .where(deliveries.c.endpoint_id == endpoints.c.id, PENDING)
        .order_by(deliveries.c.id)
        .limit(1)
        .scalar_subquery()
    )
    firsts = tx.all(every_team.select(first).select_from(endpoints).where(endpoints.c.paused_at.is_(None)))
    found = [row[0] for row in firsts if row[0] is not None]
    return made_at(min(found)) if found else None


def _count(tx: Tx, table: Any, *conditions: Any) -> int:
    row = tx.first(every_team.select(func.count()).select_from(table).where(*conditions))
    return int(row[0]) if row else 0
