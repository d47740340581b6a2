"""The test client is the police: it holds every request and reply of a test against contract/openapi.yaml.

    async with client("http://127.0.0.1:8000", token=key) as api:
        reply = await api.post("/v1/ext/…", json={…})     # AssertionError when the reply breaks the contract

What it holds the server to:

    path      it is in the contract; a stranger's path or method gets 404 or 405 in the shape of every other
              failure (or 401: a wrong key is wrong everywhere)
    reply     its status, content type and headers are declared, its body fits the schema, and `message` is
              the first of `_errors`
    request   a 2xx says that the request obeyed the contract: key, parameters, content type and body

Why not openapi-core: it knows 3.1 well, but takes 4.5 ms for a pair with two messages and 21 ms for a page
of 26, and its error repeats the whole body. Most of that is its validator: jsonschema by itself takes 1.3 and
15 ms. So schemas are checked by jsonschema-rs, which schemathesis brings along: 0.01 and 0.05 ms. The little
that stands around a schema validator is this page; a pair costs 0.2 and 0.5 ms more than without the police.
"""

import functools
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, unquote

import httpx
import yaml
from jsonschema_rs import Draft202012Validator, ValidationError, ValidationErrorKind

CONTRACT = Path(__file__).parents[2] / "contract" / "openapi.yaml"

JSON = "application/json"
METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})
STRANGERS_MAY_GET = frozenset({401, 404, 405})
# The sandbox is a Cloud API of its own: Meta's contract, not ours.
IGNORED_PREFIXES = ("/sandbox",)
PROBLEM_CHARS = 300
PATIENCE_S = 60.0  # what is answered in a moment takes seconds on a machine that does much else
PROBLEMS_SHOWN = 10


