"""Procedures as data: what a process, its tasks and its record are made of. No I/O.

One shape serves the YAML one writes, the row it is kept in and the export: a `Definition` with its attributes,
states and tasks. Ids are ours and stay the same as long as the short id does; in YAML they may be left out.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

SHORT_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
"""A short id is a key in JSON, a part of a path and of an index: nothing in it needs escaping anywhere."""

LONGEST_NAME = 200
MOST_ATTRIBUTES = 500
MOST_STATES = 200
MOST_TASKS = 100

STATUSES = ("OPEN", "COMPLETED", "CANCELLED")

RESERVED = (
    "status",
    "state",
    "createdAt",
    "assignedTo",
    "or",
    "and",
    "id",
    "data",
    "record",
    "update",
    "nextActionAt",
)
"""Words that the query language or a body uses itself, so that no attribute may be called so."""

COLOR = re.compile(r"#[0-9A-Fa-f]{6}")

LEAD = "lead"
"""The procedure whose processes conversations open."""


class Shape(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True
):
    """What all parts of a definition are: a value, strict about its keys, camelCase outside."""


class Derived(Shape, frozen=True):
    """How a derived attribute gets its value: exactly one of a formula, a count, or a sum.

    `formula` is an expression in CEL over `data`, `derived`, `record`, `status`, `state`. `count` and `sum` look at
    related objects, `of` which: `tasks` of a process, `processes` of a record; `where` is in the query language.
    """

    formula: str | None = None
    count: str | None = None
    sum: str | None = None
    of: str | None = None
    where: dict[str, Any] | None = None


class Attribute(Shape, frozen=True):
    """The smallest field of a process, record or task."""

    short_id: str
    type: str
    id: str = ""
    name: str = ""
    description: str = ""
    required: bool = False
    hidden: bool = False
    filterable: bool = False
    options: tuple[Any, ...] = ()
    derived: Derived | None = None


class State(Shape, frozen=True):
    """Where a process can stand."""

    short_id: str
    id: str = ""
    name: str = ""
    description: str = ""
    color: str | None = None


class TaskDefinition(Shape, frozen=True):
    """A kind of task of this procedure (the vendor's stateTask), in some states or in all."""

    short_id: str
    id: str = ""
    name: str = ""
    description: str = ""
    task_type: str = ""
    states: tuple[str, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    form: str | None = None


class Field(Shape, frozen=True):
    """How one attribute looks on a form."""

    attribute: str
    id: str = ""
    label: str = ""
    help: str = ""
    required: bool = False


class FormAction(Shape, frozen=True):
    """A button of a form."""

    name: str
    id: str = ""
    kind: str = "submit"
    settings: dict[str, Any] = {}


class Page(Shape, frozen=True):
    """One page of a form; `next` maps a condition in the query language to the page that follows."""

    short_id: str
    fields: tuple[Field, ...] = ()
    title: str = ""
    jumps: tuple[dict[str, Any], ...] = ()


class Form(Shape, frozen=True):
    """A form over attributes, private unless it is published."""

    short_id: str
    id: str = ""
    name: str = ""
    published: bool = False
    pages: tuple[Page, ...] = ()
    actions: tuple[FormAction, ...] = ()


class Generator(Shape, frozen=True):
    """How primary keys are made where none is given: `LEAD-` and 6 digits make LEAD-000001."""

    prefix: str = ""
    digits: int = 6


class Entity(Shape, frozen=True):
    """What records are of: a customer, a shop. An object with attributes and no state."""

    short_id: str
    id: str = ""
    name: str = ""
    description: str = ""
    primary_key: str | None = None
    primary_phone: str | None = None
    attributes: tuple[Attribute, ...] = ()


class Definition(Shape, frozen=True):
    """A procedure. `entity` is a short id; its id stands beside it once the definition is kept."""

    short_id: str
    id: str = ""
    name: str = ""
    description: str = ""
    entity: str | None = None
    entity_id: str | None = None
    primary_key: str | None = None
    generate: Generator | None = None
    primary_identifier: str | None = None
    primary_phone: str | None = None
    primary_email: str | None = None
    merge_on_phone: bool = False
    roles: tuple[str, ...] = ()
    start_state: str = ""
    completed_state: str = ""
    states: tuple[State, ...] = ()
    state_graph: dict[str, tuple[str, ...]] | None = None
    attributes: tuple[Attribute, ...] = ()
    tasks: tuple[TaskDefinition, ...] = ()
    forms: tuple[Form, ...] = ()


class Document(Shape, frozen=True):
    """What a file holds: entities and procedures of one team."""

    entities: tuple[Entity, ...] = ()
    procedures: tuple[Definition, ...] = ()


Part = TypeVar("Part", Attribute, State, TaskDefinition, Form)


def by_short_id(parts: Iterable[Part]) -> Mapping[str, Part]:
    return {it.short_id: it for it in parts}


def fingerprint_of(word: str) -> str:
    """What a short id may not be mistaken for: without its capitals."""
    return word.casefold()
