"""Meta's own calls, passed through on four prefixes: Meta's words there, Meta's words back."""

import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from samvad.api import messages, wire
from samvad.api.call import LARGEST_UPLOAD, Call
from samvad.asgi.bodies import header, limited
from samvad.asgi.errors import PAUSE_MS, READABLE_PAUSE, refusal, retry_after
from samvad.asgi.replies import ANY_ORIGIN, Reply, json_reply
from samvad.domain.graph import operations as graph
from samvad.domain.graph.operations import Request
from samvad.kit.errors import BadRequest, NotFound
from samvad.whatsapp.cloud_api import is_version
from samvad.whatsapp.errors import from_response
from samvad.whatsapp.forward import Forwarded

_step = re.compile(r"[A-Za-z0-9_:=-][A-Za-z0-9_:=.-]{0,499}", re.ASCII)
_described_by = (b"content-type", b"content-length", b"file_offset")
_whole = re.compile(r"\d{1,18}", re.ASCII)

SENDS = ("messages", "marketing_messages")
OURS_TO_SAY = ("access_token", "appsecret_proof")


async def pass_through(call: Call) -> Reply:
    """Whatever Meta offers, with Meta's status and body; a message takes the way of every message."""
    node, edges = call.path["node"], tuple(call.path[it] for it in ("edge", "item") if it in call.path)
    version = call.path["whatsappApiVersion"]
    if not is_version(version):
        raise BadRequest(f"The API version must look like v25.0; got {version!r:.40}.")
    if not all(_step.fullmatch(it) for it in (node, *edges)):
        raise NotFound("No such path: what Meta has is addressed by ids and names.")
    if call.method == "POST" and len(edges) == 1 and edges[0] in SENDS:
        return await messages.send(call, node, edge=edges[0])
    if "pluginId" in call.path and edges == ("media",):
        raise NotFound(
            "Files are not uploaded here. POST them to upload-public-media of this plugin and send the address, "
            "or use /v1/whatsapp/{version}/{phone number id}/media."
        )
    query = [(name, value) for name, value in _query(call) if name not in OURS_TO_SAY]
    if any(name == "method" for name, _ in query):
        raise BadRequest("`method` is not passed on: Meta would take another one than the request has.")
    request = Request(call.method, version, node, edges, query, _body(call), _headers(call))
    answer = await graph.forward(
        call.ctx, call.services.directory, request, plugin_id=call.path.get("pluginId")
    )
    return _reply(call, answer)


def _query(call: Call) -> list[tuple[str, str]]:
    return parse_qsl(call.scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)


def _headers(call: Call) -> dict[str, str]:
    found = {name.decode(): value for name in _described_by if (value := header(call.scope, name))}
    if not _whole.fullmatch(found.get("content-length", "")):
        found.pop("content-length", None)
    return {"content-type": "application/json"} | found


def _body(call: Call) -> AsyncIterator[bytes] | None:
    """The request's body as it comes, never whole in memory."""
    if header(call.scope, b"content-length") in (None, "0") and not header(call.scope, b"transfer-encoding"):
        return None
    receive = limited(call.scope, call.receive, LARGEST_UPLOAD)

    async def pieces() -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise BadRequest("The connection closed before the whole body had arrived.")
            more = message.get("more_body", False)
            if piece := message.get("body", b""):
                yield piece

    return pieces()


def _reply(call: Call, answer: Forwarded) -> Reply:
    said = _decoded(answer)
    error = said.get("error") if said is not None else None
    if isinstance(error, dict) or answer.status >= 400:
        return _refused(answer, said, error if isinstance(error, dict) else None)
    if said is not None and (changed := _at_home(call, said)) is not None:
        return json_reply(changed, status=answer.status)
    headers = ((b"content-type", answer.content_type.encode("latin-1", "replace")), ANY_ORIGIN)
    return Reply(answer.status, answer.body, headers)


def _refused(answer: Forwarded, said: dict[str, Any] | None, error: dict[str, Any] | None) -> Reply:
    """Meta's no with Meta's status, and beside Meta's words those that clients of ours look for."""
    if error is None:
        return refusal(502, f"WhatsApp answered {answer.status} with something that could not be understood.")
    words = str(error.get("message") or error.get("error_user_msg") or "WhatsApp refused this.")
    ours = {"_data": [], "_errors": [words], "message": words, "error": error}
    wait_ms = from_response(answer.status, answer.body, answer.waits).wait_ms
    if wait_ms is None and answer.status == 429:
        wait_ms = PAUSE_MS
    headers = () if wait_ms is None else (retry_after(wait_ms), READABLE_PAUSE)
    status = answer.status if answer.status >= 400 else 400
    return json_reply({**(said or {}), **ours}, status=status, headers=headers)


def _decoded(answer: Forwarded) -> dict[str, Any] | None:
    try:
        said = msgspec.json.decode(answer.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _at_home(call: Call, said: dict[str, Any]) -> dict[str, Any] | None:
    """The same answer with its addresses leading here; None where it has none, and stays as it came."""
    paging = said.get("paging")
    if isinstance(paging, dict) and ("next" in paging or "previous" in paging):
        here = {
            name: _our_address(call, url)
            for name in ("next", "previous")
            if isinstance(url := paging.get(name), str)
        }
        return {**said, "paging": {**paging, **here}}
    if {"url", "mime_type", "sha256"} <= said.keys():  # a file, whose own address takes Meta's token only
        url = wire.media_url(call.res.public_url, call.path["node"], version=call.path["whatsappApiVersion"])
        return {**said, "url": url}
    return None


def _our_address(call: Call, url: str) -> str:
    """Meta's address of another page, below the prefix the client used and without any token."""
    parts = urlsplit(url)
    kept = [it for it in parse_qsl(parts.query, keep_blank_values=True) if it[0] not in OURS_TO_SAY]
    return f"{call.res.public_url}{call.scope['path']}?{urlencode(kept)}"
