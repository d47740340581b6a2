"""Teams, users, roles, pods, rules of access and keys in the database."""

from collections.abc import Collection
from dataclasses import fields
from typing import Any

from sqlalchemy import Row, Select, bindparam, or_

from samvad.domain.accounts.access import Access, Rule, Who, deciding
from samvad.domain.accounts.model import TeamSettings
from samvad.domain.accounts.profile import User
from samvad.domain.accounts.tables import access_rules, api_keys, pod_members, pods, roles, teams, users
from samvad.storage import Tx, every_team
from samvad.storage.columns import among

BY_TOKEN = (
    every_team.select(
        api_keys.c.id,
        api_keys.c.team_id,
        api_keys.c.user_id,
        api_keys.c.role_id,
        api_keys.c.expires_at,
        api_keys.c.last_used_at,
        api_keys.c.revoked_at,
        api_keys.c.rate_limit,
        roles.c.type.label("role_type"),
        users.c.is_active,
        users.c.deleted_at,
    )
    .join(roles, roles.c.id == api_keys.c.role_id)
    .join(users, users.c.id == api_keys.c.user_id)
    .where(api_keys.c.token_hash == bindparam("token_hash"))
)
"""Across teams: the token is what tells the team."""

TEAM = every_team.select(teams).where(teams.c.id == bindparam("team_id"))
TEAM_BY_NAME = every_team.select(teams.c.id).where(teams.c.name == bindparam("name")).limit(1)
RULE_KEY = ("team_id", "resource", "resource_id", "sub_resource", "scope", "scope_id")

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


def find_role(tx: Tx, word: str) -> Row[Any] | None:
    """A role of the team by its name or id."""
    return tx.first(tx.select(roles).where(or_(roles.c.name == word, roles.c.id == word)))


def roles_oldest_first(tx: Tx) -> list[Row[Any]]:
    return list(tx.all(tx.select(roles).order_by(roles.c.created_at, roles.c.id)))


def name_is_taken(tx: Tx, word: str) -> bool:
    """Whether it is anybody's username or address, across teams: either may be given where a person is named."""
    same = or_(users.c.username == word, users.c.email == word)
    return tx.first(every_team.select(users.c.id).where(same)) is not None


def add_user(tx: Tx, row: dict[str, Any]) -> None:
    tx.execute(tx.insert(users), row)


def users_by_name(tx: Tx, *, deleted: bool = False) -> list[User]:
    """Everybody of the team who is not deleted, or everybody who is."""
    here = users.c.deleted_at.is_not(None) if deleted else users.c.deleted_at.is_(None)
    query = _people(tx).where(here).order_by(users.c.display_name, users.c.id)
    return [_user(row) for row in tx.all(query)]


def users_with(tx: Tx, ids: Collection[str]) -> list[User]:
    """These of the team, deleted or not, by username."""
    query = _people(tx).where(among(users.c.id, "ids")).order_by(users.c.username)
    return [_user(row) for row in tx.all(query, {"ids": list(ids)})] if ids else []


def _people(tx: Tx) -> Select[Any]:
    return tx.select(users, *users.c, roles.c.name.label("role_name")).join(
        roles, roles.c.id == users.c.role_id
    )


def _user(row: Row[Any]) -> User:
    return User(**{field.name: getattr(row, field.name) for field in fields(User)})


def usernames(tx: Tx) -> dict[str, str]:
    """By id, of all who are not deleted."""
    rows = tx.all(tx.select(users, users.c.id, users.c.username).where(users.c.deleted_at.is_(None)))
    return {row.id: row.username for row in rows}


def find_user(tx: Tx, word: str, *, deleted: bool = False) -> User | None:
    """A user of the team by username, id or address; `deleted` ones only where they are asked for."""
    is_called = or_(users.c.username == word, users.c.id == word, users.c.email == word)
    here = users.c.deleted_at.is_not(None) if deleted else users.c.deleted_at.is_(None)
    found = [_user(row) for row in tx.all(_people(tx).where(is_called, here))]
    return min(found, key=lambda it: it.username != word, default=None)


def find_user_called(tx: Tx, name: str) -> Row[Any] | None:
    """By username, address or id; with the type of their role."""
    query = tx.select(users, users.c.id, users.c.role_id, users.c.is_active, roles.c.type.label("role_type"))
    is_called = or_(users.c.username == name, users.c.email == name, users.c.id == name)
    query = query.join(roles, roles.c.id == users.c.role_id)
    return tx.first(query.where(is_called, users.c.deleted_at.is_(None)))


def first_user(tx: Tx) -> Row[Any] | None:
    here = tx.select(users).where(users.c.deleted_at.is_(None))
    return tx.first(here.order_by(users.c.created_at, users.c.id).limit(1))


def lock_team(tx: Tx) -> None:
    """Who changes the order of a team waits for the others who do."""
    tx.execute(every_team.select(teams.c.id).where(teams.c.id == tx.team_id).with_for_update())


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


def access_of(
    tx: Tx, who: Who, *, resource: str, resource_id: str, sub_resource: str | None = None
) -> Access:
    """What somebody may do with the rows of one thing, named by its id or short id."""
    return accesses_of(tx, who, resource, [resource_id], sub_resource=sub_resource)[resource_id]


