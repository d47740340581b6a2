"""Message templates: read from Meta, kept as our own, and filled with what a client sends."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from samvad.domain.context import Context, Resources
from samvad.domain.events.log import Event, record
from samvad.domain.templates import filling, knowledge, model, queries
from samvad.domain.templates.filling import Filled
from samvad.domain.templates.knowledge import Known
from samvad.domain.templates.model import Template
from samvad.domain.templates.queries import Filter
from samvad.domain.templates.values import TemplateValues
from samvad.domain.waba import queries as waba
from samvad.domain.waba.model import Sender, templates_job
from samvad.jobs.queue import enqueue_once
from samvad.kit.errors import NotFound, SamvadError
from samvad.storage import Tx

STALE_AFTER_MS = 10 * 60 * 1000  # webhooks tell of changes at once; this is for those that got lost
ASK_AGAIN_AFTER_MS = 5_000  # an unknown name asks Meta anew, but not at every try
CHUNK = 100  # templates in one unit: an account has up to 6,000, and a unit holds the loop
NAMES_SHOWN = 1_000  # names among which the one that was meant is looked for

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """An account whose templates can be read."""

    team_id: str
    waba_id: str
    access_token: str = field(repr=False)


@dataclass(slots=True)
class Syncing:
    """One sync of an account at a time in this process; whoever comes meanwhile gets its result."""

    locks: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))


_syncing = Syncing()


async def fill(
    ctx: Context, sender: Sender, *, name: str, language: str | None, values: TemplateValues
) -> tuple[Template, Filled]:
    """The template of this name, filled; Meta is asked anew before a name is called unknown."""
    template = await _find(ctx, sender, name=name, language=language)
    return template, filling.fill(template, values)


async def preview(ctx: Context, template_id: str, values: TemplateValues) -> tuple[Known, Filled]:
    """What a send with these values would be; Meta is not asked, and the template need not be approved."""
    known = await get(ctx, template_id)
    return known, filling.fill(known.template, values)


async def text_of(ctx: Context, sender: Sender, content: Any) -> str | None:
    """The words of a template that was filled in Meta's own format, as far as we know the template."""
    found = filling.named_in(content)
    if found is None:
        return None
    name, language = found
    candidates = await ctx.db.read(queries.named, sender.waba_id, name)
    meant = next((it for it in candidates if it.language == language), None)
    return None if meant is None else filling.text_of(meant, content)


async def get(ctx: Context, template_id: str) -> Known:
    known = await ctx.db.read(queries.find, template_id)
    if known is None:
        raise NotFound(
            f"Template {template_id:.40} not found; GET /v1/samvad/template lists those there are."
        )
    return known


async def list_by_name(
    ctx: Context, wanted: Filter, *, plugin_id: str | None, limit: int, skip: int
) -> tuple[Sequence[Known], bool]:
    """One page of the team's templates, and whether there is more."""

    def unit(tx: Tx) -> list[Known]:
        asked = wanted
        if plugin_id is not None:
            of_plugin = {row.id for row in waba.accounts_oldest_first(tx, plugin_id=plugin_id)}
            chosen = of_plugin if wanted.waba_ids is None else of_plugin & set(wanted.waba_ids)
            asked = replace(wanted, waba_ids=chosen)
        return queries.by_name(tx, asked, limit=limit + 1, skip=skip)

    page = await ctx.db.read(unit)
    return page[:limit], len(page) > limit


async def sync_now(ctx: Context, waba_id: str) -> int:
    """Read an account's templates from Meta; returns when it was asked. Raises NotFound, and as Meta refuses."""
    source = await find_source(ctx.resources, ctx.team_id, waba_id)
    if source is None:
        raise NotFound(f"WhatsApp Business Account {waba_id:.40} not found")
    return await sync(ctx.resources, source)


async def changed(ctx: Context, waba_id: str) -> None:
    """Templates of this account were created, edited or deleted through us: their list is read soon."""
    now = ctx.now()
    await ctx.db.write(promise_sync, {(ctx.team_id, waba_id)}, at=now)
    ctx.resources.bells.jobs.ring()


def promise_sync(tx: Tx, accounts: Iterable[tuple[str, str]], *, at: int) -> None:
    """Have these accounts (team, WABA) read once this is committed; one promise waits for each at most."""
    enqueue_once(tx, [templates_job(*account, at=at) for account in sorted(accounts)], at=at)


