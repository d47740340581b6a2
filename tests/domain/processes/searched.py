"""Made-up definitions, rows and queries, awkward on purpose, for tests of the query language."""

from dataclasses import dataclass
from random import Random
from typing import Any

from samvad.domain.procedures.model import STATUSES, Attribute, Derived
from samvad.domain.procedures.types import Mismatch, coerce, kind_of
from samvad.domain.processes.tables import processes
from samvad.domain.processes.where import OPERATORS, Fields
from samvad.kit.ids import new_id
from samvad.storage import Database, Tx, every_team

TEAM, PROCEDURE = "team", "procedure"

TEXTS = (
    *("", " ", "a", "A", "aa", "b", "é", "e\u0301", "ß", "\u007f", "\u0001", "\ud7ff", "\ue000", "\uffff"),
    *("😀", "a😀", "\U0010ffff", "'", '"', "\\", 'it\'s "so" \\', "%", "_", "null", "true", "1", "[]", "$.x"),
    *(
        "z" * 499,
        "z" * 500,
        "z" * 501,
        "z" * 500 + "a",
        "z" * 499 + "😀",
        "😀" * 500,
        "😀" * 500 + "a",
        "é" * 499,
    ),
    *("OPEN", "2024-03-01T09:30:00", "2024-03-01T09:30:00Z", "1" * 30),
)
LONG = tuple(it for it in TEXTS if len(it) >= 499)
INTEGERS = (
    0,
    1,
    -1,
    2,
    5,
    10,
    2**31,
    2**53,
    2**53 + 1,
    2**53 - 1,
    2**63 - 1,
    2**63 - 2,
    -(2**63),
    -(2**53) - 1,
)
FLOATS = (
    *(-0.0, 0.1, 0.2, 0.1 + 0.2, 0.3, 0.5, 1.0, 1.5, -1.5, 1e-7, 123456789.123, 1e15 + 0.5, float(2**62)),
    *(1e22, 1e23, 1e308, -1e308, 5e-324, 1.7976931348623157e308, 9.3e18),
)
NUMBERS = (*INTEGERS, *FLOATS)
MOMENTS = (0, 1_709_251_200_000, 1_709_251_200_001, -1, 1_709_337_600_000)

POOLS: dict[str, tuple[Any, ...]] = {
    "text": TEXTS,
    "number": NUMBERS,
    "boolean": (True, False),
    "texts": TEXTS,
    "numbers": NUMBERS,
    "opaque": ({}, {"a": 1}, [1, 2], "x", 0, False, [], [1.5, 2]),
}
JUNK: tuple[Any, ...] = (
    *("5", "", "true", 5, 5.0, 0, 0.1, 1e300, 2**53 + 1, True, False, None, [], {}, [[]], [1], ["a"]),
    *([None, "a", 1, True, {"a": 1}], {"a": "a"}, [["a"]], ["1", 1, 1.5], "z" * 501, "z" * 600, "😀" * 501),
)
"""What some other procedure, or a type that was changed, may have left under the same short id."""

ATTRIBUTES = (
    Attribute(short_id="a_text", type="string"),
    Attribute(short_id="b_text", type="text", filterable=True),
    Attribute(short_id="c_name", type="name", filterable=True, derived=Derived(formula="1")),
    Attribute(short_id="an_integer", type="integer", filterable=True),
    Attribute(short_id="a_float", type="float"),
    Attribute(short_id="b_decimal", type="decimal", filterable=True, derived=Derived(formula="1")),
    Attribute(short_id="a_boolean", type="boolean"),
    Attribute(short_id="b_boolean", type="boolean", filterable=True),
    Attribute(short_id="a_moment", type="datetime", filterable=True),
    Attribute(short_id="a_day", type="date"),
    Attribute(short_id="texts", type="multiString"),
    Attribute(short_id="numbers", type="multiFloatEnum", options=NUMBERS),
    Attribute(short_id="Stage", type="stringEnum", options=("a", "A", "b", "é", "😀")),
    Attribute(short_id="stage", type="integerEnum", options=(0, 1, 2, 5)),
    Attribute(short_id="anything", type="json"),
    Attribute(short_id="place", type="geolocation", derived=Derived(formula="1")),
)
FIELDS = Fields(
    attributes={it.short_id: it for it in ATTRIBUTES},
    states={"NEW": "s1", "WON": "s2", "LOST": "s3"},
    users={"ada": "u1", "sam": "u2"},
    zone="Asia/Kolkata",
)


