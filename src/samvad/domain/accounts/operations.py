"""Teams, users and keys: what an administrator can do with them."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from samvad.domain.accounts import queries
from samvad.domain.accounts.model import (
    CLOSED_CHATS,
    NewKey,
    Principal,
    TeamSettings,
    WebhookSecrets,
    hash_of,
    new_token,
)
from samvad.domain.accounts.profile import (
    User,
    difference,
    display_name_of,
    read_phone,
    read_profile,
    read_username,
    split_name,
    told,
    with_display_name,
)
from samvad.domain.context import Context, Resources
from samvad.domain.events.log import Event, record
from samvad.kit import phones
from samvad.kit.clock import is_zone
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
    res: Resources,
    team_id: str,
    *,
    email: str,
    role: str,
    password: str,
    name: str = "",
    first_name: str = "",
    last_name: str = "",
    username: str = "",
    phone: str = "",
) -> str:
    """A new user of a team; returns the id. `name` may be given in one; a username is the address by default."""
    if "@" not in email:
        raise BadRequest(f"{email!r} is not an e-mail address.")
    _check_password(password)
    first, last = first_name, last_name
    if not first and not last:
        first, last = split_name(name or email.partition("@")[0])
    named = read_profile({"firstName": first, "lastName": last, "displayName": name})
    username, primary_phone = read_username(username or email), read_phone(phone)
    user_id, now = new_id(), res.clock()
    hashed = res.passwords.hash(password)

    def unit(tx: Tx) -> None:
        _must_be_free(tx, email)
        _must_be_free(tx, username)
        row = {"id": user_id, "role_id": _role(tx, role).id, "email": email, "username": username}
        row |= named | {"display_name": named["display_name"] or display_name_of(first, last)}
        row |= {"primary_phone": primary_phone, "password_hash": hashed, "is_active": True}
        queries.add_user(tx, {**row, "created_at": now, "updated_at": now})
        record(tx, [Event(team_id, "user.created", user_id, data={"username": username})], at=now)

    await res.db.team(team_id).write(unit)
    return user_id


async def list_users(res: Resources, team_id: str, *, deleted: bool = False) -> list[User]:
    return await res.db.team(team_id).read(queries.users_by_name, deleted=deleted)


async def change_user(
    res: Resources,
    team_id: str,
    who: str,
    *,
    password: str | None = None,
    is_active: bool | None = None,
    role: str | None = None,
    username: str | None = None,
    phone: str | None = None,
    profile: Mapping[str, Any] | None = None,
) -> None:
    """Change what is given of somebody, named by username, address or id; `profile` in the words of the API.

    A user shut out takes their keys along.
    """
    changes = read_profile(profile or {})
    if is_active is not None:
        changes["is_active"] = is_active
    if phone is not None:
        changes["primary_phone"] = read_phone(phone)
    hashed = None
    if password is not None:
        _check_password(password)
        hashed = res.passwords.hash(password)

    def unit(tx: Tx) -> None:
        user = get_user(tx, who)
        wanted = with_display_name(user, changes)
        if role is not None:
            wanted["role_id"] = _role(tx, role).id
        if username is not None:
            wanted["username"] = read_username(username)
            if username not in (user.username, user.email):
                _must_be_free(tx, username)
        set_user(tx, user, wanted, at=res.clock(), password_hash=hashed)

    await res.db.team(team_id).write(unit)


def get_user(tx: Tx, who: str) -> User:
    """Somebody of the team by username, address or id. Raises NotFound."""
    user = queries.find_user(tx, who)
    if user is None:
        raise NotFound(f"No user with the name or address {who:.100} in this team.")
    return user


def set_user(
    tx: Tx,
    user: User,
    changes: Mapping[str, Any],
    *,
    at: int,
    actor_id: str | None = None,
    password_hash: str | None = None,
) -> None:
    """Write down what is different, and say so in the log; a password is named there and not shown."""
    different = difference(user, changes)
    said = told(user, different)
    if password_hash is not None:
        said["changed"].append("password")
        different["password_hash"] = password_hash
    if not different:
        return
    queries.set_user(tx, user.id, **different, updated_at=at)
    record(tx, [Event(user.team_id, "user.changed", user.id, actor_id, said)], at=at)


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
        user = get_user(tx, email) if email else queries.first_user(tx)
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
    if key is None or key.revoked_at is not None or not key.is_active or key.deleted_at is not None:
        raise Unauthorized("Unauthorized")
    if key.expires_at is not None and key.expires_at <= now:
        raise Unauthorized("Unauthorized")
    if key.last_used_at is None or now - key.last_used_at > TOUCH_EVERY_MS:
        await res.db.team(key.team_id).write(queries.touch_key, key.id, at=now)
    return Principal(key.team_id, key.user_id, key.id, key.role_type, key.rate_limit, key.role_id)


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


async def change_settings(ctx: Context, changes: dict[str, Any]) -> TeamSettings:
    """What a team chooses for itself, by the names of TeamSettings; other settings stay as they are."""
    ctx.must_manage("Changing the team's settings")
    _check_settings(changes)

    def unit(tx: Tx) -> None:
        changed = _settings(tx, ctx.team_id) | changes
        queries.set_settings(tx, ctx.team_id, changed)
        record(tx, [Event(ctx.team_id, "team.changed", ctx.team_id, ctx.user_id, changes)], at=ctx.now())

    await ctx.db.write(unit)
    return await get_settings(ctx)


def _check_settings(given: dict[str, Any]) -> None:
    problems = []
    if "closed_chats" in given and given["closed_chats"] not in CLOSED_CHATS:
        problems.append(
            f"closedChats must be one of {', '.join(CLOSED_CHATS)}; got {given['closed_chats']!r:.60}."
        )
    country, zone = given.get("country"), given.get("time_zone", "UTC")
    if country is not None and not phones.is_country(country):
        problems.append(
            f"country must be the two letters of a country, like IN, or null; got {country!r:.60}."
        )
    if not is_zone(zone):
        problems.append(
            f"timeZone must be a name of the IANA time zone database, like Asia/Kolkata; got {zone!r:.60}."
        )
    if problems:
        raise BadRequest(*problems)


def _settings(tx: Tx, team_id: str) -> dict[str, Any]:
    team = queries.find_team(tx, team_id)
    if team is None:
        raise NotFound("No such team.")
    kept: dict[str, Any] = team.settings
    return kept


def _check_password(password: str) -> None:
    if len(password) < SHORTEST_PASSWORD:
        raise BadRequest(f"A password needs at least {SHORTEST_PASSWORD} characters.")


def _must_be_free(tx: Tx, word: str) -> None:
    """A username or an address, across teams: a person signs in with either alone."""
    if queries.name_is_taken(tx, word):
        raise Conflict(f"There is a user with the name or address {word:.100} already.")


def _role(tx: Tx, name: str) -> Any:
    role = queries.find_role(tx, name)
    if role is None:
        there = ", ".join(row.name for row in queries.roles_oldest_first(tx))
        raise NotFound(f"No role named {name!r:.60}; there are {there}.")
    return role
