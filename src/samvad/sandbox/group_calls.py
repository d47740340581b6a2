"""Graph calls about groups."""

import base64
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.datastructures import UploadFile

from samvad.sandbox import checks
from samvad.sandbox.errors import GraphError, parameter, status_error
from samvad.sandbox.groups import (
    LIFECYCLE,
    MAX_DESCRIPTION,
    MAX_GROUPS,
    MAX_PARTICIPANTS,
    MAX_SUBJECT,
    SETTINGS,
    Group,
    Groups,
    admit,
    as_participant,
    new_group_id,
    new_link,
    new_request_id,
    remove,
    tell,
)
from samvad.sandbox.model import Json
from samvad.sandbox.nodes import Call, NumberCalls, must_be_whatsapp, page, pick
from samvad.sandbox.people import by_user_id, digits_of
from samvad.sandbox.world import Number

APPROVALS = ("auto_approve", "approval_required")
MAX_PICTURE = 5 * 1024 * 1024
WHATSAPP: Json = {"messaging_product": "whatsapp"}
GROUP_FIELDS = (
    "messaging_product",
    "subject",
    "description",
    "join_approval_mode",
    "suspended",
    "creation_timestamp",
    "total_participant_count",
    "participants",
)


async def create(call: Call, number: Number) -> Json:
    """POST /{phone-number-id}/groups: accepted at once; the group and its link come by webhook."""
    given = await call.parameters()
    must_be_whatsapp(given)
    checks.members(given, "groups", ("messaging_product", "subject", "description", "join_approval_mode"))
    subject = _subject(given.get("subject"))
    description = checks.text(given.get("description") or "", "description", MAX_DESCRIPTION, empty=True)
    approval = given.get("join_approval_mode") or "auto_approve"
    if approval not in APPROVALS:
        raise parameter("join_approval_mode", f"must be one of {{{', '.join(APPROVALS)}}}.")
    world = call.world
    known = world.area(Groups).by_id
    if sum(group.number is number for group in known.values()) >= MAX_GROUPS:
        raise GraphError(131211, "The number has as many groups as it can have.")
    group = Group(
        id=new_group_id(world, number),
        number=number,
        subject=subject,
        description=description,
        approval=approval,
        created_at=int(world.clock()),
        invite_link=new_link(world),
    )
    known[group.id] = group
    request_id = new_request_id(world)
    about = {
        "subject": subject,
        **({"description": description} if description else {}),
        "invite_link": group.invite_link,
        "join_approval_mode": approval,
    }
    tell(world, group, LIFECYCLE, "group_create", request_id=request_id, **about)
    return {**WHATSAPP, "request_id": request_id}


async def list_groups(call: Call, number: Number) -> Json:
    """GET /{phone-number-id}/groups."""
    rows = [
        (group.id, {"id": group.id, "subject": group.subject, "created_at": str(group.created_at)})
        for group in call.world.area(Groups).by_id.values()
        if group.number is number
    ]
    answer = page(call, rows)
    answer["data"] = {"groups": answer["data"]}
    return answer


async def read(call: Call, group: Group) -> Json:
    """GET /{group-id}?fields=."""
    people = [as_participant(call.world, group, digits) for digits in group.participants]
    whole = {
        **WHATSAPP,
        "id": group.id,
        "subject": group.subject,
        "description": group.description,
        "join_approval_mode": group.approval,
        "suspended": False,
        "creation_timestamp": group.created_at,
        "total_participant_count": len(people),
        "participants": people,
    }
    return pick(whole, call.query.get("fields"), GROUP_FIELDS, "WhatsAppGroup")


async def change(call: Call, group: Group) -> Json:
    """POST /{group-id}: subject, description, picture; what came of each is told by webhook."""
    picture = await _picture(call)
    given = await call.parameters()
    must_be_whatsapp(given)
    told: Json = {}
    if given.get("subject") is not None:
        group.subject = _subject(given["subject"])
        told["group_subject"] = {"text": group.subject, "update_successful": True}
    if given.get("description") is not None:
        group.description = checks.text(given["description"], "description", MAX_DESCRIPTION, empty=True)
        told["group_description"] = {"text": group.description, "update_successful": True}
    if picture is not None:
        told["profile_picture"] = picture
    if not told:
        raise GraphError(100, message="(#100) One group setting must be specified")
    request_id = new_request_id(call.world)
    tell(call.world, group, SETTINGS, "group_settings_update", request_id=request_id, **told)
    return {**WHATSAPP, "request_id": request_id, "success": True}


async def delete(call: Call, group: Group) -> Json:
    """DELETE /{group-id}."""
    del call.world.area(Groups).by_id[group.id]
    request_id = new_request_id(call.world)
    tell(call.world, group, LIFECYCLE, "group_delete", request_id=request_id)
    return {**WHATSAPP, "request_id": request_id, "success": True}


