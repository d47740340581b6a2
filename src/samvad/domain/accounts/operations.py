"""Teams, users and keys: what an administrator can do with them."""

import secrets
from collections.abc import Sequence
from typing import Any

from samvad.domain.accounts import queries
from samvad.domain.accounts.model import (
    CLOSED_CHATS,
    ROLE_TYPES,
    NewKey,
    Principal,
    TeamSettings,
    WebhookSecrets,
    hash_of,
    new_token,
)
from samvad.domain.context import Context, Resources
from samvad.domain.events.log import Event, record
from samvad.kit.errors import BadRequest, Conflict, NotFound, Unauthorized
from samvad.kit.ids import new_id
from samvad.storage import Tx

TOUCH_EVERY_MS = 60_000  # `last used` is good to a minute; a write per request would not be worth it

SHORTEST_PASSWORD = 8

DEFAULT_ROLES = {"Admin": "ADMIN", "Manager": "MANAGER", "Agent": "USER"}


async def create_team(res: Resources, *, name: str) -> str:
    """A new team with its three roles and a webhook secret; returns its id."""
    if not name.strip():
        raise BadRequest("A team needs a name.")
    team_id, now = new_id(), res.clock()
    sealed = res.seal.close(secrets.token_hex(32))

    def unit(tx: Tx) -> None:
        if queries.find_team_named(tx, name):
            raise Conflict(f"There is a team named {name!r} already.")
        row = {
            "id": team_id,
            "name": name,
            "webhook_secret_sealed": sealed,
            "settings": {},
            "created_at": now,
        }
        queries.add_team(tx, row)
        for role, role_type in DEFAULT_ROLES.items():
            queries.add_role(tx, {"id": new_id(), "name": role, "type": role_type, "created_at": now})
        record(tx, [Event(team_id, "team.created", team_id)], at=now)

    await res.db.team(team_id).write(unit)
    return team_id


async def team_named(res: Resources, name: str | None) -> str:
    """The id of a team by its name or id; with no name, of the only team there is."""
    rows = await res.db.read(queries.teams_by_name)
    if name is None and len(rows) == 1:
        return str(rows[0].id)
    for row in rows:
        if name in (row.name, row.id):
            return str(row.id)
    known = ", ".join(repr(row.name) for row in rows) or "none yet"
    raise NotFound(f"Name a team with --team; there are: {known}.")


async def create_user(
    res: Resources, team_id: str, *, email: str, name: str, role: str, password: str
) -> str:
    """A new user of a team; returns the id."""
    if "@" not in email:
        raise BadRequest(f"{email!r} is not an e-mail address.")
    _check_password(password)
    user_id, now = new_id(), res.clock()
    hashed = res.passwords.hash(password)

    def unit(tx: Tx) -> None:
        if queries.email_is_taken(tx, email):
            raise Conflict(f"There is a user with the address {email} already.")
        row = {"id": user_id, "role_id": _role(tx, role).id, "email": email, "name": name}
        queries.add_user(
            tx, {**row, "password_hash": hashed, "is_active": True, "created_at": now, "updated_at": now}
        )
        record(tx, [Event(team_id, "user.created", user_id)], at=now)

    await res.db.team(team_id).write(unit)
    return user_id


async def list_users(res: Resources, team_id: str) -> Sequence[Any]:
    return await res.db.team(team_id).read(queries.users_by_name)


async def change_user(
    res: Resources, team_id: str, *, email: str, password: str | None = None, is_active: bool | None = None
) -> None:
    """A new password, or shut out or let in again. A user shut out takes their keys along."""
    changes: dict[str, Any] = {"updated_at": res.clock()}
    if password is not None:
        _check_password(password)
        changes["password_hash"] = res.passwords.hash(password)
    if is_active is not None:
        changes["is_active"] = is_active

    def unit(tx: Tx) -> None:
        user = queries.find_user_by_email(tx, email)
        if user is None:
            raise NotFound(f"No user with the address {email} in this team.")
        queries.set_user(tx, user.id, **changes)
        record(tx, [Event(team_id, "user.changed", user.id)], at=res.clock())

    await res.db.team(team_id).write(unit)


async def create_key(
    res: Resources,
    team_id: str,
    *,
    name: str,
    role: str = "Admin",
    description: str | None = None,
    email: str | None = None,
    expires_at: int | None = None,
    rate_limit: int | None = None,
) -> NewKey:
    """A key with a role, acting as a user of the team; its token is shown this once.

    `rate_limit` is in requests a second; None leaves it to the installation, 0 is no limit.
    """
    if not name.strip():
        raise BadRequest("A key needs a name, one for each use.")
    key, now = NewKey(new_id(), new_token()), res.clock()

    def unit(tx: Tx) -> None:
        user = queries.find_user_by_email(tx, email) if email else queries.first_user(tx)
        if user is None and email:
            raise NotFound(f"No user with the address {email} in this team.")
        if user is None:
            raise NotFound("A key acts as a user: create one first, with `samvad user create`.")
        row = {"id": key.id, "user_id": user.id, "role_id": _role(tx, role).id, "name": name}
        rest = {"description": description, "token_hash": hash_of(key.token), "expires_at": expires_at}
        queries.add_key(tx, {**row, **rest, "rate_limit": rate_limit, "created_at": now})
        record(tx, [Event(team_id, "key.created", key.id)], at=now)

    await res.db.team(team_id).write(unit)
    return key


