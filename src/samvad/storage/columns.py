"""Columns and expressions that mean the same on SQLite and on PostgreSQL."""

from collections.abc import Collection
from typing import Any, TypeVar

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Dialect, Integer, MetaData, Text, bindparam, case
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

T = TypeVar("T")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""Every table of the product. A feature's tables.py adds to it; migrations must equal it."""

Serial = BigInteger().with_variant(Integer, "sqlite")
"""A number the database gives. SQLite does so only for a column whose type is exactly INTEGER."""

Millis = BigInteger
"""A moment: integer milliseconds since the epoch. Its column's name ends in `_at` (ADR 0004)."""

_encoder = msgspec.json.Encoder()


def dump_json(value: Any) -> str:
    return _encoder.encode(value).decode()


class JsonText(TypeDecorator[Any]):
    """JSON that is kept and shown, never searched: text on both databases.

    PostgreSQL's jsonb would reorder keys; what people sent us comes back as they sent it.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else dump_json(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else msgspec.json.decode(value)


class SearchedJson(TypeDecorator[Any]):
    """A JSON object that is searched by its members: jsonb on PostgreSQL, text on SQLite.

    jsonb reorders keys, so whoever shows one orders them by what declares them.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else JSONB())

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return dump_json(value) if dialect.name == "sqlite" and value is not None else value

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return msgspec.json.decode(value) if dialect.name == "sqlite" and value is not None else value


def later(one: ColumnElement[T], other: ColumnElement[T]) -> ColumnElement[T]:
    """The greater of two; SQLite says max(a, b), PostgreSQL says greatest(a, b)."""
    return case((one < other, other), else_=one)


class ListOf(TypeDecorator[Collection[Any]]):
    """Many values in one parameter: an array on PostgreSQL, JSON text on SQLite."""

    impl = Text
    cache_ok = True

    def __init__(self, item: TypeEngine[Any]) -> None:
        super().__init__()
        self.item = item

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else ARRAY(self.item))

    def process_bind_param(self, value: Collection[Any] | None, dialect: Dialect) -> Any:
        values = list(value or ())
        return dump_json(values) if dialect.name == "sqlite" else values


class among(FunctionElement[Any]):
    """`column IN (values)`, as one statement for any number of values.

    IN with its values spelled out is compiled anew, and prepared anew, for every length. The values come
    with the execution, under the parameter's name; or they are `given`, for a condition that is built once.
    """

    inherit_cache = True  # and no Boolean type: SQLite would get `… = 1`, and use no index

    def __init__(
        self, column: ColumnElement[Any], parameter: str, given: Collection[Any] | None = None
    ) -> None:
        kind = ListOf(column.type)
        values = (
            bindparam(parameter, type_=kind)
            if given is None
            else bindparam(parameter, list(given), type_=kind, unique=True)
        )
        super().__init__(column, values)


@compiles(among, "sqlite")
def _(element: among, compiler: SQLCompiler, **kw: Any) -> str:
    column, values = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({values}))"


@compiles(among, "postgresql")
def _(element: among, compiler: SQLCompiler, **kw: Any) -> str:
    column, values = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"{column} = ANY ({values})"


class aside(FunctionElement[Any]):
    """A column for whose sake SQLite shall choose no index.

    Without statistics it takes every equality to leave ten rows, the team's as well as a row's own id, and prefers
    an index with the order that is asked for to one with the rows. PostgreSQL knows better, and sees the column.
    """

    inherit_cache = True

    def __init__(self, column: ColumnElement[Any]) -> None:
        super().__init__(column)
        self.type = column.type


@compiles(aside, "sqlite")
def _(element: aside, compiler: SQLCompiler, **kw: Any) -> str:
    (column,) = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"+{column}"


@compiles(aside, "postgresql")
def _(element: aside, compiler: SQLCompiler, **kw: Any) -> str:
    (column,) = (compiler.process(clause, **kw) for clause in element.clauses)
    return column
