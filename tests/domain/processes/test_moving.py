"""Processes out as a table and in again: the same, however awkward their values, however many there are."""

import csv
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samvad.domain.accounts.access import Who
from samvad.domain.context import Context
from samvad.domain.procedures import types
from samvad.domain.procedures.blueprint import Blueprint
from samvad.domain.procedures.definition import with_ids
from samvad.domain.procedures.examples import EXAMPLES, example
from samvad.domain.procedures.files import read_document
from samvad.domain.procedures.model import Attribute
from samvad.domain.processes import applying, bulk, jobs_queries, moving
from samvad.domain.processes.drafts import Draft
from samvad.domain.processes.sheets import Sheet, cell_value, columns_of, value_cell
from samvad.domain.processes.tables import processes
from samvad.domain.processes.writing import Done, create_many, open_desk
from samvad.kit.errors import BadRequest, NotFound, SamvadError
from samvad.storage import Tx
from tests.domain.quick import Side, Small

MANY = int(os.environ.get("SAMVAD_MANY_ROWS", "2000"))
"""Rows of the round trip on SQLite; with 10,000 it is that of the promise."""

AWKWARD = """\
    attributes:
      - { shortId: tags, type: multiString }
      - { shortId: sizes, type: multiIntegerEnum, options: [1, 2, 3] }
      - { shortId: born, type: date }
      - { shortId: wakes, type: time }
      - { shortId: seen, type: datetime }
      - { shortId: next_call, type: datetimeISO8601 }
      - { shortId: worth, type: float }
      - { shortId: vip, type: boolean }
      - { shortId: place, type: geolocation }
      - { shortId: answers, type: json }
      - { shortId: notes, type: text }
"""
LEADS = example("lead").replace("    attributes:\n", AWKWARD, 1)

WORDS = (
    *(
        "plain",
        'a "quoted" word',
        "two\nlines",
        "two\r\nlines",
        "lone\rreturn",
        "=1+1",
        "@x",
        "-5",
        "+5",
        "'x",
        "007",
    ),
    *(
        "a,b;c\td",
        " leading",
        "trailing ",
        " ",
        "\t",
        '"',
        '""',
        "नमस्ते",
        "🙂",
        "\ufeffmark",
        "\u2028",
        "NULL",
        "[1]",
    ),
    *('{"a": 1}', "true", "1e5", "x" * 5_000, "-", "\x01", "\x85"),
)


def lead(random: Random, number: int) -> Draft:
    """A lead with some values of each kind, and of those the awkward ones."""
    word = lambda: random.choice(WORDS)  # noqa: E731
    data = {
        "name": word(),
        "firstname": word(),
        "notes": word() + word(),
        "phone_number": f"+1 (555) {number:07d}",
        "email": f"ada+{number}@example.com",
        "city": word()[:500],
        "score": random.choice([0, -1, 2**63 - 1, -(2**63), number]),
        "tags": [word()[:500] for _ in range(random.randrange(4))],
        "sizes": random.sample([1, 2, 3], random.randrange(4)),
        "born": random.choice(["1969-12-31", "2024-02-29", "0001-01-04", "9999-12-29"]),
        "wakes": random.choice([0, 1, 86_399_999, "09:30", "23:59:59"]),
        "seen": random.choice([0, -1, 1_700_000_000_123, 1_700_000_000_000, -62_000_000_000_000]),
        "next_call": random.choice(["2024-03-01T09:30:00", "2024-03-01T09:30:00+05:30"]),
        "worth": random.choice([0.1, -0.0, 1e-7, 123456.789, 2**53 + 1, 5.0, 1 / 3]),
        "vip": random.random() < 0.5,
        "place": random.choice([[12.97, 77.59], [-90, 180.0], [0, 1e-7]]),
        "answers": random.choice([{"q": word(), "b": None, "a": [1, 2.5]}, [], "text", 5, False, [word()]]),
    }
    some = {name: value for name, value in data.items() if random.random() < 0.8}
    if random.random() < 0.5:
        some["lead_id"] = f"EXT-{number}"
    return Draft(
        data=some,
        state=random.choice(["NEW", "CONVERTED", None]),
        status=random.choice(["OPEN", "COMPLETED", "CANCELLED"]),
        next_action_at=random.choice([None, 0, 1_700_000_000_123]),
    )