def client(
    base_url: str,
    token: str | None = None,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    ignored: Collection[str] = IGNORED_PREFIXES,
) -> httpx.AsyncClient:
    """A client that asserts the contract at each call; it speaks through `transport`, plain TCP by default."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    police = Police(transport, ignored=ignored)
    return httpx.AsyncClient(base_url=base_url, headers=headers, transport=police, timeout=PATIENCE_S)


def operations() -> set[tuple[str, str]]:
    """Every operation of the contract: (METHOD, path template)."""
    return {(operation.method, operation.template) for operation in contract().operations}


class Police(httpx.AsyncBaseTransport):
    """A transport that raises AssertionError once a request and its reply have broken the contract.

    Paths at or below an `ignored` prefix are nobody's business here, and are not even read.
    """

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        ignored: Collection[str] = IGNORED_PREFIXES,
    ) -> None:
        self._transport = httpx.AsyncHTTPTransport(verify=False) if transport is None else transport
        self._ignored = tuple(prefix.rstrip("/") for prefix in ignored)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if any(path == prefix or path.startswith(prefix + "/") for prefix in self._ignored):
            return await self._transport.handle_async_request(request)

        await request.aread()  # before it is sent: a stream can be read once
        reply = await self._transport.handle_async_request(request)
        await reply.aread()
        inspect(request, reply)
        return reply

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._transport.__aexit__(exc_type, exc_value, traceback)

    async def aclose(self) -> None:
        await self._transport.aclose()


def inspect(request: httpx.Request, reply: httpx.Response) -> None:
    """Raise AssertionError, naming operation, status and place, if this pair breaks the contract.

    The bodies of both have been read.
    """
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        return  # a browser asking for permission (CORS): no operation of anyone's contract
    path = request.url.raw_path.partition(b"?")[0].decode("ascii")
    method = "GET" if request.method == "HEAD" else request.method
    found = contract().find(method, path)
    if found is None:
        problems = list(_strangers_problems(reply))
        name = f"{request.method} {path} (not in the contract)"
    else:
        operation, values = found
        problems = list(_reply_problems(operation, reply, head=request.method == "HEAD"))
        if reply.is_success:
            problems += _request_problems(operation, values, request)
        name = f"{operation.method} {operation.template} ({operation.id})"
    if problems:
        shown = [_shortened(problem) for problem in problems[:PROBLEMS_SHOWN]]
        if len(problems) > PROBLEMS_SHOWN:
            shown.append(f"and {len(problems) - PROBLEMS_SHOWN} more")
        raise AssertionError(f"{name} answered {reply.status_code}:\n  " + "\n  ".join(shown))


# --------------------------------------------------------------------------------------- the three questions


def _strangers_problems(reply: httpx.Response) -> Iterator[str]:
    """What is wrong with the reply to a path or method outside the contract."""
    if reply.status_code not in STRANGERS_MAY_GET:
        yield "reply: what is not in the contract must be answered 404 or 405"
    else:
        yield from _body_problems("reply", reply.headers, reply.content, {JSON: contract().error_reply})
        yield from _message_problems(reply)


def _reply_problems(operation: "Operation", reply: httpx.Response, *, head: bool) -> Iterator[str]:
    """What is wrong with the reply to an operation; the reply to a HEAD has everything but the body."""
    declared = operation.replies.get(str(reply.status_code))
    if declared is None:
        yield f"reply: the status is not declared; declared are {', '.join(sorted(operation.replies))}"
        return
    for parameter in declared.headers:
        yield from _parameter_problems("reply", parameter, reply.headers.get_list(parameter.name))
    if head:
        if reply.content:
            yield "reply: a HEAD is answered without a body"
        return
    yield from _body_problems("reply", reply.headers, reply.content, declared.contents)
    if reply.is_error:
        yield from _message_problems(reply)


def _request_problems(
    operation: "Operation", values: Mapping[str, str], request: httpx.Request
) -> Iterator[str]:
    """What the server should have refused, given that it answered 2xx; unknown parameters are ignored."""
    if operation.needs_key and not re.fullmatch(r"(?i)bearer \S+", request.headers.get("Authorization", "")):
        yield "request header Authorization: the operation needs a key, and there was none"
    for parameter in operation.parameters:
        match parameter.where:
            case "path":
                given = [values[parameter.name]]
            case "query":
                given = request.url.params.get_list(parameter.name)
            case _:
                given = request.headers.get_list(parameter.name)
        yield from _parameter_problems("request", parameter, given)
    if operation.body is not None and (request.content or operation.body.required):
        yield from _body_problems("request", request.headers, request.content, operation.body.contents)


# ----------------------------------------------------------------------------------------------- and answers


def _parameter_problems(side: str, parameter: "Parameter", given: list[str]) -> Iterator[str]:
    """What is wrong with one path, query or header parameter; `given` holds each time it was sent."""
    if not given and parameter.required:
        yield f"{side} {parameter.where} {parameter.name}: it is missing"
    for text in given:
        # On the wire everything is text; what reads as a whole number may be meant as one.
        readings: list[Any] = [text, int(text)] if re.fullmatch(r"-?\d+", text) else [text]
        if not any(parameter.schema.is_valid(reading) for reading in readings):
            yield from _schema_problems(
                f"{side} {parameter.where} {parameter.name}: ", parameter.schema, readings[-1]
            )


def _body_problems(
    side: str, headers: httpx.Headers, content: bytes, contents: Mapping[str, Draft202012Validator | None]
) -> Iterator[str]:
    """What is wrong with a body, given the schema of each declared media type (None: any bytes will do)."""
    if not contents:
        if content:
            yield f"{side}: there is a body, and none is declared"
        return
    media_type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if side == "request" and set(contents) == {JSON}:
        media_type = JSON  # read whatever it is called, see the contract's introduction
    declared = next((range_ for range_ in _ranges(media_type) if range_ in contents), None)
    if declared is None:
        sent = media_type or "missing"
        yield f"{side}: the content type is {sent}; declared are {', '.join(sorted(contents))}"
        return
    schema = contents[declared]
    if schema is None:
        return
    try:
        value = _parsed(media_type, headers, content)
    except ValueError as error:
        yield f"{side}: the body is not {media_type}: {error}"
    else:
        yield from _schema_problems(f"{side} ", schema, value)


def _message_problems(reply: httpx.Response) -> Iterator[str]:
    """The one thing about failures that a schema cannot say."""
    try:
        body = reply.json()
        first, message = body["_errors"][0], body["message"]
    except (ValueError, LookupError, TypeError):
        return  # the schema has said what is wrong with it
    if first != message:
        yield f"reply $.message: {message!r} is not the first of _errors, {first!r}"


def _ranges(media_type: str) -> tuple[str, ...]:
    """What a declared media type may say to mean this one, the most exact first."""
    return (media_type, f"{media_type.partition('/')[0]}/*", "*/*") if media_type else ()


def _parsed(media_type: str, headers: httpx.Headers, content: bytes) -> Any:
    """The body as the value its schema speaks of; ValueError when it is not of its media type."""
    if media_type == "multipart/form-data":
        return _form(headers["Content-Type"], content)
    text = content.decode("utf-8")
    if media_type == "application/x-www-form-urlencoded":
        return dict(parse_qsl(text, keep_blank_values=True))
    return json.loads(text, parse_constant=_no_such_number) if media_type == JSON else text


def _form(content_type: str, content: bytes) -> dict[str, str]:
    """The parts of a form by name; what is not text is read as Latin-1, since no schema looks inside it."""
    form = message_from_bytes(b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n" + content)
    if not form.is_multipart():
        raise ValueError("it has no parts, or no boundary")
    parts = [part for part in form.walk() if part is not form]
    return {_name_of(part): bytes(part.get_payload(decode=True)).decode("latin-1") for part in parts}


def _name_of(part: Message) -> str:
    name = part.get_param("name", header="Content-Disposition")
    if not isinstance(name, str):
        raise ValueError("it has a part without a name")
    return name


def _no_such_number(constant: str) -> Any:
    raise ValueError(f"{constant} is Python's, not JSON's")


def _schema_problems(prefix: str, schema: Draft202012Validator, value: Any) -> Iterator[str]:
    for error in schema.iter_errors(value):
        yield from _explained(prefix, error)


def _explained(prefix: str, error: ValidationError, at: str = "$") -> Iterator[str]:
    """A line with the JSON path; where no branch of several fits, also a line for each one's complaint."""
    place = at + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.instance_path)
    match error.kind:
        case (
            ValidationErrorKind.OneOfNotValid(context=branches) | ValidationErrorKind.AnyOf(context=branches)
        ):
            yield f"{prefix}{place}: it is none of the {len(branches)} things it may be"
            for number, complaints in enumerate(branches, start=1):
                for complaint in complaints:
                    # A branch tells the whole path again.
                    yield from _explained(f"{prefix}(as {number}) ", complaint, at)
        case _:
            yield f"{prefix}{place}: {error.message}"


