"""Endpoints, deliveries and attempts in the database."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Row, bindparam, exists

from samvad.domain.events.log import Event, record
from samvad.domain.webhooks.model import Attempt, Endpoint, Pending, Verdict
from samvad.domain.webhooks.tables import attempts, deliveries, endpoints
from samvad.kit.ids import new_id
from samvad.storage import Tx, every_team
from samvad.storage.columns import among

ACTIVE = every_team.select(
    endpoints.c.id, endpoints.c.team_id, endpoints.c.plugin_id, endpoints.c.created_at
).where(
    among(endpoints.c.plugin_id, "plugins"), endpoints.c.is_active, endpoints.c.format == bindparam("format")
)

ADD = every_team.upsert(deliveries).on_conflict_do_nothing(index_elements=["endpoint_id", "inbound_event_id"])

READY = every_team.select(endpoints).where(
    endpoints.c.is_active,
    endpoints.c.rests_until_at.is_(None) | (endpoints.c.rests_until_at <= bindparam("now")),
    exists().where(
        deliveries.c.endpoint_id == endpoints.c.id,
        deliveries.c.state == "PENDING",
        deliveries.c.next_attempt_at <= bindparam("now"),
    ),
)

DUE = (
    every_team.select(
        deliveries.c.id, deliveries.c.inbound_event_id, deliveries.c.attempts, deliveries.c.created_at
    )
    .where(
        deliveries.c.endpoint_id == bindparam("endpoint"),
        deliveries.c.state == "PENDING",
        deliveries.c.next_attempt_at <= bindparam("now"),
    )
    .order_by(deliveries.c.id)
    .limit(bindparam("limit"))
)

TRIED = every_team.insert(attempts)

SETTLE = (
    every_team.update(deliveries)
    .where(deliveries.c.id == bindparam("delivery_id"), deliveries.c.state == "PENDING")
    .values(
        state=bindparam("new_state"),
        attempts=deliveries.c.attempts + 1,
        next_attempt_at=bindparam("next"),
        updated_at=bindparam("now"),
    )
)

REST = (
    every_team.update(endpoints)
    .where(endpoints.c.id == bindparam("endpoint"))
    .values(failures=bindparam("in_a_row"), rests_until_at=bindparam("until"), updated_at=bindparam("now"))
)


def set_endpoint(tx: Tx, *, plugin_id: str, format: str, url: str | None, at: int) -> None:
    """Where events of this plugin go from now on; with no URL, what was pending is cancelled."""
    endpoint = tx.first(
        tx.select(endpoints).where(endpoints.c.plugin_id == plugin_id, endpoints.c.format == format)
    )
    if endpoint is None:
        if url is not None:
            row = {"id": new_id(), "plugin_id": plugin_id, "format": format, "url": url, "is_active": True}
            tx.execute(tx.insert(endpoints), {**row, "failures": 0, "created_at": at, "updated_at": at})
        return
    change = tx.update(endpoints).where(endpoints.c.id == endpoint.id)
    if url is None:
        tx.execute(change.values(is_active=False, updated_at=at))
        pending = tx.update(deliveries).where(
            deliveries.c.endpoint_id == endpoint.id, deliveries.c.state == "PENDING"
        )
        tx.execute(pending.values(state="CANCELLED", updated_at=at))
    else:  # a new address deserves a fresh start
        tx.execute(change.values(is_active=True, url=url, failures=0, rests_until_at=None, updated_at=at))


def add_for_inbound(tx: Tx, inbound: Sequence[tuple[int, str, int]], *, at: int) -> int:
    """One delivery of each inbound event (its id, plugin and arrival) for each endpoint that wants Meta's bytes.

    Folding an event again adds none, and an endpoint hears nothing of the time before it was set.
    """
    active = tx.all(ACTIVE, {"plugins": {plugin for _, plugin, _ in inbound}, "format": "meta"})
    by_plugin = {row.plugin_id: row for row in active}
    rows = [
        {
            "id": new_id(),
            "team_id": endpoint.team_id,
            "endpoint_id": endpoint.id,
            "inbound_event_id": event_id,
            "state": "PENDING",
            "attempts": 0,
            "next_attempt_at": at,
            "created_at": at,
            "updated_at": at,
        }
        for event_id, plugin, received_at in inbound
        if (endpoint := by_plugin.get(plugin)) and received_at >= endpoint.created_at
    ]
    if rows:
        tx.execute(ADD, rows)
    return len(rows)


def ready(tx: Tx, *, now: int) -> list[Endpoint]:
    """Endpoints with something due, over all teams."""
    return [
        Endpoint(row.id, row.team_id, row.plugin_id, row.format, row.url, row.is_active, row.failures)
        for row in tx.all(READY, {"now": now})
    ]


def due_oldest_first(tx: Tx, endpoint_id: str, *, now: int, limit: int) -> list[Pending]:
    return [
        Pending(row.id, row.inbound_event_id, row.attempts, row.created_at)
        for row in tx.all(DUE, {"endpoint": endpoint_id, "now": now, "limit": limit})
    ]


def write_attempts(
    tx: Tx, endpoint: Endpoint, tried: Sequence[tuple[Pending, Attempt, Verdict]], *, now: int
) -> None:
    """What came of these POSTs, in their order."""
    tx.execute(
        TRIED,
        [
            {
                "team_id": endpoint.team_id,
                "delivery_id": delivery.id,
                "at": attempt.at,
                "status": attempt.status,
                "error": attempt.error,
                "duration_ms": attempt.duration_ms,
                "response_body": attempt.response_body,
            }
            for delivery, attempt, _ in tried
        ],
    )
    tx.execute(
        SETTLE,
        [
            {
                "delivery_id": delivery.id,
                "new_state": verdict.state,
                "next": verdict.next_attempt_at,
                "now": now,
            }
            for delivery, _, verdict in tried
        ],
    )
    _, last, rest = tried[-1]
    failures = endpoint.failures + 1 if rest.rests_until_at is not None else 0
    if failures or endpoint.failures:
        until = rest.rests_until_at
        tx.execute(REST, {"endpoint": endpoint.id, "in_a_row": failures, "until": until, "now": now})
    given_up = [delivery for delivery, _, verdict in tried if verdict.state == "EXHAUSTED"]
    names = [Event(endpoint.team_id, "webhook.given_up", delivery.id) for delivery in given_up]
    record(tx, names, at=last.at)


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
    tx.execute(one.values(state="PENDING", attempts=0, next_attempt_at=at, updated_at=at))


def _with_endpoint(tx: Tx) -> Any:
    columns = (
        *deliveries.c,
        endpoints.c.plugin_id,
        endpoints.c.url,
        endpoints.c.format,
        endpoints.c.is_active,
    )
    return tx.select(deliveries, *columns).join(endpoints, endpoints.c.id == deliveries.c.endpoint_id)