async def list_keys(res: Resources, team_id: str) -> Sequence[Any]:
    return await res.db.team(team_id).read(queries.keys_newest_first)


async def revoke_key(res: Resources, team_id: str, key_id: str) -> None:
    """Effective within a second, everywhere (kit.remember.FOR_S)."""

    def unit(tx: Tx) -> None:
        if not queries.revoke_key(tx, key_id, at=res.clock()):
            raise NotFound(f"No key {key_id} in this team, or it was revoked before.")
        record(tx, [Event(team_id, "key.revoked", key_id)], at=res.clock())

    await res.db.team(team_id).write(unit)


async def authenticate(res: Resources, token: str) -> Principal:
    """Whose token this is. Raises Unauthorized for an unknown, expired or revoked one."""
    key, now = await res.db.read(queries.key_by_token_hash, hash_of(token)), res.clock()
    if key is None or key.revoked_at is not None or not key.is_active:
        raise Unauthorized("Unauthorized")
    if key.expires_at is not None and key.expires_at <= now:
        raise Unauthorized("Unauthorized")
    if key.last_used_at is None or now - key.last_used_at > TOUCH_EVERY_MS:
        await res.db.team(key.team_id).write(queries.touch_key, key.id, at=now)
    return Principal(key.team_id, key.user_id, key.id, key.role_type, key.rate_limit)


async def webhook_secret(res: Resources, team_id: str) -> str:
    """What a team's webhooks are signed with."""
    return (await webhook_secrets(res, team_id)).current


async def webhook_secrets(res: Resources, team_id: str) -> WebhookSecrets:
    """What a team's webhooks are signed with, and what they are about to be."""
    team = await res.db.read(queries.find_team, team_id)
    if team is None:
        raise NotFound("No such team.")
    current, upcoming = team.webhook_secret_sealed, team.next_webhook_secret_sealed
    if upcoming is not None and res.clock() >= team.next_webhook_secret_at:
        current, upcoming = upcoming, None
    if upcoming is None:
        return WebhookSecrets(res.seal.open(current))
    return WebhookSecrets(res.seal.open(current), res.seal.open(upcoming), team.next_webhook_secret_at)


async def rotate_webhook_secret(
    res: Resources, team_id: str, *, overlap_ms: int, actor_id: str | None = None
) -> WebhookSecrets:
    """Make a new webhook secret, which takes over when the overlap ends; until then both sign.

    An upcoming secret that has not taken over yet is replaced: it was perhaps never written down.
    """
    before, now = await webhook_secrets(res, team_id), res.clock()
    made = res.seal.close(secrets.token_hex(32))
    sealed = {
        "webhook_secret_sealed": res.seal.close(before.current),
        "next_webhook_secret_sealed": made,
        "next_webhook_secret_at": now + overlap_ms,
    }

    def unit(tx: Tx) -> None:
        queries.set_team(tx, **sealed)
        record(tx, [Event(team_id, "webhook_secret.rotated", team_id, actor_id)], at=now)

    await res.db.team(team_id).write(unit)
    return await webhook_secrets(res, team_id)


async def activate_webhook_secret(
    res: Resources, team_id: str, *, actor_id: str | None = None
) -> WebhookSecrets:
    """Let the upcoming secret take over now. Raises Conflict when none is being rotated in."""
    if (await webhook_secrets(res, team_id)).upcoming is None:
        raise Conflict("No webhook secret is being rotated in: rotate first.")

    def unit(tx: Tx) -> None:
        queries.set_team(tx, next_webhook_secret_at=res.clock())
        record(tx, [Event(team_id, "webhook_secret.activated", team_id, actor_id)], at=res.clock())

    await res.db.team(team_id).write(unit)
    return await webhook_secrets(res, team_id)


async def get_settings(ctx: Context) -> TeamSettings:
    return TeamSettings.of(await ctx.resources.db.read(_settings, ctx.team_id))


async def change_settings(ctx: Context, *, closed_chats: str) -> TeamSettings:
    """What a team chooses for itself; other settings stay as they are."""
    ctx.must_manage("Changing the team's settings")
    if closed_chats not in CLOSED_CHATS:
        raise BadRequest(f"closedChats must be one of {', '.join(CLOSED_CHATS)}; got {closed_chats!r:.60}.")

    def unit(tx: Tx) -> None:
        changed = _settings(tx, ctx.team_id) | {"closed_chats": closed_chats}
        queries.set_settings(tx, ctx.team_id, changed)
        event = Event(ctx.team_id, "team.changed", ctx.team_id, ctx.user_id, {"closedChats": closed_chats})
        record(tx, [event], at=ctx.now())

    await ctx.db.write(unit)
    return await get_settings(ctx)


def _settings(tx: Tx, team_id: str) -> dict[str, Any]:
    team = queries.find_team(tx, team_id)
    if team is None:
        raise NotFound("No such team.")
    kept: dict[str, Any] = team.settings
    return kept


def _check_password(password: str) -> None:
    if len(password) < SHORTEST_PASSWORD:
        raise BadRequest(f"A password needs at least {SHORTEST_PASSWORD} characters.")


def _role(tx: Tx, name: str) -> Any:
    role = queries.find_role(tx, name)
    if role is None:
        raise NotFound(
            f"No role named {name!r}; there are {', '.join(DEFAULT_ROLES)} ({', '.join(ROLE_TYPES)})."
        )
    return role
