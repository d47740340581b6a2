"""Connect tokens: a partner lets a client connect their own WABA, without a key and without us."""

import secrets
from dataclasses import dataclass, replace
from typing import Any

from samvad.domain.accounts.model import hash_of
from samvad.domain.context import Context, Resources
from samvad.domain.events.log import Event, record
from samvad.domain.waba import operations, plugins, queries
from samvad.domain.waba.model import Connection
from samvad.domain.waba.operations import Connected
from samvad.domain.waba.plugins import Shown
from samvad.kit.errors import BadRequest, NotFound
from samvad.kit.ids import new_id
from samvad.storage import Tx

VALID_MS = 60 * 60 * 1000  # ChakraHQ's page says one hour
LONGEST_DETAIL = 200  # characters of what a partner says of a client

GONE = "This link was used already or is older than one hour. Ask whoever sent it for a new one."


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a connect token stands for: one plugin of one team, which may not exist yet."""

    token_hash: str
    team_id: str
    plugin_id: str
    plugin_name: str
    client: dict[str, Any] | None


async def invite_to(ctx: Context, plugin_id: str) -> str:
    """A connect token for a plugin that is there. Raises NotFound."""
    ctx.must_manage("Creating a connect token")
    await plugins.get(ctx, plugin_id)
    return await _keep_token(ctx, plugin_id=plugin_id, name=None, client=None)


async def invite_new(ctx: Context, *, name: str, client: dict[str, Any]) -> str:
    """A connect token for a plugin that comes to be when the client has connected; no attempt leaves an empty one."""
    ctx.must_manage("Creating a connect token")
    if len(name) > plugins.LONGEST_NAME:
        raise BadRequest(f"newPluginName has {len(name):,} characters; {plugins.LONGEST_NAME} is the most.")
    if any(value is not None and len(value) > LONGEST_DETAIL for value in client.values()):
        raise BadRequest(f"What is said of a client may have {LONGEST_DETAIL} characters at most.")
    return await _keep_token(ctx, plugin_id=new_id(), name=name, client=client)


async def open_invitation(res: Resources, token: str) -> Invitation:
    """What this token is good for. Raises NotFound when it is unknown, used, too old, or its plugin is gone."""
    return await res.db.read(_open, hash_of(token), res.clock())


async def accept(res: Resources, token: str, wanted: Connection) -> tuple[Connected, Shown]:
    """Connect what the client gives, in the plugin of the token; only success uses the token up."""
    it = await open_invitation(res, token)
    wanted = replace(wanted, plugin_id=it.plugin_id, plugin_name=it.plugin_name, client=it.client)
    connected = await operations.connect(res, it.team_id, wanted)

    def unit(tx: Tx) -> Shown:
        now = res.clock()
        queries.use_token(tx, it.token_hash, at=now)
        record(tx, [Event(it.team_id, "plugin.connected_by_client", it.plugin_id)], at=now)
        return plugins.shown(tx, it.plugin_id)

    return connected, await res.db.team(it.team_id).write(unit)


async def _keep_token(
    ctx: Context, *, plugin_id: str, name: str | None, client: dict[str, Any] | None
) -> str:
    """Only its hash is kept, so a copy of the database connects nothing."""
    token, now = secrets.token_urlsafe(32), ctx.now()
    row = {
        "token_hash": hash_of(token),
        "plugin_id": plugin_id,
        "new_plugin_name": name,
        "client": client,
        "made_by": ctx.user_id,
        "created_at": now,
        "expires_at": now + VALID_MS,
    }

    def unit(tx: Tx) -> None:
        queries.forget_old_tokens(tx, before=now)
        queries.add_token(tx, row)
        record(tx, [Event(ctx.team_id, "connect_token.created", plugin_id, ctx.user_id)], at=now)

    await ctx.db.write(unit)
    return token


def _open(tx: Tx, token_hash: str, now: int) -> Invitation:
    row = queries.token_of_any_team(tx, token_hash)
    if row is None or row.used_at is not None or row.expires_at <= now:
        raise NotFound(GONE)
    plugin = queries.plugin_of_any_team(tx, row.plugin_id)
    if plugin is None and row.new_plugin_name is None:
        raise NotFound(GONE)
    name = plugin.name if plugin is not None else row.new_plugin_name
    return Invitation(row.token_hash, row.team_id, row.plugin_id, name, row.client)
