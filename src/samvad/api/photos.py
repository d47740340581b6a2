"""Photos: up as a form, down as their bytes."""

from samvad.api import wire
from samvad.api.call import Call, storable
from samvad.api.files import file_reply
from samvad.asgi.forms import Part
from samvad.asgi.replies import Reply, data
from samvad.domain.photos import model
from samvad.domain.photos import operations as photos
from samvad.kit.errors import BadRequest

LARGEST_FORM = model.LARGEST + 64 * 1024  # bytes: a photo, and the words around it
NOT_TO_BE_KEPT_UNASKED = b"private, no-cache"  # another photo may come in its place


async def upload_photo(call: Call) -> Reply:
    """A photo, under an id of ours."""
    return await _upload(call, None)


async def upload_photo_as(call: Call) -> Reply:
    """A photo, under the id its client made."""
    return await _upload(call, call.path["photoId"])


async def show_photo(call: Call) -> Reply:
    """The bytes, or with `?meta=true` what is known of them."""
    meta = call.query().get("meta", "false")
    if meta not in ("true", "false"):
        raise BadRequest(f"meta must be true or false; got {meta!r:.40}.")
    if meta == "true":
        return data(wire.photo(await photos.get_photo(call.ctx, call.path["photoId"])))
    file = await photos.open_photo(call.ctx, call.path["photoId"])
    return await file_reply(call, file, cache=NOT_TO_BE_KEPT_UNASKED)


async def _upload(call: Call, photo_id: str | None) -> Reply:
    if photo_id is not None:
        model.photo_id_of(photo_id)  # before megabytes are read for nothing
    form = await call.form(LARGEST_FORM)
    part = form.get("photo")
    if part is None:
        raise BadRequest("Send the image as the part `photo` of a multipart/form-data body.")
    photo = await photos.upload(
        call.ctx,
        content=part.content,
        filetype=_text(form.get("filetype")),
        filename=model.filename_of(_text(form.get("filename")), part.filename and storable(part.filename)),
        photo_id=photo_id,
    )
    return data(wire.photo(photo))


def _text(part: Part | None) -> str | None:
    return None if part is None else storable(part.text)
