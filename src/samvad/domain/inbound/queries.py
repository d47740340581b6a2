"""Inbound events in the database: kept by the batch, taken by the batch."""

import hashlib
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from sqlalchemy import Row, bindparam, case, func, literal

from samvad.domain.inbound.tables import inbound_events
from samvad.storage import Tx, every_team
from samvad.storage.columns import among

FINGERPRINT = 16  # bytes: two bodies in 2⁶⁴ would have to collide, and both be signed by the same app


class Body(NamedTuple):
    """A webhook body of Meta that was signed for this plugin."""

    team_id: str
    plugin_id: str
    body: bytes
    received_at: int


class Mark(NamedTuple):
    """What the fold noted on an inbound event it could not interpret in full."""

    event_id: int
    problem: str | None
    kept_fields: list[str] | None


KEEP = every_team.upsert(inbound_events).on_conflict_do_nothing()

UNFOLDED = (
    every_team.select(inbound_events.c.id, func.length(inbound_events.c.body).label("size"))
    .where(inbound_events.c.folded_at.is_(None))
    .order_by(inbound_events.c.id)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)

TAKEN = (
    every_team.select(
        inbound_events.c.id,
        inbound_events.c.team_id,
        inbound_events.c.plugin_id,
        inbound_events.c.body,
        inbound_events.c.received_at,
    )
    .where(among(inbound_events.c.id, "ids"))
    .order_by(inbound_events.c.id)
)

FOLDED = (
    every_team.update(inbound_events)
    .where(among(inbound_events.c.id, "ids"))
    .values(folded_at=bindparam("now"))
)

MARKED = (
    every_team.update(inbound_events)
    .where(inbound_events.c.id == bindparam("event_id"))
    .values(problem=bindparam("why"), kept_fields=bindparam("fields"))
)

BODY = every_team.select(inbound_events.c.id, inbound_events.c.body).where(among(inbound_events.c.id, "ids"))

FOLDED_ONES = (
    every_team.select(
        inbound_events.c.id,
        inbound_events.c.team_id,
        inbound_events.c.folded_at,
        inbound_events.c.problem,
        case(
            (func.length(inbound_events.c.body) <= bindparam("largest"), inbound_events.c.body),
            else_=literal(b"{}"),
        ).label("body"),
    )
    .where(inbound_events.c.id > bindparam("after"))
    .order_by(inbound_events.c.id)
    .limit(bindparam("limit"))
)

OLDEST = (
    every_team.select(
        inbound_events.c.id,
        inbound_events.c.received_at.label("moment"),
        (inbound_events.c.folded_at.is_not(None) & inbound_events.c.problem.is_(None)).label("is_done"),
    )
    .where(inbound_events.c.id > bindparam("after"))
    .order_by(inbound_events.c.id)
    .limit(bindparam("limit"))
)

FORGET = every_team.delete(inbound_events).where(among(inbound_events.c.id, "ids"))

WAITING = (
    every_team.select(func.count()).select_from(inbound_events).where(inbound_events.c.folded_at.is_(None))
)


def keep(tx: Tx, bodies: Sequence[Body]) -> Sequence[None]:
    """Store raw webhook bodies. After this commit Meta may forget them.

    Meta repeats itself to the byte, so the same bytes for the same plugin are one event.
    """
    tx.execute_many(
        KEEP,
        [
            {
                "team_id": it.team_id,
                "plugin_id": it.plugin_id,
                "fingerprint": hashlib.sha256(it.plugin_id.encode() + it.body).digest()[:FINGERPRINT],
                "body": it.body,
                "received_at": it.received_at,
            }
            for it in bodies
        ],
    )
    return [None] * len(bodies)


def unfolded_oldest_first(tx: Tx, *, limit: int, largest: int) -> tuple[Sequence[Row[Any]], bool]:
    """Bodies to fold, together at most `largest` bytes unless the first is larger; and whether more may wait.

    Both databases tell the length of a body without reading it.
    """
    waiting = tx.all(UNFOLDED, {"limit": limit})
    if not waiting:
        return [], False
    sizes = list(accumulate(it.size for it in waiting))
    count = max(1, sum(size <= largest for size in sizes))
    rows = tx.all(TAKEN, {"ids": [it.id for it in waiting[:count]]})
    return rows, count == limit or count < len(waiting)


def mark_folded(tx: Tx, event_ids: Sequence[int], marks: Sequence[Mark], *, at: int) -> None:
    tx.execute(FOLDED, {"ids": event_ids, "now": at})
    if marks:
        tx.execute(MARKED, [{"event_id": it, "why": why, "fields": fields} for it, why, fields in marks])


def find(tx: Tx, event_id: int) -> Row[Any] | None:
    return tx.first(TAKEN, {"ids": [event_id]})


def bodies(tx: Tx, event_ids: Sequence[int]) -> dict[int, bytes]:
    return {row.id: row.body for row in tx.all(BODY, {"ids": event_ids})}


def waiting(tx: Tx) -> int:
    """How many events have not been folded yet; the index of the waiting ones alone is counted."""
    row = tx.first(WAITING)
    return int(row[0]) if row else 0


def newest_id(tx: Tx) -> int:
    """The id of the event that was kept last, 0 where there is none."""
    row = tx.first(every_team.select(func.max(inbound_events.c.id)))
    return int(row[0] or 0) if row else 0


def folded_oldest_first(tx: Tx, *, after: int, limit: int, largest: int) -> Sequence[Row[Any]]:
    """Events behind this one, up to the first that still waits; of a larger body the bytes are left out."""
    rows = tx.all(FOLDED_ONES, {"after": after, "limit": limit, "largest": largest})
    waits = next((n for n, row in enumerate(rows) if row.folded_at is None), len(rows))
    return rows[:waits]


def fold_again(
    tx: Tx, *, since: int | None = None, event_ids: Sequence[int] = (), only_problems: bool = False
) -> int:
    """Let the fold read these events once more; it is idempotent. Returns how many."""
    again = every_team.update(inbound_events).where(inbound_events.c.folded_at.is_not(None))
    if since is not None:
        again = again.where(inbound_events.c.received_at >= since)
    if event_ids:
        again = again.where(among(inbound_events.c.id, "ids"))
    if only_problems:
        again = again.where(inbound_events.c.problem.is_not(None) | inbound_events.c.kept_fields.is_not(None))
    again = again.values(folded_at=None, problem=None, kept_fields=None)
    return tx.execute(again, {"ids": list(event_ids)} if event_ids else None).rowcount


def with_problems_newest_first(tx: Tx, *, limit: int) -> Sequence[Row[Any]]:
    """What could not be understood, over all teams, for the operator."""
    return tx.all(
        every_team.select(
            inbound_events.c.id,
            inbound_events.c.team_id,
            inbound_events.c.received_at,
            inbound_events.c.problem,
        )
        .where(inbound_events.c.problem.is_not(None))
        .order_by(inbound_events.c.id.desc())
        .limit(limit)
    )


def oldest_first(tx: Tx, *, after: int, limit: int) -> Sequence[Row[Any]]:
    """Events behind this one: when each came, and whether it is folded and was understood."""
    return tx.all(OLDEST, {"after": after, "limit": limit})


def forget(tx: Tx, event_ids: Sequence[int]) -> None:
    tx.execute(FORGET, {"ids": event_ids})
