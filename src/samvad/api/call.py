"""A request as an operation's endpoint sees it, and the adapter that makes endpoints of functions."""

import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.types import Receive, Scope, Send

from samvad.api.limits import Limits
from samvad.asgi.bodies import header, read_body
from samvad.asgi.errors import error_reply
from samvad.asgi.forms import Part, read_form
from samvad.asgi.replies import Reply
from samvad.domain.accounts import operations as accounts
from samvad.domain.accounts.model import Principal
from samvad.domain.context import Context, Resources
from samvad.domain.waba.directory import Directory
from samvad.kit.errors import BadRequest, Unauthorized
from samvad.kit.remember import Remembered

LARGEST_JSON = 1024 * 1024  # bytes of a JSON request
DEEPEST_JSON = (
    100  # lists and objects within each other; what is read must be written again, from a deeper stack
)
LARGEST_UPLOAD = 101 * 1024 * 1024  # bytes of a multipart request: WhatsApp's largest file, and its form
SCHEMES = ("bearer", "oauth")  # the second is how clients of Meta's name it for a resumable upload
LONGEST_PAGE = 1_000
DEFAULT_PAGE = 25
FARTHEST_SKIP = 1_000_000

_decode = msgspec.json.Decoder().decode
_strings = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_brackets = re.compile(rb"[\[\]{}]")


@dataclass(frozen=True, slots=True)
class Services:
    """What endpoints share: the resources, and the short memories in front of them."""

    res: Resources
    directory: Directory
    principals: Remembered[str, Principal]
    limits: Limits
    on_reply: Callable[[str, int, float], None] | None = None
    """Told the operation, the status and the seconds of each reply."""


def services(
    res: Resources,
    directory: Directory,
    *,
    rate_limit: float = 0.0,
    on_reply: Callable[[str, int, float], None] | None = None,
) -> Services:
    async def ask(token: str) -> Principal:
        return await accounts.authenticate(res, token)

    return Services(res, directory, Remembered(ask), Limits(rate_limit), on_reply)