def context(small: Small, side: Side) -> Context:
    return Context(side.id, "", None, "ADMIN", small.res)


async def fill(small: Small, side: Side, procedure: str, drafts: Sequence[Draft]) -> None:
    def unit(tx: Tx, some: Sequence[Draft]) -> list[Any]:
        desk = open_desk(tx, Who(side.id, "", "", "ADMIN"), procedure, at=small.clock())
        return create_many(desk, some)

    for begin in range(0, len(drafts), bulk.CHUNK):
        made = await small.res.db.team(side.id).write(unit, drafts[begin : begin + bulk.CHUNK])
        assert all(isinstance(it, Done) for it in made), [it for it in made if isinstance(it, SamvadError)][
            :3
        ]


async def exported(small: Small, side: Side, procedure: str, where: Any = None, **how: Any) -> str:
    ctx, out = context(small, side), io.StringIO(newline="")
    writer = csv.writer(out)
    outgoing = await moving.open_export(ctx, procedure, where or {}, **how)
    writer.writerow(outgoing.header)
    many = 0
    async for rows in moving.take_out(ctx, outgoing):
        many += len(rows)
        writer.writerows(rows)
    assert many == outgoing.total
    return out.getvalue()


async def imported(
    small: Small, side: Side, procedure: str, text: str, *, update: bool = False, **said: str
) -> list[moving.Outcome]:
    ctx, sheet = context(small, side), Sheet(io.StringIO(text, newline=""))
    matched = await moving.match(ctx, procedure, sheet.header, said, update=update)
    async with aclosing(moving.bring_in(ctx, matched, sheet.rows())) as chunks:
        return [it async for chunk in chunks for it in chunk]


async def values(small: Small, side: Side) -> list[tuple[Any, ...]]:
    """Everything that is kept of a team's processes, by their key."""
    rows = await small.rows(processes, processes.c.team_id == side.id)
    kept = [(it.primary_key, it.phone_key, it.status, it.next_action_at, it.data, it.derived) for it in rows]
    return sorted(kept, key=lambda it: str(it[0]))


async def test_what_was_exported_is_imported_elsewhere_to_the_same(small: Small, database_url: str) -> None:
    """The round trip: three procedures and many leads from one team into an empty one, byte for byte."""
    many = MANY if database_url.startswith("sqlite") else min(MANY, 500)
    random = Random(7)
    for text in (LEADS, example("ticket"), example("fieldvisit")):
        await applying.apply(small.res, small.ada.id, read_document(text))
    await fill(small, small.ada, "lead", [lead(random, number) for number in range(1, many + 1)])
    tickets = [
        Draft(data={"subject": word, "tags": [word[:500], "x"], "due_on": "2024-02-29"}) for word in WORDS
    ]
    await fill(small, small.ada, "ticket", tickets)
    procedures = await applying.export(small.res, small.ada.id)
    tables = {it: await exported(small, small.ada, it) for it in EXAMPLES}

    await applying.apply(small.res, small.babbage.id, read_document(procedures))
    outcomes = {it: await imported(small, small.babbage, it, tables[it]) for it in EXAMPLES}

    assert [it for some in outcomes.values() for it in some if it.problem or it.merged] == []
    assert {it: len(some) for it, some in outcomes.items()} == {
        "lead": many,
        "ticket": len(WORDS),
        "fieldvisit": 0,
    }
    assert await applying.export(small.res, small.babbage.id) == procedures
    for it in EXAMPLES:
        assert await exported(small, small.babbage, it) == tables[it]
    assert await values(small, small.babbage) == await values(small, small.ada)


