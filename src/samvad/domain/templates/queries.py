"""Message templates in the database."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from samvad.domain.templates.model import Template
from samvad.domain.templates.tables import templates
from samvad.storage import Tx, every_team


def of_account(tx: Tx, waba_id: str) -> list[Template]:
    rows = tx.all(
        tx.select(templates)
        .where(templates.c.waba_id == waba_id)
        .order_by(templates.c.name, templates.c.language)
    )
    return [
        Template(
            id=row.id,
            name=row.name,
            language=row.language,
            status=row.status,
            category=row.category,
            parameter_format=row.parameter_format,
            components=tuple(row.components),
            waba_id=row.waba_id,
        )
        for row in rows
    ]


def replace_all(tx: Tx, waba_id: str, found: Sequence[Template], *, at: int) -> None:
    """These are the templates of this account now, and no others."""
    tx.execute(tx.delete(templates).where(templates.c.waba_id == waba_id))
    if found:
        tx.execute(
            tx.insert(templates),
            [
                {
                    "id": it.id,
                    "waba_id": waba_id,
                    "name": it.name,
                    "language": it.language,
                    "status": it.status,
                    "category": it.category,
                    "parameter_format": it.parameter_format,
                    "components": list(it.components),
                    "synced_at": at,
                }
                for it in found
            ],
        )


def of_any_account(tx: Tx, team_id: str, template_id: Any) -> Row[Any] | None:
    """Name and language of a team's template; None when it is no longer there. For units of all teams."""
    one = every_team.select(templates.c.name, templates.c.language)
    return tx.first(one.where(templates.c.id == template_id, templates.c.team_id == team_id))
