"""What a developer can do with webhooks: look at them, have them again, pause, resume and try an endpoint."""

from dataclasses import replace
from typing import Any

import msgspec

from samvad.domain.accounts import operations as accounts
from samvad.domain.accounts.model import WebhookSecrets
from samvad.domain.context import Context
from samvad.domain.events.log import Event, record
from samvad.domain.webhooks import queries, serving
from samvad.domain.webhooks.model import (
    FORMATS,
    STATES,
    TEST_EVENT,
    About,
    Pending,
    Which,
    signed_headers,
)
from samvad.domain.webhooks.posting import Poster
from samvad.kit.errors import BadRequest, Conflict, NotFound
from samvad.kit.ids import new_id
from samvad.storage import Database, Tx

REPLAY_CHUNK = 500  # deliveries between two commits
COUNTED = 10_000  # deliveries that wait are counted so far
HOUR_MS = 60 * 60 * 1000
OVERLAP_MS = 24 * HOUR_MS  # how long two secrets sign when nobody says otherwise
LONGEST_OVERLAP_MS = 30 * OVERLAP_MS
FORGET_CHUNK = 1_000
READING = "Reading the log of webhooks"
"""It shows what was told of everything in the team: rules of access do not reach into it."""

Told = tuple[Any, list[Any]]
"""A delivery and its attempts."""


async def list_deliveries(
    ctx: Context, which: Which, *, limit: int, skip: int
) -> tuple[list[Any], dict[str, list[Any]], bool]:
    """A page of deliveries, newest first; their attempts by delivery; and whether there is more."""
    ctx.must_manage(READING)
    _check(which)

    def unit(tx: Tx) -> tuple[list[Any], dict[str, list[Any]]]:
        page = list(queries.newest_first(tx, which, limit=limit + 1, skip=skip))
        return page, _attempts(tx, [row.id for row in page])

    page, attempts = await ctx.db.read(unit)
    return page[:limit], attempts, len(page) > limit


async def get_delivery(ctx: Context, delivery_id: str) -> Told:
    ctx.must_manage(READING)

    def unit(tx: Tx) -> Told:
        row = queries.find(tx, delivery_id)
        return row, _attempts(tx, [delivery_id]).get(delivery_id, [])

    row, attempts = await ctx.db.read(unit)
    if row is None:
        raise NotFound(f"Webhook delivery {delivery_id} not found")
    return row, attempts


async def get_body(ctx: Context, delivery_id: str) -> bytes:
    """The exact bytes that are delivered, and signed."""
    ctx.must_manage(READING)

    def unit(tx: Tx) -> bytes | None:
        row = queries.find(tx, delivery_id)
        if row is None:
            return None
        delivery = Pending(row.id, row.inbound_event_id, row.webhook_event_id, "", 0)
        return serving.bodies_of(tx, [delivery])[row.id]

    body = await ctx.db.read(unit)
    if body is None:
        raise NotFound(f"Webhook delivery {delivery_id} not found")
    return body


async def replay(ctx: Context, delivery_id: str) -> Told:
    """Have the same bytes delivered once more, whatever became of them before."""
    ctx.must_manage("Replaying a webhook")

    def unit(tx: Tx) -> None:
        before = queries.find(tx, delivery_id)
        if before is None:
            raise NotFound(f"Webhook delivery {delivery_id} not found")
        if not before.is_active:
            raise Conflict("This webhook was turned off; set its URL again, then replay.")
        queries.again(tx, [delivery_id], at=ctx.now())
        replayed = Event(ctx.team_id, "webhook.replayed", delivery_id, actor_id=ctx.user_id or None)
        record(tx, [replayed], at=ctx.now())

    await ctx.db.write(unit)
    ctx.resources.bells.deliveries.ring()
    return await get_delivery(ctx, delivery_id)


async def replay_all(ctx: Context, which: Which) -> int:
    """Have all of these delivered once more, oldest first; returns how many. Those turned off are left out."""
    ctx.must_manage("Replaying webhooks")
    _check(which)
    now = ctx.now()
    which = replace(which, to_at=min(which.to_at or now, now))  # what comes meanwhile is not asked for

    def unit(tx: Tx, after: str) -> list[str]:
        found = queries.again_oldest_first(tx, which, after=after, limit=REPLAY_CHUNK, at=ctx.now())
        record(
            tx,
            [Event(ctx.team_id, "webhook.replayed", it, ctx.user_id or None) for it in found],
            at=ctx.now(),
        )
        return found

    total, last = 0, ""
    while found := await ctx.db.write(unit, last):
        total, last = total + len(found), found[-1]
    ctx.resources.bells.deliveries.ring()
    return total


async def list_endpoints(ctx: Context) -> list[tuple[Any, int, int | None]]:
    """Every endpoint of the team; how many deliveries wait for it, and when the earliest is due."""

    def unit(tx: Tx) -> list[tuple[Any, int, int | None]]:
        return [
            (row, *queries.waiting(tx, row.id, most=COUNTED)) for row in queries.endpoints_oldest_first(tx)
        ]

    return await ctx.db.read(unit)


