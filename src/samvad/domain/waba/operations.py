"""Connecting numbers, and where a plugin's events go."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from samvad.domain.context import Context, Resources
from samvad.domain.events.log import Event, record
from samvad.domain.waba import queries
from samvad.domain.waba.model import (
    URL_OF,
    URLS,
    Connection,
    PluginConfig,
    changed_config,
    endpoints_of,
    templates_job,
)
from samvad.domain.webhooks import queries as endpoints
from samvad.domain.webhooks.model import names_private_host
from samvad.jobs.queue import enqueue_once
from samvad.kit.errors import BadRequest, Conflict, NotFound
from samvad.kit.ids import new_id
from samvad.storage import Tx


@dataclass(frozen=True, slots=True)
class Connected:
    """A connected number, and what Meta must be told of us."""

    plugin_id: str
    callback_url: str
    verify_token: str = field(repr=False)


async def connect(res: Resources, team_id: str, wanted: Connection) -> Connected:
    """Connect a business number: check it with Meta, keep its secrets sealed, subscribe its webhooks.

    Connecting it again renews name, token and secrets. Raises Refused with Meta's own words when
    the token or an id is wrong, Conflict when another team has the number.
    """
    account = await res.cloud.waba(wanted.waba_id, token=wanted.access_token, fields="id,name")
    number = await res.cloud.phone_number(wanted.phone_number_id, token=wanted.access_token)
    plugin_id = await res.db.team(team_id).write(
        _store, res, wanted, account, number, new_plugin_id=new_id(), at=res.clock()
    )
    res.bells.jobs.ring()
    plugin = await res.db.read(queries.plugin_of_any_team, plugin_id)
    assert plugin is not None
    verify_token = res.seal.open(plugin.verify_token_sealed)
    callback_url = wanted.callback_url or f"{res.public_url}/webhooks/whatsapp/{plugin_id}"
    await res.cloud.subscribe(wanted.waba_id, callback_url, verify_token, token=wanted.access_token)
    return Connected(plugin_id, callback_url, verify_token)


def _store(
    tx: Tx,
    res: Resources,
    wanted: Connection,
    account: dict[str, Any],
    number: dict[str, Any],
    *,
    new_plugin_id: str,
    at: int,
) -> str:
    before, account_before = _before(tx, wanted)
    mine = before if before is not None and before.team_id == tx.team_id else None
    known = mine or (account_before if account_before and account_before.team_id == tx.team_id else None)
    plugin_id: str = known.plugin_id if known is not None else new_plugin_id
    sealed = {
        "access_token_sealed": res.seal.close(wanted.access_token),
        "app_secret_sealed": res.seal.close(wanted.app_secret),
    }
    name = wanted.plugin_name or number.get("verified_name") or f"WhatsApp {wanted.phone_number_id}"
    if known is not None:
        if wanted.verify_token:
            sealed["verify_token_sealed"] = res.seal.close(wanted.verify_token)
        queries.set_plugin(tx, plugin_id, **sealed, is_active=True, updated_at=at)
    else:
        sealed["verify_token_sealed"] = res.seal.close(wanted.verify_token or secrets.token_urlsafe(32))
        row: dict[str, Any] = {"id": plugin_id, "name": name, "is_active": True, "config": {}, **sealed}
        queries.add_plugin(tx, {**row, "created_at": at, "updated_at": at})
    common = {"team_id": tx.team_id, "plugin_id": plugin_id, "created_at": at, "updated_at": at}
    queries.put_account(
        tx,
        {"id": wanted.waba_id, "name": account.get("name") or wanted.waba_id, "details": account, **common},
    )
    queries.put_number(
        tx,
        {
            "id": wanted.phone_number_id,
            "waba_id": wanted.waba_id,
            "display_phone_number": number.get("display_phone_number") or "",
            "verified_name": number.get("verified_name"),
            "details": number,
            **common,
        },
    )
    record(tx, [Event(tx.team_id or "", "number.connected", wanted.phone_number_id)], at=at)
    enqueue_once(tx, [templates_job(tx.team_id or "", wanted.waba_id, at=at)], at=at)
    return plugin_id


def _before(tx: Tx, wanted: Connection) -> tuple[Any, Any]:
    """What is known of the number and its WABA. Raises Conflict when another team connected them.

    A number that a webhook merely mentioned (`discovered`) belongs to whoever shows Meta's token.
    """
    number = queries.number_of_any_team(tx, wanted.phone_number_id)
    account = queries.account_of_any_team(tx, wanted.waba_id)
    for it, what in ((number, "number"), (account, "WhatsApp Business Account")):
        if it is not None and it.team_id != tx.team_id and not it.details.get("discovered"):
            raise Conflict(f"This {what} is connected by another team; disconnect it there first.")
    return number, account


async def get_config(ctx: Context, plugin_id: str) -> PluginConfig:
    plugin = await ctx.db.read(queries.find_plugin, plugin_id)
    if plugin is None:
        raise NotFound("Plugin not found")
    return plugin.config


async def update_config(ctx: Context, plugin_id: str, wanted: dict[str, Any]) -> None:
    """Change where a plugin's events go; only what is named changes. Names every problem at once."""
    ctx.must_manage("Changing a plugin's configuration")
    if not ctx.resources.allow_private_webhooks:
        private = [it for it in URLS if isinstance(url := wanted.get(it), str) and names_private_host(url)]
        if private:
            raise BadRequest(
                f"{private[0]} leads into a private network ({wanted[private[0]]:.80}); webhooks go to public "
                "addresses. To deliver inside your own network, start Samvad with SAMVAD_ALLOW_PRIVATE_WEBHOOKS=1."
            )

    def unit(tx: Tx) -> None:
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

    await ctx.db.write(unit)


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
