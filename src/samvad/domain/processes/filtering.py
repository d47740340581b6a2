"""Conditions of the query language as SQL, the same on both databases, and the same as `where.matches`."""

from operator import ge, gt, le, lt
from typing import Any, Literal, cast

from sqlalchemy import BigInteger, ColumnElement, FromClause, Text, and_, false, literal, not_, or_, true

from samvad.domain.processes.tables import processes
from samvad.domain.processes.where import (
    Compared,
    Condition,
    Either,
    Every,
    Field,
    Not,
    OneOf,
    Operator,
    Present,
)
from samvad.storage import attributes
from samvad.storage.attributes import INDEXED_CHARS, ListKind, ScalarKind


def to_sql(condition: Condition, table: FromClause = processes) -> ColumnElement[bool]:
    """What a WHERE says of the rows of `processes`, or of a table with the same columns."""
    return Filter(table).of(condition)


COMPARE = {"<": lt, "<=": le, ">": gt, ">=": ge}
LOOSELY: dict[Operator, Operator] = {"<": "<=", "<=": "<=", ">": ">=", ">=": ">="}
"""What is true of the beginnings of two texts if this is true of the texts."""


class Filter:
    """Every part is true or false where it may be negated; elsewhere NULL means false, as in a WHERE."""

    def __init__(self, table: FromClause) -> None:
        self.table = table

    def of(self, condition: Condition) -> ColumnElement[bool]:
        match condition:
            case Present(field):
                return self.present(field)
            case OneOf(field, values):
                return self.one_of(field, values)
            case Compared(field, operator, value):
                return self.compared(field, operator, value)
            case Not(Present(field)):
                return self.absent(field)
            case Not(OneOf(field, values)):
                return self.none_of(field, values)
            case Every(conditions):
                return and_(true(), *(self.of(it) for it in conditions))
            case Either(conditions):
                return or_(false(), *(self.of(it) for it in conditions))
        raise AssertionError(condition)

    def present(self, field: Field) -> ColumnElement[bool]:
        if field.kind in ("texts", "numbers"):
            return attributes.is_filled_list(self.column(field), field.name)
        if field.kind == "opaque":
            return attributes.is_there(self.column(field), field.name)
        return self.value(field).is_not(None)

    def absent(self, field: Field) -> ColumnElement[bool]:
        if field.kind in ("texts", "numbers", "opaque"):
            return not_(self.present(field))
        return self.value(field).is_(None)

    def one_of(self, field: Field, values: tuple[Any, ...]) -> ColumnElement[bool]:
        if field.kind in ("texts", "numbers"):
            return self.holds(field, values)
        exactly = self.equals(field, self.value(field), values)
        if not self.has_shorter_index(field):
            return exactly
        starts = tuple(dict.fromkeys(it[:INDEXED_CHARS] for it in values))
        return and_(self.equals(field, self.start(field), starts), exactly)

    def none_of(self, field: Field, values: tuple[Any, ...]) -> ColumnElement[bool]:
        if field.kind in ("texts", "numbers"):
            return not_(self.holds(field, values))
        if len(values) == 1:
            return self.value(field).is_distinct_from(self.one(field, values[0]))
        return attributes.is_none_of(self.value(field), values, self.scalar(field))

    def compared(self, field: Field, operator: Operator, value: Any) -> ColumnElement[bool]:
        exactly = COMPARE[operator](self.value(field), self.one(field, value))
        if not self.has_shorter_index(field):
            return cast(ColumnElement[bool], exactly)
        start = COMPARE[LOOSELY[operator]](self.start(field), self.one(field, value[:INDEXED_CHARS]))
        return and_(start, exactly)

    def holds(self, field: Field, values: tuple[Any, ...]) -> ColumnElement[bool]:
        return attributes.holds_one_of(self.column(field), field.name, cast(ListKind, field.kind), values)

    def equals(
        self, field: Field, expression: ColumnElement[Any], values: tuple[Any, ...]
    ) -> ColumnElement[bool]:
        if len(values) == 1:  # the index then holds the order of the list as well
            return expression == self.one(field, values[0])
        return attributes.is_one_of(expression, values, self.scalar(field))

    def column(self, field: Field) -> ColumnElement[Any]:
        return self.table.c[field.place]

    def value(self, field: Field) -> ColumnElement[Any]:
        if not field.is_attribute:
            return self.column(field)
        return attributes.member(self.column(field), field.name, cast(ScalarKind, field.kind))

    def start(self, field: Field) -> ColumnElement[Any]:
        return attributes.indexed_member(self.column(field), field.name, cast(ScalarKind, field.kind))

    def one(self, field: Field, value: Any) -> ColumnElement[Any]:
        if field.is_attribute:
            return attributes.one(value, cast(ScalarKind, field.kind))
        return literal(value, BigInteger() if field.kind == "number" else Text())

    def scalar(self, field: Field) -> ScalarKind | Literal["millis"]:
        return "millis" if field.place == "created_at" else cast(ScalarKind, field.kind)

    def has_shorter_index(self, field: Field) -> bool:
        """Of a filterable text the index holds the beginning, so that both are asked."""
        return field.is_attribute and field.filterable and field.kind == "text"
