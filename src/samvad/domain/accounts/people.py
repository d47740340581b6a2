"""The people of a team: shown, changed, gone and back, whom they report to; their roles and pods."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from samvad.domain.accounts import queries
from samvad.domain.accounts.model import ROLE_TYPES
from samvad.domain.accounts.operations import get_user, set_user
from samvad.domain.accounts.profile import LONGEST_NAME, Shown, User, read_profile, with_display_name
from samvad.domain.context import Context, Resources
from samvad.domain.events.log import Event, record
from samvad.kit.errors import BadRequest, Conflict, NotFound
from samvad.kit.ids import new_id
from samvad.storage import Tx


async def list_people(ctx: Context) -> tuple[list[User], str]:
    """Everybody of the team who is not deleted, and the team's name."""

    def unit(tx: Tx) -> tuple[list[User], str]:
        return queries.users_by_name(tx), _team_name(tx)

    return await ctx.db.read(unit)


async def show_person(ctx: Context, user_id: str) -> Shown:
    """Somebody of the team by id, also one who is deleted: what they did still names them. Raises NotFound."""
    return await ctx.db.read(_shown, user_id)


async def change_person(ctx: Context, user_id: str, given: Mapping[str, Any]) -> Shown:
    """Change what is given of somebody; who does not manage may only change themselves.

    Raises BadRequest, NotFound, Forbidden.
    """

    def unit(tx: Tx) -> Shown:
        (user,) = queries.users_with(tx, [user_id]) or (None,)
        if user is None or user.deleted_at is not None:
            raise _unknown(user_id)
        if user.id != ctx.user_id:
            ctx.must_manage("Changing somebody else")
        changes = with_display_name(user, read_profile(given))
        set_user(tx, user, changes, at=ctx.now(), actor_id=ctx.user_id)
        return _shown(tx, user_id)

    return await ctx.db.write(unit)


async def delete_user(res: Resources, team_id: str, who: str) -> None:
    """Somebody goes: their keys end, their name stays with what they did, and may be called back."""

    def unit(tx: Tx) -> None:
        user, now = get_user(tx, who), res.clock()
        queries.set_user(tx, user.id, deleted_at=now, updated_at=now)
        record(tx, [Event(team_id, "user.deleted", user.id, data={"username": user.username})], at=now)

    await res.db.team(team_id).write(unit)


async def restore_user(res: Resources, team_id: str, who: str) -> None:
    """One who was deleted is there again, as they were."""

    def unit(tx: Tx) -> None:
        user, now = queries.find_user(tx, who, deleted=True), res.clock()
        if user is None:
            raise NotFound(f"Nobody called {who:.100} was deleted from this team.")
        queries.set_user(tx, user.id, deleted_at=None, updated_at=now)
        record(tx, [Event(team_id, "user.restored", user.id, data={"username": user.username})], at=now)

    await res.db.team(team_id).write(unit)


async def report_to(res: Resources, team_id: str, who: str, above: str | None) -> None:
    """Whom somebody reports to from now on, None for nobody. Raises BadRequest where a circle would close."""

    def unit(tx: Tx) -> None:
        queries.lock_team(tx)
        user = get_user(tx, who)
        boss = get_user(tx, above) if above else None
        if boss and boss.id in (user.id, *queries.reportees_of(tx, user.id)):
            raise BadRequest(
                f"{boss.username} is {user.username} or reports to them already: nobody reports to themselves."
            )
        set_user(tx, user, {"reports_to": boss.id if boss else None}, at=res.clock())

    await res.db.team(team_id).write(unit)


async def create_role(res: Resources, team_id: str, *, name: str, role_type: str) -> str:
    """A role beside the three that every team has; what it may do is what its type may."""
    role_id, now, name = new_id(), res.clock(), _name(name, "role")
    if role_type not in ROLE_TYPES:
        raise BadRequest(f"{role_type!r:.60} is none of {', '.join(ROLE_TYPES)}.")

    def unit(tx: Tx) -> None:
        if queries.find_role(tx, name):
            raise Conflict(f"There is a role named {name!r} already.")
        queries.add_role(tx, {"id": role_id, "name": name, "type": role_type, "created_at": now})
        said = {"name": name, "type": role_type}
        record(tx, [Event(team_id, "role.created", role_id, data=said)], at=now)

    await res.db.team(team_id).write(unit)
    return role_id