async def read_link(call: Call, group: Group) -> Json:
    """GET /{group-id}/invite_link."""
    return {**WHATSAPP, "invite_link": group.invite_link}


async def renew_link(call: Call, group: Group) -> Json:
    """POST /{group-id}/invite_link: a new link, and the old one leads nowhere."""
    must_be_whatsapp(await call.parameters())
    group.invite_link = new_link(call.world)
    return {**WHATSAPP, "invite_link": group.invite_link}


async def list_requests(call: Call, group: Group) -> Json:
    """GET /{group-id}/join_requests."""
    rows = [
        (
            request_id,
            {
                "join_request_id": request_id,
                **as_participant(call.world, group, digits),
                "creation_timestamp": at,
            },
        )
        for request_id, (digits, at) in group.requests.items()
    ]
    return page(call, rows)


async def approve(call: Call, group: Group) -> Json:
    """POST /{group-id}/join_requests."""

    def admitted(digits: str) -> int | None:
        if len(group.participants) >= MAX_PARTICIPANTS:
            return 131204
        admit(call.world, group, digits, reason="invite_link")
        return None

    return await _decide(call, group, "approved_join_requests", admitted)


async def reject(call: Call, group: Group) -> Json:
    """DELETE /{group-id}/join_requests."""
    return await _decide(call, group, "rejected_join_requests", lambda digits: None)


async def remove_participants(call: Call, group: Group) -> Json:
    """DELETE /{group-id}/participants; who is not in the group is told in the webhook as failed."""
    given = await call.parameters()
    must_be_whatsapp(given)
    gone: list[str] = []
    failed: list[Json] = []
    for user in checks.items(given.get("participants"), "participants", 1, MAX_PARTICIPANTS):
        one = checks.members(user, "participants", ("user", "user_id"))
        digits = digits_of(one.get("user")) or by_user_id(
            call.world, group.number.account, one.get("user_id")
        )
        if digits in gone:
            raise GraphError(131202, "The same participant is named twice.")
        if digits is not None and digits in group.participants:
            gone.append(digits)
        else:
            failed.append({"input": str(one.get("user") or one.get("user_id"))})
    request_id = new_request_id(call.world)
    remove(call.world, group, gone, "business", tuple(failed), request_id=request_id)
    return {**WHATSAPP, "request_id": request_id, "success": True}


NUMBER_CALLS: NumberCalls = {("POST", "groups"): create, ("GET", "groups"): list_groups}
GROUP_CALLS: dict[tuple[str, str], Callable[[Call, Group], Awaitable[Json]]] = {
    ("GET", ""): read,
    ("POST", ""): change,
    ("DELETE", ""): delete,
    ("GET", "invite_link"): read_link,
    ("POST", "invite_link"): renew_link,
    ("GET", "join_requests"): list_requests,
    ("POST", "join_requests"): approve,
    ("DELETE", "join_requests"): reject,
    ("DELETE", "participants"): remove_participants,
}


async def _decide(call: Call, group: Group, what: str, decide: Callable[[str], int | None]) -> Json:
    """Answer join requests one by one: which are done, and which failed with what code."""
    given = await call.parameters()
    must_be_whatsapp(given)
    done: list[str] = []
    failed: list[Json] = []
    for request_id in checks.items(given.get("join_requests"), "join_requests", 1, MAX_GROUPS):
        known = group.requests.get(request_id) if isinstance(request_id, str) else None
        code = 131213 if known is None else decide(known[0])
        if code is None:
            del group.requests[request_id]
            done.append(request_id)
        else:
            failed.append({"join_request_id": request_id, "errors": [status_error(code, None)]})
    answer: Json = {**WHATSAPP, what: done}
    if failed:
        answer["failed_join_requests"] = failed
        answer["errors"] = [status_error(131201, None)]
    return answer


def _subject(given: Any) -> str:
    return checks.text(given.strip() if isinstance(given, str) else given, "subject", MAX_SUBJECT)


async def _picture(call: Call) -> Json | None:
    """The picture of a multipart request, as the webhook tells it."""
    if not call.request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return None
    form = await call.form()
    try:
        file = next((one for one in form.values() if isinstance(one, UploadFile)), None)
        if file is None:
            return None
        data = await file.read()
    finally:
        await form.close()
    if not data.startswith(b"\xff\xd8") or len(data) > MAX_PICTURE:
        raise GraphError(131209, "The picture must be a JPEG of at most 5 MB.")
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    return {"mime_type": "image/jpeg", "sha256": digest, "update_successful": True}