@dataclass(slots=True)
class Call:
    """One request: who calls, what for."""

    services: Services
    scope: Scope
    receive: Receive
    path: Mapping[str, str]
    principal: Principal | None

    @property
    def res(self) -> Resources:
        return self.services.res

    @property
    def ctx(self) -> Context:
        assert self.principal is not None, "an endpoint without a key has no team"
        who = self.principal
        return Context(who.team_id, who.user_id, who.key_id, who.role_type, self.res, who.role_id)

    @property
    def method(self) -> str:
        """What is asked; HEAD is a GET whose reader looks at the headers only."""
        method: str = self.scope["method"]
        return "GET" if method == "HEAD" else method

    def header(self, name: bytes) -> str | None:
        return header(self.scope, name)

    def query(self) -> dict[str, str]:
        given = parse_qsl(self.scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        return {name: storable(value) for name, value in given}

    async def body(self, limit: int = LARGEST_JSON) -> bytes:
        return await read_body(self.scope, self.receive, limit)

    async def json(self, limit: int = LARGEST_JSON) -> dict[str, Any]:
        """The body as an object. Raises BadRequest that says what is wrong with it, TooLarge."""
        value = await self.json_value(limit)
        if not isinstance(value, dict):
            raise BadRequest('The body must be a JSON object, like {"key": "value"}.')
        return value

    async def json_value(self, limit: int = LARGEST_JSON) -> Any:
        """The body as whatever JSON it is. Raises BadRequest, TooLarge.

        JSON is read whatever it is called: `curl -d` calls everything a form, and means no harm by it.
        """
        raw = await self.body(limit)
        try:
            if raw.count(b"[") + raw.count(b"{") > DEEPEST_JSON and _depth(raw) > DEEPEST_JSON:
                raise BadRequest(f"The JSON is nested deeper than {DEEPEST_JSON} levels.")
            value = _decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            called = self.header(b"content-type") or ""
            hint = "" if "json" in called.lower() else " Send it with `Content-Type: application/json`."
            raise BadRequest(f"The body is not valid JSON: {error}.{hint}") from None
        if b"\\u0000" in raw and _holds_nul(value):
            raise BadRequest(
                "The body holds a NUL character (\\u0000), which no message can carry; leave it out."
            )
        return value

    async def upload(self) -> tuple[bytes, str | None, str | None]:
        """The form's `file`: its bytes, declared type and name (`filename` wins). Raises BadRequest, TooLarge."""
        form = await self.form(LARGEST_UPLOAD)
        file, name = form.get("file"), form.get("filename")
        if file is None:
            raise BadRequest("Send the file as the part `file` of a multipart/form-data body.")
        filename = (name.text if name is not None else "") or file.filename
        return file.content, file.content_type, storable(filename) if filename else None

    async def form(self, limit: int) -> Mapping[str, Part]:
        """The parts of a multipart form by their names. Raises BadRequest, TooLarge."""
        return await read_form(self.scope, self.receive, limit)

    def idempotency_key(self) -> str | None:
        return self.header(b"idempotency-key")


Endpoint = Callable[[Call], Awaitable[Reply]]


class Served:
    """An ASGI application of an endpoint: reads the key, answers, and turns every failure into its shape."""

    def __init__(self, services: Services, endpoint: Endpoint, *, key: str = "required") -> None:
        assert key in ("required", "optional", "none")
        self._services = services
        self._endpoint = endpoint
        self._key = key
        self._name = operation_of(endpoint)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.serve(scope, receive, send, scope.get("path_params", {}))

    async def serve(self, scope: Scope, receive: Receive, send: Send, path: Mapping[str, str]) -> None:
        began = time.monotonic()
        try:
            principal = await self._principal(scope)
            named = {name: storable(value) for name, value in path.items()}
            reply = await self._endpoint(Call(self._services, scope, receive, named, principal))
        except Exception as error:
            reply = error_reply(error)
        if self._services.on_reply is not None:
            self._services.on_reply(self._name, reply.status, time.monotonic() - began)
        await reply.send(send)

    async def _principal(self, scope: Scope) -> Principal | None:
        if self._key == "none":
            return None
        given = header(scope, b"authorization")
        if given is None and self._key == "optional":
            return None
        scheme, _, token = (given or "").partition(" ")
        if scheme.lower() not in SCHEMES or not token.strip():
            raise Unauthorized("Unauthorized")
        principal = await self._services.principals(token.strip())
        self._services.limits.count(principal.key_id, principal.rate_limit)
        return principal


def operation_of(endpoint: Endpoint) -> str:
    """What an operation is called where requests are counted: its endpoint's name."""
    return str(getattr(getattr(endpoint, "func", endpoint), "__name__", "unknown")).strip("_")


def numbers_of(query: Mapping[str, str]) -> dict[str, Any]:
    """A query with its whole numbers read as such; in JSON they are numbers already."""
    return {
        name: int(value) if value.isascii() and value.isdigit() and len(value) < 10 else value
        for name, value in query.items()
    }


class Fields:
    """Reads the members of a body and collects everything that is wrong with them."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._body = body
        self._problems: list[str] = []

    def text(self, name: str) -> str:
        value = self._body.get(name)
        if not isinstance(value, str) or not value.strip():
            what = "is missing" if value in (None, "") else f"must be a string; got {value!r:.60}"
            self._problems.append(f"{name} {what}.")
            return ""
        return value

    def phone(self, name: str) -> str:
        """A phone number, which some clients write as a number."""
        value = self._body.get(name)
        return str(value) if type(value) is int and value > 0 else self.text(name)

    def optional_text(self, name: str) -> str | None:
        value = self._body.get(name)
        return None if value in (None, "") else self.text(name)

    def optional_switch(self, name: str) -> bool | None:
        value = self._body.get(name)
        if value is not None and not isinstance(value, bool):
            self._problems.append(f"{name} must be true or false; got {value!r:.60}.")
            return None
        return value

    def optional_object(self, name: str) -> dict[str, Any] | None:
        value = self._body.get(name)
        if value is not None and not isinstance(value, dict):
            self._problems.append(f"{name} must be an object; got {value!r:.60}.")
            return None
        return value

    def number(self, name: str, default: int, *, least: int, most: int) -> int:
        value = whole(self._body.get(name, default))
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self._problems.append(f"{name} must be a whole number from {least} to {most}; got {value!r:.60}.")
            return default
        return value

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        value = self._body.get(name)
        if value is None:
            return default
        if value not in choices:
            self._problems.append(f"{name} must be one of {', '.join(choices)}; got {value!r:.60}.")
            return default
        return str(value)

    def problem(self, sentence: str) -> None:
        self._problems.append(sentence)

    def done(self) -> None:
        if self._problems:
            raise BadRequest(*self._problems)


def whole(value: Any) -> Any:
    """A number as JSON means it, which knows no integers: 25.0 is 25."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def page_of(body: Mapping[str, Any], fields: Fields) -> tuple[int, int]:
    """`limit` and how many to skip, from `page` (1-based) or `skip`; both styles are in use."""
    limit = fields.number("limit", DEFAULT_PAGE, least=1, most=LONGEST_PAGE)
    page = fields.number("page", 1, least=1, most=FARTHEST_SKIP)
    skip = fields.number("skip", 0, least=0, most=FARTHEST_SKIP) if "skip" in body else (page - 1) * limit
    return limit, min(skip, FARTHEST_SKIP)


def storable(word: str) -> str:
    """As it came, but without NUL: PostgreSQL has none in texts. It becomes U+FFFD, as bad UTF-8 does."""
    return word.replace("\x00", "\ufffd")


def _depth(raw: bytes) -> int:
    """How many lists and objects stand within each other at most, in what may be JSON."""
    depth = deepest = 0
    for bracket in _brackets.findall(_strings.sub(b"", raw)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(_holds_nul(key) or _holds_nul(it) for key, it in value.items())
    return isinstance(value, list) and any(_holds_nul(it) for it in value)
