"""Processes as rows of a table: which column is what, how a cell becomes a value, and a value a cell. No I/O.

What is written is read back to the same: texts as they are, days and moments in ISO 8601, lists and objects as JSON.
An empty cell is no value.
"""

import csv
import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any, NamedTuple, TextIO
from zoneinfo import ZoneInfo

import msgspec

from samvad.domain.procedures import types
from samvad.domain.procedures.blueprint import Blueprint, nearest
from samvad.domain.procedures.model import Attribute
from samvad.kit.errors import BadRequest

DELIMITERS = (",", ";", "\t")
LARGEST_CELL = 2 * 1024 * 1024  # characters; a list of the most and longest items is shorter
MOST_COLUMNS = 2_000

STATE, STATUS, ASSIGNED_TO, NEXT_ACTION_AT, ID = "state", "status", "assignedTo", "nextActionAt", "id"
COLUMNS = (STATE, STATUS, ASSIGNED_TO, NEXT_ACTION_AT)
"""What of a process stands beside its attributes."""

LEFT_OUT = ("", "-")
"""`--map column=-`: it is not read."""

_MOMENT = Attribute(short_id=NEXT_ACTION_AT, type="datetime")
_NEAR = 0.85  # how alike two names must be to be one

_PHONE = """mobile mobileno mobilenumber mobilephone phone phoneno phonenumber telephone telephonenumber tel cell
    cellphone whatsapp whatsappno whatsappnumber contactno contactnumber msisdn"""
_EMAIL = "email emailaddress emailid mail mailid mailaddress"
_NAME = "name fullname customername contactname personname title"
_OWN = {
    STATE: "stage pipelinestage",
    ASSIGNED_TO: "assignee owner agent salesperson salesrep assigneduser",
    NEXT_ACTION_AT: "nextaction nextactiondate followup followupat followupdate nextfollowup nextfollowupdate",
}
_ATTRIBUTES = {
    "firstname": "givenname forename fname",
    "lastname": "surname familyname lname",
    "city": "town place",
    "company": "organisation organization companyname",
    "zip": "zipcode postcode postalcode pincode",
}


class Column(NamedTuple):
    """A column of a file, and what in a process it is; None: it is not read, and `why`."""

    number: int
    header: str
    target: str | None
    why: str


class Row(NamedTuple):
    """A row of a file: where it begins, and its cells."""

    line: int
    cells: list[str]


class Sheet:
    """A file of comma-separated values, read row by row."""

    def __init__(self, stream: TextIO, *, delimiter: str | None = None) -> None:
        """Raises BadRequest where there is no header."""
        csv.field_size_limit(LARGEST_CELL)
        first = stream.readline()
        self.delimiter = delimiter or _delimiter_of(first)
        self._stream = _after(first, stream)
        self._reader = csv.reader(self._stream, delimiter=self.delimiter, strict=True)
        found = next(self._rows(), None)
        if found is None:
            raise BadRequest("The file is empty: its first line must name the columns.")
        self.header = [it.strip() for it in found.cells]
        if len(self.header) > MOST_COLUMNS:
            raise BadRequest(f"The file has {len(self.header)} columns; at most {MOST_COLUMNS} are read.")

    def rows(self) -> Iterator[Row]:
        """What follows the header, without blank lines. Raises BadRequest where a line cannot be read."""
        yield from self._rows()

    def _rows(self) -> Iterator[Row]:
        while True:
            line = self._reader.line_num + 1
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise BadRequest(
                    f"Line {line} cannot be read: {error}. Is a quotation mark missing?"
                ) from None
            except UnicodeDecodeError as error:
                raise BadRequest(
                    f"The file is not {error.encoding.upper()}, near line {line}. Say what it is: --encoding cp1252."
                ) from None
            if any(it and not it.isspace() for it in cells):
                yield Row(line, cells)


def _after(first: str, stream: TextIO) -> Iterator[str]:
    if first:
        yield first
    yield from stream


def _delimiter_of(line: str) -> str:
    """That of the marks which stands most often in the header, outside of quotes."""
    bare = "".join(part for number, part in enumerate(line.split('"')) if number % 2 == 0)
    return max(DELIMITERS, key=bare.count)


