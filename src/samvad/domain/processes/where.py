"""The query language: what a caller asks of processes, as a small tree of conditions. No I/O.

    {"status": "OPEN", "score": {">=": 5, "<": 10}, "or": [{"city": ["Goa", "Pune"]}, {"city": null}]}

A scalar is equality, a list one of its values, an object of operators all of them; keys beside each other are ANDed.
`null` is "has no value", and `!=` is the exact opposite of `=`: what has no value is different from every value. A
list attribute equals what it holds; an empty one has no value. filtering.py says the same in SQL.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from samvad.domain.procedures.model import Attribute
from samvad.domain.procedures.types import Kind, Mismatch, coercer_for, kind_of, nearest, shown
from samvad.kit.errors import BadRequest

DEEPEST = 20  # queries within queries
MOST_CONDITIONS = 500
MOST_VALUES = 1_000  # of one list
MOST_PROBLEMS = 20  # told at once

Operator = Literal["<", "<=", ">", ">="]
Place = Literal["data", "derived", "status", "state_id", "created_at", "assigned_to"]

OPERATORS = ("=", "!=", ">", ">=", "<", "<=")
ROOT_FIELDS = ("status", "state", "createdAt", "assignedTo")


class Searched(Protocol):
    """What a condition looks at."""

    @property
    def status(self) -> str: ...
    @property
    def state_id(self) -> str: ...
    @property
    def created_at(self) -> int: ...
    @property
    def assigned_to(self) -> str | None: ...
    @property
    def data(self) -> Mapping[str, Any]: ...
    @property
    def derived(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Field:
    """Something a condition names: a column, or a member of `data` or `derived`."""

    name: str
    kind: Kind
    place: Place
    filterable: bool = False

    @property
    def is_attribute(self) -> bool:
        return self.place in ("data", "derived")


@dataclass(frozen=True, slots=True)
class Present:
    """The field has a value."""

    field: Field


@dataclass(frozen=True, slots=True)
class OneOf:
    """The field has one of these values, or holds one of them."""

    field: Field
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """The field has a value, and it stands so to this one."""

    field: Field
    operator: Operator
    value: Any


@dataclass(frozen=True, slots=True)
class Not:
    condition: Present | OneOf


@dataclass(frozen=True, slots=True)
class Every:
    """All of these; of none, true."""

    conditions: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Either:
    """Any of these; of none, false."""

    conditions: tuple["Condition", ...]


Condition = Present | OneOf | Compared | Not | Every | Either

EVERYTHING = Every(())
NOTHING = Either(())


@dataclass(frozen=True, slots=True)
class Fields:
    """What a query may name, and what the readable names in it stand for.

    `attributes` by short id, derived ones included; `states` from short id to id; `users` from username to id, at
    least those of `users_named_in`; `zone` of the team, for times without an offset.
    """

    attributes: Mapping[str, Attribute]
    states: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, str] = field(default_factory=dict)
    zone: str | None = None


def parse(query: object, fields: Fields) -> Condition:
    """The condition a query states. Raises BadRequest with all of its problems."""
    parser = _Parser(fields)
    condition = parser.query(query, depth=0)
    if parser.problems:
        raise BadRequest(*parser.problems[:MOST_PROBLEMS])
    return condition


def users_named_in(query: object) -> set[str]:
    """Each text that `assignedTo` is compared with: usernames or ids to look up before parsing."""
    return {it for it in _texts_of_assigned_to(query, DEEPEST) if len(it) <= 500}


def attributes_in(condition: Condition) -> set[str]:
    """The attributes a condition looks at, by short id."""
    match condition:
        case Present(field) | OneOf(field) | Compared(field):
            return {field.name} if field.is_attribute else set()
        case Not(inner):
            return attributes_in(inner)
        case Every(conditions) | Either(conditions):
            return {name for it in conditions for name in attributes_in(it)}
    raise AssertionError(condition)


def matches(condition: Condition, row: Searched) -> bool:
    """Whether a row is what the condition asks for."""
    match condition:
        case Present(field):
            return _has_value(field, row)
        case OneOf(field, values):
            value = _value(field, row)
            if field.kind in ("texts", "numbers"):
                return any(it in values and not isinstance(it, bool) for it in value or ())
            return value is not None and value in values
        case Compared(field, operator, value):
            return _compare(operator, _value(field, row), value)
        case Not(inner):
            return not matches(inner, row)
        case Every(conditions):
            return all(matches(it, row) for it in conditions)
        case Either(conditions):
            return any(matches(it, row) for it in conditions)


def _has_value(field: Field, row: Searched) -> bool:
    value = _value(field, row)
    return value is not None and value != [] if field.kind in ("texts", "numbers") else value is not None


def _compare(operator: Operator, one: Any, other: Any) -> bool:
    if one is None:
        return False
    match operator:
        case "<":
            return bool(one < other)
        case "<=":
            return bool(one <= other)
        case ">":
            return bool(one > other)
        case ">=":
            return bool(one >= other)


def _value(field: Field, row: Searched) -> Any:
    """What the row has there if it is of the field's kind; a type may have changed since it was written."""
    if not field.is_attribute:
        return getattr(row, field.place)
    value = (row.data if field.place == "data" else row.derived).get(field.name)
    match field.kind:
        case "text":
            return value if isinstance(value, str) else None
        case "number":
            return value if _is_number(value) else None
        case "boolean":
            return value if isinstance(value, bool) else None
        case "texts" | "numbers":
            return value if isinstance(value, list) else None
        case "opaque":
            return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _texts_of_assigned_to(query: object, left: int) -> Iterator[str]:
    if left < 0 or not isinstance(query, Mapping):
        return
    for key, side in query.items():
        if key in ("or", "and") and isinstance(side, list):
            for inner in side:
                yield from _texts_of_assigned_to(inner, left - 1)
        elif key == "assignedTo":
            sides = side.values() if isinstance(side, Mapping) else [side]
            for it in sides:
                yield from (one for one in (it if isinstance(it, list) else [it]) if isinstance(one, str))