async def test_an_import_is_a_background_job_whose_entries_say_what_was_wrong(small: Small) -> None:
    rows = [f"Ada {number},{number},+1555{number:07d}" for number in range(300)]
    rows[1] = "Eve,many,+15559999999"
    rows[260] = "Too,1,+15559999998,many"
    rows[299] = "Again,1,+1 555 000 0000"

    outcomes = await imported(small, small.ada, "lead", "\n".join(["Full name,score,Cell", *rows]))

    failed = [(it.row.line, it.problem) for it in outcomes if it.problem]
    assert failed == [
        (3, 'score must be a whole number; got "many".'),
        (262, "There are 4 cells, and 3 columns."),
    ]
    assert [it.row.line for it in outcomes if it.merged] == [301]
    ctx = context(small, small.ada)
    (job,) = await small.res.db.team(small.ada.id).read(jobs_queries.jobs_newest_first, limit=5)
    shown = await bulk.get_job(ctx, job.id)
    assert shown.counts == {"INVALID": 1, "NOT_STARTED": 0, "SUCCESS": 298, "ERROR": 1}
    assert (job.status, job.total, job.status_message) == ("SUCCESS", 300, "2 of 300 failed.")
    page = await bulk.list_entries(ctx, job.id, limit=3, skip=259)
    assert [number for number, _, _ in page.entries] == [259, 260, 261]
    assert page.entries[0][1]["input"]["data"]["name"] == "Ada 259"


async def test_an_import_that_breaks_off_says_so_and_keeps_what_was_done(small: Small) -> None:
    rows = "\n".join(["name", *(f"Ada {number}" for number in range(251)), '"never closed'])

    with pytest.raises(BadRequest, match=r"Line 253 cannot be read.*quotation mark"):
        await imported(small, small.ada, "lead", rows)

    (job,) = await small.res.db.team(small.ada.id).read(jobs_queries.jobs_newest_first, limit=5)
    assert (job.status, job.total) == ("ERROR", 250)
    assert "Line 253" in job.status_message
    assert len(await exported(small, small.ada, "lead")) > 250 * 10


async def test_rows_change_processes_by_their_key_or_their_phone(small: Small) -> None:
    await imported(
        small, small.ada, "lead", "lead_id,name,Mobile\nL-1,Ada,+15550000001\nL-2,Bob,+15550000002"
    )

    by_key = await imported(
        small, small.ada, "lead", "Lead id,City,state\nL-1,Goa,in progress\nL-9,Goa,", update=True
    )
    by_phone = await imported(small, small.ada, "lead", "phone,City\n+1 555 000 0002,Pune", update=True)

    assert [it.problem for it in [*by_key, *by_phone]] == [None, "Lead L-9 not found", None]
    assert (await exported(small, small.ada, "lead")).splitlines()[1:] == [
        "L-1,Ada,,,+15550000001,,Goa,,IN_PROGRESS,OPEN,,",
        "L-2,Bob,,,+15550000002,,Pune,,NEW,OPEN,,",
    ]


async def test_what_is_expected_is_what_then_happens_and_expecting_writes_nothing(small: Small) -> None:
    ctx, text = (
        context(small, small.ada),
        "name,score,mobile\nAda,5,+15550000001\nBob,x,\nEve,6,+15550000001\n",
    )
    sheet = Sheet(io.StringIO(text))
    matched = await moving.match(ctx, "lead", sheet.header, {}, update=False)
    before = await exported(small, small.ada, "lead")

    expected = await moving.expect(ctx, matched, list(sheet.rows()))

    assert await exported(small, small.ada, "lead") == before
    assert [it.problem for it in expected] == [None, 'score must be a whole number; got "x".', None]
    await imported(small, small.ada, "lead", text)
    (kept,) = list(csv.reader(io.StringIO(await exported(small, small.ada, "lead"))))[1:]
    assert expected[2].cells == kept


