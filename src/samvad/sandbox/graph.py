"""The cold Graph calls: find the object, then the call on it; every area brings its own table."""

import json
import re
from collections.abc import Callable
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

from samvad.sandbox import (
    accounts,
    blocklist,
    calling,
    conversation_tools,
    encryption,
    flows,
    group_calls,
    media_calls,
    number_settings,
    numbers,
    profile,
    proofs,
    subscriptions,
    template_calls,
    tokens,
    upload_calls,
    usage,
)
from samvad.sandbox.errors import GraphError, unknown_object
from samvad.sandbox.groups import Groups
from samvad.sandbox.model import Json
from samvad.sandbox.nodes import Call
from samvad.sandbox.sends import Receive, Scope, Send, authorize, close_connection, hang, refuse_now
from samvad.sandbox.world import Account, Accounts, World

API_VERSION = "v26.0"
ATTACHMENTS = "whatsapp_business/attachments"

_PATH = re.compile(r"(\d{1,32}|Y2FwaV9ncm91cDo[\w=-]{1,120})(?:/([a-z_]+)(?:/(\w{1,64}))?)?/?")
_UPLOAD = re.compile(r"upload:([A-Za-z0-9_=-]{1,200})/?")
_VERSION = re.compile(r"(?:v\d{1,3}\.\d{1,2}/)?(.*)", re.DOTALL)
_ACCOUNT_CALLS = (
    accounts.ACCOUNT_CALLS
    | subscriptions.ACCOUNT_CALLS
    | template_calls.ACCOUNT_CALLS
    | numbers.ACCOUNT_CALLS
    | flows.ACCOUNT_CALLS
)
_TEMPLATE_CALLS = accounts.TEMPLATE_CALLS | template_calls.TEMPLATE_CALLS
_NUMBER_CALLS = (
    accounts.NUMBER_CALLS
    | numbers.NUMBER_CALLS
    | media_calls.NUMBER_CALLS
    | number_settings.NUMBER_CALLS
    | calling.NUMBER_CALLS
    | group_calls.NUMBER_CALLS
    | encryption.NUMBER_CALLS
    | profile.NUMBER_CALLS
    | blocklist.NUMBER_CALLS
    | conversation_tools.NUMBER_CALLS
)
_ROOT_CALLS: dict[tuple[str, str], Callable[[Call], Json]] = {
    ("GET", "debug_token"): lambda call: tokens.debugged(call.world, call.query.get("input_token", "")),
    ("GET", "me"): lambda call: tokens.me(call.accounts),
}


async def answer(world: World, request: Request, path: str) -> Response:
    """Answer one Graph request below the root, or misbehave as it was ordered."""
    path = _below_version(path)
    waba_id = ""
    try:
        refusal = world.graph_refusal(request.method, path) if world.refusals else None
        if refusal is not None and refusal.behaviour in ("hang", "drop"):
            return Silence(refusal.behaviour)
        if path == ATTACHMENTS and request.method in ("GET", "HEAD"):
            refuse_now(refusal)
            return await media_calls.download(world, request)
        call = Call(world, request, authorize(world, request.scope, tokens.scope_for(path)))
        owner = _account_of(path, call.accounts)
        waba_id = owner.waba_id
        proofs.check(call)
        refuse_now(refusal)
        used = usage.counted(world, owner)
        reply = _reply(200, await _call(call, path))
        if refusal is not None and refusal.behaviour == "accept_then_drop":
            return Silence("drop")
        reply.headers[usage.HEADER] = used
        return reply
    except GraphError as error:
        body = error.body(world.identities.trace())
        headers = {"www-authenticate": error.challenge().decode(), "facebook-api-version": API_VERSION}
        if (used_up := usage.header_of_refusal(error, waba_id)) is not None:
            headers[usage.HEADER] = used_up
        return Response(body, error.http, headers, "application/json; charset=UTF-8")


class Silence(Response):
    """No answer at all: the caller waits, or sees its connection close."""

    def __init__(self, behaviour: str) -> None:
        super().__init__()
        self._behaviour = behaviour

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (hang if self._behaviour == "hang" else close_connection)(receive, send)


def _below_version(path: str) -> str:
    match = _VERSION.fullmatch(path.strip("/"))
    assert match is not None, "the pattern fits every path"
    return match[1]


def _account_of(path: str, owners: Accounts) -> Account:
    """The account that a call counts for: its own by its id or a number's, else the first of the token."""
    node = path.partition("/")[0]
    return next(
        (one for one in owners if node == one.waba_id or node in [number.id for number in one.numbers]),
        owners[0],
    )


async def _call(call: Call, path: str) -> Json:
    if (read := _ROOT_CALLS.get((call.request.method, path))) is not None:
        return read(call)
    if session := _UPLOAD.fullmatch(path):
        return await upload_calls.on_session(call, session[1])
    match = _PATH.fullmatch(path)
    if match is None:
        raise GraphError(2500, message=f"Unknown path components: /{path}")
    node, edge = match[1], match[2] or ""
    if match[3]:
        call, edge = replace(call, leaf=match[3]), f"{edge}/*"
    key = (call.request.method, edge)
    world = call.world
    if (account := world.accounts.get(node)) in call.accounts and account and key in _ACCOUNT_CALLS:
        return await _ACCOUNT_CALLS[key](call, account)
    if (number := world.numbers.get(node)) and number.account in call.accounts and key in _NUMBER_CALLS:
        return await _NUMBER_CALLS[key](call, number)
    if key == ("GET", "") and (app := tokens.app(node, call.accounts)) is not None:
        return app
    if key == ("POST", "uploads") and node in [account.app_id for account in call.accounts]:
        return await upload_calls.begin(call, node)
    for account in call.accounts:
        template = account.templates_by_id.get(node)
        if template is not None and key in _TEMPLATE_CALLS:
            return await _TEMPLATE_CALLS[key](call, template)
        flow = world.area(flows.Flows).of_account(account, node)
        if flow is not None and key in flows.FLOW_CALLS:
            return await flows.FLOW_CALLS[key](call, flow)
        group = world.area(Groups).of_account(account, node)
        if group is not None and key in group_calls.GROUP_CALLS:
            return await group_calls.GROUP_CALLS[key](call, group)
        asset = world.media.find(node, account.waba_id)
        if asset is not None and key in media_calls.MEDIA_CALLS:
            return await media_calls.MEDIA_CALLS[key](call, asset)
    raise unknown_object(call.request.method, node)


def _reply(status: int, value: Json) -> Response:
    body = json.dumps(value, separators=(",", ":")).replace("/", "\\/").encode()
    return Response(body, status, {"facebook-api-version": API_VERSION}, "application/json; charset=UTF-8")
