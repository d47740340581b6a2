"""What the last release promised still holds: a change that removes or narrows fails here.

`contract/released/` has the contract of each release; a new release adds its own file. What may not vanish:
operations, and in each what the client may send (a request that was good stays good) and what it may read
(a property that was promised is still there).
"""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract import police

RELEASES = sorted((police.CONTRACT.parent / "released").glob("*.yaml"))
METHODS = sorted(police.METHODS)

Document = dict[str, Any]

FORGIVEN = (
    # Of 0.1.0: it promised a number that Meta's error objects turned out not always to have.
    ".error: `code` may be missing now",
    # Only of deliveries of the format OBJECT, which nobody gets who has not asked for them.
    ".plugin: it may be ['null'] now",
)


@pytest.mark.parametrize("release", RELEASES, ids=lambda file: file.stem)
def test_nothing_that_was_released_is_taken_back(release: Path) -> None:
    taken_back = [it for it in broken(_read(release), police.document()) if not it.endswith(FORGIVEN)]

    assert taken_back == []


def test_the_comparison_notices_what_it_is_for() -> None:
    def changed(**schema: Any) -> Document:
        body = {"type": "object", "required": ["to"], "properties": {"to": {"type": "string"}}, **schema}
        reply = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}
        return _document(body, reply)

    before = changed()
    wanted = changed(required=["to", "from"])
    narrowed = changed(properties={"to": {"enum": ["a", "b"]}})
    retyped = changed(properties={"to": {"type": "integer"}})
    gone = _document({"type": "object"}, {"type": "object", "properties": {}})

    assert list(broken(before, before)) == []
    assert list(broken(before, changed(properties={"to": {"type": ["string", "null"]}, "more": {}}))) == []
    assert list(broken(before, {"paths": {}})) == ["POST /a: the operation is gone"]
    assert "POST /a request: `from` is required now" in list(broken(before, wanted))
    assert any("enum" in it for it in broken(before, narrowed))
    assert any("type" in it for it in broken(before, retyped))
    assert "POST /a reply 200: `id` is gone" in list(broken(before, gone))
    assert list(broken(gone, before)) == ["POST /a request: `to` is required now"]


def broken(before: Document, now: Document) -> Iterator[str]:
    """What a client of the contract before would miss in the one of now."""
    for path, item in before["paths"].items():
        for method in (it for it in METHODS if it in item):
            name = f"{method.upper()} {path}"
            there = now["paths"].get(path, {}).get(method)
            if there is None:
                yield f"{name}: the operation is gone"
                continue
            yield from _parameters(name, (before, item, item[method]), (now, now["paths"][path], there))
            yield from _body(name, before, item[method], now, there)
            yield from _replies(name, before, item[method], now, there)


def _parameters(
    name: str, before: tuple[Document, Any, Any], now: tuple[Document, Any, Any]
) -> Iterator[str]:
    old, new = _named(*before), _named(*now)
    for key, parameter in new.items():
        if parameter.get("required") and not old.get(key, {}).get("required"):
            yield f"{name}: {' '.join(key)} is required now"
    for key, parameter in old.items():
        if key not in new:
            yield f"{name}: {' '.join(key)} is gone"
        else:
            where = f"{name} {' '.join(key)}"
            yield from _narrower(where, before[0], parameter["schema"], now[0], new[key]["schema"])


def _body(name: str, before: Document, old: Any, now: Document, new: Any) -> Iterator[str]:
    old_body, new_body = (
        _resolved(document, written.get("requestBody", {}))
        for document, written in ((before, old), (now, new))
    )
    if new_body.get("required") and not old_body.get("required"):
        yield f"{name} request: a body is required now"
    for media_type, content in old_body.get("content", {}).items():
        there = new_body.get("content", {}).get(media_type)
        if there is None:
            yield f"{name} request: {media_type} is gone"
        elif "schema" in content and "schema" in there:
            yield from _narrower(f"{name} request", before, content["schema"], now, there["schema"])


def _replies(name: str, before: Document, old: Any, now: Document, new: Any) -> Iterator[str]:
    for status, reply in old["responses"].items():
        if status not in new["responses"]:
            if status.startswith("2"):
                yield f"{name} reply {status}: it is gone"
            continue
        there = _resolved(now, new["responses"][status]).get("content", {})
        for media_type, content in _resolved(before, reply).get("content", {}).items():
            if media_type not in there:
                yield f"{name} reply {status}: {media_type} is gone"
            elif "schema" in content:
                schema = there[media_type].get("schema", {})
                yield from _missing(f"{name} reply {status}", before, content["schema"], now, schema)


