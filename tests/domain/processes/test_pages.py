"""A page of a search is of the newest that fit, however far one has to look for them."""

from collections.abc import AsyncIterator
from random import Random, randrange

import pytest

from samvad.domain.accounts.access import Access
from samvad.domain.processes import queries
from samvad.domain.processes.where import matches, parse
from samvad.storage import Database, Tx, open_database
from tests.domain.processes.searched import (
    FIELDS,
    PROCEDURE,
    TEAM,
    add_rows,
    create_processes,
    make_query,
    make_row,
)

ROWS = 150
QUERIES = 600
ALL, ONES_OWN = Access("all", "u1"), Access("assigned-to", "u1")


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    db = open_database(database_url)
    await create_processes(db)
    yield db
    await db.close()


async def test_a_page_is_the_same_however_many_of_the_newest_are_looked_through_first(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "LOOK_FIRST", (12, 60))
    seed = randrange(2**32)
    random = Random(seed)
    rows = [make_row(random) for _ in range(ROWS)]
    rows.sort(key=lambda it: (it.created_at, it.id), reverse=True)
    await db.team(TEAM).write(add_rows, rows)

    def pages(tx: Tx) -> int:
        full = 0
        for _ in range(QUERIES):
            query = make_query(random)
            condition = parse(query, FIELDS)
            access = random.choice((ALL, ALL, ONES_OWN))
            limit, skip = random.choice((1, 5, 11, 20)), random.choice((0, 0, 3, 30))
            found = queries.newest_first(tx, PROCEDURE, condition, access, limit=limit, skip=skip)
            fitting = [it.id for it in rows if matches(condition, it) and access.sees(it)]
            assert [it.id for it in found] == fitting[skip : skip + limit], (
                seed,
                query,
                access.mode,
                limit,
                skip,
            )
            full += len(found) == limit
        return full

    assert QUERIES / 10 < await db.team(TEAM).read(pages) < QUERIES
