"""The query language: what is understood, and what is said of what is not."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samvad.domain.procedures.model import Attribute, Derived
from samvad.domain.processes.where import (
    DEEPEST,
    MOST_CONDITIONS,
    MOST_VALUES,
    Fields,
    matches,
    parse,
    users_named_in,
)
from samvad.kit.errors import BadRequest

MARCH_1 = 1_709_251_200_000
FIELDS = Fields(
    attributes={
        it.short_id: it
        for it in (
            Attribute(short_id="city", type="string"),
            Attribute(short_id="score", type="integer"),
            Attribute(short_id="price", type="float"),
            Attribute(short_id="paid", type="boolean"),
            Attribute(short_id="tags", type="multiString"),
            Attribute(short_id="sizes", type="multiIntegerEnum", options=(1, 2, 3)),
            Attribute(short_id="stage", type="stringEnum", options=("fresh", "stale")),
            Attribute(short_id="born", type="date"),
            Attribute(short_id="extra", type="json"),
            Attribute(short_id="heat", type="integer", derived=Derived(formula="1")),
        )
    },
    states={"NEW": "s1", "WON": "s2"},
    users={"ada@example.com": "u1", "sam@example.com": "u2"},
)


@dataclass
class Row:
    data: dict[str, Any] = field(default_factory=dict)
    derived: dict[str, Any] = field(default_factory=dict)
    status: str = "OPEN"
    state_id: str = "s1"
    created_at: int = MARCH_1
    assigned_to: str | None = "u1"


def is_found(query: Any, row: Row, fields: Fields = FIELDS) -> bool:
    return matches(parse(query, fields), row)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, True),
        ({"status": "OPEN"}, True),
        ({"status": ["COMPLETED", "CANCELLED"]}, False),
        ({"status": {"!=": "OPEN"}}, False),
        ({"state": "NEW"}, True),
        ({"state": {"!=": ["WON"]}}, True),
        ({"assignedTo": "ada@example.com"}, True),
        ({"assignedTo": "u1"}, True),
        ({"assignedTo": None}, False),
        ({"assignedTo": {"!=": "sam@example.com"}}, True),
        ({"createdAt": {">=": "2024-03-01T05:30:00+05:30", "<": "2024-03-02"}}, True),
        ({"createdAt": {">": MARCH_1}}, False),
        ({"createdAt": str(MARCH_1)}, True),
        ({"city": "Goa"}, True),
        ({"city": "goa"}, False),
        ({"city": {"=": "Goa"}}, True),
        ({"city": ["Pune", "Goa"]}, True),
        ({"city": []}, False),
        ({"city": {"!=": []}}, True),
        ({"city": {"!=": ["Pune", "Goa"]}}, False),
        ({"city": {">": "F", "<": "H"}}, True),
        ({"city": {">": "a"}}, False),
        ({"city": None}, False),
        ({"city": [None, "Goa"]}, True),
        ({"city": {"!=": [None, "Pune"]}}, True),
        ({"city": {"!=": [None, "Goa"]}}, False),
        ({"score": "5"}, True),
        ({"score": 5.0}, True),
        ({"score": {">": 4, "<=": 5}}, True),
        ({"price": None}, True),
        ({"price": {"!=": 3}}, True),
        ({"price": {"<": 1e308}}, False),
        ({"price": {"!=": None}}, False),
        ({"price": [None, 3]}, True),
        ({"price": {"!=": [None, 3]}}, False),
        ({"paid": True}, True),
        ({"paid": "no"}, False),
        ({"tags": "red"}, True),
        ({"tags": ["green", "blue"]}, True),
        ({"tags": {"!=": "red"}}, False),
        ({"tags": {"!=": ["green"]}}, True),
        ({"sizes": None}, True),
        ({"sizes": {"!=": 1}}, True),
        ({"extra": None}, False),
        ({"extra": {"!=": None}}, True),
        ({"heat": {">": 50}}, True),
        ({"born": "1990-05-01"}, True),
        ({"or": []}, False),
        ({"and": []}, True),
        ({"or": [{}]}, True),
        ({"or": [{"city": "Pune"}, {"score": 5}]}, True),
        ({"status": "COMPLETED", "or": [{"city": "Goa"}]}, False),
        ({"and": [{"or": [{"city": "Goa"}]}, {"score": {"!=": 6}}]}, True),
    ],
)
def test_a_query_means_what_it_says(query: Any, found: bool) -> None:
    row = Row(
        data={
            "city": "Goa",
            "score": 5,
            "paid": True,
            "tags": ["red", "blue"],
            "sizes": [],
            "extra": {"a": 1},
            "born": 641_520_000_000,
        },
        derived={"heat": 51},
    )

    assert is_found(query, row) is found


def test_a_time_without_an_offset_is_that_of_the_team() -> None:
    in_india = Fields(attributes={}, zone="Asia/Kolkata")

    assert is_found({"createdAt": "2024-03-01T05:30:00"}, Row(), in_india)
    assert is_found({"createdAt": "2024-03-01"}, Row())


def test_a_value_of_another_kind_is_no_value() -> None:
    """A type may have been another one when the row was written."""
    row = Row(data={"city": 5, "score": "5", "price": True, "paid": "true", "tags": "red", "extra": None})

    for name in row.data:
        assert is_found({name: None}, row), name
    assert not is_found({"city": "5"}, row)
    assert is_found({"score": {"!=": 5}}, row)
    assert not is_found({"tags": "red"}, row)


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ([], "A query must be an object; got a list."),
        ("OPEN", 'A query must be an object; got "OPEN".'),
        ({"citty": "Goa"}, 'There is no field or attribute "citty"; did you mean city?'),
        ({"createdat": 1}, 'There is no field or attribute "createdat"; did you mean createdAt?'),
        ({"zzz": "x"}, 'There is no field or attribute "zzz"; see the procedure for its attributes.'),
        (
            {"city": {"contains": "G"}},
            'city has the operator "contains", which there is not; the operators are = != > >= < <=.',
        ),
        ({"city": {}}, "city has an object without an operator; the operators are = != > >= < <=."),
        ({"status": "open"}, 'status must be one of "OPEN", "COMPLETED", "CANCELLED"; got "open".'),
        ({"state": "NWE"}, 'state must be a state of this procedure; got "NWE"; did you mean NEW?'),
        ({"state": "s1"}, 'state must be a state of this procedure; got "s1".'),
        ({"assignedTo": "bob"}, 'assignedTo must be a username of this team; got "bob".'),
        ({"assignedTo": 5}, "assignedTo must be a username of this team; got 5."),
        ({"createdAt": "soon"}, "createdAt must be a moment"),
        ({"score": "many"}, 'score must be a whole number; got "many".'),
        ({"score": [1, "many"]}, 'score must be a whole number; got "many".'),
        ({"score": [[1]]}, "score must be a whole number; got a list."),
        ({"score": {">": [1]}}, "score > needs one value; got a list."),
        ({"score": {">": None}}, "score > needs one value; got null."),
        ({"stage": "old"}, 'stage must be one of "fresh", "stale"; got "old".'),
        ({"sizes": 9}, "sizes must be one of 1, 2, 3; got 9."),
        ({"paid": {">": False}}, "paid has no order: it can be compared by = and != only."),
        ({"tags": {"<": "a"}}, "tags has no order"),
        ({"status": {"<": "OPEN"}}, "status has no order"),
        ({"extra": {"a": 1}}, 'extra has the operator "a", which there is not'),
        ({"extra": 1}, 'extra can only be asked for with null or {"!=": null}: whether it is there.'),
        ({"extra": {"<": 1}}, "extra has no order"),
        ({"or": {"city": "Goa"}}, "or must be a list of queries; got an object."),
        ({"and": None}, "and must be a list of queries; got null."),
        ({"or": [5]}, "A query must be an object; got 5."),
        (
            {"city": ["x"] * (MOST_VALUES + 1)},
            "city is compared with 1,001 values; at most 1,000 are possible.",
        ),
        ({"city": "x" * 10_001}, "city must have at most 10,000 characters"),
        ({"city": "\0"}, "city must not hold the character NUL"),
    ],
)
def test_what_is_not_understood_is_a_sentence(query: Any, problem: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse(query, FIELDS)

    (said,) = refused.value.problems
    assert said.startswith(problem)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(BadRequest) as refused:
        parse({"status": "x", "score": {"~": 1}, "or": [{"nope": 1}, {"paid": "?"}]}, FIELDS)

    assert [it.split()[0] for it in refused.value.problems] == ["status", "score", "There", "paid"]


def test_depth_and_number_of_conditions_have_limits() -> None:
    deep: Any = {"city": "Goa"}
    for _ in range(DEEPEST):
        deep = {"or": [deep]}
    assert is_found(deep, Row(data={"city": "Goa"}))
    with pytest.raises(BadRequest, match="nested deeper than 20"):
        parse({"and": [deep]}, FIELDS)

    wide = [{"city": "Goa"}] * ((MOST_CONDITIONS - 1) // 2)
    parse({"or": wide}, FIELDS)
    with pytest.raises(BadRequest, match="more than 500 conditions"):
        parse({"or": [*wide, {"city": "Goa"}]}, FIELDS)

    endless: Any = {}
    for _ in range(100_000):
        endless = {"or": [endless]}
    with pytest.raises(BadRequest, match="nested deeper than 20"):
        parse(endless, FIELDS)
    assert users_named_in(endless) == set()
    while endless:  # CPython frees what is nested by recursion
        endless = endless["or"].pop()


def test_the_usernames_of_a_query_can_be_looked_up_before() -> None:
    query = {"assignedTo": ["a", None], "or": [{"assignedTo": {"!=": "b"}}, {"and": [{"assignedTo": "c"}]}]}

    assert users_named_in(query) == {"a", "b", "c"}
    assert users_named_in([query]) == set()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["=", "!=", "<", "or", "and", "status", "city", "score", "tags", "x"]),
            inner,
            max_size=3,
        )
    ),
)


@given(json_values)
def test_whatever_is_asked_is_understood_or_refused(query: Any) -> None:
    try:
        condition = parse(query, FIELDS)
    except BadRequest:
        return

    assert matches(condition, Row()) in (True, False)
