"""Messages read back: pages of them, newest first."""

from typing import Any

from sqlalchemy import Row

from samvad.domain.contacts.model import Identity
from samvad.domain.contacts.tables import contact_identities, contacts
from samvad.domain.messages.model import Message, Status
from samvad.domain.messages.tables import messages
from samvad.storage import Tx


def newest_first(tx: Tx, *, identity: Identity, limit: int, skip: int = 0) -> list[Message]:
    """One page of a person's messages over all numbers of the team.

    Ordered by Meta's second, then by arrival; the index ix_message_of_contact holds that order.
    """
    query = (
        tx.select(messages, *messages.c, contacts.c.process_id)
        .join(contacts, contacts.c.id == messages.c.contact_id)
        .join(contact_identities, contact_identities.c.contact_id == contacts.c.id)
        .where(
            contact_identities.c.team_id == tx.team_id,
            contact_identities.c.kind == identity.kind,
            contact_identities.c.value == identity.value,
        )
        .order_by(messages.c.second.desc(), messages.c.id.desc())
        .limit(limit)
        .offset(skip)
    )
    return [as_message(row) for row in tx.all(query)]


def find(tx: Tx, message_id: str) -> Message | None:
    row = tx.first(
        tx.select(messages, *messages.c, contacts.c.process_id)
        .join(contacts, contacts.c.id == messages.c.contact_id, isouter=True)
        .where(messages.c.id == message_id)
    )
    return as_message(row) if row else None


def as_message(row: Row[Any]) -> Message:
    return Message(
        id=row.id,
        team_id=row.team_id,
        plugin_id=row.plugin_id,
        phone_number_id=row.phone_number_id,
        chat_id=row.chat_id,
        contact_id=row.contact_id,
        process_id=row.process_id,
        wamid=row.wamid,
        direction=row.direction,
        peer=row.peer,
        data_type=row.data_type,
        body=row.body,
        text=row.text,
        attachments=row.attachments,
        status=Status(row.status),
        error=row.error,
        context=row.context,
        source=row.source,
        user_id=row.user_id,
        in_reply_to=row.in_reply_to,
        at=row.at,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