async def test_an_export_may_be_of_some_only_and_with_what_is_computed(small: Small) -> None:
    await applying.apply(small.res, small.ada.id, read_document(example("ticket")))
    await fill(small, small.ada, "ticket", [Draft(data={"subject": it}, state="OPEN") for it in "abc"])
    await fill(small, small.ada, "ticket", [Draft(data={"subject": "new"})])

    some = await exported(small, small.ada, "ticket", {"state": "OPEN", "subject": {"!=": "b"}}, derived=True)

    rows = list(csv.DictReader(io.StringIO(some)))
    assert [it["subject"] for it in rows] == ["a", "c"]
    assert [it["replies"] for it in rows] == ["0", "0"]
    assert next(iter(rows[0])) == "ticket_id"
    again = await imported(small, small.babbage, "lead", "name\nAda")
    assert [it.problem for it in again] == [None]
    with pytest.raises(NotFound, match="no procedure 'ticket'"):
        await exported(small, small.babbage, "ticket")
    with pytest.raises(BadRequest, match="did you mean NEW"):
        await exported(small, small.ada, "ticket", {"state": "NWE"})


def plan_of(name: str) -> Blueprint:
    return Blueprint(with_ids(read_document(example(name)).procedures[0], None, id="1"))


def guessed(
    header: str, procedure: str = "lead", *, update: bool = False, said: dict[str, str] | None = None
) -> dict[str, str | None]:
    columns = columns_of(header.split(","), plan_of(procedure), said or {}, update=update)
    return {it.header: it.target for it in columns}


def test_columns_are_known_by_short_id_name_meaning_and_nearness() -> None:
    header = (
        "Lead ID,Full Name,First-Name,Mobile No.,E-mail address,TOWN,Scores,Stage,Owner,Follow up,Status,x"
    )

    assert guessed(header) == {
        "Lead ID": "lead_id",
        "Full Name": "name",
        "First-Name": "firstname",
        "Mobile No.": "phone_number",
        "E-mail address": "email",
        "TOWN": "city",
        "Scores": "score",
        "Stage": "state",
        "Owner": "assignedTo",
        "Follow up": "nextActionAt",
        "Status": "status",
        "x": None,
    }  # fmt: skip


def test_a_surer_guess_comes_first_and_nothing_is_two_columns() -> None:
    assert guessed("Mobile,Phone number,phone_number") == {
        "Mobile": None,
        "Phone number": None,
        "phone_number": "phone_number",
    }
    assert guessed("Name,name")["name"] == "name"
    assert guessed("ticket_id,replies,subject", "ticket")["replies"] is None
    assert guessed("id,City", update=True) == {"id": "id", "City": "city"}


def test_what_is_said_of_a_column_goes_before_what_is_guessed() -> None:
    assert guessed("Name,Points,Email", said={"Points": "score", "Email": "-"}) == {
        "Name": "name",
        "Points": "score",
        "Email": None,
    }


@pytest.mark.parametrize(
    ("header", "said", "words"),
    [
        ("a,b", {}, "No column is an attribute of lead: a, b. It has lead_id, name,"),
        ("name", {"nme": "city"}, "there is no column 'nme'; did you mean name?"),
        ("name", {"name": "citty"}, "no attribute 'citty' that can be set; did you mean city?"),
        ("a,b", {"a": "city", "b": "city"}, "two columns cannot both be city"),
    ],
)
def test_a_wrong_header_or_mapping_is_told(header: str, said: dict[str, str], words: str) -> None:
    with pytest.raises(BadRequest) as refused:
        guessed(header, said=said)

    assert words in "\n".join(refused.value.problems)


def test_to_update_a_column_must_say_which_process() -> None:
    with pytest.raises(BadRequest, match="which process is meant: id or lead_id or phone_number"):
        guessed("name,city", update=True)


