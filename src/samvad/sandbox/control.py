"""The control API: what a test or a person does with the sandbox, beside Meta's wire. It needs no token."""

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from samvad.sandbox import calling_plays, coexistence, control_meta, flow_plays, group_plays
from samvad.sandbox.control_input import BadRequest, json_body, typed
from samvad.sandbox.model import Json
from samvad.sandbox.plays import Play
from samvad.sandbox.settings import InvalidSettings

if TYPE_CHECKING:
    from samvad.sandbox.sandbox import Sandbox

REFUSAL = ("code", "behaviour", "times", "details", "to", "asynchronous", "calls", "path", "method")
DEFAULT_LIMIT, MAX_LIMIT = 100, 20_000

Deed = Callable[["Sandbox", Request], Awaitable[Any]]
PLAYS: dict[str, Play] = calling_plays.PLAYS | group_plays.PLAYS | coexistence.PLAYS | flow_plays.PLAYS

INDEX: Json = {
    "what": "A sandbox of Meta's WhatsApp Cloud API. Graph calls live beside this control API.",
    "control": {
        "GET /phones": "the virtual phones",
        "POST /phones/{digits}/messages": "a customer writes: {type, text|image|…, phone_number_id?, name?, "
        "context?, referral?, timestamp?, hide_phone?, group_id?}",
        "GET /phones/{digits}/messages": "what the phone shows, oldest first",
        "GET /phones/{digits}/messages/{wamid}/media": "the file of a message",
        "POST /phones/{digits}/read": "the customer reads what was delivered",
        "POST /phones/{digits}/window": "{open: true|false, phone_number_id?}",
        **{f"POST {path}": " ".join((play.__doc__ or "").split()) for path, play in PLAYS.items()},
        "POST /refusals": "{code, times?, details?, to?, asynchronous?} or {behaviour: "
        "hang|drop|accept_then_drop|500, times?, to?}; with {calls: graph, path?, method?} or {calls: media} it "
        "meets the next calls that are no sends, or the next downloads of files",
        "POST /replay": "{message_id? | last?, times?, concurrent?, shuffle?}",
        "GET|POST /settings": "read or change settings; POST is partial",
        "GET /webhooks?limit=": "the latest webhook deliveries, newest first",
        "GET /calls?limit=": "the latest calls of the Cloud API, newest first: {number, method, path}",
        "GET /stats": "counters",
        **control_meta.INDEX,
        "POST /reset": "forget everything but the businesses and their subscriptions",
    },
}


def routes(sandbox: "Sandbox") -> list[Route]:
    """The control API of one sandbox."""

    def endpoint(deed: Deed) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                value = await deed(sandbox, request)
            except (BadRequest, InvalidSettings) as error:
                return _reply(400, {"error": str(error)})
            except LookupError as error:
                return _reply(404, {"error": error.args[0]})
            return value if isinstance(value, Response) else _reply(200, value)

        return answer

    table: tuple[tuple[str, str, Deed], ...] = (
        ("GET", "/", index),
        ("GET", "/phones", list_phones),
        ("POST", "/phones/{digits}/messages", write_message),
        ("GET", "/phones/{digits}/messages", show_messages),
        ("GET", "/phones/{digits}/messages/{wamid}/media", show_media),
        ("POST", "/phones/{digits}/read", read_messages),
        ("POST", "/phones/{digits}/window", set_window),
        ("POST", "/refusals", refuse),
        ("POST", "/replay", replay),
        ("GET", "/settings", show_settings),
        ("POST", "/settings", change_settings),
        ("GET", "/webhooks", show_webhooks),
        ("GET", "/calls", show_calls),
        ("GET", "/stats", show_stats),
        ("POST", "/reset", reset),
        *control_meta.TABLE,
    )
    plays = [("POST", path, _played(play)) for path, play in PLAYS.items()]
    return [Route(path, endpoint(deed), methods=[method]) for method, path, deed in (*table, *plays)]


def _played(play: Play) -> Deed:
    async def deed(sandbox: "Sandbox", request: Request) -> Json:
        digits = sandbox.world.wa_id(_digits(request)) if "digits" in request.path_params else ""
        return play(sandbox.world, digits, await json_body(request))

    return deed


