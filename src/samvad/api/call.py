"""A request as an operation's endpoint sees it, and the adapter that makes endpoints of functions."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from samvad.asgi.bodies import header, limited, read_body
from samvad.asgi.errors import error_reply
from samvad.asgi.replies import Reply
from samvad.domain.accounts import operations as accounts
from samvad.domain.accounts.model import Principal
from samvad.domain.context import Context, Resources
from samvad.domain.waba.directory import Directory
from samvad.kit.errors import BadRequest, Unauthorized
from samvad.kit.remember import Remembered

LARGEST_JSON = 1024 * 1024  # bytes of a JSON request
LARGEST_UPLOAD = 101 * 1024 * 1024  # bytes of a multipart request: WhatsApp's largest file, and its form
LONGEST_PAGE = 1_000
DEFAULT_PAGE = 25
FARTHEST_SKIP = 1_000_000

_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Services:
    """What endpoints share: the resources, and the short memories in front of them."""

    res: Resources
    directory: Directory
    principals: Remembered[str, Principal]


def services(res: Resources, directory: Directory) -> Services:
    async def ask(token: str) -> Principal:
        return await accounts.authenticate(res, token)

    return Services(res, directory, Remembered(ask))


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
        return Context(who.team_id, who.user_id, who.key_id, who.role_type, self.res)

    def header(self, name: bytes) -> str | None:
        return header(self.scope, name)

    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True))

    async def body(self, limit: int = LARGEST_JSON) -> bytes:
        return await read_body(self.scope, self.receive, limit)

    async def json(self) -> dict[str, Any]:
        """The body as an object. Raises BadRequest that says what is wrong with it, TooLarge."""
        raw = await self.body()
        try:
            value = _decode(raw or b"{}")
        except RecursionError:
            raise BadRequest("The JSON is nested too deep.") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadRequest(f"The body is not valid JSON: {error}") from None
        if not isinstance(value, dict):
            raise BadRequest('The body must be a JSON object, like {"key": "value"}.')
        if b"\\u0000" in raw and _holds_nul(value):
            raise BadRequest(
                "The body holds a NUL character (\\u0000), which no message can carry; leave it out."
            )
        return value

    async def upload(self) -> tuple[bytes, str | None, str | None]:
        """The form's `file`: its bytes, declared type and name (`filename` wins). Raises BadRequest, TooLarge."""
        request = Request(self.scope, limited(self.scope, self.receive, LARGEST_UPLOAD))
        try:
            form = await request.form(max_files=1, max_fields=20)
        except MultiPartException as error:
            raise BadRequest(f"The form could not be read: {error.message}") from None
        try:
            file, name = form.get("file"), form.get("filename")
            if not isinstance(file, UploadFile):
                raise BadRequest("Send the file as the part `file` of a multipart/form-data body.")
            filename = name if isinstance(name, str) and name else file.filename
            return await file.read(), file.content_type, filename
        finally:
            await form.close()

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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.serve(scope, receive, send, scope.get("path_params", {}))

    async def serve(self, scope: Scope, receive: Receive, send: Send, path: Mapping[str, str]) -> None:
        try:
            principal = await self._principal(scope)
            reply = await self._endpoint(Call(self._services, scope, receive, path, principal))
        except Exception as error:
            reply = error_reply(error)
        await reply.send(send)

    async def _principal(self, scope: Scope) -> Principal | None:
        if self._key == "none":
            return None
        given = header(scope, b"authorization")
        if given is None and self._key == "optional":
            return None
        scheme, _, token = (given or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthorized("Unauthorized")
        return await self._services.principals(token.strip())


class Fields:
    """Reads the members of a body and collects everything that is wrong with them."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._body = body
        self._problems: list[str] = []

    def text(self, name: str) -> str:
        value = self._body.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str) or not value.strip():
            what = "is missing" if value in (None, "") else f"must be a string; got {value!r:.60}"
            self._problems.append(f"{name} {what}.")
            return ""
        return value

    def optional_text(self, name: str) -> str | None:
        value = self._body.get(name)
        return None if value in (None, "") else self.text(name)

    def number(self, name: str, default: int, *, least: int, most: int) -> int:
        value = self._body.get(name, default)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self._problems.append(f"{name} must be a whole number from {least} to {most}; got {value!r:.60}.")
            return default
        return value

    def done(self) -> None:
        if self._problems:
            raise BadRequest(*self._problems)


def page_of(body: Mapping[str, Any], fields: Fields) -> tuple[int, int]:
    """`limit` and how many to skip, from `page` (1-based) or `skip`; both styles are in use."""
    limit = fields.number("limit", DEFAULT_PAGE, least=1, most=LONGEST_PAGE)
    page = fields.number("page", 1, least=1, most=FARTHEST_SKIP)
    skip = fields.number("skip", 0, least=0, most=FARTHEST_SKIP) if "skip" in body else (page - 1) * limit
    return limit, min(skip, FARTHEST_SKIP)


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(_holds_nul(key) or _holds_nul(it) for key, it in value.items())
    return isinstance(value, list) and any(_holds_nul(it) for it in value)
