"""Endpoints, deliveries and attempts in the database."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, bindparam, func, literal_column, or_

from samvad.domain.webhooks.model import ID_HEADER, About, ActsAs, Attempt, Which
from samvad.domain.webhooks.tables import attempts, deliveries, endpoints, webhook_events
from samvad.kit.ids import new_id, new_id_after, oldest_id
from samvad.storage import Tx, every_team
from samvad.storage.alone import DELIVERIES, one_by_one
from samvad.storage.columns import among, aside, later

ACTIVE = every_team.select(
    endpoints.c.id, endpoints.c.team_id, endpoints.c.plugin_id, endpoints.c.hears_from_at
).where(
    among(endpoints.c.plugin_id, "plugins"), endpoints.c.is_active, endpoints.c.format == bindparam("format")
)

ADD = every_team.upsert(deliveries).on_conflict_do_nothing(index_elements=["endpoint_id", "inbound_event_id"])

LAST = every_team.select(
    endpoints.c.id,
    every_team.select(func.max(deliveries.c.id))
    .where(deliveries.c.endpoint_id == endpoints.c.id)
    .scalar_subquery()
    .label("last"),
).where(among(endpoints.c.id, "endpoints"))
"""The newest delivery of each of these endpoints: a step into an index for each."""

NOT_DELIVERED = deliveries.c.state != literal_column("'DELIVERED'")
"""In the words of the index of what was not, for a database uses it only where it sees them."""

NOT_REMOVED = or_(endpoints.c.is_active, endpoints.c.format != "object")
"""A plugin's endpoint that is off may be set again; one of objects that was removed is kept for its log alone."""

SKEW_MS = 60 * 60 * 1000
"""How far a delivery's id may be from its moment: the bounds of ids only say where in the key to look."""

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
        turn_off(tx, endpoint.id, at=at)
        return
    if not endpoint.is_active:
        tx.execute(change.values(hears_from_at=at))
    fresh = {
        "failures": 0,
        **dict.fromkeys(("failing_since_at", "rests_until_at", "paused_at", "paused_why")),
    }
    tx.execute(change.values(is_active=True, url=url, events=sorted(events), updated_at=at, **fresh))


def turn_off(tx: Tx, endpoint_id: str, *, at: int) -> None:
    """It hears of nothing any more, and what waits for it is cancelled."""
    active = tx.update(endpoints).where(endpoints.c.id == endpoint_id, endpoints.c.is_active)
    tx.execute(active.values(is_active=False, updated_at=at))
    pending = tx.update(deliveries).where(
        deliveries.c.endpoint_id == endpoint_id, deliveries.c.state == "PENDING"
    )
    tx.execute(pending.values(state="CANCELLED", updated_at=at))


def add_object_endpoint(
    tx: Tx,
    *,
    url: str,
    events: Collection[str],
    procedures: Collection[str] | None,
    acts_as: ActsAs,
    at: int,
) -> str:
    """A new endpoint that hears of this team's objects; returns its id."""
    row = {
        "id": new_id(),
        "plugin_id": None,
        "format": "object",
        "url": url,
        "events": list(events),
        "procedures": None if procedures is None else list(procedures),
        "acts_as": acts_as._asdict(),
        "is_active": True,
        "hears_from_at": at,
        "failures": 0,
        "created_at": at,
        "updated_at": at,
    }
    tx.execute(tx.insert(endpoints), row)
    return str(row["id"])


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
    promise(tx, rows)
    return len(rows)


def promise(tx: Tx, rows: Sequence[dict[str, Any]]) -> None:
    """Have these delivered: each goes after what was committed before it, and before what is committed after it.

    Their ids, which are that order, are made at the end of the unit, while nobody else makes any for the same
    endpoints and until this is committed. On PostgreSQL ids made sooner would say who began first, or whose clock is
    ahead, and a delivery could be told after one that was made later.
    """
    if rows:
        tx.at_the_end(_write, rows)


def _write(tx: Tx, rows: list[dict[str, Any]]) -> None:
    whose = {row["endpoint_id"] for row in rows}
    one_by_one(tx, DELIVERIES, whose)
    last = {row.id: row.last for row in tx.all(LAST, {"endpoints": whose})}
    for row in rows:
        row["id"] = last[row["endpoint_id"]] = new_id_after(last.get(row["endpoint_id"]))
    tx.execute_many(ADD, rows)


