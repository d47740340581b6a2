"""What the dispatcher asks of the database: who is ready, whose turn it is, and what came of it. Over all teams."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Row, bindparam, literal_column, or_

from samvad.domain.events.log import Event, record
from samvad.domain.inbound.queries import bodies as inbound_bodies
from samvad.domain.webhooks.model import (
    EVERY_CHAT,
    Attempt,
    Endpoint,
    Health,
    Pending,
    Rules,
    Verdict,
    verdict,
)
from samvad.domain.webhooks.tables import attempts, deliveries, endpoints, webhook_events
from samvad.storage import Tx, every_team
from samvad.storage.columns import among

LEASE_MS = 5_000  # renewed while it is held; after a process died, its endpoints wait this long


class Tried(NamedTuple):
    """One attempt that was made."""

    endpoint_id: str
    delivery: Pending
    attempt: Attempt
    rules: Rules


# Spelled as in the indexes of these few, or SQLite reads all that was ever delivered to an endpoint at every look.
_is_pending = deliveries.c.state == literal_column("'PENDING'")
_holds: ColumnElement[Any] = literal_column(
    "webhook_delivery.holds"
)  # untyped, or it would be asked whether it is 1


class Taken(NamedTuple):
    """A delivery that goes now."""

    body: bytes | None
    """None: it was forgotten meanwhile."""


_served = (
    endpoints.c.is_active,
    or_(endpoints.c.paused_why.is_(None), endpoints.c.paused_why != "HAND"),
    endpoints.c.rests_until_at.is_(None) | (endpoints.c.rests_until_at <= bindparam("now")),
)

_is_due = or_(
    deliveries.c.attempts
    == 0,  # at once, whatever the clock said when it was made: it may have been ahead of ours
    deliveries.c.next_attempt_at <= bindparam("now"),
)

READY = every_team.select(endpoints.c.id).where(
    *_served,
    endpoints.c.leased_until_at.is_(None)
    | (endpoints.c.leased_until_at <= bindparam("now"))
    | (endpoints.c.lease_owner == bindparam("me")),
    # The oldest, not whether there is one: only for its order does SQLite surely take the index of those that wait.
    every_team.select(deliveries.c.id)
    .where(deliveries.c.endpoint_id == endpoints.c.id, _is_pending, _is_due)
    .order_by(deliveries.c.id)
    .limit(1)
    .scalar_subquery()
    .is_not(None),
)

CLAIM = (
    every_team.update(endpoints)
    .where(
        endpoints.c.id == bindparam("endpoint"),
        endpoints.c.leased_until_at.is_(None)
        | (endpoints.c.leased_until_at <= bindparam("now"))
        | (endpoints.c.lease_owner == bindparam("me")),
    )
    .values(lease_owner=bindparam("me"), leased_until_at=bindparam("until"))
)

RELEASE = (
    every_team.update(endpoints)
    .where(endpoints.c.id == bindparam("endpoint"), endpoints.c.lease_owner == bindparam("me"))
    .values(lease_owner=None, leased_until_at=None)
)

SERVED = every_team.select(endpoints).where(
    endpoints.c.id == bindparam("endpoint"), endpoints.c.lease_owner == bindparam("me"), *_served
)

STILL_GO = (
    every_team.select(deliveries.c.id)
    .join(endpoints, endpoints.c.id == deliveries.c.endpoint_id)
    .where(
        among(deliveries.c.id, "ids"),
        _is_pending,
        endpoints.c.url == bindparam("url"),
        endpoints.c.is_active,
        endpoints.c.lease_owner == bindparam("me"),
        or_(endpoints.c.paused_why.is_(None), endpoints.c.paused_why != "HAND"),
    )
)

HELD = every_team.select(deliveries.c.id, deliveries.c.order_key).where(
    deliveries.c.endpoint_id == bindparam("endpoint"),
    _holds,
    _is_pending,
    deliveries.c.next_attempt_at > bindparam("now"),
)

DUE = (
    every_team.select(
        deliveries.c.id,
        deliveries.c.inbound_event_id,
        deliveries.c.webhook_event_id,
        deliveries.c.order_key,
        deliveries.c.attempts,
    )
    .where(
        deliveries.c.endpoint_id == bindparam("endpoint"),
        _is_pending,
        _is_due,
        ~among(deliveries.c.order_key, "elsewhere"),
    )
    .order_by(deliveries.c.id)
    .limit(bindparam("limit"))
)

EVENT_BODIES = every_team.select(webhook_events.c.id, webhook_events.c.body).where(
    among(webhook_events.c.id, "ids")
)

THEIR_HEALTH = (
    every_team.select(endpoints)
    .where(among(endpoints.c.id, "ids"))
    .order_by(endpoints.c.id)
    .with_for_update()
)

TRIED = every_team.insert(attempts)

SETTLE = (
    every_team.update(deliveries)
    .where(deliveries.c.id == bindparam("delivery_id"), deliveries.c.state == "PENDING")
    .values(
        state=bindparam("new_state"),
        attempts=deliveries.c.attempts + 1,
        next_attempt_at=bindparam("next"),
        holds=bindparam("hold"),
        updated_at=bindparam("now"),
    )
)

GIVE_UP = (
    every_team.update(deliveries)
    .where(deliveries.c.id == bindparam("delivery_id"), deliveries.c.state == "PENDING")
    .values(state="EXHAUSTED", updated_at=bindparam("now"))
)

FARE = (
    every_team.update(endpoints)
    .where(endpoints.c.id == bindparam("endpoint"))
    .values({name: bindparam(f"new_{name}") for name in Health.__dataclass_fields__})
)


def ready(tx: Tx, *, me: str, now: int) -> list[str]:
    """Endpoints with something due that nobody else serves."""
    return [row.id for row in tx.all(READY, {"me": me, "now": now})]


def has_work(tx: Tx, endpoint_id: str, *, now: int) -> bool:
    """Whether anything is due that no chat holds back: worth a claim."""
    held = tx.all(HELD, {"endpoint": endpoint_id, "now": now})
    asked = {"endpoint": endpoint_id, "now": now, "limit": 1, "elsewhere": {it.order_key for it in held}}
    return bool(_in_turn(tx.all(DUE, asked), held))


def claim(tx: Tx, endpoint_id: str, *, me: str, now: int) -> bool:
    """Become, or stay, the one process that delivers to this endpoint."""
    mine = {"endpoint": endpoint_id, "me": me, "now": now, "until": now + LEASE_MS}
    return tx.execute(CLAIM, mine).rowcount > 0


def release(tx: Tx, endpoint_id: str, *, me: str) -> None:
    tx.execute(RELEASE, {"endpoint": endpoint_id, "me": me})


def due_oldest_first(
    tx: Tx, endpoint_id: str, *, me: str, elsewhere: Collection[str], now: int, limit: int
) -> tuple[Endpoint | None, list[Pending]]:
    """The endpoint as it is now, and what is due to it; without the chats that are under way or held back."""
    row = tx.first(SERVED, {"endpoint": endpoint_id, "me": me, "now": now})
    if row is None:
        return None, []
    held = tx.all(HELD, {"endpoint": endpoint_id, "now": now})
    keys = {*elsewhere, *(it.order_key for it in held)}
    asked = {"endpoint": endpoint_id, "now": now, "limit": limit, "elsewhere": keys}
    return as_endpoint(row), [_pending(it) for it in _in_turn(tx.all(DUE, asked), held)]


def _in_turn(due: Sequence[Row[Any]], held: Sequence[Row[Any]]) -> Sequence[Row[Any]]:
    """What is due, up to where one would pass one that is held: what is about all chats passes none, none passes it."""
    if not held:
        return due
    first = min(it.id for it in held)
    of_all = min((it.id for it in held if it.order_key == EVERY_CHAT), default=None)
    for n, it in enumerate(due):
        if (it.order_key == EVERY_CHAT and it.id > first) or (of_all is not None and it.id > of_all):
            return due[:n]
    return due


def take(tx: Tx, these: Sequence[Pending], endpoint: Endpoint, *, me: str) -> dict[str, Taken]:
    """The bytes of deliveries that were looked up, as they are about to go, by delivery.

    Left out are those that are not to go there any more, or not from here: somebody changed, cleared, paused or
    took over the endpoint meanwhile.
    """
    asked = {"ids": [it.id for it in these], "url": endpoint.url, "me": me}
    still_go = {row.id for row in tx.all(STILL_GO, asked)}
    return {it: Taken(body) for it, body in bodies_of(tx, [it for it in these if it.id in still_go]).items()}


def bodies_of(tx: Tx, these: Sequence[Pending]) -> dict[str, bytes | None]:
    """The bytes to deliver, by delivery; None where they were forgotten meanwhile."""
    ours = [it.webhook_event_id for it in these if it.webhook_event_id is not None]
    of_ours = {row.id: row.body for row in tx.all(EVENT_BODIES, {"ids": ours})} if ours else {}
    metas = [it.inbound_event_id for it in these if it.inbound_event_id is not None]
    of_meta = inbound_bodies(tx, metas) if metas else {}
    return {
        it.id: of_meta.get(it.inbound_event_id)
        if it.inbound_event_id is not None
        else of_ours.get(it.webhook_event_id or "")
        for it in these
    }


def give_up(tx: Tx, delivery_id: str, *, now: int) -> None:
    tx.execute(GIVE_UP, {"delivery_id": delivery_id, "now": now})


def settle(tx: Tx, tried: Sequence[Tried]) -> list[Verdict]:
    """Write down what came of these POSTs, in their order, and decide what follows."""
    before = {
        row.id: as_endpoint(row) for row in tx.all(THEIR_HEALTH, {"ids": {it.endpoint_id for it in tried}})
    }
    health = {it.id: it.health for it in before.values()}
    verdicts = []
    for endpoint_id, delivery, attempt, rules in tried:
        decided = verdict(delivery, attempt, health[endpoint_id], rules)
        health[endpoint_id] = decided.health
        verdicts.append(decided)
    tx.execute_many(TRIED, [_attempt(before[it.endpoint_id].team_id, it) for it in tried])
    tx.execute_many(SETTLE, [_settled(it, decided) for it, decided in zip(tried, verdicts, strict=True)])
    fared = [it for it in before if health[it] != before[it].health]
    if fared:
        values = [{f"new_{name}": value for name, value in asdict(health[it]).items()} for it in fared]
        tx.execute(FARE, [{"endpoint": it, **new} for it, new in zip(fared, values, strict=True)])
    _record(tx, before, health, tried, verdicts)
    return verdicts


def as_endpoint(row: Row[Any]) -> Endpoint:
    health = Health(*(getattr(row, name) for name in Health.__dataclass_fields__))
    return Endpoint(row.id, row.team_id, row.plugin_id, row.format, row.url, row.is_active, health)


def _pending(row: Row[Any]) -> Pending:
    return Pending(row.id, row.inbound_event_id, row.webhook_event_id, row.order_key, row.attempts)


def _attempt(team_id: str, it: Tried) -> dict[str, Any]:
    # Not asdict(), which copies each header: a tenth of what a delivery costs.
    fields = {name: getattr(it.attempt, name) for name in Attempt.__dataclass_fields__}
    return {"team_id": team_id, "delivery_id": it.delivery.id, **fields}


def _settled(it: Tried, decided: Verdict) -> dict[str, Any]:
    return {
        "delivery_id": it.delivery.id,
        "new_state": decided.state,
        "next": decided.next_attempt_at,
        "hold": decided.holds,
        "now": it.attempt.ended_at,
    }


def _record(
    tx: Tx,
    before: dict[str, Endpoint],
    health: dict[str, Health],
    tried: Sequence[Tried],
    verdicts: Sequence[Verdict],
) -> None:
    happened = [
        Event(before[it.endpoint_id].team_id, "webhook.given_up", it.delivery.id)
        for it, decided in zip(tried, verdicts, strict=True)
        if decided.state == "EXHAUSTED"
    ]
    for endpoint_id, endpoint in before.items():
        was, now = endpoint.health.paused_why, health[endpoint_id].paused_why
        if was is None and now is not None:
            happened.append(Event(endpoint.team_id, "webhook.paused", endpoint_id, data={"why": now}))
        elif was is not None and now is None:
            happened.append(Event(endpoint.team_id, "webhook.resumed", endpoint_id, data={"why": "PROBE"}))
    record(tx, happened, at=tried[-1].attempt.ended_at)
