"""Chats: our thread between one contact and one business phone number."""

from sqlalchemy import Column, Index, Integer, Table, Text

from samvad.storage.columns import Millis, metadata

chats = Table(
    "chat",
    metadata,
    Column("id", Text, primary_key=True),
    Column("team_id", Text, nullable=False),
    Column("plugin_id", Text, nullable=False),
    Column("phone_number_id", Text, nullable=False),
    Column("contact_id", Text),  # null in a group, which is not one person
    Column("group_id", Text),  # Meta's id of the group
    Column("status", Text, nullable=False),  # OPEN, CLOSED
    Column("unread", Integer, nullable=False),
    Column("assigned_to", Text),  # the user who answers
    Column("belongs_to", Text),  # a pod
    Column("last_message_at", Millis, nullable=False),
    Column("last_inbound_at", Millis),  # the session window counts from here
    Column("created_at", Millis, nullable=False),
    Column("updated_at", Millis, nullable=False),
)
Index(
    "uq_chat_open",
    chats.c.phone_number_id,
    chats.c.contact_id,
    unique=True,
    sqlite_where=chats.c.status == "OPEN",
    postgresql_where=chats.c.status == "OPEN",
)
Index(
    "uq_chat_open_group",
    chats.c.phone_number_id,
    chats.c.group_id,
    unique=True,
    sqlite_where=chats.c.group_id.is_not(None) & (chats.c.status == "OPEN"),
    postgresql_where=chats.c.group_id.is_not(None) & (chats.c.status == "OPEN"),
)
Index("ix_chat_contact_id", chats.c.contact_id)
Index(
    "ix_chat_group_id",
    chats.c.group_id,
    sqlite_where=chats.c.group_id.is_not(None),
    postgresql_where=chats.c.group_id.is_not(None),
)
Index("ix_chat_assigned_to", chats.c.team_id, chats.c.assigned_to)
# The three orders of the list; each holds all that is needed to find where a page begins.
Index("ix_chat_last_message_at", chats.c.team_id, chats.c.last_message_at, chats.c.id)
Index("ix_chat_updated_at", chats.c.team_id, chats.c.updated_at, chats.c.id)
Index("ix_chat_created_at", chats.c.team_id, chats.c.created_at, chats.c.id)
