"""Graph calls of the resumable upload: a session, its bytes, and in the end a handle."""

import base64
from collections.abc import Awaitable, Callable

from samvad.sandbox.errors import GraphError, parameter, parameter_is_required, unknown_object
from samvad.sandbox.model import Json
from samvad.sandbox.nodes import Call
from samvad.sandbox.uploads import Upload, Uploads

MAX_FILE = 100 * 1024 * 1024
TYPES = ("application/pdf", "image/jpeg", "image/jpg", "image/png", "video/mp4")


async def begin(call: Call, app_id: str) -> Json:
    """POST /{app-id}/uploads?file_name=&file_length=&file_type=."""
    given = await call.parameters()
    for name in ("file_length", "file_type"):
        if not given.get(name):
            raise parameter_is_required(name)
    length = str(given["file_length"])
    if not length.isdecimal() or not 1 <= int(length[:12]) <= MAX_FILE:
        raise parameter("file_length", f"must be a number from 1 to {MAX_FILE}.")
    if given["file_type"] not in TYPES:
        raise parameter("file_type", f"must be one of {{{', '.join(TYPES)}}}.")
    world = call.world
    serial = base64.urlsafe_b64encode(f"attachment:{world.identities.object_id()}".encode()).decode()
    name = str(given.get("file_name") or "file")
    upload = Upload(serial, world.identities.trace(), app_id, name, given["file_type"], int(length))
    world.area(Uploads).add(upload)
    return {"id": _session_id(upload)}


async def receive(call: Call, upload: Upload) -> Json:
    """POST /upload:…, the bytes from `file_offset` on; the handle once all are there."""
    offset = call.request.headers.get("file_offset", call.query.get("file_offset", "0"))
    if offset != str(len(upload.data)):
        raise GraphError(
            100, message=f"(#100) Param file_offset must be {len(upload.data)}, the bytes received."
        )
    async for chunk in call.request.stream():
        if len(upload.data) + len(chunk) > upload.length:
            raise GraphError(100, message="(#100) More bytes were sent than file_length said.")
        upload.data += chunk
    if len(upload.data) < upload.length:
        return await state(call, upload)
    handle = upload.handle
    call.world.area(Uploads).handles[handle] = upload
    return {"h": handle}


async def state(call: Call, upload: Upload) -> Json:
    """GET /upload:…, from where an interrupted upload goes on."""
    return {"id": _session_id(upload), "file_offset": len(upload.data)}


async def on_session(call: Call, session_id: str) -> Json:
    """A call on /upload:…, which only the app that began the session may make."""
    upload = call.world.area(Uploads).sessions.get(session_id)
    deed = _SESSION_CALLS.get(call.request.method)
    if upload is None or deed is None or upload.app_id not in [account.app_id for account in call.accounts]:
        raise unknown_object(call.request.method, f"upload:{session_id}")
    return await deed(call, upload)


_SESSION_CALLS: dict[str, Callable[[Call, Upload], Awaitable[Json]]] = {"POST": receive, "GET": state}


def _session_id(upload: Upload) -> str:
    """Meta's ids of sessions carry a signature as a query, and clients pass the whole on."""
    return f"upload:{upload.id}?sig={upload.signature}"
