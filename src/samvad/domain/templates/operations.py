"""Message templates: read from Meta, remembered, and filled with what a client sends."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field

import structlog

from samvad.domain.context import Context, Resources
from samvad.domain.events.log import Event, record
from samvad.domain.templates import model, queries
from samvad.domain.templates.model import Filled, Template, TemplateValues
from samvad.domain.waba import queries as waba
from samvad.domain.waba.model import Sender
from samvad.kit.errors import NotFound
from samvad.storage import Tx

STALE_AFTER_MS = 10 * 60 * 1000  # webhooks tell of changes at once; this is for those that got lost
ASK_AGAIN_AFTER_MS = 5_000  # an unknown name asks Meta anew, but not at every try

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Syncing:
    """One sync of an account at a time; whoever comes meanwhile gets its result."""

    locks: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))


_syncing = Syncing()


async def fill(
    ctx: Context, sender: Sender, *, name: str, language: str | None, values: TemplateValues
) -> tuple[Template, Filled]:
    """The template of this name, filled; Meta is asked anew before a name is called unknown."""
    known, synced_at = await _known(ctx, sender)
    now = ctx.now()
    if synced_at is None or now - synced_at > STALE_AFTER_MS:
        known = await sync(ctx.resources, sender)
        synced_at = now
    try:
        template = model.choose(known, name=name, language=language)
    except NotFound:
        if now - synced_at < ASK_AGAIN_AFTER_MS:
            raise
        template = model.choose(await sync(ctx.resources, sender), name=name, language=language)
    return template, model.fill(template, values)


async def sync(res: Resources, sender: Sender) -> list[Template]:
    """Read all templates of an account from Meta. Raises kit.errors as the Cloud API client does."""
    async with _syncing.locks[f"{sender.team_id}/{sender.waba_id}"]:
        items = await res.cloud.templates(sender.waba_id, token=sender.access_token)
        found = [Template.from_meta(item, waba_id=sender.waba_id) for item in items]
        await res.db.team(sender.team_id).write(_store, sender, found, at=res.clock())
        log.info("templates.synced", waba=sender.waba_id, templates=len(found))
        return found


def _store(tx: Tx, sender: Sender, found: list[Template], *, at: int) -> None:
    before = {it.id: it.status for it in queries.of_account(tx, sender.waba_id)}
    queries.replace_all(tx, sender.waba_id, found, at=at)
    waba.set_account(tx, sender.waba_id, templates_synced_at=at)
    changed = [it for it in found if before.get(it.id) != it.status]
    happened = [
        Event(
            sender.team_id, "template.status_changed", it.id, data={"was": before.get(it.id), "is": it.status}
        )
        for it in changed
    ]
    record(tx, happened, at=at)


async def _known(ctx: Context, sender: Sender) -> tuple[list[Template], int | None]:
    def unit(tx: Tx) -> tuple[list[Template], int | None]:
        account = waba.find_account(tx, sender.waba_id)
        return queries.of_account(tx, sender.waba_id), account.templates_synced_at if account else None

    return await ctx.db.read(unit)
