"""Formulas of derived attributes, in CEL (https://cel.dev): read when a procedure is applied, then evaluated often.

    data.amount * 1.18        has(data.score) && data.score > 50 ? "hot" : "cold"        size(data.tags)

A formula sees `data`, `derived` and `record` by the short ids of their attributes, `status`, `state` (a short id) and
`now`; moments are epoch milliseconds. Google's own library understands and evaluates it. We look at what it
understood, and bound it: no loop within a loop, no regular expressions, and no work on values so large that it could
hold up everybody else.
"""

import datetime as dt
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec

try:
    from cel_expr_python import cel
except ImportError:  # no build for this machine: an Intel Mac, or Linux with musl
    cel = None

LONGEST_FORMULA = 2_000  # characters
MOST_ROUNDS = 10_000  # of all loops of one evaluation; the library's own limit
MOST_WORK_NS = 250_000_000
"""What one evaluation may cost, as estimated beforehand. The worst that a search of 5,900 came upon took 130 ms and
200 MB; an ordinary formula takes 10 µs."""

ATTRIBUTES_OF = ("data", "derived", "record")
"""The variables that are followed by the short id of an attribute."""


class NotAFormula(Exception):
    """What cannot be used as a formula; a sentence that shows where and why."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Short ids of the attributes that a formula reads."""

    data: frozenset[str]
    derived: frozenset[str]
    record: frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class Formula:
    """An expression that was understood."""

    expression: str
    inputs: Inputs
    shape: "_Shape"
    program: Any

    def value(
        self,
        *,
        data: Mapping[str, Any],
        derived: Mapping[str, Any],
        record: Mapping[str, Any] | None,
        status: str,
        state: str,
        now: int,
    ) -> Any:
        """The value in JSON; None where there is none: something is missing, overflows, or is too large to compute."""
        given = {
            "data": _only(self.inputs.data, data),
            "derived": _only(self.inputs.derived, derived),
            "record": _only(self.inputs.record, record or {}),
            "status": status,
            "state": state,
            "now": now,
        }
        try:
            if self.shape.work_ns(given) > MOST_WORK_NS:
                return None
            found = self.program.eval(data=given)
            return None if found.type() == cel.Type.ERROR else _as_json(found.plain_value())
        except Exception:  # whatever the library thinks of a value: an attribute without one harms nobody
            return None


@lru_cache(maxsize=5_000)
def compile(expression: str) -> Formula:
    """Understand a formula, once. Raises NotAFormula."""
    if cel is None:
        raise NotAFormula("Formulas cannot be used on this machine: cel-expr-python has no build for it.")
    if len(expression) > LONGEST_FORMULA:
        raise NotAFormula(
            f"A formula has at most {LONGEST_FORMULA:,} characters; this one has {len(expression):,}."
        )
    if "\0" in expression or not expression.strip():
        raise NotAFormula('A formula cannot be empty or hold the character NUL; try "data.score * 2".')
    try:
        program = _environment().compile(expression)
        tree = _expression_in(program.serialize())
    except (RuntimeError, ValueError) as error:
        raise NotAFormula(_what_is_wrong(expression, str(error))) from None
    shape = _Shape(characters=len(expression))
    shape.look_at(tree, loop=None)
    return Formula(expression, shape.inputs(), shape, program)


def inputs(expression: str) -> Inputs:
    """The attributes a formula reads. Raises NotAFormula."""
    return compile(expression).inputs


def _only(names: frozenset[str], values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in names if values.get(name) is not None}


def _as_json(value: Any) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case list():
            return [_as_json(it) for it in value]
        case dict():
            return {str(key): _as_json(it) for key, it in value.items()}
        case dt.datetime():
            return round(value.timestamp() * 1000)
        case dt.timedelta():
            return value // dt.timedelta(milliseconds=1)
    return None


_PROBLEM = re.compile(r"ERROR: <input>:(\d+):(\d+): (?:Syntax error: )?(.*)")


def _what_is_wrong(expression: str, said: str) -> str:
    """The library's first complaint, as a sentence that shows the place."""
    first = _PROBLEM.search(said)
    if first is None:
        if "recursion" in said:
            return "The formula is nested too deeply, or too many values stand in one row; split it."
        return f"The formula cannot be used: {said[:200]}."
    line, column, complaint = int(first[1]), int(first[2]), first[3].split(" expecting {")[0]
    complaint = complaint.replace(" (in container '')", "").removesuffix(" [INVALID_ARGUMENT]")
    lines = expression.split("\n")
    if not 0 < line <= len(lines):
        return f"The formula is wrong: {complaint[:300]}."
    here = lines[line - 1][max(column - 1, 0) :][:30]
    place = f'at "{here}"' if here.strip() else "at its end"
    return f"The formula is wrong in line {line}, column {column}, {place}: {complaint[:300]}."


