"""What the product knows, as one hash: the same whatever the order, the times and the ids we gave."""

import hashlib
from typing import Any

import msgspec

from samvad.domain.chats.tables import chats
from samvad.domain.contacts.tables import contact_identities, contacts
from samvad.domain.messages.tables import messages, parked_statuses
from samvad.storage import Database, Tx, every_team

CHAT = ("phone_number_id", "status", "unread", "last_message_at", "last_inbound_at")
MESSAGE = (
    *("team_id", "wamid", "direction", "phone_number_id", "peer", "data_type", "body", "text", "attachments"),
    *("status", "error", "context", "second", "at", "sent_at", "delivered_at", "read_at", "failed_at"),
)


async def state_hash(db: Database) -> str:
    """Of every team's people, chats, messages and parked statuses."""
    return hashlib.sha256(msgspec.json.encode(await known(db), order="sorted")).hexdigest()


async def known(db: Database) -> dict[str, list[Any]]:
    """The same, to look at when two hashes differ."""
    return await db.read(_known)


def _known(tx: Tx) -> dict[str, list[Any]]:
    people: dict[str, list[str]] = {}
    for row in tx.all(every_team.select(contact_identities)):
        people.setdefault(row.contact_id, []).append(f"{row.team_id} {row.kind} {row.value}")
    who = {contact_id: sorted(names) for contact_id, names in people.items()}
    said = {row.id: row for row in tx.all(every_team.select(messages))}

    def quoted(message_id: str | None) -> str | None:
        return said[message_id].wamid if message_id else None

    found = {
        "contacts": [
            [who.get(row.id), row.name, row.username] for row in tx.all(every_team.select(contacts))
        ],
        "chats": [
            [who[row.contact_id], *(getattr(row, name) for name in CHAT)]
            for row in tx.all(every_team.select(chats))
        ],
        "messages": [
            [who.get(row.contact_id or ""), row.chat_id is not None, quoted(row.in_reply_to)]
            + [getattr(row, name) for name in MESSAGE]
            for row in said.values()
        ],
        "parked": [
            [row.team_id, row.wamid, row.status, row.at, row.error]
            for row in tx.all(every_team.select(parked_statuses))
        ],
    }
    return {what: sorted(rows, key=repr) for what, rows in found.items()}
