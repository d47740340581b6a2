"""Rules of access: what an administrator can do with them."""

from samvad.domain.accounts import queries
from samvad.domain.accounts.access import MODES, RESOURCES, SCOPES, Rule
from samvad.domain.accounts.model import ROLE_TYPES
from samvad.domain.context import Resources
from samvad.domain.events.log import Event, record
from samvad.kit.errors import BadRequest, NotFound
from samvad.kit.ids import new_id
from samvad.storage import Tx


async def set_access_rule(
    res: Resources,
    team_id: str,
    *,
    resource: str,
    resource_id: str,
    access_mode: str,
    sub_resource: str | None = None,
    scope: str = "team",
    scope_id: str | None = None,
    resource_short_id: str | None = None,
    actor_id: str | None = None,
) -> str:
    """Say who has which access to what; returns the rule's id. There is one rule for the same who and what.

    `scope_id` may be a name: of a role, of a role type, of a user. Those who know a procedure by its short id
    alone find its rules by `resource_short_id`; without one, the id is taken for it.
    """
    for word, choices in ((resource, RESOURCES), (access_mode, MODES), (scope, SCOPES)):
        if word not in choices:
            raise BadRequest(f"{word!r:.60} is none of {', '.join(choices)}.")
    if not resource_id.strip():
        raise BadRequest("Say which one the rule is about, by its id.")
    now = res.clock()

    def unit(tx: Tx) -> str:
        rule = Rule(
            id=new_id(),
            resource=resource,
            resource_id=resource_id,
            resource_short_id=resource_short_id or resource_id,
            sub_resource=sub_resource or None,
            scope=scope,
            scope_id=_scope_id(tx, scope, scope_id),
            access_mode=access_mode,
            updated_at=now,
        )
        rule_id = queries.put_rule(tx, rule, at=now)
        record(tx, [Event(team_id, "access_rule.set", rule_id, actor_id, _said(rule))], at=now)
        return rule_id

    return await res.db.team(team_id).write(unit)


async def list_access_rules(res: Resources, team_id: str) -> list[Rule]:
    return await res.db.team(team_id).read(queries.rules_in_order)


async def remove_access_rule(
    res: Resources, team_id: str, rule_id: str, *, actor_id: str | None = None
) -> None:
    """Take a rule away: what is less narrow decides again, or the default."""

    def unit(tx: Tx) -> None:
        rule = queries.remove_rule(tx, rule_id)
        if rule is None:
            raise NotFound(f"No access rule {rule_id:.60} in this team; see `samvad access list`.")
        event = Event(team_id, "access_rule.removed", rule_id, actor_id, _said(rule))
        record(tx, [event], at=res.clock())

    await res.db.team(team_id).write(unit)


def _scope_id(tx: Tx, scope: str, given: str | None) -> str | None:
    """Whose scope that is, by its id. Raises BadRequest, NotFound."""
    if scope in ("all", "team"):
        if given not in (None, "", tx.team_id):
            raise BadRequest(f"The scope {scope} is everybody of this team, and takes no name.")
        return None
    if not given:
        raise BadRequest(f"The scope {scope} needs a name: whose rule is it?")
    if scope == "roleType":
        if given not in ROLE_TYPES:
            raise BadRequest(f"{given!r:.60} is none of {', '.join(ROLE_TYPES)}.")
        return given
    found = queries.find_role(tx, given) if scope == "role" else queries.find_user(tx, given)
    if found is None:
        raise NotFound(f"No {scope} {given!r:.60} in this team.")
    return str(found.id)


def _said(rule: Rule) -> dict[str, str | None]:
    return {
        "resource": rule.resource,
        "resourceId": rule.resource_id,
        "subResource": rule.sub_resource,
        "scope": rule.scope,
        "scopeId": rule.scope_id,
        "accessMode": rule.access_mode,
    }
