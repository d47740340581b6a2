"""Graph calls about media: upload, look up, download, delete."""

from collections.abc import Awaitable, Callable

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response

from samvad.sandbox.errors import GraphError, parameter_is_required, unknown_object
from samvad.sandbox.media import ALLOWED, MAX_UPLOAD, Asset
from samvad.sandbox.model import Json
from samvad.sandbox.nodes import Call
from samvad.sandbox.sends import authorize
from samvad.sandbox.tokens import MESSAGING
from samvad.sandbox.world import Number, World

FORM_OVERHEAD = 64 * 1024


async def upload(call: Call, number: Number) -> Json:
    """POST /{phone-number-id}/media, multipart."""
    length = call.request.headers.get("content-length", "")
    if not length.isdecimal() or int(length[:12]) > MAX_UPLOAD + FORM_OVERHEAD:
        raise GraphError(100, "The request has no content length, or the file is over 100 MB.", http=413)
    if not call.request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise parameter_is_required("file")
    form = await call.form()
    try:
        if not form.get("messaging_product"):
            raise parameter_is_required("messaging_product")
        if form["messaging_product"] != "whatsapp":
            raise GraphError(100, message="(#100) Param messaging_product must be one of {WHATSAPP}.")
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise parameter_is_required("file")
        given = form.get("type")
        mime_type = given if isinstance(given, str) and given else file.content_type or ""
        plain = mime_type.partition(";")[0].strip().lower()
        known = [one for _, types in ALLOWED.values() for one in types]
        if plain not in known:
            raise GraphError(
                100,
                message="(#100) Param file must be a file with one of the following types: "
                f"{', '.join(known)}. Received file of type '{plain}'.",
            )
        data = await file.read()
        filename = file.filename
    finally:
        await form.close()
    largest = max(most for most, types in ALLOWED.values() if plain in types)
    if not data or len(data) > largest:
        raise GraphError(100, message=f"(#100) Param file must have between 1 and {largest} bytes.")
    asset = call.world.media.add(
        number.account.waba_id, data, mime_type, filename=filename, lives_s=call.world.settings.upload_lives_s
    )
    return {"id": asset.id}


async def read(call: Call, asset: Asset) -> Json:
    """GET /{media-id}: a download URL that is good for five minutes, for the number that has the file."""
    wanted = call.query.get("phone_number_id")
    number = call.world.numbers.get(wanted) if wanted else None
    if wanted and (number is None or number.account.waba_id != asset.waba_id):
        raise unknown_object("get", asset.id)
    lives_s = call.world.settings.media_url_lives_s
    return {
        "messaging_product": "whatsapp",
        "url": call.world.media.url(asset, call.world.base_url, lives_s=lives_s),
        "mime_type": asset.mime_type,
        "sha256": asset.sha256,
        "file_size": len(asset.data),
        "id": asset.id,
    }


async def delete(call: Call, asset: Asset) -> Json:
    """DELETE /{media-id}."""
    call.world.media.remove(asset.id)
    return {"success": True}


async def download(world: World, request: Request) -> Response:
    """GET the download URL: the bytes, for the bearer of the owner's token, as long as the URL is good."""
    accounts = authorize(world, request.scope, MESSAGING)
    query = request.query_params
    asset = world.media.opened_by(query.get("mid", ""), query.get("ext", ""), query.get("hash", ""))
    if asset is None or asset.waba_id not in [account.waba_id for account in accounts]:
        return Response(status_code=404)
    headers = {"x-content-type-options": "nosniff"}
    if asset.filename:
        safe = "".join(
            one for one in asset.filename if one.isascii() and one.isprintable() and one not in '"\\'
        )
        headers["content-disposition"] = f'attachment; filename="{safe}"'
    return Response(asset.data, media_type=asset.mime_type, headers=headers)


NUMBER_CALLS: dict[tuple[str, str], Callable[[Call, Number], Awaitable[Json]]] = {("POST", "media"): upload}
MEDIA_CALLS: dict[tuple[str, str], Callable[[Call, Asset], Awaitable[Json]]] = {
    ("GET", ""): read,
    ("DELETE", ""): delete,
}
