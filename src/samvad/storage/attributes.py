"""Members of a JSON object as values one can compare, alike on SQLite and on PostgreSQL, and indexes over them.

A member that is not of the kind one asks for counts as absent: the same short id may hold text in one procedure and
a number in another, and no statement may fail over it. Texts are ordered by code point; numbers are compared exactly,
never as binary fractions. Names of members stand in the statement itself, not in a parameter: only then do planners
find the index of the same expression.
"""

import hashlib
import re
from collections.abc import Collection
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Dialect,
    Index,
    Integer,
    MetaData,
    Numeric,
    Table,
    Text,
    bindparam,
    literal_column,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from samvad.storage.columns import ListOf, dump_json

ScalarKind = Literal["text", "number", "boolean"]
ListKind = Literal["texts", "numbers"]

INDEXED_CHARS = 500  # of a text: PostgreSQL's index rows hold 2,700 bytes
_MEMBER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


def member(data: ColumnElement[Any], name: str, kind: ScalarKind) -> ColumnElement[Any]:
    """The member's value, NULL unless it is of this kind. Booleans are 1 and 0."""
    return _MEMBERS[kind](data, _name(name))


def indexed_member(data: ColumnElement[Any], name: str, kind: ScalarKind) -> ColumnElement[Any]:
    """What the member's index holds: the value, of a text its beginning."""
    return _TextStart(data, _name(name)) if kind == "text" else member(data, name, kind)


def holds_one_of(
    data: ColumnElement[Any], name: str, kind: ListKind, values: Collection[Any]
) -> ColumnElement[Any]:
    """Whether the member is a list with one of the values in it; true or false, never NULL."""
    return _HOLDS[kind](data, _name(name), _many(values, "text" if kind == "texts" else "number"))


def is_filled_list(data: ColumnElement[Any], name: str) -> ColumnElement[Any]:
    """Whether the member is a list with anything in it; true or false, never NULL."""
    return _IsFilledList(data, _name(name))


def is_there(data: ColumnElement[Any], name: str) -> ColumnElement[Any]:
    """Whether the member is anything but null; true or false, never NULL."""
    return _IsThere(data, _name(name))


def one(value: Any, kind: ScalarKind) -> ColumnElement[Any]:
    """A value to compare a member with."""
    if kind == "number":
        return _Number(bindparam(None, value, type_=_Exact(), unique=True))
    if kind == "boolean":
        return bindparam(None, int(value), type_=Integer(), unique=True)
    return bindparam(None, value, type_=Text(), unique=True)


def is_one_of(
    expression: ColumnElement[Any], values: Collection[Any], kind: ScalarKind | Literal["millis"]
) -> ColumnElement[Any]:
    """`expression IN (values)`, one statement for any number of values; NULL for NULL."""
    return _IsOneOf(expression, _many(values, kind))


def is_none_of(
    expression: ColumnElement[Any], values: Collection[Any], kind: ScalarKind | Literal["millis"]
) -> ColumnElement[Any]:
    """The exact opposite: true also for NULL."""
    return _IsNoneOf(expression, _many(values, kind))


def attribute_index(table: Table, column: str, name: str, kind: ScalarKind) -> Index:
    """The index by which rows of a procedure with a member's value are found, newest first.

    All procedures whose attributes share short id and kind share it; a row without the member is not in it. The
    table has procedure_id, created_at, id and deleted_at; a query has to name the first and the last.
    """
    apart = table.to_metadata(MetaData())  # the table itself is what migrations are compared with
    value = indexed_member(apart.c[column], name, kind)
    there = apart.c.deleted_at.is_(None) & value.is_not(None)
    return Index(
        index_name(table.name, column, name, kind),
        apart.c.procedure_id,
        value,
        apart.c.created_at,
        apart.c.id,
        sqlite_where=there,
        postgresql_where=there,
        postgresql_concurrently=True,
    )


def index_name(table: str, column: str, name: str, kind: ScalarKind) -> str:
    """Readable, within PostgreSQL's 63 bytes, and another one for `fooBar` than for `foobar`."""
    whole = f"{table}.{column}.{name}.{kind}"
    return f"at_{table}_{column}_{name.lower()[:20]}_{kind}_{hashlib.sha256(whole.encode()).hexdigest()[:10]}"


def _many(values: Collection[Any], kind: ScalarKind | Literal["millis"]) -> ColumnElement[Any]:
    if kind == "boolean":
        values = [int(it) for it in values]
    return bindparam(None, values, type_=_LISTS[kind], unique=True)


def _name(name: str) -> ColumnElement[Any]:
    assert _MEMBER.fullmatch(name), f"{name!r} cannot stand in a statement"
    return literal_column(name)