async def list_roles(res: Resources, team_id: str) -> list[Any]:
    """The roles of a team, oldest first: `id`, `name`, `type`."""
    return await res.db.team(team_id).read(queries.roles_oldest_first)


class Pod(NamedTuple):
    """A group of users, with the usernames of its members."""

    id: str
    name: str
    members: tuple[str, ...]


async def create_pod(res: Resources, team_id: str, *, name: str) -> str:
    pod_id, now, name = new_id(), res.clock(), _name(name, "pod")

    def unit(tx: Tx) -> None:
        _must_be_free(tx, name)
        queries.add_pod(tx, {"id": pod_id, "name": name, "created_at": now, "updated_at": now})
        record(tx, [Event(team_id, "pod.created", pod_id, data={"name": name})], at=now)

    await res.db.team(team_id).write(unit)
    return pod_id


async def rename_pod(res: Resources, team_id: str, pod: str, *, name: str) -> None:
    name = _name(name, "pod")

    def unit(tx: Tx) -> None:
        found, now = _pod(tx, pod), res.clock()
        if name == found.name:
            return
        _must_be_free(tx, name)
        queries.set_pod(tx, found.id, name=name, updated_at=now)
        said = {"before": {"name": found.name}, "after": {"name": name}}
        record(tx, [Event(team_id, "pod.changed", found.id, data=said)], at=now)

    await res.db.team(team_id).write(unit)


async def add_to_pod(res: Resources, team_id: str, pod: str, who: str) -> None:
    """Harmless where they are a member already."""

    def unit(tx: Tx) -> None:
        found, user, now = _pod(tx, pod), get_user(tx, who), res.clock()
        if queries.add_member(tx, found.id, user.id, at=now):
            record(tx, [Event(team_id, "pod.member_added", found.id, data={"user": user.id})], at=now)

    await res.db.team(team_id).write(unit)


async def remove_from_pod(res: Resources, team_id: str, pod: str, who: str) -> None:
    def unit(tx: Tx) -> None:
        found, user, now = _pod(tx, pod), get_user(tx, who), res.clock()
        if not queries.remove_member(tx, found.id, user.id):
            raise NotFound(f"{user.username} is no member of {found.name}.")
        record(tx, [Event(team_id, "pod.member_removed", found.id, data={"user": user.id})], at=now)

    await res.db.team(team_id).write(unit)


async def list_pods(res: Resources, team_id: str) -> list[Pod]:
    """The pods of a team by name."""

    def unit(tx: Tx) -> list[Pod]:
        members: dict[str, list[str]] = {}
        for row in queries.members_of_pods(tx):
            members.setdefault(row.pod_id, []).append(row.username)
        return [Pod(row.id, row.name, tuple(members.get(row.id, ()))) for row in queries.pods_by_name(tx)]

    return await res.db.team(team_id).read(unit)


def _shown(tx: Tx, user_id: str) -> Shown:
    (user,) = queries.users_with(tx, [user_id]) or (None,)
    if user is None:
        raise _unknown(user_id)
    below = queries.users_with(tx, queries.reportees_of(tx, user_id))
    return Shown(user, _team_name(tx), tuple(it for it in below if it.deleted_at is None))


def _team_name(tx: Tx) -> str:
    assert tx.team_id is not None
    team = queries.find_team(tx, tx.team_id)
    assert team is not None, "whoever acts has a team"
    return str(team.name)


def _pod(tx: Tx, word: str) -> Any:
    pod = queries.find_pod(tx, word)
    if pod is None:
        raise NotFound(f"No pod {word!r:.60} in this team.")
    return pod


def _must_be_free(tx: Tx, name: str) -> None:
    if queries.find_pod(tx, name):
        raise Conflict(f"There is a pod named {name!r} already.")


def _name(given: str, of_what: str) -> str:
    name = given.strip()
    if not name or len(name) > LONGEST_NAME:
        raise BadRequest(f"A {of_what} needs a name of 1 to {LONGEST_NAME} characters.")
    return name


def _unknown(user_id: str) -> NotFound:
    return NotFound(f"User {user_id:.60} not found")