@dataclass(frozen=True)
class Matched:
    """Which column is what, for a procedure; `update`: rows are of processes that are there."""

    plan: Blueprint
    columns: tuple[Column, ...]
    zone: str
    update: bool

    @cached_property
    def identifies(self) -> str | None:
        """By which a row names its process when it changes one."""
        targets = {it.target for it in self.columns}
        definition = self.plan.definition
        wanted = (ID, definition.primary_key, definition.primary_phone)
        return next((it for it in wanted if it is not None and it in targets), None)

    def item(self, row: Row) -> tuple[Any, list[str]]:
        """A row as a body of the API, as for bulk create or bulk update, and what is wrong with its cells."""
        cells = row.cells
        if any(cells[len(self.columns) :]):
            return {"cells": cells}, [f"There are {len(cells)} cells, and {len(self.columns)} columns."]
        body: dict[str, Any] = {"data": {}}
        target: dict[str, Any] = {}
        problems: list[str] = []
        for column, cell in zip(self.columns, cells, strict=False):
            name = column.target
            if name is None or not cell:
                continue
            if self.update and name == self.identifies:
                key = name if name == self.plan.definition.primary_phone else ID
                target[key] = cell.strip()
                continue
            try:
                if name in COLUMNS:
                    body[name] = self._own(name, cell)
                else:
                    body["data"][name] = cell_value(self.plan.schema.attributes[name], cell)
            except types.Mismatch as wrong:
                problems.append(f"{wrong}.")
        return ({**target, "update": body} if self.update else body), problems

    def _own(self, name: str, cell: str) -> Any:
        word = cell.strip()
        if name == STATUS:
            return word.upper()
        if name == NEXT_ACTION_AT:
            return types.coerce(_MOMENT, word, zone=self.zone)
        if name == STATE and word not in self.plan.states:
            called = {_plain(it.name): it.short_id for it in self.plan.states.values()}
            called |= {_plain(it): it for it in self.plan.states}
            return called.get(_plain(word), word)
        return word


def columns_of(
    header: Sequence[str], plan: Blueprint, said: Mapping[str, str], *, update: bool
) -> tuple[Column, ...]:
    """What each column is: as somebody said, as it is called, or as it seems to be called.

    Raises BadRequest where what was said is wrong, or no column is anything.
    """
    told = _told(header, plan, said, update=update)
    free = dict.fromkeys([*plan.schema.settable, *COLUMNS, *([ID] if update else [])])
    for target in told.values():
        free.pop(target or "", None)
    found: dict[int, tuple[str, str]] = {}
    for known, why in _ways(plan, free):
        for number, word in enumerate(header):
            if number in told or number in found or not word:
                continue
            target = known(word)
            if target is not None and target in free:
                found[number] = (target, why)
                del free[target]
    columns = []
    for number, word in enumerate(header):
        if number in told:
            columns.append(Column(number, word, told[number], "as you say"))
        elif number in found:
            columns.append(Column(number, word, *found[number]))
        else:
            why = "it is computed" if word in plan.schema.derived else "nothing is called so"
            columns.append(Column(number, word, None, why if word else "it has no name"))
    if all(it.target is None for it in columns):
        raise BadRequest(
            f"No column is an attribute of {plan.short_id}: {', '.join(header)[:300]}. "
            f"It has {', '.join([*plan.schema.settable, *COLUMNS])}. Say what is what: --map column=attribute."
        )
    mapping = Matched(plan, tuple(columns), "UTC", update)
    if update and mapping.identifies is None:
        names = [it for it in (ID, plan.definition.primary_key, plan.definition.primary_phone) if it]
        raise BadRequest(f"To update, a column must say which process is meant: {' or '.join(names)}.")
    return mapping.columns


def _told(
    header: Sequence[str], plan: Blueprint, said: Mapping[str, str], *, update: bool
) -> dict[int, str | None]:
    targets = dict.fromkeys([*plan.schema.settable, *COLUMNS, *([ID] if update else [])])
    problems: list[str] = []
    told: dict[int, str | None] = {}
    for word, target in said.items():
        number = next((it for it, name in enumerate(header) if name == word), None)
        if number is None:
            number = next((it for it, name in enumerate(header) if _plain(name) == _plain(word)), None)
        if number is None:
            hint = nearest(word, dict.fromkeys(header))
            problems.append(
                f"--map: there is no column {word!r:.80}{hint} There are {', '.join(header)[:300]}."
            )
        elif target in LEFT_OUT:
            told[number] = None
        elif target not in targets:
            computed = target in plan.schema.derived
            hint = "; it is computed." if computed else nearest(target, targets)
            problems.append(f"--map: {plan.short_id} has no attribute {target!r:.80} that can be set{hint}")
        elif target in told.values():
            problems.append(f"--map: two columns cannot both be {target}.")
        else:
            told[number] = target
    if problems:
        raise BadRequest(*problems)
    return told


def _ways(plan: Blueprint, free: Mapping[str, Any]) -> Iterator[tuple[Any, str]]:
    """From the surest to the boldest guess: a function from a header to what it is, and why."""
    attributes = plan.schema.settable
    yield (lambda word: word if word in free else None), "its short id"
    by_id = {_plain(it): it for it in reversed(list(free))}
    yield (lambda word: by_id.get(_plain(word))), "its short id"
    by_name = {_plain(it.name): it.short_id for it in reversed(attributes.values()) if it.name}
    yield (lambda word: by_name.get(_plain(word))), "its name"
    synonyms = _synonyms(plan)
    yield (lambda word: synonyms.get(_plain(word))), "it means that"
    everything = synonyms | by_name | by_id

    def near(word: str) -> str | None:
        alike = get_close_matches(_plain(word), everything, n=1, cutoff=_NEAR)
        return everything[alike[0]] if alike else None

    yield near, "nearly its name"


