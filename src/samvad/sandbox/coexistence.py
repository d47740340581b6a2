"""A number that is also on the WhatsApp Business app, and people who change: plays over the control API."""

from typing import Any

from samvad.sandbox import checks, inbound
from samvad.sandbox.errors import GraphError
from samvad.sandbox.identity import stable_id
from samvad.sandbox.inbound import BadRequest
from samvad.sandbox.model import Json, Message
from samvad.sandbox.news import tell_of_number
from samvad.sandbox.people import contact
from samvad.sandbox.plays import Play, only
from samvad.sandbox.world import World

ECHO_KINDS = (
    *inbound.MEDIA_KINDS,
    "text",
    "location",
    "contacts",
    "reaction",
    "edit",
    "revoke",
    "unsupported",
)
PREFERENCES = {
    "stop": "User requested to stop marketing messages",
    "resume": "User requested to resume marketing messages",
}


def echo(world: World, digits: str, given: Json) -> Json:
    """{type, text|image|edit|revoke|…, phone_number_id?}: the owner writes to this person from the phone app."""
    number = inbound.chosen_number(world, given.get("phone_number_id"))
    kind = given.get("type", "text")
    if kind not in ECHO_KINDS:
        raise BadRequest(f"type {kind!r} is none of {', '.join(ECHO_KINDS)}")
    content = inbound.content_of(world, number, kind, given)
    if kind in ("edit", "revoke") and not content.get("original_message_id"):
        raise BadRequest(f"{kind}.original_message_id is required")
    wamid = world.identities.wamid(digits, received=False)
    told: Json = {
        "from": number.display,
        "to": digits,
        "to_user_id": world.user_id(number.account, digits),
        "id": wamid,
        "timestamp": str(int(world.clock())),
        "type": kind,
        kind: content or {},
    }
    world.keep(
        Message(
            wamid=wamid,
            number_id=number.id,
            digits=digits,
            kind=kind,
            payload={kind: told[kind]},
            at=world.clock(),
            from_business=True,
            status="delivered",
        )
    )
    value = {"contacts": [contact(world, number, digits)], "message_echoes": [told]}
    tell_of_number(world, number, "smb_message_echoes", value, (wamid,))
    return {"wamid": wamid, "message": told}


def sync_history(world: World, digits: str, given: Json) -> Json:
    """{phase, chunk_order, progress, threads: [{digits, messages: [{type, …, from_business?, status?,
    timestamp?}]}], phone_number_id?} or {declined: true}: one chunk of what was written before."""
    only(given, "phase", "chunk_order", "progress", "threads", "phone_number_id", "declined")
    number = inbound.chosen_number(world, given.get("phone_number_id"))
    if given.get("declined") is True:
        error = {
            "code": 2593109,
            "title": "History sync is turned off by the business from the WhatsApp Business App",
            "message": "History sync is turned off by the business from the WhatsApp Business App",
            "error_data": {"details": "History sharing is turned off by the business"},
        }
        value: Json = {"history": [{"errors": [error]}]}
        tell_of_number(world, number, "history", value)
        return value
    metadata: Json = {}
    for name, most in (("phase", 2), ("chunk_order", 1_000_000), ("progress", 100)):
        number_given = given.get(name, 0 if name == "phase" else 1 if name == "chunk_order" else 100)
        if not isinstance(number_given, int) or not 0 <= number_given <= most:
            raise BadRequest(f"{name} must be a number from 0 to {most}")
        metadata[name] = number_given
    threads = [_thread(world, number.display, thread) for thread in _list(given, "threads")]
    value = {"history": [{"metadata": metadata, "threads": threads}]}
    about = tuple(message["id"] for thread in threads for message in thread["messages"])
    tell_of_number(world, number, "history", value, about)
    return value


def sync_contacts(world: World, digits: str, given: Json) -> Json:
    """{contacts: [{digits, full_name?, first_name?, action? add|remove}], phone_number_id?}: the app's address
    book."""
    only(given, "contacts", "phone_number_id")
    number = inbound.chosen_number(world, given.get("phone_number_id"))
    told = []
    for one in _list(given, "contacts"):
        action = one.get("action", "add")
        if action not in ("add", "remove") or not isinstance(one.get("digits"), str):
            raise BadRequest("a contact has digits, and action is add or remove")
        entry: Json = {"phone_number": one["digits"]}
        if action == "add":
            entry |= {key: one[key] for key in ("full_name", "first_name") if key in one}
        metadata = {"timestamp": str(int(world.clock()))}
        told.append({"type": "contact", "contact": entry, "action": action, "metadata": metadata})
    tell_of_number(world, number, "smb_app_state_sync", {"state_sync": told})
    return {"state_sync": told}


