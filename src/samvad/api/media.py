"""Public files: up, and down again."""

from samvad.api.call import Call
from samvad.asgi.replies import Reply, data
from samvad.domain.media import operations as media
from samvad.domain.waba import operations as waba

PUBLIC = "/public-media/"
FOR_A_YEAR = b"public, max-age=31536000, immutable"


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
    headers = (
        (b"content-type", file.mime_type.encode()),
        (b"content-length", str(file.size).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", b"default-src 'none'; sandbox"),
        (b"cache-control", FOR_A_YEAR),
        (b"access-control-allow-origin", b"*"),
    )
    return Reply(200, file.content, headers)