def _synonyms(plan: Blueprint) -> dict[str, str]:
    definition = plan.definition
    found: dict[str, str] = {}
    for target, words in (
        (definition.primary_phone, _PHONE),
        (definition.primary_email, _EMAIL),
        (definition.primary_identifier, _NAME),
        (definition.primary_key, f"id key {_plain(plan.short_id)}id {_plain(plan.short_id)}no"),
        *_OWN.items(),
        *((name, words) for name, words in _ATTRIBUTES.items() if name in plan.schema.settable),
    ):
        if target is not None:
            found |= {word: target for word in words.split() if word not in found}
    return found


def _plain(word: str) -> str:
    """`E-Mail Address` → emailaddress."""
    return "".join(it for it in word.casefold() if it.isalnum())


def cell_value(attribute: Attribute, cell: str) -> Any:
    """What a cell says, for the attribute's type to take or refuse. Raises Mismatch for what is no JSON."""
    kind = types.kind_of(attribute)
    if kind in ("texts", "numbers"):
        return _list(attribute, cell)
    if kind != "opaque":
        alike = [it for it in map(str, attribute.options) if it.casefold() == cell.strip().casefold()]
        return cell if len(alike) != 1 else alike[0]
    try:
        return msgspec.json.decode(cell)
    except msgspec.DecodeError:
        pass
    if attribute.type == "geolocation":
        return [it.strip() for it in cell.split(",")]
    raise types.Mismatch(f"{attribute.short_id} must be JSON; got {types.shown(cell)}")


def _list(attribute: Attribute, cell: str) -> list[Any]:
    """A list in JSON, or as people write one: with semicolons, else with commas between."""
    if cell.lstrip().startswith("["):
        try:
            found = msgspec.json.decode(cell)
        except msgspec.DecodeError:
            found = None
        if isinstance(found, list):
            return found
    if cell.strip() in map(str, attribute.options):
        return [cell.strip()]
    parts = cell.split(";" if ";" in cell else ",")
    return [it.strip() for it in parts if it.strip()]


class Writer:
    """Processes of a procedure as rows."""

    def __init__(self, plan: Blueprint, *, zone: str, users: Mapping[str, str], derived: bool) -> None:
        self.plan, self.zone, self.users = plan, zone, users
        key = plan.definition.primary_key
        attributes = plan.schema.settable
        first = [attributes[key]] if key in attributes else []
        self.attributes = [*first, *(it for it in attributes.values() if it.short_id != key)]
        self.derived = list(plan.schema.derived.values()) if derived else []
        self.header = [*(it.short_id for it in [*self.attributes, *self.derived]), *COLUMNS]

    def row(self, it: Any) -> list[str]:
        state = self.plan.state_by_id.get(it.state_id)
        return [
            *(value_cell(one, it.data.get(one.short_id), zone=self.zone) for one in self.attributes),
            *(value_cell(one, it.derived.get(one.short_id), zone=self.zone) for one in self.derived),
            state.short_id if state else "",
            it.status,
            self.users.get(it.assigned_to, it.assigned_to) if it.assigned_to else "",
            value_cell(_MOMENT, it.next_action_at, zone=self.zone),
        ]


def value_cell(attribute: Attribute, value: Any, *, zone: str) -> str:
    """A value as the cell that reads back to it."""
    if value is None:
        return ""
    if types.kind_of(attribute) == "opaque" or not isinstance(value, str | int | float):
        return msgspec.json.encode(value).decode()
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    said = _in_words(attribute.type, value, zone)
    if said is not None and _reads_back(attribute, said, value, zone):
        return said
    return str(value)


def _in_words(type_: str, value: int | float, zone: str) -> str | None:
    """A day, time or moment in ISO 8601."""
    if type_ == "time":
        clock = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=value)
        return clock.strftime("%H:%M") if value % 60_000 == 0 else clock.time().isoformat("milliseconds")
    if type_ not in ("date", "datetime"):
        return None
    try:
        moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=value)
        moment = moment.astimezone(ZoneInfo(zone))
    except (OverflowError, ValueError):
        return None
    if type_ == "date":
        return moment.date().isoformat()
    return moment.isoformat(timespec="seconds" if value % 1_000 == 0 else "milliseconds")


def _reads_back(attribute: Attribute, said: str, value: Any, zone: str) -> bool:
    try:
        return bool(types.coerce(attribute, said, zone=zone) == value)
    except types.Mismatch:
        return False


def preview(rows: Iterable[Sequence[str]], *, width: int) -> list[list[str]]:
    """Cells for a table on a screen: of a long one its beginning, and one line of each."""
    return [[it if len(it) <= width else f"{it[: width - 1]}…" for it in map(_one_line, row)] for row in rows]


def _one_line(cell: str) -> str:
    return " ".join(cell.split())
