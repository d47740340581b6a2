"""Statements for many rows: compiled once, and what they write is what SQLAlchemy would have written."""

import pytest
from sqlalchemy import bindparam, func

from samvad.storage import Database, Tx, every_team, prepared
from tests.storage.notes import notes, texts

ADD = every_team.insert(notes)
ADD_NAMED = every_team.insert(notes).values(text="the same for all")
RENAME = (
    every_team.update(notes).where(notes.c.text == bindparam("old")).values(text=bindparam("new"), data=None)
)
JOIN = (
    every_team.update(notes)
    .where(notes.c.id == bindparam("note"))
    .values(text=bindparam("word") + notes.c.text + bindparam("word"))
)
ODD = {"z": 1, "a": {"ü": "😀", "null": None, "b": [1.5, True, '\n"\\']}, "big": 2**63}


def many(tx: Tx, /, *said: str, **also: object) -> int:
    rows = [{"team_id": "a", "text": text, "owner": None, "data": None} | also for text in said]
    return tx.execute_many(ADD, rows).rowcount


async def test_rows_come_back_as_they_were_given_and_in_their_order(db: Database):
    await db.write(many, "one", "two", data=ODD)
    await db.write(many, "three")

    rows = await db.read(
        lambda tx: tx.all(every_team.select(notes.c.text, notes.c.data).order_by(notes.c.id))
    )

    assert [(row.text, row.data) for row in rows] == [("one", ODD), ("two", ODD), ("three", None)]
    assert list(rows[0].data) == list(ODD), "keys keep their order"


async def test_the_kind_of_json_is_that_of_the_column_whichever_way_it_is_written(db: Database):
    row = {"team_id": "a", "owner": None, "data": ODD}

    def unit(tx: Tx) -> None:
        tx.execute(ADD, [row | {"text": "by SQLAlchemy"}])
        tx.execute_many(ADD, [row | {"text": "prepared"}])

    await db.write(unit)
    kept = every_team.select(func.count(func.distinct(notes.c.data)).label("kinds"))
    (found,) = await db.read(lambda tx: tx.all(kept))
    assert found.kinds == 1


async def test_a_statement_may_carry_values_of_its_own_and_use_one_twice(db: Database):
    def unit(tx: Tx) -> None:
        tx.execute_many(ADD_NAMED, [{"team_id": "a"}, {"team_id": "b"}])
        ids = [row.id for row in tx.all(every_team.select(notes.c.id).order_by(notes.c.id))]
        tx.execute_many(JOIN, [{"note": ids[0], "word": "<"}, {"note": ids[1], "word": "|"}])

    await db.write(unit)
    assert sorted(await texts(db)) == ["<the same for all<", "|the same for all|"]


async def test_each_row_changes_what_it_names(db: Database):
    await db.write(many, "one", "two", "three")

    await db.write(
        lambda tx: tx.execute_many(RENAME, [{"old": "one", "new": "1"}, {"old": "two", "new": "2"}])
    )

    assert sorted(await texts(db)) == ["1", "2", "three"]


async def test_rows_with_other_names_are_another_statement(db: Database):
    def unit(tx: Tx) -> None:
        tx.execute_many(ADD, [{"team_id": "a", "text": "short"}])
        tx.execute_many(ADD, [{"text": "long", "data": ODD, "team_id": "a"}])

    await db.write(unit)
    assert await texts(db) == ["short", "long"]


async def test_a_row_that_lacks_a_name_writes_nothing(db: Database):
    with pytest.raises(KeyError, match="text"):
        await db.write(lambda tx: tx.execute_many(ADD, [{"team_id": "a", "text": "x"}, {"team_id": "a"}]))
    assert await texts(db) == []


async def test_rows_that_all_lack_a_name_write_no_null_in_its_place(db: Database):
    await db.write(many, "one")

    with pytest.raises(KeyError, match="new"):
        await db.write(lambda tx: tx.execute_many(RENAME, [{"old": "one"}]))
    assert await texts(db) == ["one"]


async def test_statements_that_are_made_anew_each_time_are_not_kept_for_ever(
    db: Database, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(prepared, "MOST", 8)

    def unit(tx: Tx) -> None:
        for count in range(20):
            tx.execute_many(every_team.insert(notes), [{"team_id": "a", "text": str(count)}])

    await db.write(unit)
    assert len(await texts(db)) == 20
    assert len(prepared._known) <= 8
