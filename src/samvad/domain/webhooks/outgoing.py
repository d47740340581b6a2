"""Events of our own making for customers' endpoints: in the transaction that makes them true, or not at all."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import msgspec

from samvad.domain.webhooks.model import About, ActsAs
from samvad.domain.webhooks.queries import delivery_row, promise
from samvad.domain.webhooks.tables import endpoints, webhook_events
from samvad.kit.ids import new_id
from samvad.storage import Tx, every_team
from samvad.storage.columns import among


class Listener(NamedTuple):
    """An endpoint that wants an event."""

    endpoint_id: str
    team_id: str
    format: str
    acts_as: ActsAs | None = None  # whose sight it has, of an endpoint that hears of objects


class ObjectListener(NamedTuple):
    """An endpoint that wants changes of objects, and which."""

    listener: Listener
    events: frozenset[str]
    procedures: frozenset[str] | None

    def wants(self, event: str, procedure: str | None) -> bool:
        return event in self.events and (self.procedures is None or procedure in self.procedures)


class Telling(NamedTuple):
    """An event on its way to one endpoint."""

    listener: Listener
    plugin_id: str | None
    about: About
    message_id: str | None
    body: dict[str, Any]


Listeners = dict[tuple[str, str], Listener]
"""By plugin and event name."""

LISTENERS = every_team.select(
    endpoints.c.id, endpoints.c.team_id, endpoints.c.plugin_id, endpoints.c.format, endpoints.c.events
).where(among(endpoints.c.team_id, "teams"), endpoints.c.is_active, endpoints.c.plugin_id.is_not(None))

KEEP = every_team.insert(webhook_events)


def listeners(tx: Tx, team_ids: Collection[str]) -> Listeners:
    """Who of these teams wants which outgoing events: the one question that a batch nobody listens to costs."""
    return {
        (row.plugin_id, event): Listener(row.id, row.team_id, row.format)
        for row in tx.all(LISTENERS, {"teams": team_ids})
        for event in row.events
    }


def object_listeners(tx: Tx) -> list[ObjectListener]:
    """Who of this team wants changes of its objects, oldest first."""
    columns = (endpoints.c.id, endpoints.c.team_id, endpoints.c.format)
    which = (endpoints.c.events, endpoints.c.procedures, endpoints.c.acts_as)
    query = tx.select(endpoints, *columns, *which).where(
        endpoints.c.format == "object", endpoints.c.is_active
    )
    return [
        ObjectListener(
            Listener(row.id, row.team_id, row.format, ActsAs(**row.acts_as)),
            frozenset(row.events),
            None if row.procedures is None else frozenset(row.procedures),
        )
        for row in tx.all(query.order_by(endpoints.c.id))
    ]


def tell(tx: Tx, told: Sequence[Telling], *, at: int) -> None:
    """Write these events down for their endpoints; each keeps its bytes, and so its signature."""
    if not told:
        return
    ids = [new_id() for _ in told]
    tx.execute(
        KEEP,
        [
            {
                "id": event_id,
                "team_id": it.listener.team_id,
                "plugin_id": it.plugin_id,
                "name": it.about.event,
                "message_id": it.message_id,
                "body": msgspec.json.encode(it.body),
                "created_at": at,
            }
            for event_id, it in zip(ids, told, strict=True)
        ],
    )
    rows = [
        delivery_row(it.listener.team_id, it.listener.endpoint_id, it.about, webhook_event_id=event_id, at=at)
        for event_id, it in zip(ids, told, strict=True)
    ]
    promise(tx, rows)