Reader = Callable[[Any], Any]
"""Makes of one value of a query what the field is compared with; raises Mismatch."""


class _TooMuch(Exception):
    """The query passed a limit that makes going on pointless."""


class _Parser:
    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self.problems: list[str] = []
        self.conditions = 0

    def query(self, query: object, *, depth: int) -> Condition:
        try:
            return self._query(query, depth)
        except _TooMuch as limit:
            self.problems.insert(0, str(limit))
            return NOTHING

    def _query(self, query: object, depth: int) -> Condition:
        self._count()
        if depth > DEEPEST:
            raise _TooMuch(f"The query is nested deeper than {DEEPEST}.")
        if not isinstance(query, Mapping):
            self.problems.append(f"A query must be an object; got {shown(query)}.")
            return NOTHING
        return Every(tuple(it for key, side in query.items() for it in self._key(str(key), side, depth)))

    def _key(self, key: str, side: Any, depth: int) -> Iterator[Condition]:
        if key in ("or", "and"):
            if not isinstance(side, list):
                self.problems.append(f"{key} must be a list of queries; got {shown(side)}.")
                return
            inner = tuple([self._query(it, depth + 1) for it in side])
            yield Either(inner) if key == "or" else Every(inner)
            return
        named = self._named(key)
        if named is None:
            return
        sides = side if isinstance(side, Mapping) else {"=": side}
        if not sides:
            self.problems.append(f"{key} has an object without an operator; {_THE_OPERATORS}.")
        for operator, value in sides.items():
            self._count()
            try:
                yield self._condition(*named, str(operator), value)
            except Mismatch as problem:
                self.problems.append(f"{problem}.")

    def _count(self) -> None:
        self.conditions += 1
        if self.conditions > MOST_CONDITIONS:
            raise _TooMuch(f"The query has more than {MOST_CONDITIONS} conditions.")

    def _named(self, key: str) -> tuple[Field, Reader] | None:
        zone = self.fields.zone
        match key:
            case "status":
                return Field(key, "text", "status"), coercer_for(Attribute(short_id=key, type="status"))
            case "state":
                return Field(key, "text", "state_id"), self._state
            case "createdAt":
                moment = Attribute(short_id=key, type="datetime")
                return Field(key, "number", "created_at"), coercer_for(moment, zone=zone)
            case "assignedTo":
                return Field(key, "text", "assigned_to"), self._user
        attribute = self.fields.attributes.get(key)
        if attribute is None:
            near = nearest(key, [*ROOT_FIELDS, "or", "and", *self.fields.attributes])
            hint = f"did you mean {near}?" if near else "see the procedure for its attributes."
            self.problems.append(f"There is no field or attribute {shown(key)}; {hint}")
            return None
        place: Place = "data" if attribute.derived is None else "derived"
        reader = coercer_for(attribute, zone=zone)
        kind = kind_of(attribute)
        if kind in ("texts", "numbers"):
            return Field(key, kind, place), lambda value: reader([value])[0]
        return Field(key, kind, place, attribute.filterable), reader

    def _state(self, value: Any) -> str:
        return _looked_up("state", value, self.fields.states, "a state of this procedure")

    def _user(self, value: Any) -> str:
        if isinstance(value, str) and value in self.fields.users.values():
            return value
        return _looked_up("assignedTo", value, self.fields.users, "a username of this team")

    def _condition(self, field: Field, reader: Reader, operator: str, value: Any) -> Condition:
        if operator not in OPERATORS:
            raise Mismatch(
                f"{field.name} has the operator {shown(operator)}, which there is not; {_THE_OPERATORS}"
            )
        if operator in ("=", "!="):
            values = value if isinstance(value, list) else [value]
            return _equality(field, reader, values, negated=operator == "!=")
        return Compared(field, _ordering(field, operator, value), reader(value))


