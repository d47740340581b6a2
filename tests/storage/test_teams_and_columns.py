"""One team's rows only, and columns that mean the same on both databases."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import postgresql, sqlite

from samvad.domain.contacts.queries import KNOWN
from samvad.domain.messages.statuses import BY_WAMID
from samvad.storage import Database, Tx, every_team
from samvad.storage.columns import among
from samvad.storage.sqlite import SqliteDatabase
from tests.storage.notes import add, notes, texts

ODD = {"z": 1, "a": {"ü": "😀", "null": None, "b": [1.5, True, '\n"\\']}, "": "empty key", "big": 2**63}


async def test_a_team_sees_changes_and_removes_its_own_rows_only(db: Database):
    await db.write(add, "mine", team="a")
    await db.write(add, "theirs", team="b")

    def change(tx: Tx) -> list[str]:
        tx.execute(tx.update(notes).values(text="changed"))
        return [row.text for row in tx.all(tx.select(notes))]

    assert await db.team("a").write(change) == ["changed"]
    assert await texts(db, "b") == ["theirs"]

    await db.team("b").write(lambda tx: tx.execute(tx.delete(notes)).rowcount)
    assert await texts(db) == ["changed"]


async def test_what_a_team_inserts_is_its_own(db: Database):
    def unit(tx: Tx) -> None:
        tx.execute(tx.insert(notes), [{"text": "one"}, {"text": "two"}])

    await db.team("a").write(unit)

    assert await texts(db, "a") == ["one", "two"]
    assert await db.team("b").read(lambda tx: list(tx.all(tx.select(notes, notes.c.text)))) == []


@pytest.mark.parametrize("word", ["select", "update", "delete", "insert"])
async def test_without_a_team_the_scoped_statements_refuse(db: Database, word: str):
    with pytest.raises(AssertionError, match="no team"):
        await db.write(lambda tx: getattr(tx, word)(notes))


async def test_json_comes_back_as_it_was_said(db: Database):
    def unit(tx: Tx) -> None:
        for word, data in (("odd", ODD), ("none", None)):
            tx.execute(every_team.insert(notes), {"team_id": "a", "text": word, "data": data})

    await db.write(unit)
    odd, none = await db.read(lambda tx: tx.all(every_team.select(notes.c.data).order_by(notes.c.id)))

    assert odd.data == ODD
    assert list(odd.data) == list(ODD), "keys keep their order"
    assert none.data is None


async def test_among_finds_any_number_of_values_with_one_statement(db: Database):
    await db.write(add, *(f"n{n}" for n in range(300)))
    query = every_team.select(notes.c.text).where(among(notes.c.text, "texts"))

    def find(tx: Tx, wanted: list[str]) -> set[str]:
        return {row.text for row in tx.all(query, {"texts": wanted})}

    for wanted in ([], ["n7"], [f"n{n}" for n in range(0, 300, 2)], ["nobody"]):
        found = await db.read(find, wanted)
        assert found == {it for it in wanted if it.startswith("n") and it != "nobody"}


@pytest.mark.parametrize(
    ("statement", "values", "index"),
    [
        (
            every_team.select(notes.c.id).where(among(notes.c.text, "it")),
            {"it": ["n1", "n2"]},
            "ix_test_note_text",
        ),
        (BY_WAMID, {"wamids": ["w1", "w2"]}, "uq_message_wamid"),
        (KNOWN, {"values": ["1555"], "teams": ["a"]}, "contact_identity"),
    ],
    ids=["notes", "messages by wamid", "contacts by identity"],
)
async def test_among_uses_the_index(db: Database, statement: Any, values: dict[str, list[str]], index: str):
    plan = await db.write(
        lambda tx: explained(tx, statement, values, sqlite_file=isinstance(db, SqliteDatabase))
    )

    assert index in plan, plan
    for table in ("message", "test_note", "contact_identity"):
        assert f"SCAN {table}" not in plan, plan
        assert f"Seq Scan on {table}" not in plan, plan


def explained(tx: Tx, statement: Any, values: dict[str, list[str]], *, sqlite_file: bool) -> str:
    """The plan of a statement; PostgreSQL would scan a table of two rows, so that is forbidden."""
    if not sqlite_file:
        tx.execute(text("SET LOCAL enable_seqscan = off"))
    dialect = sqlite.dialect() if sqlite_file else postgresql.dialect()
    compiled = statement.compile(dialect=dialect)
    sql = str(compiled)
    for name, value in compiled.params.items():
        if name not in values:  # a constant of the statement itself
            sql = sql.replace(f"%({name})s", f"'{value}'") if not sqlite_file else sql
    for name, given in values.items():
        if sqlite_file:
            sql = sql.replace("json_each(?)", "json_each('[" + ",".join(f'"{it}"' for it in given) + "]')", 1)
        else:
            array = "ARRAY[" + ",".join(f"'{it}'" for it in given) + "]"
            sql = sql.replace(f"%({name})s", array).replace(f"%({name})s::TEXT[]", array)
    if sqlite_file:
        sql = sql.replace(" = ?", " = 'a constant'")
    explain = "EXPLAIN QUERY PLAN " if sqlite_file else "EXPLAIN "
    return "\n".join(str(row[-1]) for row in tx.connection.exec_driver_sql(explain + sql))
