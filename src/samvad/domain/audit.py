"""What an operator asks after a bad night: what is there, what is open, and what nobody knows."""

from typing import Any

from sqlalchemy import func

from samvad.domain.inbound import queries as inbound
from samvad.domain.media import queries as media
from samvad.domain.messages import sends
from samvad.domain.messages.tables import messages, parked_statuses
from samvad.domain.waba import queries as waba
from samvad.domain.webhooks.tables import deliveries
from samvad.jobs.tables import jobs
from samvad.storage import Tx, every_team

NAMED = 1_000  # ambiguous sends and problems that are listed one by one


def audit(tx: Tx, *, now: int) -> dict[str, Any]:
    """Over all teams. Counts whole tables, so it is for the command line, not for a hot path."""
    unanswered = sends.unanswered_oldest_first(tx, before=now + 1, limit=NAMED)
    problems = inbound.with_problems_newest_first(tx, limit=NAMED)
    return {
        "messages": _count(tx, every_team.select(func.count()).select_from(messages)),
        "distinctWamids": _count(tx, every_team.select(func.count(messages.c.wamid.distinct()))),
        "withWamid": _count(tx, every_team.select(func.count(messages.c.wamid))),
        "inboundEventsWaiting": inbound.waiting(tx),
        "parkedStatuses": _count(tx, every_team.select(func.count()).select_from(parked_statuses)),
        "ambiguousSends": [
            {"id": row.id, "team": row.team_id, "to": row.peer, "timestamp": row.at} for row in unanswered
        ],
        "inboundProblems": [{"id": row.id, "problem": row.problem} for row in problems],
        "deliveriesPending": _count(
            tx, every_team.select(func.count()).select_from(deliveries).where(deliveries.c.state == "PENDING")
        ),
        "deliveriesExhausted": _count(
            tx,
            every_team.select(func.count()).select_from(deliveries).where(deliveries.c.state == "EXHAUSTED"),
        ),
        "mediaFailed": [
            {"id": row.id, "team": row.team_id, "error": row.error, "retryAt": row.retry_at}
            for row in media.failed_newest_first(tx, limit=NAMED)
        ],
        "tokensInvalid": [
            {"plugin": row.plugin_id, "team": row.team_id, "waba": row.waba_id, "since": row.since_at}
            for row in waba.invalid_tokens(tx, limit=NAMED)
        ],
        "jobsThatGaveUp": _count(
            tx, every_team.select(func.count()).select_from(jobs).where(jobs.c.gave_up_at.is_not(None))
        ),
    }


def _count(tx: Tx, query: Any) -> int:
    row = tx.first(query)
    return int(row[0]) if row else 0
