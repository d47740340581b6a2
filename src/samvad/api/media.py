"""Files: public ones up and down again, and those of WhatsApp messages."""

from samvad.api import wire
from samvad.api.call import Call, Fields, numbers_of, page_of
from samvad.api.files import file_reply
from samvad.asgi.replies import Reply, data, json_reply
from samvad.domain.graph import operations as graph
from samvad.domain.media import operations as media
from samvad.domain.media.model import State
from samvad.domain.waba import operations as waba
from samvad.kit.errors import BadRequest, Refused
from samvad.whatsapp.cloud_api import is_version

PUBLIC = "/public-media/"
FOR_A_YEAR = b"public, max-age=31536000, immutable"
ONLY_FOR_THE_KEY = b"private, max-age=31536000, immutable"

PASSED_ON = (400, 401, 403, 404, 429)
"""Refusals of Meta whose status the contract knows; others are a 400, and troubles of Meta's a 502."""


async def upload_public_media(call: Call) -> Reply:
    """Put a file where anyone with its address can read it."""
    await waba.get_plugin(call.ctx, call.path["pluginId"])
    content, declared_type, filename = await call.upload()
    path = await media.upload_public(
        call.ctx, call.path["pluginId"], content=content, declared_type=declared_type, filename=filename
    )
    return data({"publicMediaUrl": f"{call.res.public_url}{PUBLIC}{path}"})


async def show_public_media(call: Call) -> Reply:
    """The bytes, never as something a browser would run."""
    path = call.path
    file = await media.open_public(call.res, f"{path['team']}/{path['day']}/{path['file']}")
    return await file_reply(call, file, cache=FOR_A_YEAR)


async def show_media_object(call: Call) -> Reply:
    """Meta's media object, bare; its `url` is ours and takes the same key."""
    media_id, version = call.path["whatsappMediaId"], _version(call)
    try:
        await graph.refuse_others_file(call.ctx, media_id)
        said = await media.describe_media(call.ctx, media_id, version=version)
    except Refused as error:
        raise _as_promised(error) from None
    url = wire.media_url(call.res.public_url, media_id, version=version)
    return json_reply({"messaging_product": "whatsapp", "url": url} | said)


async def show_media(call: Call) -> Reply:
    """The bytes, under the caller's own key."""
    _version(call)
    return await _file(call, call.path["whatsappMediaId"])


async def show_media_attachment(call: Call) -> Reply:
    """The bytes behind the address in a webhook, by its `mid`; its other members prove nothing to us."""
    _version(call)
    mid = call.query().get("mid", "")
    if not mid:
        raise BadRequest("mid is missing: it is in the query of the address in the webhook.")
    return await _file(call, await media.media_id_of(call.ctx, mid))


async def list_media(call: Call) -> Reply:
    query = numbers_of(call.query())
    fields = Fields(query)
    limit, skip = page_of(query, fields)
    state = fields.optional_text("state")
    fields.done()
    if state is not None and state not in list(State):
        raise BadRequest(f"state must be one of {', '.join(State)}; got {state!r:.40}.")
    page, more = await media.list_media(call.ctx, state=state, limit=limit, skip=skip)
    return data([wire.media_file(it, call.res.public_url) for it in page], _meta={"hasMore": more})


async def fetch_media(call: Call) -> Reply:
    file = await media.fetch_again(call.ctx, call.path["whatsappMediaId"])
    return data(wire.media_file(file, call.res.public_url))


async def _file(call: Call, media_id: str) -> Reply:
    try:
        await graph.refuse_others_file(call.ctx, media_id)
        file = await media.open_media(call.ctx, media_id)
    except Refused as error:
        raise _as_promised(error) from None
    return await file_reply(call, file, cache=ONLY_FOR_THE_KEY)


def _version(call: Call) -> str:
    version = call.path["whatsappApiVersion"]
    if not is_version(version):
        raise BadRequest(f"The API version must look like v25.0; got {version!r:.40}.")
    return version


def _as_promised(error: Refused) -> Refused:
    known = error.status in PASSED_ON or error.status >= 500
    return error if known else Refused(error.problems[0], status=400, error=error.error)
