"""What virtual customers write: the message, its file, and the webhook that tells the business."""

import base64
import binascii
from functools import partial
from typing import Any

from samvad.sandbox.blocklist import is_blocked
from samvad.sandbox.entry_points import came_by_ad
from samvad.sandbox.errors import status_error
from samvad.sandbox.groups import Group, Groups
from samvad.sandbox.media import MAX_UPLOAD
from samvad.sandbox.model import Json, Message
from samvad.sandbox.samples import sample
from samvad.sandbox.statuses import wire_json
from samvad.sandbox.world import WINDOW_S, Number, Phone, World

MEDIA_KINDS = ("image", "video", "audio", "document", "sticker")
REQUIRED: dict[str, tuple[str, ...]] = {
    "text": ("body",),
    "image": (),
    "video": (),
    "audio": (),
    "document": (),
    "sticker": (),
    "location": ("latitude", "longitude"),
    "contacts": (),
    "reaction": ("message_id",),
    "interactive": ("type",),
    "button": ("text",),
    "order": ("catalog_id", "product_items"),
    "system": ("type",),
    "unsupported": (),
    "edit": (),
    "revoke": (),
    "request_welcome": (),
}
BARE = ("unsupported", "request_welcome")  # kinds that may come without an object of their name
VARIETIES = 2**24


class BadRequest(ValueError):
    """The control API cannot do what it was asked; the text says why."""


def receive(world: World, digits: str, given: Json) -> tuple[Message, Json]:
    """Let a customer send a message; the webhook leaves after the set delay."""
    digits = world.wa_id(digits)
    group = _group(world, digits, given.get("group_id"))
    number = group.number if group else chosen_number(world, given.get("phone_number_id"))
    phone = world.phone(digits)
    name = given.get("name")
    if isinstance(name, str) and name:
        phone.name = name
    phone.hidden = given.get("hide_phone", phone.hidden) is True
    kind = given.get("type", "text")
    content = content_of(world, number, kind, given)

    wamid = world.identities.wamid(digits, received=True)
    at = _timestamp(world, given.get("timestamp"))
    bsuid = world.user_id(number.account, digits)
    sent: Json = {} if phone.hidden else {"from": digits}
    sent |= {"from_user_id": bsuid, "id": wamid, "timestamp": str(at), "type": kind}
    if content is not None:
        sent[kind] = content
    if kind == "unsupported":
        sent["errors"] = [status_error(131051, "Message type is currently not supported.")]
    if group is not None:
        sent["group_id"] = group.id
    if given.get("context") is not None:
        sent["context"] = _context(world, number, digits, given["context"])
    for member in ("referral", "errors", "identity"):
        if given.get(member) is not None:
            sent[member] = given[member]

    message = Message(
        wamid=wamid,
        number_id=number.id,
        digits=digits,
        kind=kind,
        payload={key: sent[key] for key in (kind, "context", "referral", "group_id") if key in sent},
        at=at,
        from_business=False,
        status="delivered",
        media_id=content.get("id") if kind in MEDIA_KINDS and isinstance(content, dict) else None,
    )
    if is_blocked(world, number, digits):
        message.status = ""  # it stays with one tick on the phone, and the business hears nothing
        world.keep(message)
        return message, sent
    world.keep(message)
    world.counts.received += 1
    if kind != "system" and group is None:  # a notice of WhatsApp, and no word of the customer's
        phone.windows[number.id] = world.clock() + WINDOW_S
        if given.get("referral") is not None:
            came_by_ad(world, number, digits)
    delay_s = world.settings.delays.inbound_ms / 1000
    if delay_s:
        world.timeline.after(delay_s, partial(_post, world, number, phone, bsuid, sent))
    else:
        _post(world, number, phone, bsuid, sent)
    return message, sent


def chosen_number(world: World, number_id: Any) -> Number:
    """The business number with this id, or the first of all."""
    if number_id is None:
        return next(iter(world.numbers.values()))
    number = world.numbers.get(number_id) if isinstance(number_id, str) else None
    if number is None:
        raise BadRequest(f"phone_number_id {number_id!r} is none of {', '.join(world.numbers)}")
    return number


def _group(world: World, digits: str, group_id: Any) -> Group | None:
    """The group to write in, which one must be a member of."""
    if group_id is None:
        return None
    group = world.area(Groups).by_id.get(group_id) if isinstance(group_id, str) else None
    if group is None or digits not in group.participants:
        raise BadRequest("group_id is no group this phone is in")
    return group


