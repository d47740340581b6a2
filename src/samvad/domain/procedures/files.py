"""Procedures as YAML: read with everything that is wrong with its shape, each with its line; and written. No I/O."""

import math
import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, TypeVar

import msgspec
import yaml

from samvad.domain.procedures.model import (
    Attribute,
    Definition,
    Derived,
    Document,
    Entity,
    Field,
    Form,
    FormAction,
    Generator,
    Page,
    Shape,
    State,
    TaskDefinition,
)
from samvad.kit.errors import BadRequest

LARGEST_FILE = 1024 * 1024  # bytes
MOST_VALUES = 200_000  # a few lines of YAML with aliases can stand for billions
DEEPEST = 50
MOST_PROBLEMS = 50  # told at once

PARTS: dict[str, tuple[str, type[Shape]]] = {
    "procedures": ("procedure", Definition),
    "entities": ("entity", Entity),
    "attributes": ("attribute", Attribute),
    "states": ("state", State),
    "tasks": ("task", TaskDefinition),
    "forms": ("form", Form),
    "pages": ("page", Page),
    "fields": ("field", Field),
    "actions": ("action", FormAction),
    "derived": ("derived", Derived),
    "generate": ("generate", Generator),
}
"""Keys under which parts stand: what one of them is called, and its shape."""

KINDS = {
    "str": "text",
    "array": "a list",
    "object": "an object",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "null": "nothing",
}

Kept = TypeVar("Kept", bound=Shape)
Step = str | int


