"""Definitions and counters in the database."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, or_

from samvad.domain.procedures.blueprint import Blueprint, EntityPlan, blueprint, entity_plan
from samvad.domain.procedures.definition import encode
from samvad.domain.procedures.model import Definition, Entity
from samvad.domain.procedures.tables import counters, entities, procedures
from samvad.storage import Tx, every_team
from samvad.storage.columns import among, later


def find(tx: Tx, word: str) -> Blueprint | None:
    """A procedure of the team by its short id or its id."""
    row = tx.first(
        tx.select(procedures, procedures.c.definition).where(
            or_(procedures.c.short_id == word, procedures.c.id == word)
        )
    )
    return blueprint(row.definition) if row else None


def all_by_short_id(tx: Tx) -> list[Row[Any]]:
    return list(tx.all(tx.select(procedures).order_by(procedures.c.short_id)))


def of_every_team(tx: Tx) -> list[Row[Any]]:
    """Their indexes are shared by all teams."""
    return list(tx.all(every_team.select(procedures.c.definition).order_by(procedures.c.id)))


def with_ids(tx: Tx, ids: Sequence[str]) -> dict[str, Blueprint]:
    rows = tx.all(
        tx.select(procedures, procedures.c.id, procedures.c.definition).where(among(procedures.c.id, "ids")),
        {"ids": ids},
    )
    return {row.id: blueprint(row.definition) for row in rows}


def add(tx: Tx, it: Definition, *, at: int) -> None:
    row = {"id": it.id, "short_id": it.short_id, "name": it.name, "definition": encode(it), "version": 1}
    tx.execute(tx.insert(procedures), row | {"created_at": at, "updated_at": at})


def replace(tx: Tx, it: Definition, *, at: int) -> None:
    tx.execute(
        tx.update(procedures)
        .where(procedures.c.id == it.id)
        .values(name=it.name, definition=encode(it), version=procedures.c.version + 1, updated_at=at)
    )


def find_entity(tx: Tx, word: str) -> EntityPlan | None:
    """An entity of the team by its short id or its id."""
    row = tx.first(
        tx.select(entities, entities.c.definition).where(
            or_(entities.c.short_id == word, entities.c.id == word)
        )
    )
    return entity_plan(row.definition) if row else None


def all_entities(tx: Tx) -> list[Row[Any]]:
    return list(tx.all(tx.select(entities).order_by(entities.c.short_id)))


def add_entity(tx: Tx, it: Entity, *, at: int) -> None:
    row = {"id": it.id, "short_id": it.short_id, "name": it.name, "definition": encode(it), "version": 1}
    tx.execute(tx.insert(entities), row | {"created_at": at, "updated_at": at})


def replace_entity(tx: Tx, it: Entity, *, at: int) -> None:
    tx.execute(
        tx.update(entities)
        .where(entities.c.id == it.id)
        .values(name=it.name, definition=encode(it), version=entities.c.version + 1, updated_at=at)
    )


def next_numbers(tx: Tx, name: str, how_many: int) -> range:
    """Numbers nobody else gets; the counter's row is held until the commit, so that none is given twice."""
    insert = tx.insert(counters).values(name=name, value=how_many)
    query = insert.on_conflict_do_update(
        index_elements=[counters.c.team_id, counters.c.name],
        set_={"value": counters.c.value + insert.excluded.value},
    )
    row = tx.first(query.returning(counters.c.value))
    assert row is not None
    return range(row.value - how_many + 1, row.value + 1)


def pass_number(tx: Tx, name: str, number: int) -> None:
    """Numbers up to this one are taken: somebody wrote such a key by hand."""
    query = tx.insert(counters).values(name=name, value=number)
    tx.execute(
        query.on_conflict_do_update(
            index_elements=[counters.c.team_id, counters.c.name],
            set_={"value": later(counters.c.value, query.excluded.value)},
        )
    )
