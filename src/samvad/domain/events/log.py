"""The event log: what happened here, in the transaction in which it happened.

Names are `noun.verb` in the past: message.sent, message.delivered, contact.created.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from samvad.domain.events.tables import events
from samvad.storage import Tx, every_team

LOG = every_team.insert(events)


class Event(NamedTuple):
    """One thing that happened, to one subject."""

    team_id: str
    name: str
    subject_id: str
    actor_id: str | None = None
    data: dict[str, Any] | None = None


def record(tx: Tx, happened: Sequence[Event], *, at: int) -> None:
    """Write events down; they are committed, or not, together with their cause."""
    if happened:
        tx.execute(
            LOG,
            [
                {
                    "team_id": team_id,
                    "name": name,
                    "subject_id": subject_id,
                    "actor_id": actor_id,
                    "data": data,
                    "at": at,
                }
                for team_id, name, subject_id, actor_id, data in happened
            ],
        )
