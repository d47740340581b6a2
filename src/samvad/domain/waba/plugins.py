"""Plugins as things that come and go: make one, look, change, delete; take a WABA out of one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from samvad.domain.context import Context
from samvad.domain.events.log import Event, record
from samvad.domain.waba import operations, queries
from samvad.domain.waba.knowledge import INVALID
from samvad.domain.waba.model import Plugin
from samvad.domain.webhooks import queries as endpoints
from samvad.jobs.queue import Job, enqueue
from samvad.kit.errors import BadRequest, Conflict, NotFound
from samvad.kit.ids import new_id
from samvad.storage import Tx

LONGEST_NAME = 100  # characters
MOST_PLUGINS = 10_000  # of one team: a loop that creates them ends somewhere
FORMATS = ("meta", "chakra")  # of endpoints


@dataclass(frozen=True, slots=True)
class Shown:
    """A plugin with what is connected in it."""

    plugin: Plugin
    accounts: Sequence[Any]
    numbers: Sequence[Any]

    @property
    def token_invalid_at(self) -> int | None:
        """Since when Meta calls its token invalid, or that of one of its WABAs with its own."""
        noted = [(row.known or {}).get(INVALID) for row in self.accounts if row.access_token_sealed]
        since = [self.plugin.token_invalid_at, *(it["at"] for it in noted if it)]
        return min((it for it in since if it is not None), default=None)


async def create(ctx: Context, *, type: str, name: str) -> Shown:
    """A plugin without credentials yet; it can send once a WABA is connected in it."""
    ctx.must_manage("Creating a plugin")
    if type != "whatsapp":
        raise BadRequest(f'type must be "whatsapp"; got {type!r:.60}.')
    if len(name) > LONGEST_NAME:
        raise BadRequest(f"name has {len(name):,} characters; {LONGEST_NAME} is the most.")
    plugin_id, now = new_id(), ctx.now()

    def unit(tx: Tx) -> Shown:
        if queries.count_plugins(tx) >= MOST_PLUGINS:
            raise Conflict(f"This team has {MOST_PLUGINS:,} plugins; delete some first.")
        empty = {"access_token_sealed": "", "app_secret_sealed": "", "verify_token_sealed": ""}
        row = {"id": plugin_id, "name": name, "is_active": True, "config": {}, **empty}
        queries.add_plugin(tx, {**row, "created_at": now, "updated_at": now})
        record(tx, [Event(ctx.team_id, "plugin.created", plugin_id, ctx.user_id)], at=now)
        return shown(tx, plugin_id)

    return await ctx.db.write(unit)


async def list_all(ctx: Context) -> list[Shown]:
    """Every plugin of the team, oldest first."""

    def unit(tx: Tx) -> list[Shown]:
        accounts, numbers = queries.accounts_oldest_first(tx), queries.numbers_oldest_first(tx)
        return [
            Shown(
                it,
                [account for account in accounts if account.plugin_id == it.id],
                [number for number in numbers if number.plugin_id == it.id],
            )
            for it in queries.plugins_oldest_first(tx)
        ]

    return await ctx.db.read(unit)


async def get(ctx: Context, plugin_id: str) -> Shown:
    return await ctx.db.read(shown, plugin_id)


async def change(
    ctx: Context, plugin_id: str, *, config: dict[str, Any] | None, is_active: bool | None
) -> Shown:
    """Change configuration, activity, or both; only what is named changes.

    A plugin that is not active sends nothing. It goes on receiving: what Meta delivers is kept, folded and
    passed on as ever, since statuses of what was sent before are still to come.
    """
    ctx.must_manage("Changing a plugin")

    def unit(tx: Tx) -> Shown:
        before = shown(tx, plugin_id).plugin
        if config is not None:
            operations.configure(tx, ctx, plugin_id, config)
        if is_active is not None and is_active != before.is_active:
            queries.set_plugin(tx, plugin_id, is_active=is_active, updated_at=ctx.now())
            name = "plugin.activated" if is_active else "plugin.deactivated"
            record(tx, [Event(ctx.team_id, name, plugin_id, ctx.user_id)], at=ctx.now())
        return shown(tx, plugin_id)

    return await ctx.db.write(unit)


async def delete(ctx: Context, plugin_id: str) -> None:
    """Take the plugin away: credentials gone, webhooks ended, numbers free. What was said stays listed."""
    ctx.must_manage("Deleting a plugin")

    def unit(tx: Tx) -> None:
        it, now = shown(tx, plugin_id), ctx.now()
        for account in it.accounts:
            _disconnect(tx, it.plugin, account, at=now)
        for format in FORMATS:
            endpoints.set_endpoint(tx, plugin_id=plugin_id, format=format, url=None, at=now)
        empty = {"access_token_sealed": "", "app_secret_sealed": "", "verify_token_sealed": ""}
        gone = {"is_active": False, "deleted_at": now, "updated_at": now, **empty}
        queries.set_plugin(tx, plugin_id, **gone)
        queries.forget_tokens_of(tx, plugin_id)
        record(tx, [Event(ctx.team_id, "plugin.deleted", plugin_id, ctx.user_id)], at=now)

    await ctx.db.write(unit)
    ctx.resources.bells.jobs.ring()


async def disconnect(ctx: Context, plugin_id: str, waba_id: str) -> None:
    """Take a WABA and its numbers out of a plugin. What was said through them stays listed."""
    ctx.must_manage("Disconnecting a WhatsApp Business Account")

    def unit(tx: Tx) -> None:
        it, now = shown(tx, plugin_id), ctx.now()
        account = next((one for one in it.accounts if one.id == waba_id), None)
        if account is None:
            raise NotFound(f"WhatsApp Business Account {waba_id:.40} not found in this plugin")
        _disconnect(tx, it.plugin, account, at=now)
        record(tx, [Event(ctx.team_id, "account.disconnected", waba_id, ctx.user_id)], at=now)

    await ctx.db.write(unit)
    ctx.resources.bells.jobs.ring()


def shown(tx: Tx, plugin_id: str) -> Shown:
    plugin = queries.find_plugin(tx, plugin_id)
    if plugin is None:
        raise NotFound("Plugin not found")
    return Shown(
        plugin,
        queries.accounts_oldest_first(tx, plugin_id=plugin_id),
        queries.numbers_oldest_first(tx, plugin_id=plugin_id),
    )


def _disconnect(tx: Tx, plugin: Plugin, account: Any, *, at: int) -> None:
    """The rows let go at once; Meta is told by a job, which carries the token, sealed as it was."""
    queries.disconnect_account(tx, account.id, at=at)
    sealed = account.access_token_sealed or plugin.access_token_sealed
    if sealed:
        args = {"wabaId": account.id, "sealed": sealed, "since": at}
        enqueue(tx, [Job(plugin.team_id, "waba.unsubscribe", args, lane=f"waba:{account.id}")], at=at)
