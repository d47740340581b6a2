"""Promises of idempotency keys are kept for their time, and no longer."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import func

from samvad.domain.messages import operations, sends
from samvad.domain.messages.operations import FORGET_CHUNK
from samvad.domain.messages.tables import idempotency_keys
from samvad.storage import Database, Tx, every_team, open_database


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    db = open_database(database_url)
    yield db
    await db.close()


async def test_promises_past_their_time_are_forgotten_and_no_others(db: Database):
    await db.write(promise, "old", count=2 * FORGET_CHUNK + 1, at=1_000)
    await db.write(promise, "new", count=3, at=2_000)

    await operations.forget_promises(db, before=2_000)

    assert await db.read(how_many) == 3


async def test_one_commit_forgets_the_oldest_of_them_and_leaves_the_others_their_turn(db: Database):
    await db.write(promise, "younger", count=2, at=1_500)
    await db.write(promise, "older", count=2, at=1_000)

    forgotten = await db.write(sends.forget_oldest_promises, before=2_000, limit=3)

    assert forgotten == 3
    assert await db.read(how_many) == 1
    assert await db.write(sends.forget_oldest_promises, before=1_500, limit=3) == 0


def promise(tx: Tx, name: str, *, count: int, at: int) -> None:
    rows = [
        {
            "team_id": f"team-{number % 2}",
            "key": f"{name}-{number}",
            "request_sha256": "",
            "message_id": f"{name}-{number}",
            "created_at": at,
        }
        for number in range(count)
    ]
    tx.execute(every_team.insert(idempotency_keys), rows)


def how_many(tx: Tx) -> int:
    row = tx.first(every_team.select(func.count()).select_from(idempotency_keys))
    return int(row[0]) if row else 0