async def index(sandbox: "Sandbox", request: Request) -> Json:
    numbers = [
        {"waba_id": number.account.waba_id, "phone_number_id": number.id, "display": number.display}
        for number in sandbox.world.numbers.values()
    ]
    return {**INDEX, "phone_numbers": numbers}


async def list_phones(sandbox: "Sandbox", request: Request) -> Json:
    phones = list(sandbox.world.phones.values())[-_limit(request) :]
    return {
        "phones": [
            {"digits": phone.digits, "name": phone.name, "messages": len(phone.messages)} for phone in phones
        ]
    }


async def write_message(sandbox: "Sandbox", request: Request) -> Json:
    return sandbox.customer_writes(_digits(request), await json_body(request))


async def show_messages(sandbox: "Sandbox", request: Request) -> Json:
    return {"messages": sandbox.shown_on(_digits(request))}


async def show_media(sandbox: "Sandbox", request: Request) -> Response:
    message = sandbox.world.messages.get(request.path_params["wamid"])
    asset = sandbox.world.media.find(message.media_id) if message and message.media_id else None
    if asset is None:
        raise LookupError("there is no such message, or it has no file")
    return Response(asset.data, media_type=asset.mime_type, headers={"x-content-type-options": "nosniff"})


async def read_messages(sandbox: "Sandbox", request: Request) -> Json:
    return {"read": sandbox.customer_reads(_digits(request))}


async def set_window(sandbox: "Sandbox", request: Request) -> Json:
    given = await json_body(request, "open", "phone_number_id")
    is_open = typed(given, "open", bool, None)
    sandbox.set_window(_digits(request), is_open, given.get("phone_number_id"))
    return {"open": is_open}


async def refuse(sandbox: "Sandbox", request: Request) -> Json:
    given = await json_body(request, *REFUSAL)
    sandbox.refuse_next(
        typed(given, "code", int, 0) or None,
        behaviour=typed(given, "behaviour", str, "") or None,
        times=typed(given, "times", int, 1),
        details=typed(given, "details", str, "") or None,
        to=typed(given, "to", str, "") or None,
        asynchronous=typed(given, "asynchronous", bool, False),
        calls=typed(given, "calls", str, "sends"),
        path=typed(given, "path", str, ""),
        method=typed(given, "method", str, ""),
    )
    return {"waiting": len(sandbox.world.refusals)}


async def replay(sandbox: "Sandbox", request: Request) -> Json:
    given = await json_body(request, "message_id", "last", "times", "concurrent", "shuffle")
    sent, ok = await sandbox.replay(
        message_id=typed(given, "message_id", str, "") or None,
        last=typed(given, "last", int, 1),
        times=typed(given, "times", int, 1),
        concurrent=typed(given, "concurrent", int, 1),
        shuffle=typed(given, "shuffle", bool, False),
    )
    return {"sent": sent, "ok": ok}


async def show_settings(sandbox: "Sandbox", request: Request) -> Json:
    return sandbox.settings_shown()


async def change_settings(sandbox: "Sandbox", request: Request) -> Json:
    sandbox.configure(**await json_body(request))
    return sandbox.settings_shown()


async def show_webhooks(sandbox: "Sandbox", request: Request) -> Json:
    return {"webhooks": sandbox.webhooks(_limit(request))}


async def show_calls(sandbox: "Sandbox", request: Request) -> Json:
    return {"calls": sandbox.calls(_limit(request))}


async def show_stats(sandbox: "Sandbox", request: Request) -> Json:
    return sandbox.stats()


async def reset(sandbox: "Sandbox", request: Request) -> Json:
    sandbox.reset()
    return {"reset": True}


def _reply(status: int, value: Json) -> Response:
    # ASCII only, as a phone may show half a surrogate pair that a client sent.
    return Response(json.dumps(value), status, media_type="application/json")


def _digits(request: Request) -> str:
    digits: str = request.path_params["digits"].lstrip("+")
    if not (digits.isascii() and digits.isdecimal() and 5 <= len(digits) <= 15):
        raise BadRequest("a phone is named by the 5 to 15 digits of its number, with country code")
    return digits


def _limit(request: Request) -> int:
    given = request.query_params.get("limit", str(DEFAULT_LIMIT))
    if not (given.isascii() and given.isdecimal() and 1 <= int(given[:9]) <= MAX_LIMIT):
        raise BadRequest(f"limit must be a number from 1 to {MAX_LIMIT}")
    return int(given)
