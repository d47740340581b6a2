"""The event log: what happened here, in the transaction in which it happened.

Names are `noun.verb` in the past: message.sent, message.delivered, contact.created.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from samvad.domain.events.tables import events
from samvad.storage import Tx, every_team

LOG = every_team.insert(events)
LOG_ONCE = every_team.upsert(events).on_conflict_do_nothing()


class Event(NamedTuple):
    """One thing that happened, to one subject."""

    team_id: str
    name: str
    subject_id: str
    actor_id: str | None = None
    data: dict[str, Any] | None = None
    origin: str | None = None  # what brings it, perhaps again: with an origin it is recorded once


def record(tx: Tx, happened: Sequence[Event], *, at: int) -> None:
    """Write events down; they are committed, or not, together with their cause."""
    plain = [_row(it, at=at) for it in happened if it.origin is None]
    if plain:
        tx.execute_many(LOG, plain)
    brought = [_row(it, at=at) | {"origin": it.origin} for it in happened if it.origin is not None]
    if brought:
        tx.execute_many(LOG_ONCE, brought)


def _row(it: Event, *, at: int) -> dict[str, Any]:
    return {
        "team_id": it.team_id,
        "name": it.name,
        "subject_id": it.subject_id,
        "actor_id": it.actor_id,
        "data": it.data,
        "at": at,
    }
