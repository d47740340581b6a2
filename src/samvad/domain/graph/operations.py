"""Passing a request through to Meta, with the token of the account it is about."""

import re
import secrets
from collections.abc import AsyncIterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from samvad.domain.context import Context
from samvad.domain.graph import queries
from samvad.domain.media.model import is_media_id
from samvad.domain.templates import operations as templates
from samvad.domain.waba import queries as waba
from samvad.domain.waba.directory import Directory
from samvad.domain.waba.model import Credential
from samvad.kit.errors import Ambiguous, NotFound, Refused, Unreachable
from samvad.whatsapp.exchange import NotSent, Unknown
from samvad.whatsapp.forward import Forwarded

CONVERSATION = ("calls", "call_permissions", "block_users")
"""What belongs to talking with people, and so to every role; other changes are a manager's."""

LEARNED = ("id", "request_id")
"""Members of an answer that name what was just made."""

TEMPLATE_LISTS = ("message_templates", "upsert_message_templates", "migrate_message_templates")

_number = re.compile(r"\d{5,32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Request:
    """A request in Meta's words, without a token."""

    method: str
    version: str
    node: str
    edges: tuple[str, ...] = ()
    query: Sequence[tuple[str, str]] = ()
    body: AsyncIterable[bytes] | None = None
    headers: Mapping[str, str] | None = None

    @property
    def path(self) -> str:
        return "/".join((self.node, *self.edges))

    @property
    def changes(self) -> bool:
        return self.method != "GET"


async def forward(
    ctx: Context, directory: Directory, request: Request, *, plugin_id: str | None = None
) -> Forwarded:
    """Meta's answer, whatever it is; for another team's node that of an unknown one, and Meta is not asked.

    Raises NotFound (nobody of ours to ask with), Unreachable (nothing was done), Ambiguous (a change that Meta
    may or may not have made), Forbidden.
    """
    if (request.changes and not set(request.edges) & set(CONVERSATION)) or not _is_id(request.node):
        ctx.must_manage("Changing what is set up at Meta")
    credential = await _credential(ctx, directory, request, plugin_id)
    if credential is None:  # another team's: the token may be one that both were connected with
        error = _unknown(request.method, request.node).error
        return Forwarded(400, "application/json", msgspec.json.encode({"error": error}))
    answer = await ctx.resources.cloud.forward(
        request.method,
        request.path,
        token=credential.access_token,
        query=request.query,
        body=request.body,
        headers=request.headers,
        version=request.version,
    )
    match answer:
        case NotSent(reason):
            raise Unreachable(f"WhatsApp could not be reached, and nothing was done: {reason}.")
        case Unknown(reason) if request.changes:
            raise Ambiguous(f"WhatsApp did not answer, so it may or may not have acted: {reason}.")
        case Unknown(reason):
            raise Unreachable(f"WhatsApp could not be asked: {reason}.")
    if request.changes and 200 <= answer.status < 300:
        if request.method == "POST":
            await _learn(ctx, credential, answer.body)
        await _tell_templates(ctx, request)
    return answer


async def refuse_others_file(ctx: Context, media_id: str) -> None:
    """Raises Refused, in Meta's words for an unknown id, where it is known to be another team's and not ours.

    Meta is not asked: the token may be one that both teams were connected with.
    """
    if not is_media_id(media_id) or not await ctx.db.read(waba.tokens_oldest_first):
        return  # an unknown id ends otherwise too
    owner = await ctx.resources.db.read(queries.owner, media_id, mine=ctx.team_id)
    if owner is not None and owner.team_id != ctx.team_id:
        raise _unknown("GET", media_id)


async def _credential(
    ctx: Context, directory: Directory, request: Request, plugin_id: str | None
) -> Credential | None:
    """What to ask Meta with: the plugin's own token where the path names it, else that of the node's account.

    None for a node of another team.
    """
    if plugin_id is not None:
        await directory.check_plugin(ctx.team_id, plugin_id)
    mine = [
        it
        for it in await directory.credentials(ctx.team_id)
        if plugin_id is None or it.plugin_id == plugin_id
    ]
    owner = await ctx.resources.db.read(queries.owner, request.node, mine=ctx.team_id)
    if owner is not None:
        its = [it for it in mine if it.waba_id == owner.waba_id or it.plugin_id == owner.plugin_id]
        mine = its or mine
    if not mine:
        raise NotFound(
            "No active number is connected that could ask Meta; connect one, with `samvad connect`."
        )
    if owner is not None and owner.team_id != ctx.team_id:
        return None
    if len({it.access_token for it in mine}) == 1 or not _is_id(request.node):
        return mine[0]
    return await _who_can_see(ctx, request, mine)


async def _who_can_see(ctx: Context, request: Request, candidates: list[Credential]) -> Credential:
    """The first of several accounts that Meta shows this node to; where none is, Meta's own no is the answer."""
    for it in candidates:
        try:
            params = {"fields": "id"}
            await ctx.resources.cloud.get(
                request.node, token=it.access_token, params=params, version=request.version
            )
        except Refused:
            continue
        await ctx.db.write(queries.learn, request.node, it.waba_id, at=ctx.now())
        return it
    return candidates[0]


async def _learn(ctx: Context, credential: Credential, body: bytes) -> None:
    """Remember whose a new flow, group or upload is."""
    try:
        said = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return
    made = [said.get(name) for name in LEARNED] if isinstance(said, dict) else []
    for node in made:
        if isinstance(node, str) and 0 < len(node) <= 500:
            # An upload's id brings a signature along, which its address has in the query.
            await ctx.db.write(queries.learn, node.partition("?")[0], credential.waba_id, at=ctx.now())


async def _tell_templates(ctx: Context, request: Request) -> None:
    """What was just changed about templates is read anew soon, also where its webhook gets lost."""
    if set(request.edges) & set(TEMPLATE_LISTS):
        await templates.changed(ctx, request.node)
    elif waba_id := await ctx.db.read(queries.account_of_template, request.node):
        await templates.changed(ctx, waba_id)


def _unknown(method: str, node: str) -> Refused:
    """Meta's own words for a node that is not there: what another team has is not there either."""
    message = (
        f"Unsupported {method.lower()} request. Object with ID '{node}' does not exist, cannot be "
        "loaded due to missing permissions, or does not support this operation. Please read the Graph API "
        "documentation at https://developers.facebook.com/docs/graph-api"
    )
    trace = f"A{secrets.token_urlsafe(18)[:22]}"  # Meta's errors have one, and this must look like any other
    error = {
        "message": message,
        "type": "GraphMethodException",
        "code": 100,
        "error_subcode": 33,
        "fbtrace_id": trace,
    }
    return Refused(message, status=400, error=error)


def _is_id(node: str) -> bool:
    return _number.fullmatch(node) is not None