def content_of(world: World, number: Number, kind: Any, given: Json) -> Any:
    """The object named after the type, completed."""
    if not isinstance(kind, str) or kind not in REQUIRED:
        raise BadRequest(f"type {kind!r} is none of {', '.join(REQUIRED)}")
    content = given.get(kind)
    if kind == "contacts":
        if not isinstance(content, list) or not content:
            raise BadRequest("contacts must be an array with at least one contact")
        return content
    if content is None and kind in BARE:
        return None
    if content is None and kind in MEDIA_KINDS:
        content = {}
    if not isinstance(content, dict):
        raise BadRequest(f"{kind} must be an object")
    for member in REQUIRED[kind]:
        if content.get(member) is None:
            raise BadRequest(f"{kind}.{member} is required")
    if kind == "text" and not isinstance(content["body"], str):
        raise BadRequest("text.body must be a string")
    if kind == "reaction" and not content.get("emoji"):
        return {"message_id": content["message_id"]}  # Meta tells a removed reaction by leaving the emoji out
    if kind in MEDIA_KINDS and "id" not in content:
        return _with_file(world, number, kind, content)
    return content


def _with_file(world: World, number: Number, kind: str, content: Json) -> Json:
    """The media object with the id, type, digest and URL of a real file."""
    rest = {key: value for key, value in content.items() if key not in ("data", "mime_type")}
    if "data" in content:
        data, usual_type = _decoded(kind, content["data"]), sample(kind, 0)[1]
    else:
        data, usual_type = sample(kind, world.chance.randrange(VARIETIES))
    mime_type = content.get("mime_type", usual_type)
    if not isinstance(mime_type, str):
        raise BadRequest(f"{kind}.mime_type must be a string")
    if kind == "audio":
        rest.setdefault("voice", "opus" in mime_type)
    if kind == "sticker":
        rest.setdefault("animated", False)
    if kind == "document":
        rest.setdefault("filename", "document.pdf")
    filename = rest.get("filename") if isinstance(rest.get("filename"), str) else None
    asset = world.media.add(
        number.account.waba_id,
        data,
        mime_type,
        filename=filename,
        lives_s=world.settings.inbound_media_lives_s,
    )
    base_url, lives_s = world.base_url or "http://localhost", world.settings.media_url_lives_s
    url = world.media.url(asset, base_url, source="webhook", lives_s=lives_s)
    return {"id": asset.id, "mime_type": mime_type, "sha256": asset.sha256, "url": url, **rest}


def _decoded(kind: str, data: Any) -> bytes:
    try:
        decoded = base64.b64decode(data, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise BadRequest(f"{kind}.data must be base64") from None
    if len(decoded) > MAX_UPLOAD:
        raise BadRequest(f"{kind}.data is over {MAX_UPLOAD} bytes")
    return decoded


def _context(world: World, number: Number, digits: str, given: Any) -> Json:
    """Meta's context of a reply, which names the author of the message that is quoted."""
    if not isinstance(given, dict):
        raise BadRequest("context must be an object")
    rest = {key: value for key, value in given.items() if key != "message_id"}
    quoted = given.get("id", given.get("message_id"))
    if quoted is None:
        return rest
    if not isinstance(quoted, str):
        raise BadRequest("context.id must be a string")
    message = world.messages.get(quoted)
    author = digits if message is not None and not message.from_business else number.display
    return {"from": author, **rest, "id": quoted}


def _timestamp(world: World, given: Any) -> int:
    if given is None:
        return int(world.clock())
    if isinstance(given, bool) or not str(given).isdecimal() or len(str(given)) > 12:
        raise BadRequest("timestamp must be a number of seconds")
    return int(given)


def _post(world: World, number: Number, phone: Phone, bsuid: str, sent: Json) -> None:
    profile: Json = {"name": phone.name}
    contact: Json = {"profile": profile}
    if phone.hidden:
        profile["username"] = f"customer.{bsuid[-6:]}"
    else:
        contact["wa_id"] = phone.digits
    contact["user_id"] = bsuid
    contacts = "" if sent["type"] == "system" else f'"contacts":[{wire_json(contact)}],'
    body = f'{number.head}{contacts}"messages":[{wire_json(sent)}]}},"field":"messages"}}]}}]}}'
    world.deliveries.carry(world.callback(number), body.encode(), number.account.secret, (sent["id"],))
