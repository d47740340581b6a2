"""A query finds the same rows in SQLite, in PostgreSQL and in memory, whatever is asked and whatever is stored."""

from collections.abc import AsyncIterator
from operator import gt, lt
from random import Random, randrange
from typing import Any

import pytest
from sqlalchemy import case

from samvad.domain.processes.filtering import COMPARE, Filter
from samvad.domain.processes.tables import processes
from samvad.domain.processes.where import Condition, matches, parse
from samvad.storage import Database, Tx, attributes, open_database
from tests.domain.processes.searched import (
    FIELDS,
    TEAM,
    Row,
    add_rows,
    create_processes,
    make_query,
    make_row,
)

CASES = 5_000
WORLDS = 10
ROWS = 60
AT_ONCE = 100  # conditions in one statement


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    db = open_database(database_url)
    await create_processes(db)
    yield db
    await db.close()


async def test_a_query_finds_the_same_in_the_database_and_in_memory(db: Database) -> None:
    seed = randrange(2**32)  # pytest-randomly makes it anew for each run, and prints its own
    random = Random(seed)

    found = 0
    for _ in range(WORLDS):
        rows = [make_row(random) for _ in range(ROWS)]
        queries = [make_query(random) for _ in range(CASES // WORLDS)]
        differing, hits = await db.team(TEAM).write(compare_in_world, rows, queries, Filter(processes))
        assert not differing, (seed, differing[0])
        found += hits

    assert found > CASES  # of what finds nothing anywhere, sameness says little


class SwapsTheEnds(Filter):
    def compared(self, field, operator, value):
        other = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}[operator]
        return COMPARE[other](self.value(field), self.one(field, value))


class AsksOnlyTheStart(Filter):
    def one_of(self, field, values):
        if not self.has_shorter_index(field):
            return super().one_of(field, values)
        return attributes.is_one_of(
            self.start(field), [it[: attributes.INDEXED_CHARS] for it in values], "text"
        )


class ComparesStartsStrictly(Filter):
    def compared(self, field, operator, value):
        exactly = super().compared(field, operator, value)
        if not self.has_shorter_index(field) or operator not in ("<", ">"):
            return exactly
        start = self.one(field, value[: attributes.INDEXED_CHARS])
        return {"<": lt, ">": gt}[operator](self.start(field), start) & exactly


class ForgetsRowsWithoutTheValue(Filter):
    def none_of(self, field, values):
        return self.present(field) & super().none_of(field, values)


class LooksInDataForWhatIsDerived(Filter):
    def column(self, field):
        return self.table.c.data if field.is_attribute else super().column(field)


class TakesEmptyListsForValues(Filter):
    def present(self, field):
        if field.kind in ("texts", "numbers"):
            return attributes.is_there(self.column(field), field.name)
        return super().present(field)


@pytest.mark.parametrize("broken", Filter.__subclasses__())
async def test_a_fault_in_the_compiler_is_noticed(db: Database, broken: type[Filter]) -> None:
    random = Random(1)

    differing: list[Any] = []
    for _ in range(CASES // AT_ONCE):
        if not differing:
            rows = [make_row(random) for _ in range(ROWS)]
            queries = [make_query(random) for _ in range(AT_ONCE)]
            differing, _found = await db.team(TEAM).write(compare_in_world, rows, queries, broken(processes))

    assert differing


def compare_in_world(
    tx: Tx, rows: list[Row], queries: list[dict[str, Any]], sql: Filter
) -> tuple[list[Any], int]:
    """The queries about which SQL and `matches` are not of one mind, and how many rows were found in all."""
    add_rows(tx, rows)
    conditions = [parse(query, FIELDS) for query in queries]
    differing = []
    hits = 0
    pairs = list(zip(queries, conditions, strict=True))
    for start in range(0, len(pairs), AT_ONCE):
        some = pairs[start : start + AT_ONCE]
        found = found_by(tx, [condition for _, condition in some], sql)
        for (query, condition), ids in zip(some, found, strict=True):
            expected = {row.id for row in rows if matches(condition, row)}
            hits += len(expected)
            if ids != expected:
                differing.append((query, next(row for row in rows if row.id in ids ^ expected), len(ids)))
    tx.execute(tx.delete(processes))
    return differing, hits


def found_by(tx: Tx, conditions: list[Condition], sql: Filter) -> list[set[str]]:
    """The ids of each; one statement for many conditions, and a WHERE of its own for the first."""
    columns = [case((sql.of(it), 1), else_=0).label(f"c{number}") for number, it in enumerate(conditions)]
    table = tx.all(tx.select(processes, processes.c.id, *columns))
    found = [{row[0] for row in table if row[number]} for number in range(1, len(conditions) + 1)]
    where = tx.select(processes, processes.c.id).where(sql.of(conditions[0]))
    assert {row.id for row in tx.all(where)} == found[0]
    return found