async def get_endpoint(ctx: Context, endpoint_id: str) -> tuple[Any, int, int | None]:
    def unit(tx: Tx) -> tuple[Any, int, int | None]:
        return _endpoint(tx, endpoint_id), *queries.waiting(tx, endpoint_id, most=COUNTED)

    return await ctx.db.read(unit)


async def pause(ctx: Context, endpoint_id: str) -> None:
    """Deliver nothing to an endpoint until it is resumed by hand; what waits is kept."""
    ctx.must_manage("Pausing a webhook")

    def unit(tx: Tx) -> None:
        _endpoint(tx, endpoint_id)
        queries.set_endpoint_fields(tx, endpoint_id, paused_at=ctx.now(), paused_why="HAND")
        paused = Event(ctx.team_id, "webhook.paused", endpoint_id, ctx.user_id or None, {"why": "HAND"})
        record(tx, [paused], at=ctx.now())

    await ctx.db.write(unit)


async def resume(ctx: Context, endpoint_id: str) -> None:
    """Deliver what waits, now: whatever pause or rest it had is over, and its failures are forgotten."""
    ctx.must_manage("Resuming a webhook")

    def unit(tx: Tx) -> None:
        _endpoint(tx, endpoint_id)
        fresh = dict.fromkeys(("failing_since_at", "rests_until_at", "paused_at", "paused_why"))
        queries.set_endpoint_fields(tx, endpoint_id, failures=0, **fresh)
        resumed = Event(ctx.team_id, "webhook.resumed", endpoint_id, ctx.user_id or None, {"why": "HAND"})
        record(tx, [resumed], at=ctx.now())

    await ctx.db.write(unit)
    ctx.resources.bells.deliveries.ring()


async def try_out(ctx: Context, endpoint_id: str) -> Told:
    """Send an endpoint an event that is marked as a test, now and once; also while it rests or is paused."""
    ctx.must_manage("Testing a webhook")
    endpoint = await ctx.db.read(_endpoint, endpoint_id)
    if not endpoint.is_active:
        raise Conflict("This webhook is turned off; set its URL first.")
    secrets = await accounts.webhook_secrets(ctx.resources, ctx.team_id)
    delivery_id, at = new_id(), ctx.now()
    body = _test_body(endpoint, at=at)
    headers = signed_headers(secrets.signing, id=delivery_id, at=at, body=body)
    poster = Poster(ctx.resources.clock, allow_private=ctx.resources.allow_private_webhooks)
    try:
        attempt = await poster.post(endpoint.url, body, headers, at=at)
    finally:
        await poster.close()
    await ctx.db.write(queries.add_done, endpoint, About(TEST_EVENT), body, attempt, at=at)
    return await get_delivery(ctx, delivery_id)


async def webhook_secrets(ctx: Context) -> WebhookSecrets:
    ctx.must_manage("Seeing the webhook secret")
    return await accounts.webhook_secrets(ctx.resources, ctx.team_id)


async def rotate_secret(ctx: Context, *, overlap_ms: int) -> WebhookSecrets:
    """A new secret; both sign until it takes over, when the overlap ends or when it is activated."""
    ctx.must_manage("Rotating the webhook secret")
    return await accounts.rotate_webhook_secret(
        ctx.resources, ctx.team_id, overlap_ms=overlap_ms, actor_id=ctx.user_id or None
    )


async def activate_secret(ctx: Context) -> WebhookSecrets:
    ctx.must_manage("Activating the webhook secret")
    return await accounts.activate_webhook_secret(ctx.resources, ctx.team_id, actor_id=ctx.user_id or None)


async def forget_old(db: Database, *, before: int) -> None:
    """Drop from the log what came to its end before then, a chunk at a time."""
    while await db.write(queries.forget_oldest, before=before, limit=FORGET_CHUNK) == FORGET_CHUNK:
        pass


def _endpoint(tx: Tx, endpoint_id: str) -> Any:
    row = queries.find_endpoint(tx, endpoint_id)
    if row is None:
        raise NotFound(f"Webhook endpoint {endpoint_id:.40} not found")
    return row


def _test_body(endpoint: Any, *, at: int) -> bytes:
    if endpoint.format == "object":
        return msgspec.json.encode(
            {"event": TEST_EVENT, "_data": {"test": True}, "_prev": {}, "timestamp": at}
        )
    payload = {"test": True, "pluginId": endpoint.plugin_id, "timestamp": at}
    if endpoint.format == "chakra":
        return msgspec.json.encode({"event": TEST_EVENT, "payload": payload})
    change = {"field": TEST_EVENT, "value": {"messaging_product": "whatsapp", **payload}}
    body = {"object": "whatsapp_business_account", "entry": [{"id": "0", "changes": [change]}]}
    return msgspec.json.encode(body)


def _check(which: Which) -> None:
    problems = [
        f"{name} must be one of {', '.join(there_are)}; got {wanted!r:.40}."
        for name, wanted, there_are in (("state", which.state, STATES), ("format", which.format, FORMATS))
        if wanted is not None and wanted not in there_are
    ]
    if problems:
        raise BadRequest(*problems)


def _attempts(tx: Tx, delivery_ids: list[str]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for row in queries.attempts_of(tx, delivery_ids):
        found.setdefault(row.delivery_id, []).append(row)
    return found