@pytest.mark.parametrize(
    ("text", "delimiter", "rows"),
    [
        ("a,b\n1,2\n", ",", [["1", "2"]]),
        ("a;b\r\n1,5;2\r\n\r\n;\r\n", ";", [["1,5", "2"]]),
        ('"a,x"\tb\n1\t2', "\t", [["1", "2"]]),
        ("a\n1\n\n2", ",", [["1"], ["2"]]),
        ('a,b\n"x\n""y""",2', ",", [['x\n"y"', "2"]]),
    ],
)
def test_a_file_is_read_whatever_stands_between_its_cells(
    text: str, delimiter: str, rows: list[list[str]]
) -> None:
    sheet = Sheet(io.StringIO(text, newline=""))

    assert sheet.delimiter == delimiter
    assert [it.cells for it in sheet.rows()] == rows


def test_a_file_is_read_as_it_is_asked_for() -> None:
    taken: list[int] = []

    def lines() -> Iterator[str]:
        yield "a\n"
        for number in range(1_000_000):
            taken.append(number)
            yield f"{number}\n"

    class Stream:
        def __init__(self) -> None:
            self.lines = lines()

        def readline(self) -> str:
            return next(self.lines)

        def __iter__(self) -> Iterator[str]:
            return self.lines

    rows = Sheet(Stream()).rows()  # type: ignore[arg-type]

    assert [next(rows).cells for _ in range(3)] == [["0"], ["1"], ["2"]]
    assert len(taken) == 3


@pytest.mark.parametrize("text", ["", "\n\n", ",,\n"])
def test_a_file_without_a_header_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="its first line must name the columns"):
        Sheet(io.StringIO(text))


@pytest.mark.parametrize(
    ("type_", "options", "cell", "value"),
    [
        ("multiString", (), "vip, new", ["vip", "new"]),
        ("multiString", (), "Goa, India; Pune", ["Goa, India", "Pune"]),
        ("multiString", (), '["a","b,c"]', ["a", "b,c"]),
        ("multiIntegerEnum", (1, 2), "1;2", [1, 2]),
        ("multiStringEnum", ("Goa, India", "x"), "Goa, India", ["Goa, India"]),
        ("stringEnum", ("High", "low"), " high", "High"),
        ("geolocation", (), "12.97, 77.59", [12.97, 77.59]),
        ("geolocation", (), "[12.97,77.59]", [12.97, 77.59]),
        ("boolean", (), "Yes", True),
        ("date", (), "2024-03-01", 1_709_231_400_000),
        ("time", (), "09:30", 34_200_000),
        ("json", (), '{"a": [1]}', {"a": [1]}),
        ("integer", (), " 105 ", 105),
    ],
)
def test_a_cell_is_read_as_people_write_it(
    type_: str, options: tuple[Any, ...], cell: str, value: Any
) -> None:
    attribute = Attribute(short_id="it", type=type_, options=options)

    assert types.coerce(attribute, cell_value(attribute, cell), zone="Asia/Kolkata") == value


def test_an_object_that_is_no_json_is_told() -> None:
    with pytest.raises(types.Mismatch, match='it must be JSON; got "a: 1"'):
        cell_value(Attribute(short_id="it", type="json"), "a: 1")


ZONES = st.sampled_from(["UTC", "Asia/Kolkata", "America/Sao_Paulo", "Pacific/Apia", "Africa/Monrovia"])
MOMENTS = st.integers(-62_000_000_000_000, 253_000_000_000_000)


@given(MOMENTS, ZONES, st.sampled_from(["date", "datetime"]))
def test_a_moment_is_written_so_that_it_reads_back(moment: int, zone: str, type_: str) -> None:
    attribute = Attribute(short_id="it", type=type_)
    kept = types.coerce(attribute, moment, zone=zone)

    assert types.coerce(attribute, value_cell(attribute, kept, zone=zone), zone=zone) == kept


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_written_so_that_it_reads_back(number: float) -> None:
    attribute = Attribute(short_id="it", type="float")
    kept = types.coerce(attribute, number)

    assert types.coerce(attribute, value_cell(attribute, kept, zone="UTC")) == kept
