"""Whose a node of Meta's graph is."""

from typing import NamedTuple

from samvad.domain.graph.tables import graph_nodes
from samvad.domain.media.tables import media
from samvad.domain.templates.tables import templates
from samvad.domain.waba.tables import business_accounts, phone_numbers
from samvad.storage import Tx, every_team


class Owner(NamedTuple):
    """The team that has a node, and the WABA or at least the plugin whose token opens it."""

    team_id: str
    waba_id: str | None
    plugin_id: str | None


def owner(tx: Tx, node: str, *, mine: str) -> Owner | None:
    """Across teams, `mine` first: one token of Meta may open several teams' nodes, and theirs are not ours."""
    found = [
        *(
            Owner(row.team_id, row.waba_id, None)
            for table, waba_id, valid in (
                (phone_numbers, phone_numbers.c.waba_id, phone_numbers.c.disconnected_at.is_(None)),
                (business_accounts, business_accounts.c.id, business_accounts.c.disconnected_at.is_(None)),
                (templates, templates.c.waba_id, None),
                (graph_nodes, graph_nodes.c.waba_id, None),
            )
            for row in tx.all(
                every_team.select(table.c.team_id, waba_id.label("waba_id")).where(
                    table.c.id == node, *(() if valid is None else (valid,))
                )
            )
        ),
        *(
            Owner(row.team_id, None, row.plugin_id)
            for name in (media.c.id, media.c.mid)
            for row in tx.all(every_team.select(media.c.team_id, media.c.plugin_id).where(name == node))
        ),
    ]
    return min(found, key=lambda it: it.team_id != mine, default=None)


def account_of_template(tx: Tx, template_id: str) -> str | None:
    row = tx.first(tx.select(templates, templates.c.waba_id).where(templates.c.id == template_id))
    return row.waba_id if row else None


def learn(tx: Tx, node: str, waba_id: str, *, at: int) -> None:
    """Whoever is first to use a node keeps it."""
    row = {"id": node, "waba_id": waba_id, "learned_at": at, "team_id": tx.team_id}
    tx.execute(every_team.upsert(graph_nodes).on_conflict_do_nothing(), row)
