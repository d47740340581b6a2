"""Teams, users, roles and keys in the database."""

from typing import Any

from sqlalchemy import Row, bindparam

from samvad.domain.accounts.model import TeamSettings
from samvad.domain.accounts.tables import api_keys, roles, teams, users
from samvad.storage import Tx, every_team
from samvad.storage.columns import among

BY_TOKEN = (
    every_team.select(
        api_keys.c.id,
        api_keys.c.team_id,
        api_keys.c.user_id,
        api_keys.c.expires_at,
        api_keys.c.last_used_at,
        api_keys.c.revoked_at,
        api_keys.c.rate_limit,
        roles.c.type.label("role_type"),
        users.c.is_active,
    )
    .join(roles, roles.c.id == api_keys.c.role_id)
    .join(users, users.c.id == api_keys.c.user_id)
    .where(api_keys.c.token_hash == bindparam("token_hash"))
)
"""Across teams: the token is what tells the team."""

TEAM = every_team.select(teams).where(teams.c.id == bindparam("team_id"))
TEAM_BY_NAME = every_team.select(teams.c.id).where(teams.c.name == bindparam("name")).limit(1)
SETTINGS = every_team.select(teams.c.id, teams.c.settings).where(among(teams.c.id, "teams"))


def teams_that_reopen(tx: Tx, team_ids: set[str]) -> set[str]:
    """Those of these teams whose closed chats open again with the next message."""
    if not team_ids:
        return set()
    rows = tx.all(SETTINGS, {"teams": team_ids})
    return {row.id for row in rows if TeamSettings.of(row.settings).closed_chats == "REOPEN"}


def set_settings(tx: Tx, team_id: str, settings: dict[str, Any]) -> None:
    tx.execute(every_team.update(teams).where(teams.c.id == team_id).values(settings=settings))


def key_by_token_hash(tx: Tx, token_hash: str) -> Row[Any] | None:
    return tx.first(BY_TOKEN, {"token_hash": token_hash})


def find_team(tx: Tx, team_id: str) -> Row[Any] | None:
    return tx.first(TEAM, {"team_id": team_id})


def set_team(tx: Tx, **changes: Any) -> None:
    """Change this unit's own team, whose key is its id."""
    assert tx.team_id is not None
    tx.execute(every_team.update(teams).where(teams.c.id == tx.team_id).values(**changes))


def find_team_named(tx: Tx, name: str) -> str | None:
    row = tx.first(TEAM_BY_NAME, {"name": name})
    return row.id if row else None


def teams_by_name(tx: Tx) -> list[Row[Any]]:
    return list(tx.all(every_team.select(teams.c.id, teams.c.name).order_by(teams.c.name)))


def add_team(tx: Tx, row: dict[str, Any]) -> None:
    tx.execute(every_team.insert(teams), row)


def add_role(tx: Tx, row: dict[str, Any]) -> None:
    tx.execute(tx.insert(roles), row)


def find_role(tx: Tx, name: str) -> Row[Any] | None:
    return tx.first(tx.select(roles).where(roles.c.name == name))


def email_is_taken(tx: Tx, email: str) -> bool:
    """Across teams: a person signs in with an address alone."""
    return tx.first(every_team.select(users.c.id).where(users.c.email == email)) is not None


def add_user(tx: Tx, row: dict[str, Any]) -> None:
    tx.execute(tx.insert(users), row)


def users_by_name(tx: Tx) -> list[Row[Any]]:
    return list(
        tx.all(
            tx.select(
                users, users.c.id, users.c.email, users.c.name, users.c.is_active, roles.c.name.label("role")
            )
            .join(roles, roles.c.id == users.c.role_id)
            .order_by(users.c.name)
        )
    )


def find_user_by_email(tx: Tx, email: str) -> Row[Any] | None:
    return tx.first(tx.select(users).where(users.c.email == email))


def first_user(tx: Tx) -> Row[Any] | None:
    return tx.first(tx.select(users).order_by(users.c.created_at, users.c.id).limit(1))


def set_user(tx: Tx, user_id: str, **changes: Any) -> None:
    tx.execute(tx.update(users).where(users.c.id == user_id).values(**changes))


def add_key(tx: Tx, row: dict[str, Any]) -> None:
    tx.execute(tx.insert(api_keys), row)


def keys_newest_first(tx: Tx) -> list[Row[Any]]:
    return list(tx.all(tx.select(api_keys).order_by(api_keys.c.created_at.desc(), api_keys.c.id.desc())))


def touch_key(tx: Tx, key_id: str, *, at: int) -> None:
    tx.execute(tx.update(api_keys).where(api_keys.c.id == key_id).values(last_used_at=at))


def revoke_key(tx: Tx, key_id: str, *, at: int) -> bool:
    unrevoked = tx.update(api_keys).where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
    return tx.execute(unrevoked.values(revoked_at=at)).rowcount > 0