# CEL keeps integers and floats apart: 5 * 1.5 is an error in it. Attributes do not (a whole price is kept as 5), so
# the four operations are declared anew, with what CEL has and the mixed ones.
_OPERATIONS: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "_+_": ("add", operator.add),
    "_-_": ("subtract", operator.sub),
    "_*_": ("multiply", operator.mul),
    "_/_": ("divide", operator.truediv),
}


@lru_cache(maxsize=1)
def _environment() -> Any:
    kinds = cel.Type
    excluded = "".join(f'    - name: "{name}"\n' for name in _OPERATIONS)
    attributes = kinds.Map(kinds.STRING, kinds.DYN)
    return cel.NewEnv(
        config=cel.NewEnvConfigFromYaml(f"stdlib:\n  exclude_functions:\n{excluded}"),
        variables=dict.fromkeys(ATTRIBUTES_OF, attributes)
        | {"status": kinds.STRING, "state": kinds.STRING, "now": kinds.INT},
        functions=[_declared(name, *_OPERATIONS[name]) for name in _OPERATIONS],
    )


def _declared(name: str, word: str, mixed: Callable[[Any, Any], Any]) -> Any:
    kinds = cel.Type

    def overload(id_: str, one: Any, other: Any, result: Any, impl: Any = None) -> Any:
        return cel.Overload(id=id_, return_type=result, parameters=[one, other], impl=impl)

    overloads = [
        overload(f"{word}_int64", kinds.INT, kinds.INT, kinds.INT),
        overload(f"{word}_double", kinds.DOUBLE, kinds.DOUBLE, kinds.DOUBLE),
        overload(f"{word}_int_double", kinds.INT, kinds.DOUBLE, kinds.DOUBLE, mixed),
        overload(f"{word}_double_int", kinds.DOUBLE, kinds.INT, kinds.DOUBLE, mixed),
    ]
    if word == "add":
        items = kinds.List(kinds.DYN)
        overloads.append(overload("add_string", kinds.STRING, kinds.STRING, kinds.STRING))
        overloads.append(overload("add_list", items, items, items))
    return cel.FunctionDecl(name, overloads)


