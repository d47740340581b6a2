"""Access as one condition in SQL each: the questions of `access.Access`, over whole tables.

A table may have the columns assigned_to, created_by and belongs_to; one that is not there is null in every row.
Where everything is seen the condition is TRUE, which SQLAlchemy leaves out of the statement. Used as a column,
a condition may be NULL, which is a no.
"""

from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, false, or_, true

from samvad.domain.accounts.access import Access
from samvad.storage.columns import among

ALWAYS = true()
"""Everything; `is ALWAYS` tells who would have to join a table only to ask."""


def reads(access: Access, table: FromClause) -> ColumnElement[bool]:
    """Rows that are there at all."""
    return ALWAYS if access.mode in ("all", "view-only", "partial") else _ones_own(access, table)


def whole(access: Access, table: FromClause) -> ColumnElement[bool]:
    """Rows of which everything may be shown."""
    return ALWAYS if access.mode in ("all", "view-only") else _ones_own(access, table)


def writes(access: Access, table: FromClause) -> ColumnElement[bool]:
    return ALWAYS if access.mode == "all" else _ones_own(access, table)


def _ones_own(access: Access, table: FromClause) -> ColumnElement[bool]:
    assigned_to = table.c.assigned_to
    match access.mode:
        case "match-pod" if access.pods:
            return _within(table.c.belongs_to, access.pods)
        case "assigned-to":
            return assigned_to == access.user_id
        case "own-and-reportees" | "partial":
            if access.takes_unassigned:
                return or_(assigned_to.is_(None), _within(assigned_to, access.mine))
            created_by = table.c.get("created_by")
            if created_by is None:
                return _within(assigned_to, access.mine)
            made = and_(assigned_to.is_(None), _within(created_by, access.mine))
            return or_(_within(assigned_to, access.mine), made)
    return false()


def _within(column: ColumnElement[Any], values: frozenset[str]) -> ColumnElement[bool]:
    return among(column, column.key or "values", sorted(values))