@dataclass(frozen=True)
class Row:
    id: str
    status: str
    state_id: str
    created_at: int
    assigned_to: str | None
    data: dict[str, Any]
    derived: dict[str, Any]


def make_row(random: Random) -> Row:
    held: dict[str, dict[str, Any]] = {"data": {}, "derived": {}}
    for it in ATTRIBUTES:
        place = held["data" if it.derived is None else "derived"]
        luck = random.random()
        if luck < 0.6:
            value = a_value(random, it)
            if value is not None:
                place[it.short_id] = value
        elif luck < 0.8:
            place[it.short_id] = random.choice(random.choice((JUNK, TEXTS, LONG)))
    return Row(
        id=new_id(),
        status=random.choice(STATUSES),
        state_id=random.choice(("s1", "s2", "s3", "gone")),
        created_at=random.choice(MOMENTS),
        assigned_to=random.choice((None, "u1", "u2", "gone")),
        **held,
    )


def a_value(random: Random, it: Attribute) -> Any:
    """A value of the attribute as it is kept; None if luck finds none."""
    pool = POOLS[kind_of(it)]
    if pool is TEXTS and random.random() < 0.2:
        pool = LONG
    for _ in range(4):
        value = (
            random.sample(pool, random.randrange(4))
            if kind_of(it) in ("texts", "numbers")
            else random.choice(pool)
        )
        try:
            return coerce(it, value, zone=FIELDS.zone)
        except Mismatch:
            continue
    return None


def make_query(random: Random, *, depth: int = 0) -> dict[str, Any]:
    query: dict[str, Any] = {}
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        if depth < 3 and random.random() < 0.25:
            inner = [make_query(random, depth=depth + 1) for _ in range(random.choice((0, 1, 2, 2, 3)))]
            query[random.choice(("or", "and"))] = inner
        else:
            name = random.choice((*FIELDS.attributes, "status", "state", "createdAt", "assignedTo"))
            query[name] = make_side(random, name)
    return query


def make_side(random: Random, name: str) -> Any:
    luck = random.random()
    it = FIELDS.attributes.get(name)
    if luck < 0.15 or (it and kind_of(it) == "opaque"):
        return random.choice((None, {"!=": None}, {"=": None}, {"!=": []}, [None], []))
    if luck < 0.3:
        return named_value(random, name)
    if luck < 0.6:
        values = [random.choice((None, *[named_value(random, name)] * 6)) for _ in range(random.randrange(4))]
        return random.choice((values, {"!=": values}))
    ordered = name == "createdAt" or (it and kind_of(it) in ("text", "number"))
    operators = OPERATORS if ordered else ("=", "!=")
    return {
        operator: named_value(random, name) for operator in random.sample(operators, random.choice((1, 1, 2)))
    }


def named_value(random: Random, name: str) -> Any:
    if it := FIELDS.attributes.get(name):
        value = a_value(random, it)
        while isinstance(value, list) and kind_of(it) in ("texts", "numbers"):
            value = random.choice(value) if value else a_value(random, it)
        return value if value is not None else named_value(random, name)
    return random.choice(
        {
            "status": STATUSES,
            "state": ("NEW", "WON"),
            "createdAt": (*MOMENTS, "2024-03-01", "2024-03-01T00:00:00Z"),
            "assignedTo": ("ada", "u2"),
        }[name]
    )


async def create_processes(db: Database) -> None:
    def create(connection: Any) -> None:
        processes.drop(connection, checkfirst=True)
        processes.create(connection)

    await db.migrate(create)


def add_rows(tx: Tx, rows: list[Row]) -> None:
    tx.execute(
        every_team.insert(processes),
        [
            {
                "id": row.id,
                "team_id": TEAM,
                "procedure_id": PROCEDURE,
                "status": row.status,
                "state_id": row.state_id,
                "data": row.data,
                "derived": row.derived,
                "assigned_to": row.assigned_to,
                "created_at": row.created_at,
                "updated_at": row.created_at,
            }
            for row in rows
        ],
    )
