"""Messages both ways, statuses that came too early, and the promises of idempotency keys."""

from sqlalchemy import BigInteger, Boolean, Column, Index, SmallInteger, Table, Text, false

from samvad.storage.columns import JsonText, Millis, metadata

messages = Table(
    "message",
    metadata,
    Column("id", Text, primary_key=True),
    Column("team_id", Text, nullable=False),
    Column("plugin_id", Text, nullable=False),
    Column("phone_number_id", Text, nullable=False),
    Column("chat_id", Text),
    Column("contact_id", Text),
    Column("wamid", Text),  # Meta's id; null while the Cloud API has not answered
    Column("direction", Text, nullable=False),  # INBOUND, OUTBOUND
    Column("peer", Text),  # the phone or BSUID it was exchanged with
    Column("data_type", Text, nullable=False),
    Column("body", JsonText, nullable=False),
    Column("text", Text),
    Column("attachments", JsonText),
    Column("status", SmallInteger, nullable=False),
    Column("error", JsonText),
    Column("context", JsonText),
    Column("source", JsonText),
    Column("user_id", Text),
    Column("in_reply_to", Text),
    Column("target_wamid", Text),  # what a reply, a reaction, an edit or a revoke is about, known here or not
    Column("is_imported", Boolean, nullable=False, server_default=false()),  # known from history alone
    Column("second", BigInteger, nullable=False),  # Meta's second; with the id it orders a chat
    Column("at", Millis, nullable=False),
    Column("created_at", Millis, nullable=False),
    Column("updated_at", Millis, nullable=False),
    Column("sent_at", Millis),
    Column("delivered_at", Millis),
    Column("read_at", Millis),
    Column("failed_at", Millis),
)
Index("uq_message_wamid", messages.c.wamid, messages.c.team_id, unique=True)
Index("ix_message_of_contact", messages.c.team_id, messages.c.contact_id, messages.c.second, messages.c.id)
Index("ix_message_of_chat", messages.c.chat_id, messages.c.second, messages.c.id)
Index(
    "ix_message_target",
    messages.c.target_wamid,
    messages.c.team_id,
    sqlite_where=messages.c.target_wamid.is_not(None),
    postgresql_where=messages.c.target_wamid.is_not(None),
)
Index(
    "ix_message_sending",
    messages.c.team_id,
    messages.c.id,
    sqlite_where=messages.c.status == 0,
    postgresql_where=messages.c.status == 0,
)

parked_statuses = Table(
    "parked_status",
    metadata,
    Column("wamid", Text, primary_key=True),
    Column("team_id", Text, primary_key=True),
    Column("status", SmallInteger, primary_key=True),
    Column("error", JsonText),
    Column("at", Millis, nullable=False),
    Column("parked_at", Millis, nullable=False),
)
Index("ix_parked_status_parked_at", parked_statuses.c.parked_at)

idempotency_keys = Table(
    "idempotency_key",
    metadata,
    Column("team_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_sha256", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("created_at", Millis, nullable=False),
)
Index("ix_idempotency_key_created_at", idempotency_keys.c.created_at)