async def find_source(res: Resources, team_id: str, waba_id: str) -> Source | None:
    token = await res.db.team(team_id).read(waba.find_account_token, waba_id)
    return None if token is None else Source(team_id, waba_id, res.seal.open(token))


async def sync(res: Resources, source: Source, *, since: int | None = None) -> int:
    """Bring our rows to Meta's list, unless that was done `since`; returns when Meta was asked.

    Safe beside another sync, also one of another process: the later asked list wins, template by template.
    Raises kit.errors as the Cloud API client does.
    """
    since = res.clock() if since is None else since
    db = res.db.team(source.team_id)
    async with _syncing.locks[f"{source.team_id}/{source.waba_id}"]:
        account = await db.read(waba.find_account, source.waba_id)
        if account is not None and (account.templates_synced_at or 0) > since:
            return int(account.templates_synced_at)
        asked_at = res.clock()
        items = await res.cloud.templates(source.waba_id, token=source.access_token)
        found = [Known.from_meta(it, waba_id=source.waba_id, asked_at=asked_at) for it in items]
        found = [it for it in found if it.template.id]
        for start in range(0, len(found), CHUNK):
            await db.write(_store, found[start : start + CHUNK], at=res.clock())
        while await db.write(_drop_unseen, source.waba_id, asked_at=asked_at, at=res.clock()) == CHUNK:
            pass
        await db.write(_note_synced, source.waba_id, asked_at=asked_at)
        log.info("templates.synced", waba=source.waba_id, templates=len(found))
        return asked_at


def _store(tx: Tx, listed: Sequence[Known], *, at: int) -> None:
    before = {
        template_id: known
        for template_id, (team_id, known) in queries.known(tx, {it.template.id for it in listed}).items()
        if team_id == tx.team_id
    }
    after = {it.template.id: knowledge.after_list(before.get(it.template.id), it) for it in listed}
    queries.put(tx, [(tx.team_id or "", it) for it in after.values()])
    happened = [
        Event(tx.team_id or "", event, template_id, data=data)
        for template_id, it in after.items()
        for event, data in knowledge.changes(before.get(template_id), it)
    ]
    record(tx, happened, at=at)


def _drop_unseen(tx: Tx, waba_id: str, *, asked_at: int, at: int) -> int:
    gone = queries.not_seen_since(tx, waba_id, asked_at=asked_at, limit=CHUNK)
    queries.delete(tx, {row.id for row in gone})
    happened = [
        Event(tx.team_id or "", "template.deleted", row.id, data={"name": row.name, "language": row.language})
        for row in gone
    ]
    record(tx, happened, at=at)
    return len(gone)


def _note_synced(tx: Tx, waba_id: str, *, asked_at: int) -> None:
    account = waba.find_account(tx, waba_id)
    if account is not None and (account.templates_synced_at or 0) < asked_at:
        waba.set_account(tx, waba_id, templates_synced_at=asked_at)


async def _find(ctx: Context, sender: Sender, *, name: str, language: str | None) -> Template:
    candidates, synced_at = await ctx.db.read(_named, sender.waba_id, name)
    now = ctx.now()
    if synced_at is None or now - synced_at > STALE_AFTER_MS:
        try:
            synced_at = await _sync_for(ctx, sender)
        except SamvadError as error:
            if not candidates:
                raise
            # What we know may be old, but Meta checks each send anyway.
            log.warning("templates.not_synced", waba=sender.waba_id, reason=str(error))
        else:
            candidates, _ = await ctx.db.read(_named, sender.waba_id, name)
    try:
        return await _choose(ctx, sender, candidates, name=name, language=language)
    except NotFound:
        if synced_at is None or now - synced_at < ASK_AGAIN_AFTER_MS:
            raise
    await _sync_for(ctx, sender)
    candidates, _ = await ctx.db.read(_named, sender.waba_id, name)
    return await _choose(ctx, sender, candidates, name=name, language=language)


async def _sync_for(ctx: Context, sender: Sender) -> int:
    return await sync(ctx.resources, Source(sender.team_id, sender.waba_id, sender.access_token))


async def _choose(
    ctx: Context, sender: Sender, candidates: Sequence[Template], *, name: str, language: str | None
) -> Template:
    others = () if candidates else await ctx.db.read(queries.names, sender.waba_id, limit=NAMES_SHOWN)
    return model.choose(candidates, name=name, language=language, others=others)


def _named(tx: Tx, waba_id: str, name: str) -> tuple[list[Template], int | None]:
    account = waba.find_account(tx, waba_id)
    return queries.named(tx, waba_id, name), account.templates_synced_at if account else None