_THE_OPERATORS = f"the operators are {' '.join(OPERATORS)}"


def _equality(field: Field, reader: Reader, values: list[Any], *, negated: bool) -> Condition:
    """`null` among the values is "has no value"."""
    if len(values) > MOST_VALUES:
        raise Mismatch(
            f"{field.name} is compared with {len(values):,} values; at most {MOST_VALUES:,} are possible"
        )
    given = [it for it in values if it is not None]
    if given and field.kind == "opaque":
        raise Mismatch(f'{field.name} can only be asked for with null or {{"!=": null}}: whether it is there')
    conditions: list[Present | OneOf] = []
    if given:
        conditions.append(OneOf(field, tuple(dict.fromkeys([reader(it) for it in given]))))
    if len(given) < len(values):
        conditions.append(Present(field))
    # `null` asks for the opposite of Present, everything else for OneOf.
    each = tuple(Not(it) if negated != isinstance(it, Present) else it for it in conditions)
    if len(each) == 1:
        return each[0]
    return Every(each) if negated else Either(each)


def _ordering(field: Field, operator: str, value: Any) -> Operator:
    if isinstance(value, list | Mapping) or value is None:
        raise Mismatch(f"{field.name} {operator} needs one value; got {shown(value)}")
    if field.kind not in ("text", "number") or field.place in ("status", "state_id", "assigned_to"):
        raise Mismatch(f"{field.name} has no order: it can be compared by = and != only")
    for it in ("<", "<=", ">", ">="):
        if it == operator:
            return it
    raise AssertionError(operator)


def _looked_up(name: str, value: Any, ids: Mapping[str, str], what: str) -> str:
    found = ids.get(value) if isinstance(value, str) else None
    if found is None:
        near = nearest(value, ids) if isinstance(value, str) else None
        hint = f"; did you mean {near}?" if near else ""
        raise Mismatch(f"{name} must be {what}; got {shown(value)}{hint}")
    return found
