"""Connecting numbers, and where a plugin's events go."""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from samvad.domain.context import Context, Resources
from samvad.domain.events.log import Event, record
from samvad.domain.waba import knowledge, queries
from samvad.domain.waba.model import (
    ENABLED,
    URL_OF,
    URLS,
    Connection,
    PluginConfig,
    changed_config,
    endpoints_of,
    templates_job,
)
from samvad.domain.webhooks import queries as endpoints
from samvad.domain.webhooks.model import refuse_private
from samvad.jobs.queue import enqueue_once
from samvad.kit.errors import Conflict, NotFound
from samvad.kit.ids import new_id
from samvad.storage import Tx


@dataclass(frozen=True, slots=True)
class Connected:
    """A connected number, and what Meta must be told of us."""

    plugin_id: str
    callback_url: str
    verify_token: str = field(repr=False)


async def connect(res: Resources, team_id: str, wanted: Connection) -> Connected:
    """Connect a WABA: check it with Meta, keep its secrets sealed, subscribe its webhooks.

    All its numbers come along. Connecting it again renews name, token and secrets. Raises Refused with Meta's
    own words when the token or an id is wrong, Conflict when another team or another plugin has it.
    """
    asked_at, token = res.clock(), wanted.access_token
    account = await res.cloud.waba(wanted.waba_id, token=token)
    number = await res.cloud.phone_number(wanted.phone_number_id, token=token)
    siblings = await res.cloud.phone_numbers(wanted.waba_id, token=token)
    numbers = {str(it.get("id")): it for it in siblings} | {wanted.phone_number_id: number}
    plugin_id = await res.db.team(team_id).write(
        _store, res, wanted, account, numbers, new_plugin_id=wanted.plugin_id or new_id(), at=asked_at
    )
    res.bells.jobs.ring()
    plugin = await res.db.read(queries.plugin_of_any_team, plugin_id)
    assert plugin is not None
    verify_token = res.seal.open(plugin.verify_token_sealed)
    callback_url = wanted.callback_url or f"{res.public_url}/webhooks/whatsapp/{plugin_id}"
    await res.cloud.subscribe(wanted.waba_id, callback_url, verify_token, token=token)
    return Connected(plugin_id, callback_url, verify_token)


def _store(
    tx: Tx,
    res: Resources,
    wanted: Connection,
    account: dict[str, Any],
    numbers: dict[str, dict[str, Any]],
    *,
    new_plugin_id: str,
    at: int,
) -> str:
    plugin_id = _plugin_of(tx, wanted) or new_plugin_id
    name = wanted.plugin_name or numbers[wanted.phone_number_id].get("verified_name")
    own = _keep_secrets(tx, res, wanted, plugin_id, name=name or f"WhatsApp {wanted.phone_number_id}", at=at)
    common = {"team_id": tx.team_id, "plugin_id": plugin_id, "created_at": at, "updated_at": at}
    common |= {"disconnected_at": None}
    asked = {"details": account, "refreshed_at": at, "templates_synced_at": None}
    name = account.get("name") or wanted.waba_id
    known = _still_known(tx, wanted.waba_id, asked_at=at)
    account_row = {"id": wanted.waba_id, "name": name, "known": known.get(wanted.waba_id)}
    queries.put_account(tx, {**account_row, **asked, **own, **common})
    owners = queries.owners(tx, numbers)
    for number_id, details in numbers.items():
        before = owners.get(number_id)
        if before is None or before.team_id == tx.team_id or is_free(before):
            row = number_row(number_id, wanted.waba_id, details) | {"known": known.get(number_id)}
            queries.put_number(tx, row | common)
    _enable(tx, plugin_id, numbers, at=at)
    record(tx, [Event(tx.team_id or "", "number.connected", it) for it in numbers], at=at)
    enqueue_once(tx, [templates_job(tx.team_id or "", wanted.waba_id, at=at)], at=at)
    return plugin_id


def _still_known(tx: Tx, waba_id: str, *, asked_at: int) -> dict[str, Any]:
    """What webhooks told this team, by id, that Meta's answers do not tell: a ban stays one."""
    rows = (*queries.accounts_to_change(tx, {waba_id}), *queries.numbers_to_change(tx, {waba_id}))
    return {
        row.id: knowledge.without_token(knowledge.after_reading(row.known, asked_at=asked_at))
        for row in rows
        if row.team_id == tx.team_id
    }


def number_row(number_id: str, waba_id: str, details: dict[str, Any]) -> dict[str, Any]:
    """What Meta says of a number, as a row keeps it."""
    return {
        "id": number_id,
        "waba_id": waba_id,
        "display_phone_number": details.get("display_phone_number") or "",
        "verified_name": details.get("verified_name"),
        "details": details,
    }


def is_free(row: Any) -> bool:
    """Whether a WABA or number may be connected by whoever shows Meta's token.

    So may one that a webhook merely mentioned (`discovered`), and one that was disconnected.
    """
    return row.disconnected_at is not None or bool(row.details.get("discovered"))