def _shortened(line: str) -> str:
    return line if len(line) <= PROBLEM_CHARS else f"{line[:PROBLEM_CHARS]}…"


# --------------------------------------------------------------------------- the contract, ready to be asked


@dataclass(frozen=True)
class Parameter:
    name: str
    where: str
    required: bool
    schema: Draft202012Validator


@dataclass(frozen=True)
class Body:
    required: bool
    contents: Mapping[str, Draft202012Validator | None]


@dataclass(frozen=True)
class Reply:
    headers: tuple[Parameter, ...]
    contents: Mapping[str, Draft202012Validator | None]


@dataclass(frozen=True)
class Operation:
    id: str
    method: str
    template: str
    needs_key: bool
    parameters: tuple[Parameter, ...]
    body: Body | None
    replies: Mapping[str, Reply]

    def values(self, segments: list[str]) -> dict[str, str] | None:
        """The path's variables, or None if this is another operation's path. A variable is never empty."""
        steps = self.template.split("/")
        if len(steps) != len(segments):
            return None
        pairs = list(zip(steps, segments, strict=True))
        if not all(given if step.startswith("{") else given == step for step, given in pairs):
            return None
        return {step[1:-1]: given for step, given in pairs if step.startswith("{")}


@dataclass(frozen=True)
class Contract:
    operations: tuple[Operation, ...]
    error_reply: Draft202012Validator

    def find(self, method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
        """The operation of a percent-encoded path, and its decoded variables; literals win over variables."""
        segments = [unquote(segment) for segment in path.split("/")]
        for operation in self.operations:
            if operation.method == method and (values := operation.values(segments)) is not None:
                return operation, values
        return None


@functools.cache
def document() -> dict[str, Any]:
    """The contract as it is written. Not to be changed: it is read once."""
    parsed: dict[str, Any] = yaml.safe_load(CONTRACT.read_text("utf-8"))
    return parsed


@functools.cache
def contract() -> Contract:
    """The contract, compiled once."""
    found = [
        _operation(method, template, item)
        for template, item in document()["paths"].items()
        for method in METHODS & item.keys()
    ]
    found.sort(key=lambda operation: [step.startswith("{") for step in operation.template.split("/")])
    return Contract(tuple(found), validator({"$ref": "#/components/schemas/ErrorReply"}))


def validator(schema: Mapping[str, Any]) -> Draft202012Validator:
    """A validator of a schema of the contract, which may refer to the contract's components."""
    # Only those it needs: with all of them each of a thousand validators takes two megabytes, and all ten seconds.
    needed: dict[str, Any] = {}
    _gather(schema, needed)
    return Draft202012Validator({**schema, "components": {"schemas": needed}}, validate_formats=True)


def _gather(node: Any, needed: dict[str, Any]) -> None:
    """The schemas that this one refers to, and those they refer to, by name."""
    if isinstance(node, list):
        for it in node:
            _gather(it, needed)
    elif isinstance(node, dict):
        name = str(node.get("$ref", "")).removeprefix("#/components/schemas/").partition("/")[0]
        if name in document()["components"]["schemas"] and name not in needed:
            needed[name] = document()["components"]["schemas"][name]
            _gather(needed[name], needed)
        for it in node.values():
            _gather(it, needed)


def resolved(node: Any) -> Any:
    """What a node of the document stands for: itself, or what its `$ref` points at."""
    while "$ref" in node:
        steps = node["$ref"].removeprefix("#/").split("/")
        node = functools.reduce(lambda parent, step: parent[step], steps, document())
    return node


def _operation(method: str, template: str, item: Mapping[str, Any]) -> Operation:
    written = item[method]
    security = written.get("security", document()["security"])
    parameters = map(resolved, [*item.get("parameters", []), *written.get("parameters", [])])
    return Operation(
        id=written["operationId"],
        method=method.upper(),
        template=template,
        needs_key=bool(security) and {} not in security,
        parameters=tuple(
            Parameter(each["name"], each["in"], each.get("required", False), validator(each["schema"]))
            for each in parameters
        ),
        body=_body(resolved(written["requestBody"])) if "requestBody" in written else None,
        replies={status: _reply(resolved(reply)) for status, reply in written["responses"].items()},
    )


def _body(written: Mapping[str, Any]) -> Body:
    return Body(written.get("required", False), _contents(written))


def _reply(written: Mapping[str, Any]) -> Reply:
    headers = {name: resolved(header) for name, header in written.get("headers", {}).items()}
    return Reply(
        headers=tuple(
            Parameter(name, "header", header.get("required", False), validator(header["schema"]))
            for name, header in headers.items()
        ),
        contents=_contents(written),
    )


def _contents(written: Mapping[str, Any]) -> dict[str, Draft202012Validator | None]:
    return {
        media_type: validator(content["schema"]) if "schema" in content else None
        for media_type, content in written.get("content", {}).items()
    }
