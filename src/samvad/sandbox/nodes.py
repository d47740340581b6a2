"""What Graph calls on every kind of object share: the call, its fields, its pages."""

import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import FormData
from starlette.requests import Request

from samvad.sandbox.checks import decode_object
from samvad.sandbox.errors import GraphError, parameter, parameter_is_required
from samvad.sandbox.model import Json
from samvad.sandbox.world import Account, Accounts, Number, World

DEFAULT_PAGE, MAX_PAGE = 25, 1_000
MAX_BODY = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Call:
    """One authorized Graph request about one object."""

    world: World
    request: Request
    accounts: Accounts
    leaf: str = ""  # the third part of the path, such as the code in message_qrdls/{code}

    @property
    def query(self) -> dict[str, str]:
        return dict(self.request.query_params)

    async def parameters(self) -> Json:
        """What was sent, wherever: in the query, as JSON or as a form; Graph takes all three."""
        given: Json = {key: value for key, value in self.query.items() if key != "access_token"}
        kind = self.request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind in ("application/x-www-form-urlencoded", "multipart/form-data"):
            form = await self.form()
            return given | {key: value for key, value in form.items() if isinstance(value, str)}
        body = bytearray()
        async for chunk in self.request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                raise GraphError(100, "The request body is too large.", http=413)
        return given | (decode_object(bytes(body)) if body else {})

    async def form(self) -> FormData:
        """The form that was sent; a broken one is an invalid parameter."""
        try:
            return await self.request.form(max_files=2, max_fields=50)
        except Exception as error:  # python-multipart and Starlette raise several unrelated types here
            raise GraphError(100, f"The form cannot be read: {error}") from None


AccountCalls = dict[tuple[str, str], Callable[[Call, Account], Awaitable[Json]]]
NumberCalls = dict[tuple[str, str], Callable[[Call, Number], Awaitable[Json]]]


def must_be_whatsapp(given: Json) -> None:
    """Refuse a body without `messaging_product: whatsapp`."""
    product = given.get("messaging_product")
    if product is None:
        raise parameter_is_required("messaging_product")
    if product != "whatsapp":
        raise GraphError(100, message="(#100) Param messaging_product must be one of {WHATSAPP}.")


def pick(whole: Json, wanted: str | None, default: Collection[str], node_type: str) -> Json:
    """The fields of an object that were asked for; the id comes always."""
    if not wanted:
        return {key: whole[key] for key in (*default, "id") if key in whole}
    names = [name for name in re.sub(r"\{[^}]*\}|\.[a-z_]+\([^)]*\)", "", wanted).split(",") if name.strip()]
    picked = {}
    for name in (name.strip() for name in names):
        if name not in whole:
            raise GraphError(
                100, message=f"(#100) Tried accessing nonexisting field ({name}) on node type ({node_type})"
            )
        if whole[name] is not None:
            picked[name] = whole[name]
    return picked | {"id": whole["id"]}


def page(call: Call, rows: Sequence[tuple[str, Any]]) -> Json:
    """One page of rows (id, value) with Graph's cursors; `next` and `previous` only where there is more."""
    query = call.query
    limit = _limit(query.get("limit"))
    ids = [row_id for row_id, _ in rows]
    start, end = 0, limit
    if query.get("after"):
        start = _place(ids, query["after"]) + 1
        end = start + limit
    elif query.get("before"):
        end = _place(ids, query["before"])
        start = max(0, end - limit)
    shown = rows[start:end]
    answer: Json = {"data": [value for _, value in shown]}
    if not shown:
        return answer
    before, after = _cursor(shown[0][0]), _cursor(shown[-1][0])
    paging: Json = {"cursors": {"before": before, "after": after}}
    if end < len(rows):
        paging["next"] = _link(call, after=after)
    if start > 0:
        paging["previous"] = _link(call, before=before)
    answer["paging"] = paging
    return answer


def _limit(given: str | None) -> int:
    if given is None:
        return DEFAULT_PAGE
    if not (given.isascii() and given.isdecimal() and 1 <= int(given[:9]) <= 10**6):
        raise parameter("limit", "must be a positive integer.")
    return min(int(given[:9]), MAX_PAGE)


def _cursor(row_id: str) -> str:
    return base64.urlsafe_b64encode(row_id.encode()).decode()


def _place(ids: Sequence[str], cursor: str) -> int:
    try:
        return ids.index(base64.urlsafe_b64decode(cursor.encode()).decode())
    except (ValueError, binascii.Error, UnicodeError):
        raise GraphError(131059, "The paging cursor is invalid or has expired.") from None


def _link(call: Call, **cursor: str) -> str:
    url = call.request.url
    query = {
        key: value for key, value in call.query.items() if key not in ("after", "before", "access_token")
    }
    return f"{url.scheme}://{url.netloc}{url.path}?{urlencode(query | cursor)}"
