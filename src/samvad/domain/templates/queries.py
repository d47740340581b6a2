"""Message templates in the database."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from samvad.domain.templates.knowledge import Known
from samvad.domain.templates.model import Template
from samvad.domain.templates.tables import templates
from samvad.storage import Tx, every_team
from samvad.storage.columns import among

KNOWN = (
    every_team.select(templates)
    .where(among(templates.c.id, "ids"))
    .order_by(templates.c.id)
    .with_for_update()  # a webhook and a list change rows by what they were, each on its own connection
)
"""Across teams: webhooks of many teams are folded together; whose row it is, is looked at there."""

NAMES = every_team.select(templates.c.team_id, templates.c.id, templates.c.name, templates.c.language).where(
    among(templates.c.id, "ids")
)

_put = every_team.upsert(templates)
PUT = _put.on_conflict_do_update(
    index_elements=["id"],
    set_={column.name: _put.excluded[column.name] for column in templates.c if column.name != "id"},
)
"""Across teams: an account is connected by one team at a time, and its templates go where it goes."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which templates are wanted; None is all of them. Statuses and categories are in capitals."""

    waba_ids: Collection[str] | None = None
    name: str | None = None
    language: str | None = None
    status: str | None = None
    category: str | None = None


def named(tx: Tx, waba_id: str, name: str) -> list[Template]:
    """Every language of one name."""
    query = tx.select(templates).where(templates.c.waba_id == waba_id, templates.c.name == name)
    return [as_known(row).template for row in tx.all(query.order_by(templates.c.language, templates.c.id))]


def names(tx: Tx, waba_id: str, *, limit: int) -> list[str]:
    query = tx.select(templates, templates.c.name).where(templates.c.waba_id == waba_id).distinct()
    return [row.name for row in tx.all(query.order_by(templates.c.name).limit(limit))]


def by_name(tx: Tx, wanted: Filter, *, limit: int, skip: int) -> list[Known]:
    query = tx.select(templates).order_by(templates.c.name, templates.c.language, templates.c.id)
    for column, value in (
        (templates.c.name, wanted.name),
        (templates.c.language, wanted.language),
        (templates.c.status, wanted.status),
        (templates.c.category, wanted.category),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.waba_ids is not None:
        rows = tx.all(
            query.where(among(templates.c.waba_id, "ids")).limit(limit).offset(skip), {"ids": wanted.waba_ids}
        )
    else:
        rows = tx.all(query.limit(limit).offset(skip))
    return [as_known(row) for row in rows]


def find(tx: Tx, template_id: str) -> Known | None:
    row = tx.first(tx.select(templates).where(templates.c.id == template_id))
    return as_known(row) if row else None


def known(tx: Tx, template_ids: Collection[str]) -> dict[str, tuple[str, Known]]:
    """Templates of any team by id, each with its team's id; theirs to change until the unit ends."""
    return {row.id: (row.team_id, as_known(row)) for row in tx.all(KNOWN, {"ids": template_ids})}


def of_any_account(tx: Tx, wanted: Collection[tuple[str, Any]]) -> dict[tuple[str, Any], Row[Any]]:
    """Name and language of templates by team and id, those that are still there. For units of all teams."""
    ids = {template_id for _, template_id in wanted if isinstance(template_id, str)}
    rows = tx.all(NAMES, {"ids": ids}) if ids else []
    return {(row.team_id, row.id): row for row in rows if (row.team_id, row.id) in wanted}


def put(tx: Tx, rows: Sequence[tuple[str, Known]]) -> None:
    """Write templates down, or write them anew, each for its team."""
    if rows:
        tx.execute(PUT, [_row(team_id, it) for team_id, it in rows])


def not_seen_since(tx: Tx, waba_id: str, *, asked_at: int, limit: int) -> Sequence[Row[Any]]:
    """What a whole list that was asked for then did not have."""
    return tx.all(
        tx.select(templates, templates.c.id, templates.c.name, templates.c.language, templates.c.status)
        .where(templates.c.waba_id == waba_id, templates.c.synced_at < asked_at)
        .limit(limit)
    )


def delete(tx: Tx, template_ids: Collection[str]) -> None:
    tx.execute(tx.delete(templates).where(among(templates.c.id, "ids")), {"ids": template_ids})


def as_known(row: Row[Any]) -> Known:
    return Known(
        template=Template(
            id=row.id,
            name=row.name,
            language=row.language,
            status=row.status,
            category=row.category,
            parameter_format=row.parameter_format,
            components=tuple(row.components),
            waba_id=row.waba_id,
        ),
        rejected_reason=row.rejected_reason,
        sub_category=row.sub_category,
        previous_category=row.previous_category,
        correct_category=row.correct_category,
        quality=row.quality,
        quality_at=row.quality_at,
        details=row.details,
        heard=row.heard,
        created_at=row.created_at,
        updated_at=row.updated_at,
        synced_at=row.synced_at,
    )


def _row(team_id: str, it: Known) -> dict[str, Any]:
    return {
        "id": it.template.id,
        "team_id": team_id,
        "waba_id": it.template.waba_id,
        "name": it.template.name,
        "language": it.template.language,
        "status": it.template.status,
        "rejected_reason": it.rejected_reason,
        "category": it.template.category,
        "sub_category": it.sub_category,
        "previous_category": it.previous_category,
        "correct_category": it.correct_category,
        "quality": it.quality,
        "quality_at": it.quality_at,
        "parameter_format": it.template.parameter_format,
        "components": list(it.template.components),
        "details": it.details,
        "heard": it.heard,
        "created_at": it.created_at,
        "updated_at": it.updated_at,
        "synced_at": it.synced_at,
    }