def _plugin_of(tx: Tx, wanted: Connection) -> str | None:
    """The plugin that holds what is wanted, None for a new one. Raises Conflict when it is held elsewhere."""
    number = queries.number_of_any_team(tx, wanted.phone_number_id)
    account = queries.account_of_any_team(tx, wanted.waba_id)
    for it, what in ((number, "number"), (account, "WhatsApp Business Account")):
        if it is None or is_free(it):
            continue
        if it.team_id != tx.team_id:
            raise Conflict(f"This {what} is connected by another team; disconnect it there first.")
        if wanted.plugin_id not in (None, it.plugin_id):
            raise Conflict(
                f"This {what} is connected in the plugin {it.plugin_id}; disconnect it there first."
            )
    if wanted.plugin_id is not None:
        return wanted.plugin_id
    # What a webhook mentioned first stands under the plugin that heard of it, and stays there.
    mine = [it for it in (number, account) if it and it.team_id == tx.team_id and not it.disconnected_at]
    return str(mine[0].plugin_id) if mine else None


def _keep_secrets(
    tx: Tx, res: Resources, wanted: Connection, plugin_id: str, *, name: str, at: int
) -> dict[str, Any]:
    """Seal the credentials into the plugin; returns the columns of the account that has its own.

    A second WABA of a plugin may come with another token and another app: the first one's stay good.
    """
    sealed = {
        "access_token_sealed": res.seal.close(wanted.access_token),
        "app_secret_sealed": res.seal.close(wanted.app_secret),
    }
    none: dict[str, Any] = dict.fromkeys(sealed)
    plugin = queries.find_plugin(tx, plugin_id)
    if plugin is None:
        verify = {"verify_token_sealed": res.seal.close(wanted.verify_token or secrets.token_urlsafe(32))}
        row: dict[str, Any] = {"id": plugin_id, "name": name, "is_active": True, "config": {}}
        times = {"created_at": at, "updated_at": at}
        queries.add_plugin(tx, {**row, **sealed, **verify, **times, "client": wanted.client})
        return none
    changes: dict[str, Any] = {"updated_at": at}
    if wanted.verify_token or not plugin.is_connected:
        changes["verify_token_sealed"] = res.seal.close(wanted.verify_token or secrets.token_urlsafe(32))
    others = [it for it in queries.accounts_oldest_first(tx, plugin_id=plugin_id) if it.id != wanted.waba_id]
    shared = plugin.is_connected and any(not it.access_token_sealed for it in others)
    if not shared:
        changes |= {**sealed, "token_invalid_at": None}
    queries.set_plugin(tx, plugin_id, **changes)
    return sealed if shared else none


def _enable(tx: Tx, plugin_id: str, number_ids: Iterable[str], *, at: int) -> None:
    """Whoever connects a number wants it used, also where the list of enabled ones was written before."""
    config = queries.stored_config(tx, plugin_id)
    if enabled := config.get(ENABLED):
        config = config | {ENABLED: list(dict.fromkeys([*enabled, *number_ids]))}
        queries.set_plugin(tx, plugin_id, config=config, updated_at=at)


async def get_config(ctx: Context, plugin_id: str) -> PluginConfig:
    plugin = await ctx.db.read(queries.find_plugin, plugin_id)
    if plugin is None:
        raise NotFound("Plugin not found")
    return plugin.config


async def update_config(ctx: Context, plugin_id: str, wanted: dict[str, Any]) -> None:
    """Change where a plugin's events go; only what is named changes. Names every problem at once."""
    ctx.must_manage("Changing a plugin's configuration")
    await ctx.db.write(configure, ctx, plugin_id, wanted)


def configure(tx: Tx, ctx: Context, plugin_id: str, wanted: dict[str, Any]) -> None:
    """The unit behind every way to change a plugin's configuration."""
    if not ctx.resources.allow_private_webhooks:
        for name in URLS:
            if isinstance(url := wanted.get(name), str):
                refuse_private(name, url)
    if queries.find_plugin(tx, plugin_id) is None:
        raise NotFound("Plugin not found")
    before, now = queries.stored_config(tx, plugin_id), ctx.now()
    config = changed_config(before, wanted)
    queries.set_plugin(tx, plugin_id, config=config, updated_at=now)
    was = endpoints_of(before)
    for format, (url, events) in endpoints_of(config).items():
        if URL_OF[format] in wanted or url != was[format][0]:
            endpoints.set_endpoint(tx, plugin_id=plugin_id, format=format, url=url, events=events, at=now)
        elif events != was[format][1]:
            endpoints.set_events(tx, plugin_id=plugin_id, format=format, events=events, at=now)
    changed = Event(ctx.team_id, "plugin.configured", plugin_id, ctx.user_id, {"changed": sorted(wanted)})
    record(tx, [changed], at=now)


async def list_numbers(ctx: Context, *, plugin_id: str | None) -> Sequence[Any]:
    return await ctx.db.read(queries.numbers_oldest_first, plugin_id=plugin_id)


async def get_number(ctx: Context, phone_number_id: str) -> Any:
    number = await ctx.db.read(queries.find_number, phone_number_id)
    if number is None:
        raise NotFound(f"Phone number {phone_number_id:.40} not found")
    return number


async def list_accounts(ctx: Context, *, plugin_id: str | None) -> Sequence[Any]:
    return await ctx.db.read(queries.accounts_oldest_first, plugin_id=plugin_id)


async def get_plugin(ctx: Context, plugin_id: str) -> None:
    """Raises NotFound unless this team has the plugin."""
    if await ctx.db.read(queries.find_plugin, plugin_id) is None:
        raise NotFound("Plugin not found")