_INSTANT = frozenset(
    {"_&&_", "_||_", "!_", "-_", "_?_:_", "@not_strictly_false", "_[_]", "dyn"}
)  # whatever they are given
_BUILDING = "_+_"
_SEARCHING = frozenset({"contains"})  # in the worst case each character with each
_OF_A_MOMENT = frozenset(
    f"get{it}"
    for it in (
        *("FullYear", "Month", "Date", "DayOfMonth", "DayOfWeek", "DayOfYear"),
        *("Hours", "Minutes", "Seconds", "Milliseconds"),
    )
)
_OTHERS = frozenset(
    {"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "_%_", "@in", "size", "startsWith", "endsWith"}
    | {"int", "double", "string", "bool", "timestamp", "duration"}
)
_ALLOWED = _INSTANT | _SEARCHING | _OF_A_MOMENT | _OTHERS | frozenset(_OPERATIONS)


@dataclass(slots=True)
class _Shape:
    """What a formula is made of, as far as it says what an evaluation can cost."""

    characters: int
    reads: dict[str, set[str]] = field(default_factory=lambda: {it: set() for it in ATTRIBUTES_OF})
    calls: int = 0  # that look at all of what they are given
    searches: int = 0
    builders: int = 0  # that make something as large as all they are given
    growth: int = 1  # how many times larger the loops together make what goes through them
    loops: int = 0

    def inputs(self) -> Inputs:
        return Inputs(**{name: frozenset(read) for name, read in self.reads.items()})

    def work_ns(self, given: Mapping[str, Any]) -> int:
        """The worst an evaluation can cost; the rates are those of a slow core."""
        raw = msgspec.json.encode(given)
        larger = self.growth * (self.builders + 1)
        size = (len(raw) + self.characters) * larger
        items = (raw.count(b",") + raw.count(b"[") + raw.count(b"{") + self.builders) * larger
        rounds = min(MOST_ROUNDS, self.loops * items) or 1
        looking = self.calls * (size * 3 // 4 + 10 * items + 100)
        searching = self.searches * size * size // 200
        return rounds * (looking + searching + self.builders * size)

    def look_at(self, node: "_Fields", *, loop: "_Shape | None") -> None:
        """Count what an expression holds; `loop` is what counts for the innermost loop around it."""
        for kind, parts in node.items():
            inner = _fields(parts[0]) if kind != 2 and isinstance(parts[0], bytes) else {}
            match kind:
                case 4:
                    self.look_at_name(_text(inner, 1))
                case 5:
                    self.look_at_member(inner, loop)
                case 6:
                    self.look_at_call(inner, loop)
                case 7:
                    self.builds(len(inner.get(1, [])), loop)
                    self.look_at_all(inner.get(1, []), loop)
                case 8:
                    self.look_at_object(inner, loop)
                case 9:
                    self.look_at_loop(inner, loop)

    def look_at_all(self, nodes: "list[Any]", loop: "_Shape | None") -> None:
        for it in nodes:
            self.look_at(_fields(it), loop=loop)

    def look_at_name(self, name: str) -> None:
        if name.lstrip(".") in ATTRIBUTES_OF:
            raise NotAFormula(f'{name} has to be followed by an attribute: {name}.score, or {name}["score"].')

    def look_at_member(self, member: "_Fields", loop: "_Shape | None") -> None:
        if not self.reads_attribute(member[1][0], _text(member, 2)):
            self.look_at_all(member[1], loop)

    def look_at_call(self, call: "_Fields", loop: "_Shape | None") -> None:
        name, arguments = _text(call, 2), call.get(3, [])
        if name not in _ALLOWED:
            usable = ", ".join(sorted(it for it in _ALLOWED if it.isalpha()))
            raise NotAFormula(f"{name} cannot be used in a formula; there are the operators and {usable}.")
        if name in _OF_A_MOMENT and arguments:
            raise NotAFormula(f"{name}() is that of UTC and takes no time zone.")
        if name == "_[_]" and len(arguments) == 2:
            key = _constant_text(arguments[1])
            if key is not None and self.reads_attribute(arguments[0], key):
                return
        self.calls += name not in _INSTANT
        if name == _BUILDING and _is_result_of_loop(
            arguments[0]
        ):  # map and filter add what they found, in a list
            self.look_at_all(_fields(_fields(arguments[1])[7][0])[1], loop)
            return
        self.searches += name in _SEARCHING
        self.builds(name == _BUILDING, loop)
        self.look_at_all([*call.get(1, []), *arguments], loop)

    def look_at_object(self, made: "_Fields", loop: "_Shape | None") -> None:
        if _text(made, 1):
            raise NotAFormula(f"{_text(made, 1)} cannot be made in a formula.")
        entries = [_fields(it) for it in made.get(2, [])]
        self.builds(len(entries), loop)
        for it in entries:
            self.look_at_all([*it.get(3, []), *it.get(4, [])], loop)

    def look_at_loop(self, made: "_Fields", loop: "_Shape | None") -> None:
        """A macro, such as exists or map, as the library wrote it out."""
        if loop is not None:
            raise NotAFormula(
                "A formula has no loop within a loop: put the inner one into another attribute."
            )
        if _text(made, 1) in (*ATTRIBUTES_OF, "status", "state", "now"):
            raise NotAFormula(f"The variable of a loop cannot be called {_text(made, 1)}; use another name.")
        self.loops += 1
        self.look_at_all([*made[2], *made[4]], None)  # what it goes through may itself come from a loop
        body = _Shape(characters=0)
        self.look_at_all([it for part in (5, 6, 7) for it in made.get(part, [])], body)
        self.growth *= body.builders + 1

    def builds(self, number: int, loop: "_Shape | None") -> None:
        self.builders += number
        if loop is not None:
            loop.builders += number

    def reads_attribute(self, owner: bytes, name: str) -> bool:
        ident = _fields(owner).get(4)
        variable = _text(_fields(ident[0]), 1).lstrip(".") if ident and isinstance(ident[0], bytes) else ""
        if variable not in self.reads:
            return False
        self.reads[variable].add(name)
        return True


# The library shows what it understood only as a message in Protocol Buffers' wire format, cel.expr.CheckedExpr
# (https://github.com/google/cel-spec, syntax.proto, checked.proto). Reading five of its messages takes these lines.

_Fields = dict[int, list[Any]]


def _expression_in(serialized: bytes) -> _Fields:
    anything = _fields(serialized)
    assert _text(anything, 1).endswith("/cel.expr.CheckedExpr"), (
        "the library keeps expressions in another way now"
    )
    return _fields(_fields(anything[2][0])[4][0])


def _text(message: _Fields, number: int) -> str:
    found = message.get(number)
    return found[0].decode() if found else ""


def _is_result_of_loop(node: bytes) -> bool:
    """Whether it is the variable that a macro collects in; no formula can spell its name."""
    ident = _fields(node).get(4)
    return ident is not None and _text(_fields(ident[0]), 1) == "@result"


def _constant_text(node: bytes) -> str | None:
    constant = _fields(node).get(3)
    found = _fields(constant[0]).get(6) if constant else None
    return found[0].decode() if found else None


def _fields(raw: bytes) -> _Fields:
    fields: _Fields = {}
    for number, value in _read(raw):
        fields.setdefault(number, []).append(value)
    return fields


def _read(raw: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(raw):
        tag, at = _varint(raw, at)
        match tag & 7:
            case 0:
                value, at = _varint(raw, at)
                yield tag >> 3, value
            case 1:
                yield tag >> 3, raw[at : at + 8]
                at += 8
            case 2:
                length, at = _varint(raw, at)
                yield tag >> 3, raw[at : at + length]
                at += length
            case 5:
                yield tag >> 3, raw[at : at + 4]
                at += 4
            case other:
                raise AssertionError(f"wire type {other}")


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
