"""The page on which a partner's client connects a WABA, and the script that frames it in the partner's site."""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import structlog
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.types import Receive, Scope, Send

from samvad.asgi.bodies import read_body
from samvad.asgi.errors import not_allowed
from samvad.asgi.replies import ANY_ORIGIN, Reply
from samvad.domain.context import Resources
from samvad.domain.waba import partner
from samvad.domain.waba.directory import Directory
from samvad.domain.waba.model import Connection
from samvad.kit.errors import BadRequest, SamvadError

PAGE = "/v1/ext/whatsapp-partner/connect"
SDKS = ("/whatsapp-partner-connect/v1/sdk.js", "/whatsapp-partner-connect/v1_0_1/sdk.js")
LARGEST_FORM = 64 * 1024  # bytes
LONGEST_FIELD = 4_096  # characters; Meta's tokens have some 200
FIELDS = ("wabaId", "phoneNumberId", "accessToken", "appSecret", "verifyToken")
SHOWN_AGAIN = ("wabaId", "phoneNumberId")  # secrets are typed anew

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined
)
_sdk = (Path(__file__).parent / "assets" / "connect-sdk.js").read_bytes()

log = structlog.get_logger(__name__)


def is_ours(path: str) -> bool:
    return path == PAGE or path in SDKS


class Connecting:
    """The ASGI application behind these addresses.

    `ancestors` says which sites may frame the page; `show_number` gives a number the shape it has in the API.
    """

    def __init__(
        self,
        res: Resources,
        directory: Directory,
        *,
        ancestors: str,
        show_number: Callable[[Any], dict[str, Any]],
    ) -> None:
        self._res = res
        self._show_number = show_number
        self._directory = directory
        self._ancestors = ancestors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reply = await self._answer(scope, receive)
        if scope["method"] == "HEAD":
            reply = Reply(reply.status, b"", reply.headers)
        await reply.send(send)

    async def _answer(self, scope: Scope, receive: Receive) -> Reply:
        method, is_page = scope["method"], scope["path"] == PAGE
        if method not in ("GET", "HEAD") and not (is_page and method == "POST"):
            return not_allowed(f"{method} is not offered here.", allow="GET, POST" if is_page else "GET")
        if not is_page:
            headers = ((b"content-type", b"text/javascript; charset=utf-8"), ANY_ORIGIN)
            return Reply(200, _sdk, (*headers, (b"cache-control", b"public, max-age=3600")))
        return await self._page(scope, receive)

    async def _page(self, scope: Scope, receive: Receive) -> Reply:
        """The form, or what came of it; whatever goes wrong is a page too."""
        given: dict[str, str] = {}
        invitation = None
        try:
            query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))
            token = query.get("connectToken", "")
            invitation = await partner.open_invitation(self._res, token)
            if scope["method"] != "POST":
                return self._render(200, invitation=invitation, given=given)
            given = await _form(scope, receive)
            wanted = Connection(
                given["wabaId"],
                given["phoneNumberId"],
                given["accessToken"],
                given["appSecret"],
                given["verifyToken"] or None,
            )
            self._directory.forget()
            connected, shown = await partner.accept(self._res, token, wanted)
            self._directory.forget()
        except SamvadError as error:
            return self._render(
                _status(error), invitation=invitation, given=given, problems=list(error.problems)
            )
        except Exception as error:
            log.error("request.failed", error=repr(error), exc_info=error)
            words = "Something went wrong on the server, whose log has the details. Please try again later."
            return self._render(503, invitation=invitation, given=given, problems=[words])
        told = {
            "pluginId": shown.plugin.id,
            "whatsappBusinessAccounts": [{"id": row.id, "name": row.name} for row in shown.accounts],
            "whatsappPhoneNumbers": [self._show_number(row) for row in shown.numbers],
        }
        return self._render(200, invitation=invitation, told=told, callback_url=connected.callback_url)

    def _render(self, status: int, *, given: dict[str, str] | None = None, **values: Any) -> Reply:
        nonce = secrets.token_urlsafe(16)
        known = {"problems": [], "told": None, "callback_url": None, **values}
        again = {name: (given or {}).get(name, "") for name in SHOWN_AGAIN}
        html = _templates.get_template("connect.html").render(nonce=nonce, given=again, **known)
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; form-action 'self'; "
            f"base-uri 'none'; frame-ancestors {self._ancestors}"
        )
        headers = (
            (b"content-type", b"text/html; charset=utf-8"),
            (b"content-security-policy", policy.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),  # the address holds the token
            (b"cache-control", b"no-store"),
        )
        return Reply(status, html.encode(), headers)


async def _form(scope: Scope, receive: Receive) -> dict[str, str]:
    body = await read_body(scope, receive, LARGEST_FORM)
    try:
        pairs = parse_qsl(body.decode("ascii"), max_num_fields=20)
    except ValueError:
        raise BadRequest("The form could not be read; please send it again.") from None
    given = dict.fromkeys(FIELDS, "") | {name: value.strip() for name, value in pairs if name in FIELDS}
    if any(len(value) > LONGEST_FIELD or "\x00" in value for value in given.values()):
        raise BadRequest(f"No field may be longer than {LONGEST_FIELD:,} characters.")
    for name, what in (("wabaId", "WABA id"), ("phoneNumberId", "phone number id")):
        if given[name] and not (given[name].isascii() and given[name].isdigit()):
            raise BadRequest(f"The {what} is a number of some 15 digits; Meta's app dashboard shows it.")
    if not all(given[name].isascii() and given[name].isprintable() for name in FIELDS):
        raise BadRequest("A token or secret holds characters that Meta never uses; please copy it again.")
    return given


def _status(error: SamvadError) -> int:
    """What the contract names for this page."""
    return error.status if error.status in (400, 401, 403, 404, 409, 413, 429, 502, 503, 504) else 400
