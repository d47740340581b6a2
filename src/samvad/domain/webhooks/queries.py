"""Endpoints, deliveries and attempts in the database."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, bindparam

from samvad.domain.webhooks.model import About
from samvad.domain.webhooks.tables import attempts, deliveries, endpoints
from samvad.kit.ids import new_id
from samvad.storage import Tx, every_team
from samvad.storage.columns import among

ACTIVE = every_team.select(
    endpoints.c.id, endpoints.c.team_id, endpoints.c.plugin_id, endpoints.c.hears_from_at
).where(
    among(endpoints.c.plugin_id, "plugins"), endpoints.c.is_active, endpoints.c.format == bindparam("format")
)

ADD = every_team.upsert(deliveries).on_conflict_do_nothing(index_elements=["endpoint_id", "inbound_event_id"])

UNREAD = About("messages")
"""What a body is about that nobody could read."""


def set_endpoint(
    tx: Tx, *, plugin_id: str, format: str, url: str | None, at: int, events: Collection[str] = ()
) -> None:
    """Where events of this plugin go from now on; with no URL, what was pending is cancelled.

    A new address, and one that is set again, starts afresh: with no failures, no rest and no pause.
    """
    endpoint = tx.first(
        tx.select(endpoints).where(endpoints.c.plugin_id == plugin_id, endpoints.c.format == format)
    )
    if endpoint is None:
        if url is not None:
            row = {"id": new_id(), "plugin_id": plugin_id, "format": format, "url": url, "is_active": True}
            row |= {"events": sorted(events), "failures": 0, "hears_from_at": at}
            tx.execute(tx.insert(endpoints), {**row, "created_at": at, "updated_at": at})
        return
    change = tx.update(endpoints).where(endpoints.c.id == endpoint.id)
    if url is None:
        if endpoint.is_active:
            tx.execute(change.values(is_active=False, updated_at=at))
        pending = tx.update(deliveries).where(
            deliveries.c.endpoint_id == endpoint.id, deliveries.c.state == "PENDING"
        )
        tx.execute(pending.values(state="CANCELLED", updated_at=at))
        return
    if not endpoint.is_active:
        tx.execute(change.values(hears_from_at=at))
    fresh = {
        "failures": 0,
        **dict.fromkeys(("failing_since_at", "rests_until_at", "paused_at", "paused_why")),
    }
    tx.execute(change.values(is_active=True, url=url, events=sorted(events), updated_at=at, **fresh))


def set_events(tx: Tx, *, plugin_id: str, format: str, events: Collection[str], at: int) -> None:
    """Which outgoing events an endpoint wants from now on; its address and how it fares stay."""
    one = tx.update(endpoints).where(endpoints.c.plugin_id == plugin_id, endpoints.c.format == format)
    tx.execute(one.values(events=sorted(events), updated_at=at))


def add_for_inbound(
    tx: Tx,
    inbound: Sequence[tuple[int, str, int]],
    *,
    at: int,
    about: Mapping[int, About] | None = None,
) -> int:
    """One delivery of each inbound event (its id, plugin and arrival) for each endpoint that wants Meta's bytes.

    Folding an event again adds none, and an endpoint hears nothing of the time before it was set.
    """
    active = tx.all(ACTIVE, {"plugins": {plugin for _, plugin, _ in inbound}, "format": "meta"})
    by_plugin = {row.plugin_id: row for row in active}
    rows = [
        delivery_row(
            endpoint.team_id,
            endpoint.id,
            (about or {}).get(event_id, UNREAD),
            inbound_event_id=event_id,
            at=at,
        )
        for event_id, plugin, received_at in inbound
        if (endpoint := by_plugin.get(plugin)) and received_at >= endpoint.hears_from_at
    ]
    if rows:
        tx.execute(ADD, rows)
    return len(rows)


def delivery_row(
    team_id: str,
    endpoint_id: str,
    about: About,
    *,
    at: int,
    inbound_event_id: int | None = None,
    webhook_event_id: str | None = None,
) -> dict[str, Any]:
    """A delivery that waits for its first attempt."""
    return {
        "id": new_id(),
        "team_id": team_id,
        "endpoint_id": endpoint_id,
        "inbound_event_id": inbound_event_id,
        "webhook_event_id": webhook_event_id,
        "event": about.event,
        "order_key": about.order_key,
        "peer": about.peer,
        "wamid": about.wamid,
        "state": "PENDING",
        "attempts": 0,
        "next_attempt_at": at,
        "holds": False,
        "created_at": at,
        "updated_at": at,
    }


def newest_first(tx: Tx, *, limit: int, skip: int) -> Sequence[Row[Any]]:
    """Deliveries of this team, each with its endpoint's plugin, URL and format."""
    return tx.all(_with_endpoint(tx).order_by(deliveries.c.id.desc()).limit(limit).offset(skip))


def find(tx: Tx, delivery_id: str) -> Row[Any] | None:
    return tx.first(_with_endpoint(tx).where(deliveries.c.id == delivery_id))


def attempts_of(tx: Tx, delivery_ids: Collection[str]) -> Sequence[Row[Any]]:
    """Attempts of these deliveries, oldest first."""
    query = tx.select(attempts).where(among(attempts.c.delivery_id, "ids")).order_by(attempts.c.id)
    return tx.all(query, {"ids": delivery_ids})


def again(tx: Tx, delivery_id: str, *, at: int) -> None:
    """Deliver once more, whatever became of it before."""
    one = tx.update(deliveries).where(deliveries.c.id == delivery_id)
    tx.execute(one.values(state="PENDING", attempts=0, next_attempt_at=at, holds=False, updated_at=at))


def _with_endpoint(tx: Tx) -> Any:
    columns = (
        *deliveries.c,
        endpoints.c.plugin_id,
        endpoints.c.url,
        endpoints.c.format,
        endpoints.c.is_active,
    )
    return tx.select(deliveries, *columns).join(endpoints, endpoints.c.id == deliveries.c.endpoint_id)