def accesses_of(
    tx: Tx, who: Who, resource: str, resource_ids: Collection[str], *, sub_resource: str | None = None
) -> dict[str, Access]:
    """The same for many things in at most three questions, by the ids they were asked with."""
    rules = _rules_for(tx, who, resource, resource_ids, sub_resource)
    deciders = {it: deciding(rules, who, resource_id=it, sub_resource=sub_resource) for it in resource_ids}
    modes = {it: rule.access_mode if rule else who.default_mode for it, rule in deciders.items()}
    mine = pods_of_mine = frozenset[str]()
    if who.user_id and {"own-and-reportees", "partial"} & set(modes.values()):
        mine = frozenset({who.user_id, *reportees_of(tx, who.user_id)})
    if who.user_id and "match-pod" in modes.values():
        pods_of_mine = frozenset(pods_with(tx, who.user_id))
    return {
        it: Access(mode, who.user_id, mine, pods_of_mine, is_default=deciders[it] is None)
        for it, mode in modes.items()
    }


def _rules_for(
    tx: Tx, who: Who, resource: str, resource_ids: Collection[str], sub_resource: str | None
) -> list[Rule]:
    """Rules that may decide: of these things, their parts, and for whoever asks."""
    about = among(access_rules.c.resource_id, "things")
    about_short = among(access_rules.c.resource_short_id, "things")
    for_whom = access_rules.c.scope_id.in_(("", who.team_id, who.role_type, who.role_id, who.user_id))
    query = tx.select(access_rules).where(
        access_rules.c.resource == resource,
        or_(about, about_short),
        access_rules.c.sub_resource.in_(("", sub_resource or "")),
        for_whom,
    )
    return [_rule(row) for row in tx.all(query, {"things": list(resource_ids)})]


def _rule(row: Row[Any]) -> Rule:
    return Rule(
        id=row.id,
        resource=row.resource,
        resource_id=row.resource_id,
        resource_short_id=row.resource_short_id,
        sub_resource=row.sub_resource or None,
        scope=row.scope,
        scope_id=row.scope_id or None,
        access_mode=row.access_mode,
        updated_at=row.updated_at,
    )


def rules_in_order(tx: Tx) -> list[Rule]:
    """Every rule of the team, by what it is about."""
    order = (access_rules.c.resource, access_rules.c.resource_id, access_rules.c.sub_resource)
    return [_rule(row) for row in tx.all(tx.select(access_rules).order_by(*order, access_rules.c.id))]


def put_rule(tx: Tx, rule: Rule, *, at: int) -> str:
    """Add a rule, or change the mode of the one there is for the same; returns the id of the one that stays."""
    row = {
        "id": rule.id,
        "resource": rule.resource,
        "resource_id": rule.resource_id,
        "resource_short_id": rule.resource_short_id,
        "sub_resource": rule.sub_resource or "",
        "scope": rule.scope,
        "scope_id": rule.scope_id or "",
        "access_mode": rule.access_mode,
        "created_at": at,
        "updated_at": at,
    }
    insert = tx.insert(access_rules)
    changes = {name: insert.excluded[name] for name in ("access_mode", "resource_short_id", "updated_at")}
    statement = insert.on_conflict_do_update(index_elements=RULE_KEY, set_=changes)
    return str(tx.execute(statement.returning(access_rules.c.id), row).scalar_one())


def remove_rule(tx: Tx, rule_id: str) -> Rule | None:
    """Take a rule away; what it said, or None where there is none of this id."""
    row = tx.first(tx.select(access_rules).where(access_rules.c.id == rule_id))
    tx.execute(tx.delete(access_rules).where(access_rules.c.id == rule_id))
    return _rule(row) if row else None


def reportees_of(tx: Tx, user_id: str) -> list[str]:
    """All who report to somebody, directly or through others, deleted ones too: their work is still there."""
    below = tx.select(users, users.c.id).where(users.c.reports_to == user_id).cte("below", recursive=True)
    # UNION, and not UNION ALL, ends also where a circle was made by hand.
    below = below.union(tx.select(users, users.c.id).join(below, users.c.reports_to == below.c.id))
    return [row.id for row in tx.all(every_team.select(below.c.id)) if row.id != user_id]


def add_pod(tx: Tx, row: dict[str, Any]) -> None:
    tx.execute(tx.insert(pods), row)


def find_pod(tx: Tx, word: str) -> Row[Any] | None:
    """A pod of the team by its name or id."""
    found = tx.all(tx.select(pods).where(or_(pods.c.name == word, pods.c.id == word)))
    return min(found, key=lambda row: row.name != word, default=None)


def set_pod(tx: Tx, pod_id: str, **changes: Any) -> None:
    tx.execute(tx.update(pods).where(pods.c.id == pod_id).values(**changes))


def pods_by_name(tx: Tx) -> list[Row[Any]]:
    return list(tx.all(tx.select(pods).order_by(pods.c.name)))


def members_of_pods(tx: Tx) -> list[Row[Any]]:
    """Who is a member of which pod of the team, by username: `pod_id`, `user_id`, `username`."""
    query = tx.select(pod_members, pod_members.c.pod_id, pod_members.c.user_id, users.c.username)
    return list(tx.all(query.join(users, users.c.id == pod_members.c.user_id).order_by(users.c.username)))


def add_member(tx: Tx, pod_id: str, user_id: str, *, at: int) -> bool:
    """Whether they were not one before."""
    row = {"pod_id": pod_id, "user_id": user_id, "created_at": at}
    return tx.execute(tx.insert(pod_members).on_conflict_do_nothing(), row).rowcount > 0


def remove_member(tx: Tx, pod_id: str, user_id: str) -> bool:
    one = (pod_members.c.pod_id == pod_id) & (pod_members.c.user_id == user_id)
    return tx.execute(tx.delete(pod_members).where(one)).rowcount > 0


def pods_with(tx: Tx, user_id: str) -> list[str]:
    """The pods somebody is a member of."""
    query = tx.select(pod_members, pod_members.c.pod_id).where(pod_members.c.user_id == user_id)
    return [row.pod_id for row in tx.all(query)]