def delivery_row(
    team_id: str,
    endpoint_id: str,
    about: About,
    *,
    at: int,
    inbound_event_id: int | None = None,
    webhook_event_id: str | None = None,
) -> dict[str, Any]:
    """A delivery that waits for its first attempt, and for its id."""
    return {
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


def newest_first(tx: Tx, which: Which, *, limit: int, skip: int) -> Sequence[Row[Any]]:
    """Deliveries of this team, each with its endpoint's plugin, URL and format."""
    newest = deliveries.c.id.desc()
    found = [row for it in _those(tx, which) for row in tx.all(it.order_by(newest).limit(skip + limit))]
    return sorted(found, key=lambda row: row.id, reverse=True)[skip : skip + limit]


def find(tx: Tx, delivery_id: str) -> Row[Any] | None:
    return tx.first(_with_endpoint(tx).where(deliveries.c.id == delivery_id))


def attempts_of(tx: Tx, delivery_ids: Collection[str]) -> Sequence[Row[Any]]:
    """Attempts of these deliveries, oldest first."""
    query = tx.select(attempts).where(among(attempts.c.delivery_id, "ids")).order_by(attempts.c.id)
    return tx.all(query, {"ids": delivery_ids})


def again(tx: Tx, delivery_ids: Collection[str], *, at: int) -> None:
    """Deliver once more, whatever became of it before."""
    ours = aside(deliveries.c.team_id) == tx.team_id
    these = every_team.update(deliveries).where(ours, among(deliveries.c.id, "ids"))
    fresh = these.values(state="PENDING", attempts=0, next_attempt_at=at, holds=False, updated_at=at)
    tx.execute(fresh, {"ids": delivery_ids})


def again_oldest_first(tx: Tx, which: Which, *, after: str, limit: int, at: int) -> list[str]:
    """Deliver a chunk of these once more, past the delivery `after`; returns their ids."""
    oldest = [
        it.where(endpoints.c.is_active, deliveries.c.id > after).order_by(deliveries.c.id).limit(limit)
        for it in _those(tx, which)
    ]
    found = sorted(row.id for it in oldest for row in tx.all(it))[:limit]
    if found:
        again(tx, found, at=at)
    return found


def endpoints_oldest_first(tx: Tx, *, format: str | None = None) -> Sequence[Row[Any]]:
    query = tx.select(endpoints).where(NOT_REMOVED).order_by(endpoints.c.created_at, endpoints.c.id)
    return tx.all(query if format is None else query.where(endpoints.c.format == format))


def find_endpoint(tx: Tx, endpoint_id: str) -> Row[Any] | None:
    return tx.first(tx.select(endpoints).where(endpoints.c.id == endpoint_id, NOT_REMOVED))


def set_endpoint_fields(tx: Tx, endpoint_id: str, **changes: Any) -> None:
    tx.execute(tx.update(endpoints).where(endpoints.c.id == endpoint_id).values(**changes))


def waiting(tx: Tx, endpoint_id: str, *, most: int) -> tuple[int, int | None]:
    """How many deliveries wait for an endpoint, `most` of them counted, and when the earliest of those is due."""
    some = (
        tx.select(deliveries, later(deliveries.c.next_attempt_at, deliveries.c.updated_at).label("due_at"))
        .where(deliveries.c.endpoint_id == endpoint_id, deliveries.c.state == "PENDING")
        .limit(most)
        .subquery()
    )
    row: Any = tx.first(every_team.select(func.count(), func.min(some.c.due_at)))
    return (int(row[0]), row[1]) if row else (0, None)


def add_done(tx: Tx, endpoint: Row[Any], about: About, body: bytes, attempt: Attempt, *, at: int) -> str:
    """Write down an event that was delivered, or not, already; returns the delivery's id."""
    event_id = new_id()
    event = {"id": event_id, "plugin_id": endpoint.plugin_id, "name": about.event, "body": body}
    tx.execute(tx.insert(webhook_events), {**event, "message_id": None, "created_at": at})
    row = delivery_row(endpoint.team_id, endpoint.id, about, webhook_event_id=event_id, at=at)
    row |= {"id": attempt.request_headers[ID_HEADER], "attempts": 1}
    tx.execute(tx.insert(deliveries), row | {"state": "DELIVERED" if attempt.delivered else "EXHAUSTED"})
    tx.execute(tx.insert(attempts), {"delivery_id": row["id"], **asdict(attempt)})
    return str(row["id"])


def forget_oldest(tx: Tx, *, before: int, limit: int) -> int:
    """Drop a chunk of what came to its end before then, with its attempts and its own events; over all teams.

    What is forgotten is not delivered anew when its inbound event is folded again. Returns how many.
    """
    old = tx.all(OLD, {"floor": oldest_id(before), "before": before, "limit": limit})
    if old:
        ids = [row.id for row in old]
        tx.execute(FORGET_ATTEMPTS, {"ids": ids})
        tx.execute(FORGET_EVENTS, {"ids": [row.webhook_event_id for row in old if row.webhook_event_id]})
        tx.execute(FORGET, {"ids": ids})
        tx.execute(HEARS_FROM, {"moment": before})
    return len(old)


OLD = (
    every_team.select(deliveries.c.id, deliveries.c.webhook_event_id)
    .where(
        deliveries.c.id < bindparam("floor"),  # ids ascend with time: the key finds them
        deliveries.c.state != "PENDING",
        deliveries.c.updated_at < bindparam("before"),
    )
    .order_by(deliveries.c.id)
    .limit(bindparam("limit"))
)
AWAITED = every_team.select(deliveries.c.inbound_event_id).where(
    deliveries.c.endpoint_id.in_(every_team.select(endpoints.c.id).where(endpoints.c.format == "meta")),
    among(deliveries.c.inbound_event_id, "ids"),
)
FORGET_ATTEMPTS = every_team.delete(attempts).where(among(attempts.c.delivery_id, "ids"))
FORGET_EVENTS = every_team.delete(webhook_events).where(among(webhook_events.c.id, "ids"))
FORGET = every_team.delete(deliveries).where(among(deliveries.c.id, "ids"))
HEARS_FROM = (
    every_team.update(endpoints)
    .where(endpoints.c.hears_from_at < bindparam("moment"))
    .values(hears_from_at=bindparam("moment"))
)


def _those(tx: Tx, which: Which) -> list[Any]:
    """Queries that have them together: of an endpoint each where a plugin is asked for, so that each reads its own
    in the order of an index. None of them looks through the whole log.
    """
    query = _with_endpoint(tx)
    for column, wanted in (
        (deliveries.c.state, which.state),
        (endpoints.c.format, which.format),
        (deliveries.c.event, which.event),
        (deliveries.c.peer, which.peer),
        (deliveries.c.wamid, which.wamid),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    if which.state not in (None, "DELIVERED"):
        query = query.where(NOT_DELIVERED)
    if which.from_at is not None:
        query = query.where(deliveries.c.created_at >= which.from_at)
        query = query.where(deliveries.c.id >= oldest_id(which.from_at - SKEW_MS))
    if which.to_at is not None:
        query = query.where(deliveries.c.created_at < which.to_at)
        query = query.where(deliveries.c.id < oldest_id(which.to_at + SKEW_MS))
    if which.plugin_id is None:
        return [query]
    its = tx.all(tx.select(endpoints, endpoints.c.id).where(endpoints.c.plugin_id == which.plugin_id))
    return [query.where(deliveries.c.endpoint_id == row.id) for row in its]


def _with_endpoint(tx: Tx) -> Any:
    columns = (
        *deliveries.c,
        endpoints.c.plugin_id,
        endpoints.c.url,
        endpoints.c.format,
        endpoints.c.is_active,
    )
    return tx.select(deliveries, *columns).join(endpoints, endpoints.c.id == deliveries.c.endpoint_id)


def awaited(tx: Tx, inbound_event_ids: Collection[int]) -> set[int]:
    """Those of these inbound events that are in the log of webhooks, and may be sent on (again) with their bodies."""
    return {row.inbound_event_id for row in tx.all(AWAITED, {"ids": inbound_event_ids})}
