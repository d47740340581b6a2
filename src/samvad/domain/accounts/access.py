"""Which rows somebody sees and may change: rules of access, and what they come to. No I/O."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol

RESOURCES = ("procedure", "statetask", "entity")
SCOPES = ("all", "team", "roleType", "role", "user")  # from the widest to the narrowest, which wins
MODES = ("all", "match-pod", "own-and-reportees", "assigned-to", "view-only", "partial", "none")

LEAD = "lead"
CHAT = "chat"
"""Rules of chats are those of the team's leads, and finer ones for this part of them."""


class Caller(Protocol):
    """Whoever acts: a Context, a Principal."""

    @property
    def team_id(self) -> str: ...
    @property
    def user_id(self) -> str: ...
    @property
    def role_id(self) -> str: ...
    @property
    def role_type(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Who:
    """For whom a rule is looked up. "Me" is the user that a key acts as; the role is that of the key."""

    team_id: str
    user_id: str
    role_id: str
    role_type: str

    @staticmethod
    def of(caller: Caller) -> "Who":
        return Who(caller.team_id, caller.user_id, caller.role_id, caller.role_type)

    def in_scope(self, scope: str, scope_id: str | None) -> bool:
        match scope:
            case "all":
                return True
            case "team":
                return scope_id in (None, self.team_id)
            case "roleType":
                return scope_id == self.role_type
            case "role":
                return bool(self.role_id) and scope_id == self.role_id
            case "user":
                return bool(self.user_id) and scope_id == self.user_id
        return False

    @property
    def default_mode(self) -> str:
        """Without any rule: administrators and managers all, others their own and their reportees'."""
        return "all" if self.role_type in ("ADMIN", "MANAGER") else "own-and-reportees"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: who (`scope`, `scope_id`) has which mode of access to what."""

    id: str
    resource: str
    resource_id: str
    resource_short_id: str | None
    sub_resource: str | None
    scope: str
    scope_id: str | None
    access_mode: str
    updated_at: int

    def is_about(self, resource_id: str) -> bool:
        """By id or by short id: some know a procedure by only one of them."""
        return resource_id in (self.resource_id, self.resource_short_id)


def deciding(
    rules: Iterable[Rule], who: Who, *, resource_id: str, sub_resource: str | None = None
) -> Rule | None:
    """The one that counts: for the part before for the whole, the narrowest scope, the latest word."""
    fitting = [
        rule
        for rule in rules
        if rule.is_about(resource_id)
        and rule.sub_resource in (None, sub_resource)
        and who.in_scope(rule.scope, rule.scope_id)
    ]
    return max(
        fitting,
        key=lambda it: (it.sub_resource is not None, SCOPES.index(it.scope), it.updated_at, it.id),
        default=None,
    )


@dataclass(frozen=True, slots=True)
class Access:
    """What somebody may do with the rows of one thing.

    all                 read and write everything
    match-pod           those that belong to one of my pods
    own-and-reportees   assigned to me or to whoever reports to me; or to nobody, and made by one of us
    assigned-to         assigned to me
    view-only           read everything, write nothing
    partial             one's own whole and to be written; of others only primary key and identifier
    none                nothing

    The same three questions are asked in SQL by `predicates`; a property test holds them together.
    """

    mode: str
    user_id: str
    mine: frozenset[str] = frozenset()
    """Me and all who report to me, directly or not."""
    pods: frozenset[str] = frozenset()
    is_default: bool = False
    """No rule said so."""
    takes_unassigned: bool = False
    """What is assigned to nobody counts as one's own: the shared inbox. Only where own and reportees' are seen."""

    def sees(self, row: Any) -> bool:
        """Whether the row is there at all, be it only its key and identifier."""
        return self.mode in ("all", "view-only", "partial") or self._is_ones_own(row)

    def sees_whole(self, row: Any) -> bool:
        """Whether all of it may be shown."""
        return self.mode in ("all", "view-only") or self._is_ones_own(row)

    def may_write(self, row: Any) -> bool:
        return self.mode == "all" or self._is_ones_own(row)

    def only_own(self) -> "Access":
        """What of it is seen whole: whoever may not see a value may not look for it either."""
        return self if self.mode != "partial" else replace(self, mode="own-and-reportees")

    def _is_ones_own(self, row: Any) -> bool:
        match self.mode:
            case "match-pod":
                return row.belongs_to in self.pods
            case "assigned-to":
                return row.assigned_to is not None and row.assigned_to == self.user_id
            case "own-and-reportees" | "partial":
                if row.assigned_to is not None:
                    return row.assigned_to in self.mine
                return self.takes_unassigned or getattr(row, "created_by", None) in self.mine
        return False
