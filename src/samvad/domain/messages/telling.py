"""What customers' endpoints are told of messages, in ChakraHQ's words and in Meta's; nothing where nobody listens.

Each step makes one event ever: the callers hand in only what was not known before.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Row

from samvad.domain.contacts.tables import contacts
from samvad.domain.messages.model import News, Status
from samvad.domain.messages.tables import messages
from samvad.domain.templates import queries as templates
from samvad.domain.waba import queries as waba
from samvad.domain.webhooks import outgoing
from samvad.domain.webhooks.model import ECHO_FIELD, TEMPLATE_FIELD, About, chat_key
from samvad.domain.webhooks.outgoing import Listeners, Telling
from samvad.storage import Tx, every_team
from samvad.storage.columns import among

if TYPE_CHECKING:
    from samvad.domain.messages.receiving import Arrival


class Step(NamedTuple):
    """A status that a message of ours reached for the first time."""

    message_id: str
    news: News


DETAILS = (
    every_team.select(
        messages.c.id,
        messages.c.team_id,
        messages.c.plugin_id,
        messages.c.phone_number_id,
        messages.c.chat_id,
        messages.c.contact_id,
        messages.c.wamid,
        messages.c.peer,
        messages.c.data_type,
        messages.c.body,
        messages.c.text,
        messages.c.context,
        messages.c.source,
        messages.c.at,
        contacts.c.name,
    )
    .join(contacts, contacts.c.id == messages.c.contact_id, isouter=True)
    .where(among(messages.c.id, "ids"))
)

LEGACY = (Status.SENT, Status.DELIVERED, Status.READ)
"""What the older generation's `deliveryStatus` tells of."""


def arrived(tx: Tx, added: Sequence[tuple[Row[Any], "Arrival"]], *, at: int) -> None:
    """`message` for what a person wrote, `smb_message_echo` for what our people wrote on their phone."""
    listening = outgoing.listeners(tx, {row.team_id for row, _ in added}) if added else {}
    told = []
    for row, it in added:
        event = "message" if it.direction == "INBOUND" else "smb_message_echo"
        if (listener := listening.get((it.plugin_id, event))) is None:
            continue
        peer = it.identities[0].value if it.identities else None
        payload = {
            "messageId": row.id,
            "externalId": it.wamid,
            "wabaId": it.waba_id,
            "timestamp": it.at,
            "message": it.raw,
            "contacts": [_person(it)],
            "whatsappPhoneNumberId": it.phone_number_id,
            "pluginId": it.plugin_id,
            "chat": row.chat_id,
            "contact": row.contact_id,
        }
        about = About(event, chat_key(it.phone_number_id, it.group_id or peer), peer, it.wamid)
        told.append(Telling(listener, it.plugin_id, about, row.id, {"event": event, "payload": payload}))
    outgoing.tell(tx, told, at=at)


def moved(tx: Tx, accepted: Sequence[str], steps: Sequence[Step], *, at: int) -> None:
    """Echoes of messages that Meta has newly `accepted` from us, and every new status."""
    teams = {step.news.team_id for step in steps}
    listening = outgoing.listeners(tx, teams) if teams else {}
    if not listening:
        return
    rows = {row.id: row for row in tx.all(DETAILS, {"ids": {*accepted, *(it.message_id for it in steps)}})}
    numbers = waba.numbers_by_id(tx, {row.phone_number_id for row in rows.values()})
    told: list[Telling] = []
    named = _templates(tx, [rows[it] for it in accepted])
    for row in (rows[it] for it in accepted):
        told += _echoes(row, numbers.get(row.phone_number_id), listening, named)
    for step in steps:
        row = rows[step.message_id]
        if row.wamid is not None:  # what Meta refused at once was told in the answer to the send
            told += _statuses(row, numbers.get(row.phone_number_id), step.news, listening)
    outgoing.tell(tx, told, at=at)


def _statuses(row: Row[Any], number: Row[Any] | None, news: News, listening: Listeners) -> list[Telling]:
    told = []
    brief = {
        "id": row.id,
        "externalId": row.wamid,
        "deliveryStatus": news.status.name,
        "timestamp": news.at,
        "recipientId": row.peer,
    }
    if (listener := listening.get((row.plugin_id, "status"))) is not None:
        payload = {**brief, "wabaId": number.waba_id if number else None, **_whereabouts(row)}
        if news.status is Status.FAILED:
            payload["errorContext"] = news.error
        told.append(_telling(listener, row, "status", {"event": "status", "payload": payload}))
    by_api = (row.source or {}).get("sourceType") == "API"
    legacy = listening.get((row.plugin_id, "deliveryStatus"))
    if legacy is not None and by_api and news.status in LEGACY:
        told.append(_telling(legacy, row, "deliveryStatus", {"event": "deliveryStatus", "payload": brief}))
    return told


