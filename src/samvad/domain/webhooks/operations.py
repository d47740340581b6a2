"""What a developer can do with deliveries: look at them, and have one delivered again."""

from typing import Any

from samvad.domain.context import Context
from samvad.domain.events.log import Event, record
from samvad.domain.webhooks import queries
from samvad.kit.errors import Conflict, NotFound
from samvad.storage import Tx


async def list_deliveries(
    ctx: Context, *, limit: int, skip: int
) -> tuple[list[Any], dict[str, list[Any]], bool]:
    """A page of deliveries, newest first; their attempts by delivery; and whether there is more."""

    def unit(tx: Tx) -> tuple[list[Any], dict[str, list[Any]]]:
        page = list(queries.newest_first(tx, limit=limit + 1, skip=skip))
        return page, _attempts(tx, [row.id for row in page])

    page, attempts = await ctx.db.read(unit)
    return page[:limit], attempts, len(page) > limit


async def get_delivery(ctx: Context, delivery_id: str) -> tuple[Any, list[Any]]:
    def unit(tx: Tx) -> tuple[Any, list[Any]]:
        row = queries.find(tx, delivery_id)
        return row, _attempts(tx, [delivery_id]).get(delivery_id, [])

    row, attempts = await ctx.db.read(unit)
    if row is None:
        raise NotFound(f"Webhook delivery {delivery_id} not found")
    return row, attempts


async def replay(ctx: Context, delivery_id: str) -> tuple[Any, list[Any]]:
    """Have the same bytes delivered once more, whatever became of them before."""

    def unit(tx: Tx) -> None:
        before = queries.find(tx, delivery_id)
        if before is None:
            raise NotFound(f"Webhook delivery {delivery_id} not found")
        if not before.is_active:
            raise Conflict("This webhook was turned off; set its URL again, then replay.")
        queries.again(tx, delivery_id, at=ctx.now())
        replayed = Event(ctx.team_id, "webhook.replayed", delivery_id, actor_id=ctx.user_id)
        record(tx, [replayed], at=ctx.now())

    await ctx.db.write(unit)
    ctx.resources.bells.deliveries.ring()
    return await get_delivery(ctx, delivery_id)


def _attempts(tx: Tx, delivery_ids: list[str]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for row in queries.attempts_of(tx, delivery_ids):
        found.setdefault(row.delivery_id, []).append(row)
    return found
