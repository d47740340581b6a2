"""The event log read back, newest first."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, bindparam

from samvad.domain.events.tables import events
from samvad.storage import Tx, every_team
from samvad.storage.columns import among

OLDEST = (
    every_team.select(events.c.id, events.c.at.label("moment"))
    .where(events.c.id > bindparam("after"))
    .order_by(events.c.id)
    .limit(bindparam("limit"))
)
FORGET = every_team.delete(events).where(among(events.c.id, "ids"))

MOST_NAMES = 500  # different names of events in one team's log


def newest_first(
    tx: Tx,
    *,
    limit: int,
    name: str | None = None,
    subject_id: str | None = None,
    since: int | None = None,
    until: int | None = None,
    before: int | None = None,
) -> Sequence[Row[Any]]:
    """Events of the team whose name begins so, of this subject, from `since` on and before `until`.

    `before` is the last id of the page above. Each name is read by itself, newest first, in its index.
    """
    query = tx.select(events).order_by(events.c.id.desc()).limit(limit)
    if subject_id is not None:
        query = query.where(events.c.subject_id == subject_id)
    if since is not None:
        query = query.where(events.c.at >= since)
    if until is not None:
        query = query.where(events.c.at < until)
    if before is not None:
        query = query.where(events.c.id < before)
    if name is None:
        return tx.all(query)
    if subject_id is not None:  # what happened to one subject is little
        return tx.all(query.where(events.c.name.startswith(name, autoescape=True)))
    names = [it for it in _names(tx) if it.startswith(name)]
    found = [row for it in names for row in tx.all(query.where(events.c.name == it))]
    return sorted(found, key=lambda row: -row.id)[:limit]


def _names(tx: Tx) -> list[str]:
    """Every name there is, by leaping through the index from one to the next."""
    found: list[str] = []
    query = tx.select(events, events.c.name).order_by(events.c.name).limit(1)
    row = tx.first(query)
    while row is not None and len(found) < MOST_NAMES:
        found.append(row.name)
        row = tx.first(query.where(events.c.name > row.name))
    return found


def oldest_first(tx: Tx, *, after: int, limit: int) -> Sequence[Row[Any]]:
    """Events behind this one, over all teams, and when each happened."""
    return tx.all(OLDEST, {"after": after, "limit": limit})


def forget(tx: Tx, event_ids: Sequence[int]) -> None:
    tx.execute(FORGET, {"ids": event_ids})