def _echoes(
    row: Row[Any], number: Row[Any] | None, listening: Listeners, named: dict[str, Row[Any]]
) -> list[Telling]:
    """One message sent through us, for whoever wants to hear of it: in either format, and as a template."""
    chakra, meta, template = (
        listening.get((row.plugin_id, event)) for event in ("message_echo", ECHO_FIELD, TEMPLATE_FIELD)
    )
    if not (chakra or meta or (template and row.data_type == "template")):
        return []
    said = _said(row, number, named)
    waba_id = number.waba_id if number else ""
    person: dict[str, Any] = {"wa_id": row.peer} if row.peer and row.peer.isdigit() else {"user_id": row.peer}
    if row.peer is None:
        person = {}
    if row.name:
        person["profile"] = {"name": row.name}
    told = []
    if chakra:
        payload = {
            "messageId": row.id,
            "externalId": row.wamid,
            "wabaId": waba_id,
            "timestamp": row.at,
            "message": said,
            "contacts": [person],
            **_whereabouts(row),
        }
        told.append(_telling(chakra, row, "message_echo", {"event": "message_echo", "payload": payload}))
    where = {
        "messaging_product": "whatsapp",
        "metadata": {
            "display_phone_number": _as_dialled(number),
            "phone_number_id": row.phone_number_id,
        },
    }
    if meta:
        value = {**where, "contacts": [person], "message_echoes": [said]}
        told.append(_telling(meta, row, ECHO_FIELD, _as_meta(waba_id, ECHO_FIELD, value)))
    if template and row.data_type == "template":
        value = {**where, "message_id": row.id, "text": row.text, **said}
        told.append(_telling(template, row, TEMPLATE_FIELD, _as_meta(waba_id, TEMPLATE_FIELD, value)))
    return told


def _templates(tx: Tx, rows: Sequence[Row[Any]]) -> dict[str, Row[Any]]:
    """The templates of what was sent by our own template call, by our message's id."""
    wanted = {
        row.id: (row.team_id, (row.context or {}).get("messageTemplateId"))
        for row in rows
        if row.data_type == "template"
    }
    found = templates.of_any_account(tx, set(wanted.values())) if wanted else {}
    return {message_id: found[which] for message_id, which in wanted.items() if which in found}


def _said(row: Row[Any], number: Row[Any] | None, named: dict[str, Row[Any]]) -> dict[str, Any]:
    """A message of ours as Meta would show it in an echo."""
    content = row.body.get(row.data_type)
    if row.data_type == "template" and content is None:  # sent by our own words: Meta's were not kept
        known = named.get(row.id)
        content = {"name": known.name, "language": {"code": known.language}} if known else {}
        content["text"] = row.text
    group_id = _group(row)
    to = {"to": row.peer} if row.peer is None or row.peer.isdigit() else {"to_user_id": row.peer}
    if group_id:
        to = {"to": group_id, "group_id": group_id}
    return {
        "from": _as_dialled(number),
        **to,
        "id": row.wamid,
        "timestamp": str(row.at // 1000),
        "type": row.data_type,
        row.data_type: content,
    }


def _as_dialled(number: Row[Any] | None) -> str:
    """Digits, as in Meta's webhooks; its API shows `+1 555-000-2222`."""
    return "".join(it for it in number.display_phone_number if it.isdigit()) if number else ""


def _as_meta(waba_id: str, field: str, value: dict[str, Any]) -> dict[str, Any]:
    change = {"field": field, "value": value}
    return {"object": "whatsapp_business_account", "entry": [{"id": waba_id, "changes": [change]}]}


def _telling(listener: outgoing.Listener, row: Row[Any], event: str, body: dict[str, Any]) -> Telling:
    about = About(event, chat_key(row.phone_number_id, _group(row) or row.peer), row.peer, row.wamid)
    return Telling(listener, row.plugin_id, about, row.id, body)


def _group(row: Row[Any]) -> str | None:
    return (row.context or {}).get("group_id")


def _whereabouts(row: Row[Any]) -> dict[str, Any]:
    """Where a message is here: more than ChakraHQ tells, as bare ids like theirs."""
    return {
        "whatsappPhoneNumberId": row.phone_number_id,
        "pluginId": row.plugin_id,
        "chat": row.chat_id,
        "contact": row.contact_id,
    }


def _person(it: "Arrival") -> dict[str, Any]:
    """Meta's contact object of whom it was exchanged with; a person may have no phone, or no name."""
    keys = {"phone": "wa_id", "bsuid": "user_id"}
    person: dict[str, Any] = {keys[one.kind]: one.value for one in it.identities}
    profile = {name: value for name, value in (("name", it.name), ("username", it.username)) if value}
    return {**person, "profile": profile} if profile else person