class _Exact(TypeDecorator[Any]):
    """A number as its shortest decimal: numeric on PostgreSQL, JSON on SQLite.

    SQLite reads both sides of a comparison from JSON then, and whatever it makes of the digits, it makes of both.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else Numeric())

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return dump_json(value) if dialect.name == "sqlite" else Decimal(repr(value))


class _ListOfNumbers(ListOf):
    """Many of them."""

    cache_ok = True

    def __init__(self) -> None:
        super().__init__(Numeric())

    def process_bind_param(self, value: Collection[Any] | None, dialect: Dialect) -> Any:
        if dialect.name == "sqlite":
            return super().process_bind_param(value, dialect)
        return [Decimal(repr(it)) for it in value or ()]


_LISTS: dict[str, TypeEngine[Any]] = {
    "text": ListOf(Text()),
    "number": _ListOfNumbers(),
    "boolean": ListOf(Integer()),
    "millis": ListOf(BigInteger()),
}


class _Element(FunctionElement[Any]):
    """No Boolean type even where it is one: SQLite would get `… = 1`, and use no index."""

    inherit_cache = True

    def parts(self, compiler: SQLCompiler, **kw: Any) -> list[str]:
        return [compiler.process(clause, **kw) for clause in self.clauses]


class _Text(_Element):
    inherit_cache = True


@compiles(_Text, "sqlite")
def _(element: _Text, compiler: SQLCompiler, **kw: Any) -> str:
    data, name = element.parts(compiler, **kw)
    return f"(CASE json_type({data}, '$.{name}') WHEN 'text' THEN json_extract({data}, '$.{name}') END)"


@compiles(_Text, "postgresql")
def _(element: _Text, compiler: SQLCompiler, **kw: Any) -> str:
    data, name = element.parts(compiler, **kw)
    return (
        f"((CASE WHEN jsonb_typeof({data} -> '{name}') = 'string' THEN {data} ->> '{name}' END)"
        ' COLLATE "C")'
    )


class _TextStart(_Element):
    inherit_cache = True


@compiles(_TextStart, "sqlite")
def _(element: _TextStart, compiler: SQLCompiler, **kw: Any) -> str:
    data, name = element.parts(compiler, **kw)
    return (
        f"(CASE json_type({data}, '$.{name}') WHEN 'text'"
        f" THEN substr(json_extract({data}, '$.{name}'), 1, {INDEXED_CHARS}) END)"
    )


@compiles(_TextStart, "postgresql")
def _(element: _TextStart, compiler: SQLCompiler, **kw: Any) -> str:
    data, name = element.parts(compiler, **kw)
    return (
        f"((CASE WHEN jsonb_typeof({data} -> '{name}') = 'string'"
        f" THEN left({data} ->> '{name}', {INDEXED_CHARS}) END)"
        ' COLLATE "C")'
    )


class _NumberOf(_Element):
    inherit_cache = True


@compiles(_NumberOf, "sqlite")
def _(element: _NumberOf, compiler: SQLCompiler, **kw: Any) -> str:
    data, name = element.parts(compiler, **kw)
    return (
        f"(CASE WHEN json_type({data}, '$.{name}') IN ('integer', 'real')"
        f" THEN json_extract({data}, '$.{name}') END)"
    )


@compiles(_NumberOf, "postgresql")
def _(element: _NumberOf, compiler: SQLCompiler, **kw: Any) -> str:
    data, name = element.parts(compiler, **kw)
    return f"(CASE WHEN jsonb_typeof({data} -> '{name}') = 'number' THEN ({data} -> '{name}')::numeric END)"


class _BooleanOf(_Element):
    inherit_cache = True


@compiles(_BooleanOf, "sqlite")
def _(element: _BooleanOf, compiler: SQLCompiler, **kw: Any) -> str:
    data, name = element.parts(compiler, **kw)
    return f"(CASE json_type({data}, '$.{name}') WHEN 'true' THEN 1 WHEN 'false' THEN 0 END)"


@compiles(_BooleanOf, "postgresql")
def _(element: _BooleanOf, compiler: SQLCompiler, **kw: Any) -> str:
    data, name = element.parts(compiler, **kw)
    return f"(CASE {data} -> '{name}' WHEN 'true'::jsonb THEN 1 WHEN 'false'::jsonb THEN 0 END)"


_MEMBERS: dict[str, type[_Element]] = {"text": _Text, "number": _NumberOf, "boolean": _BooleanOf}


class _Number(_Element):
    inherit_cache = True


@compiles(_Number, "sqlite")
def _(element: _Number, compiler: SQLCompiler, **kw: Any) -> str:
    (value,) = element.parts(compiler, **kw)
    return f"json_extract({value}, '$')"


@compiles(_Number, "postgresql")
def _(element: _Number, compiler: SQLCompiler, **kw: Any) -> str:
    (value,) = element.parts(compiler, **kw)
    return value


class _IsOneOf(_Element):
    inherit_cache = True


@compiles(_IsOneOf, "sqlite")
def _(element: _IsOneOf, compiler: SQLCompiler, **kw: Any) -> str:
    expression, values = element.parts(compiler, **kw)
    return f"({expression} IN (SELECT value FROM json_each({values})))"


@compiles(_IsOneOf, "postgresql")
def _(element: _IsOneOf, compiler: SQLCompiler, **kw: Any) -> str:
    expression, values = element.parts(compiler, **kw)
    return f"({expression} = ANY ({values}))"


class _IsNoneOf(_Element):
    inherit_cache = True


@compiles(_IsNoneOf, "sqlite")
def _(element: _IsNoneOf, compiler: SQLCompiler, **kw: Any) -> str:
    expression, values = element.parts(compiler, **kw)
    return f"(CASE WHEN {expression} IN (SELECT value FROM json_each({values})) THEN 0 ELSE 1 END)"


@compiles(_IsNoneOf, "postgresql")
def _(element: _IsNoneOf, compiler: SQLCompiler, **kw: Any) -> str:
    expression, values = element.parts(compiler, **kw)
    return f"(CASE WHEN {expression} = ANY ({values}) THEN false ELSE true END)"


class _HoldsText(_Element):
    inherit_cache = True


@compiles(_HoldsText, "sqlite")
def _(element: _HoldsText, compiler: SQLCompiler, **kw: Any) -> str:
    data, name, values = element.parts(compiler, **kw)
    return _holds_sqlite(data, name, "item.type = 'text'", values)


@compiles(_HoldsText, "postgresql")
def _(element: _HoldsText, compiler: SQLCompiler, **kw: Any) -> str:
    data, name, values = element.parts(compiler, **kw)
    return _holds_postgresql(data, name, "string", """(item.value #>> '{}') COLLATE "C\"""", values)


class _HoldsNumber(_Element):
    inherit_cache = True


@compiles(_HoldsNumber, "sqlite")
def _(element: _HoldsNumber, compiler: SQLCompiler, **kw: Any) -> str:
    data, name, values = element.parts(compiler, **kw)
    return _holds_sqlite(data, name, "item.type IN ('integer', 'real')", values)


@compiles(_HoldsNumber, "postgresql")
def _(element: _HoldsNumber, compiler: SQLCompiler, **kw: Any) -> str:
    data, name, values = element.parts(compiler, **kw)
    return _holds_postgresql(data, name, "number", "item.value::numeric", values)


_HOLDS: dict[str, type[_Element]] = {"texts": _HoldsText, "numbers": _HoldsNumber}


def _holds_sqlite(data: str, name: str, is_of_kind: str, values: str) -> str:
    # json_each of something that is no list would give that thing itself.
    items = f"json_each(CASE json_type({data}, '$.{name}') WHEN 'array' THEN {data} END, '$.{name}')"
    return (
        f"EXISTS (SELECT 1 FROM {items} AS item"
        f" WHERE {is_of_kind} AND item.value IN (SELECT value FROM json_each({values})))"
    )


def _holds_postgresql(data: str, name: str, json_type: str, value: str, values: str) -> str:
    items = (
        f"jsonb_array_elements(CASE WHEN jsonb_typeof({data} -> '{name}') = 'array'"
        f" THEN {data} -> '{name}' ELSE '[]'::jsonb END)"
    )
    return (
        f"EXISTS (SELECT 1 FROM {items} AS item(value)"
        f" WHERE CASE WHEN jsonb_typeof(item.value) = '{json_type}' THEN {value} = ANY ({values}) END)"
    )


class _IsFilledList(_Element):
    inherit_cache = True


@compiles(_IsFilledList, "sqlite")
def _(element: _IsFilledList, compiler: SQLCompiler, **kw: Any) -> str:
    data, name = element.parts(compiler, **kw)
    return f"(coalesce(json_array_length({data}, '$.{name}'), 0) > 0)"


@compiles(_IsFilledList, "postgresql")
def _(element: _IsFilledList, compiler: SQLCompiler, **kw: Any) -> str:
    data, name = element.parts(compiler, **kw)
    return (
        f"(CASE WHEN jsonb_typeof({data} -> '{name}') = 'array'"
        f" THEN jsonb_array_length({data} -> '{name}') > 0 ELSE false END)"
    )


class _IsThere(_Element):
    inherit_cache = True


@compiles(_IsThere, "sqlite")
def _(element: _IsThere, compiler: SQLCompiler, **kw: Any) -> str:
    data, name = element.parts(compiler, **kw)
    return f"(coalesce(json_type({data}, '$.{name}'), 'null') <> 'null')"


@compiles(_IsThere, "postgresql")
def _(element: _IsThere, compiler: SQLCompiler, **kw: Any) -> str:
    data, name = element.parts(compiler, **kw)
    return f"(coalesce(jsonb_typeof({data} -> '{name}'), 'null') <> 'null')"