def read_document(text: str) -> Document:
    """A file as a document. Raises BadRequest with everything that is wrong with its shape."""
    if len(text.encode("utf-8", "replace")) > LARGEST_FILE:
        raise BadRequest(f"The file is larger than {LARGEST_FILE // 1024} KiB.")
    try:
        reader = _Reader(text)
        given = reader.whole()
    except yaml.YAMLError as error:
        raise BadRequest(f"The file is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(given, _Map):
        raise BadRequest("The file must hold `procedures:` and perhaps `entities:`.")
    document, problems = _shaped(given)
    problems = sorted(reader.problems + problems, key=_line_of)
    if problems:
        more = [f"… and {len(problems) - MOST_PROBLEMS} more."] if len(problems) > MOST_PROBLEMS else []
        raise BadRequest(*problems[:MOST_PROBLEMS], *more)
    assert document is not None
    if not document.procedures and not document.entities:
        raise BadRequest("The file holds no procedure and no entity.")
    return document


def _line_of(problem: str) -> int:
    return int(problem.split(":", 1)[0].removeprefix("line "))


def write_document(document: Document) -> str:
    """A document as YAML that reads back to the same; ids are left out, for they belong to one team."""
    plain = msgspec.to_builtins(without_ids(document))
    return yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def without_ids(it: Kept) -> Kept:
    """The same part, and all parts within it, as a file describes them."""
    changes: dict[str, Any] = {}
    for name in it.__struct_fields__:
        value = getattr(it, name)
        if name in ("id", "entity_id"):
            changes[name] = "" if name == "id" else None
        elif isinstance(value, Shape):
            changes[name] = without_ids(value)
        elif isinstance(value, tuple):
            changes[name] = tuple(without_ids(one) if isinstance(one, Shape) else one for one in value)
    return msgspec.structs.replace(it, **changes)


class _Map(dict[str, Any]):
    """A mapping that knows in which line each of its keys stands."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}


class _Seq(list[Any]):
    """A list that knows in which line each of its items stands."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: list[int] = []


class _Loader(yaml.SafeLoader):
    """YAML whose dates stay the text they are: JSON has none."""

    yaml_implicit_resolvers = {  # noqa: RUF012 — as PyYAML has it
        first: [it for it in some if it[0] != "tag:yaml.org,2002:timestamp"]
        for first, some in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class _Dumper(yaml.SafeDumper):
    """YAML in which a line break of Unicode's own survives: PyYAML reads it back only from double quotes."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = '"' if any(it in value for it in "\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


class _Reader:
    """YAML as values that know their lines, and that JSON and both databases can hold."""

    def __init__(self, text: str) -> None:
        self.loader = _Loader(text)
        self.problems: list[str] = []
        self.values = 0
        self.own: dict[int, int] = {}

    def whole(self) -> Any:
        node = self.loader.get_single_node()
        return None if node is None else self._value(node, DEEPEST)

    def _value(self, node: yaml.Node, left: int) -> Any:
        self.values += 1
        if left == 0 or self.values > MOST_VALUES:
            raise BadRequest(
                f"The file is nested deeper than {DEEPEST}, or holds more than {MOST_VALUES:,} values."
            )
        line = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, line, left)
        if isinstance(node, yaml.SequenceNode):
            items = _Seq(line)
            for it in node.value:
                items.append(self._value(it, left - 1))
                items.lines.append(it.start_mark.line + 1)
            return items
        return self._scalar(node, line)

    def _mapping(self, node: yaml.MappingNode, line: int, left: int) -> _Map:
        own = sum(it.tag != "tag:yaml.org,2002:merge" for it, _ in node.value)
        own = self.own.setdefault(id(node), own)  # an alias comes here again, when all is merged
        self.loader.flatten_mapping(node)  # `<<`: what is merged comes first, and may be said otherwise here
        found, said = _Map(line), set()
        for number, (key_node, value_node) in enumerate(node.value):
            at = key_node.start_mark.line + 1
            key = self._scalar(key_node, at) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                text = getattr(key_node, "value", "?")
                self.problems.append(f"line {at}: the key {text!s:.60} must be text: write it in quotes.")
                continue
            if number >= len(node.value) - own:
                if key in said:
                    self.problems.append(f"line {at}: the key {key!s:.60} is there twice.")
                said.add(key)
            found[key] = self._value(value_node, left - 1)
            found.lines[key] = at
        return found

    def _scalar(self, node: yaml.Node, line: int) -> Any:
        value = self.loader.construct_object(node)
        if isinstance(value, str):
            if "\0" in value or any("\ud800" <= it <= "\udfff" for it in value):
                self.problems.append(f"line {line}: a text holds a character that cannot be kept.")
                return ""
            return value
        if (
            value is None
            or isinstance(value, bool | int)
            or (isinstance(value, float) and math.isfinite(value))
        ):
            return value
        self.problems.append(f"line {line}: {node.value!s:.60} is no value of JSON: write it in quotes.")
        return None


def _shaped(given: _Map) -> tuple[Document | None, list[str]]:
    """The document, or every problem of its shape: what is wrong is taken out, and the rest looked at again."""
    problems: list[str] = []
    while len(problems) <= MOST_PROBLEMS:
        try:
            return msgspec.convert(given, Document), problems
        except msgspec.ValidationError as error:
            words, _, path = str(error).partition(" - at `$")
            problems.append(_told(given, words, list(_steps(path.rstrip("`"))), within="[...]" in path))
    return None, problems


def _steps(path: str) -> Iterator[Step]:
    """`.procedures[0].stateGraph[...]` → procedures, 0, stateGraph: inside of what has free keys it says no more."""
    for name, number in re.findall(r"\.(\w+)|\[(\d+|\.\.\.)\]", path):
        if number == "...":
            return
        yield name or int(number)


def _told(given: _Map, words: str, steps: list[Step], *, within: bool) -> str:
    """The problem as a sentence with its place; afterwards the place is as it should be, or empty."""
    line, names = given.line, []
    value: Any = given
    part: tuple[str, type[Shape]] = ("file", Document)
    for before, step in zip([None, *steps], steps, strict=False):
        line = value.lines[step]
        parent, value = value, value[step]
        if isinstance(step, int):
            part = PARTS.get(str(before), part)
            names.append(f"{part[0]} {_label(value, step)}")
        elif step not in PARTS or not isinstance(value, _Seq):
            part = PARTS.get(step, part)
            names.append(step)
    key = re.search(r"`(\w*)`", words)
    named = key[1] if key else ""
    if words.startswith("Object contains unknown field"):
        line = value.lines[named]
        del value[named], value.lines[named]
        near = get_close_matches(named, part[1].__struct_encode_fields__, n=1)
        said = f"there is no key {named!r:.60}{f'; did you mean {near[0]}?' if near else '.'}"
    elif words.startswith("Object missing required field"):
        line = value.line
        value[named], value.lines[named] = "", line
        said = f"{named} is missing."
    else:
        wanted = [KINDS.get(it, it) for it in re.findall(r"`([^`]+)`", words)[0].split(" | ")]
        got = "an object" if isinstance(value, dict) else "a list" if isinstance(value, list) else repr(value)
        hint = ": write it in quotes" if "text" in wanted and isinstance(value, bool | int | float) else ""
        if within:
            got = KINDS.get(words.rsplit("`", 2)[1], "something else")
            names.append("what stands in it")
        said = f"must be {' or '.join(it for it in wanted if it != 'nothing')}; got {got:.60}{hint}."
        if "text" in wanted and not within:
            parent[steps[-1]] = ""  # it may be required
        else:
            del parent[steps[-1]], parent.lines[steps[-1]]
    return ": ".join([f"line {line}", *names, said])


def _label(value: Any, number: int) -> str:
    word = (
        value.get("shortId") or value.get("attribute") or value.get("name")
        if isinstance(value, _Map)
        else None
    )
    return word if isinstance(word, str) and word else f"number {number + 1}"