def _narrower(
    where: str, before: Document, old: Any, now: Document, new: Any, depth: int = 0
) -> Iterator[str]:
    """What was a good value and is none any more, as far as keywords tell."""
    old, new = _merged(before, old), _merged(now, new)
    for required in set(new.get("required", [])) - set(old.get("required", [])):
        yield f"{where}: `{required}` is required now"
    if "type" in new and not _types(old) <= _types(new):
        yield f"{where}: type {sorted(_types(old) - _types(new))} is no longer taken"
    if "enum" in new and not set(map(str, old.get("enum", ["anything"]))) <= set(map(str, new["enum"])):
        yield f"{where}: enum {new['enum']} is narrower"
    for keyword, worse in (("maximum", int.__lt__), ("maxLength", int.__lt__), ("minimum", int.__gt__)):
        if keyword in new and (keyword not in old or worse(new[keyword], old[keyword])):
            yield f"{where}: {keyword} {new[keyword]} is narrower"
    if depth < 8:
        for name, inner in old.get("properties", {}).items():
            if name in new.get("properties", {}):
                there = new["properties"][name]
                yield from _narrower(f"{where}.{name}", before, inner, now, there, depth + 1)


def _missing(
    where: str, before: Document, old: Any, now: Document, new: Any, depth: int = 0
) -> Iterator[str]:
    """What was promised in a reply and is not, or not always, there any more."""
    old, new = _merged(before, old), _merged(now, new)
    for name in old.get("properties", {}):
        if name not in new.get("properties", {}):
            yield f"{where}: `{name}` is gone"
        elif name in old.get("required", []) and name not in new.get("required", []):
            yield f"{where}: `{name}` may be missing now"
        elif depth < 8:
            inner = old["properties"][name], new["properties"][name]
            yield from _missing(f"{where}.{name}", before, inner[0], now, inner[1], depth + 1)
    if "items" in old and depth < 8:
        yield from _missing(f"{where}[]", before, old["items"], now, new.get("items", {}), depth + 1)
    if "type" in old and "type" in new and not _types(new) <= _types(old):
        yield f"{where}: it may be {sorted(_types(new) - _types(old))} now"


def _merged(document: Document, schema: Any) -> dict[str, Any]:
    """A schema with what it refers to and all it is made of, in one; of alternatives only the common part."""
    schema = dict(schema)
    parts = [_merged(document, _resolved(document, {"$ref": schema.pop("$ref")}))] if "$ref" in schema else []
    parts += [_merged(document, it) for it in schema.pop("allOf", [])]
    whole: dict[str, Any] = {"properties": {}, "required": []}
    for part in (*parts, schema):
        properties = {**whole["properties"], **part.get("properties", {})}
        required = [*whole["required"], *part.get("required", [])]
        whole = {**whole, **part, "properties": properties, "required": required}
    return whole


def _types(schema: Any) -> set[str]:
    """The types a value may have; a number may be an integer."""
    every = ["string", "number", "integer", "boolean", "object", "array", "null"]
    given = schema.get("type", every)
    types = {given} if isinstance(given, str) else set(given)
    return types | ({"integer"} if "number" in types else set())


def _named(document: Document, item: Any, operation: Any) -> dict[tuple[str, str], Any]:
    """The parameters of an operation by place and name. A path's variables are its template's."""
    written = [
        _resolved(document, it) for it in (*item.get("parameters", []), *operation.get("parameters", []))
    ]
    return {(it["in"], it["name"]): it for it in written}


def _resolved(document: Document, node: Any) -> Any:
    while "$ref" in node:
        steps = node["$ref"].removeprefix("#/").split("/")
        node = functools.reduce(lambda parent, step: parent[step], steps, document)
    return node


def _read(file: Path) -> Document:
    document: Document = yaml.safe_load(file.read_text("utf-8"))
    return document


def _document(body: Any, reply: Any) -> Document:
    operation = {
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {"200": {"content": {"application/json": {"schema": reply}}}},
    }
    return {"paths": {"/a": {"post": operation}}}
