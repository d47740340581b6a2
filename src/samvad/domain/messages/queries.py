"""Messages read back: pages of them, newest first."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, bindparam

from samvad.domain.accounts.access import Access
from samvad.domain.accounts.predicates import ALWAYS, whole
from samvad.domain.chats.tables import chats
from samvad.domain.contacts.model import Identity
from samvad.domain.contacts.tables import contact_identities, contacts
from samvad.domain.messages.model import Message, Status
from samvad.domain.messages.tables import messages
from samvad.storage import Tx, every_team
from samvad.storage.columns import among, later

OLDEST = (
    every_team.select(messages.c.id, later(messages.c.at, messages.c.created_at).label("moment"))
    .where(messages.c.id > bindparam("after"))
    .order_by(messages.c.id)
    .limit(bindparam("limit"))
)
FORGET = every_team.delete(messages).where(among(messages.c.id, "ids"))


def newest_first(tx: Tx, *, identity: Identity, limit: int, skip: int = 0, access: Access) -> list[Message]:
    """One page of a person's messages over all numbers of the team, of chats that are seen whole.

    Ordered by Meta's second, then by arrival; the index ix_message_of_contact holds that order.
    """
    # Asked apart, so that it is one contact to whoever plans: joined, PostgreSQL sorts all that were ever exchanged.
    whose = tx.select(contact_identities, contact_identities.c.contact_id).where(
        contact_identities.c.kind == identity.kind, contact_identities.c.value == identity.value
    )
    query = (
        tx.select(messages, *messages.c, contacts.c.process_id)
        .join(contacts, contacts.c.id == messages.c.contact_id)
        .where(messages.c.contact_id == whose.scalar_subquery())
        .order_by(messages.c.second.desc(), messages.c.id.desc())
        .limit(limit)
        .offset(skip)
    )
    seen = whole(access, chats)
    if seen is not ALWAYS:
        query = query.join(chats, chats.c.id == messages.c.chat_id).where(seen)
    return [as_message(row) for row in tx.all(query)]


def of_chat_newest_first(tx: Tx, chat_id: str, *, limit: int, skip: int = 0) -> list[Message]:
    """One page of a chat's messages, in the order of `newest_first`; the index ix_message_of_chat holds it."""
    query = (
        tx.select(messages, *messages.c, contacts.c.process_id)
        .join(contacts, contacts.c.id == messages.c.contact_id, isouter=True)
        .where(messages.c.chat_id == chat_id)
        .order_by(messages.c.second.desc(), messages.c.id.desc())
        .limit(limit)
        .offset(skip)
    )
    return [as_message(row) for row in tx.all(query)]


def latest_of(tx: Tx, chat_ids: Sequence[str]) -> dict[str, Message]:
    """The latest message of each of these chats, by chat: one look into ix_message_of_chat for each."""
    if not chat_ids:
        return {}
    inner = messages.alias("inner_message")
    latest = (
        every_team.select(inner.c.id)
        .where(inner.c.chat_id == chats.c.id)
        .order_by(inner.c.second.desc(), inner.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    of_each = tx.find(chats, latest.label("id")).where(among(chats.c.id, "chats")).subquery()
    query = tx.find(messages, *messages.c, contacts.c.process_id)
    query = query.join(of_each, of_each.c.id == messages.c.id)
    query = query.join(contacts, contacts.c.id == messages.c.contact_id, isouter=True)
    return {row.chat_id: as_message(row) for row in tx.all(query, {"chats": chat_ids})}


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


def oldest_first(tx: Tx, *, after: str, limit: int) -> Sequence[Row[Any]]:
    """Messages that came here after this one, over all teams, and when each was said, or came if that was later."""
    return tx.all(OLDEST, {"after": after, "limit": limit})


def forget(tx: Tx, message_ids: Sequence[str]) -> None:
    tx.execute(FORGET, {"ids": message_ids})