def change_number(world: World, digits: str, given: Json) -> Json:
    """{to, phone_number_id?}: the person moves to another phone number."""
    only(given, "to", "phone_number_id")
    to = given.get("to")
    if not isinstance(to, str) or not to.isdecimal() or not 5 <= len(to) <= 15:
        raise BadRequest("to must be the digits of the new number")
    name = world.phone(digits).name
    world.phone(to).name = name
    system = {
        "body": f"{name} changed from {digits} to {to}",
        "wa_id": to,
        "type": "user_changed_number",
    }
    return _system(world, digits, system, given)


def change_user_id(world: World, digits: str, given: Json) -> Json:
    """{phone_number_id?}: the person gets another user id, told by a system message and by user_id_update."""
    only(given, "phone_number_id")
    number = inbound.chosen_number(world, given.get("phone_number_id"))
    account = number.account
    previous = world.user_id(account, digits)
    serial = stable_id(previous, world.identities.object_id())
    current = f"{previous.partition('.')[0]}.1{serial}"
    world.people.pop(previous, None)
    world.people[current] = digits
    world.user_ids[account.waba_id, digits] = current
    changed = {
        "wa_id": digits,
        "detail": "User id changed",
        "user_id": {"previous": previous, "current": current},
        "timestamp": int(world.clock()),
    }
    value = {"contacts": [contact(world, number, digits)], "user_id_update": [changed]}
    tell_of_number(world, number, "user_id_update", value)
    body = f"{world.phone(digits).name} has a new user id"
    return _system(world, digits, {"body": body, "user_id": current, "type": "user_changed_user_id"}, given)


def prefer(world: World, digits: str, given: Json) -> Json:
    """{value: stop|resume, phone_number_id?}: the person stops or resumes marketing messages."""
    only(given, "value", "phone_number_id")
    wanted = given.get("value")
    if wanted not in PREFERENCES:
        raise BadRequest("value must be stop or resume")
    number = inbound.chosen_number(world, given.get("phone_number_id"))
    stopped = world.phone(digits).no_marketing
    if wanted == "stop":
        stopped.add(number.id)
    else:
        stopped.discard(number.id)
    told = {
        "wa_id": digits,
        "user_id": world.user_id(number.account, digits),
        "detail": PREFERENCES[wanted],
        "category": "marketing_messages",
        "value": wanted,
        "timestamp": int(world.clock()),
    }
    value = {"contacts": [contact(world, number, digits)], "user_preferences": [told]}
    tell_of_number(world, number, "user_preferences", value)
    return told


PLAYS: dict[str, Play] = {
    "/phones/{digits}/echo": echo,
    "/phones/{digits}/change-number": change_number,
    "/phones/{digits}/change-user-id": change_user_id,
    "/phones/{digits}/preferences": prefer,
    "/history": sync_history,
    "/app-contacts": sync_contacts,
}


def _system(world: World, digits: str, system: Json, given: Json) -> Json:
    message = {"type": "system", "system": system, "phone_number_id": given.get("phone_number_id")}
    kept, sent = inbound.receive(world, digits, message)
    return {"wamid": kept.wamid, "message": sent}


def _thread(world: World, display: str, thread: Json) -> Json:
    digits = thread.get("digits")
    if not isinstance(digits, str) or not digits.isdecimal():
        raise BadRequest("a thread has the digits of the person")
    messages = []
    for given in _list(thread, "messages"):
        kind = given.get("type", "text")
        by_business = given.get("from_business") is True
        messages.append(
            {
                "from": display if by_business else digits,
                **({"to": digits} if by_business else {}),
                "id": given.get("id") or world.identities.wamid(digits, received=not by_business),
                "timestamp": str(given.get("timestamp", int(world.clock()))),
                "type": kind,
                kind: given.get(kind, {}),
                "history_context": {"status": str(given.get("status", "READ")).upper()},
            }
        )
    return {"id": digits, "messages": messages}


def _list(given: Json, name: str) -> list[Any]:
    try:
        found = checks.items(given.get(name), name, 1, 10_000)
    except GraphError:
        raise BadRequest(f"{name} must be an array with at least one element") from None
    if not all(isinstance(one, dict) for one in found):
        raise BadRequest(f"{name} must be an array of objects")
    return found
