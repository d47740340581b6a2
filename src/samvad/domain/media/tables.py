"""Files that a team made public, and files of WhatsApp messages."""

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from samvad.storage.columns import Millis, metadata

public_files = Table(
    "public_file",
    metadata,
    Column("path", Text, primary_key=True),  # <team>/<day>/<uuid>.<ext>, as in its address
    Column("team_id", Text, nullable=False),
    Column("plugin_id", Text, nullable=False),
    Column("mime_type", Text, nullable=False),
    Column("filename", Text),
    Column("size", BigInteger, nullable=False),  # bytes
    Column("sha256", Text, nullable=False),  # hex; also the name of its blob
    Column("created_at", Millis, nullable=False),
)
Index("ix_public_file_team_id", public_files.c.team_id)

media = Table(
    "media",
    metadata,
    Column("team_id", Text, primary_key=True),
    Column("id", Text, primary_key=True),  # Meta's media id; we keep the file longer than Meta keeps the id
    Column("plugin_id", Text, nullable=False),
    Column("message_id", Text),  # null for what a business uploaded itself
    Column("mid", Text),  # of the address in Meta's webhook
    Column("mime_type", Text),
    Column("filename", Text),
    Column("sha256", Text),  # hex: as announced, once STORED as it is; also the name of its blob
    Column("size", BigInteger),  # bytes
    Column("state", Text, nullable=False),  # PENDING, STORED, FAILED
    Column("attempts", Integer, nullable=False),
    Column("error", Text),  # of the last attempt
    Column("retry_at", Millis),  # of what FAILED; null once nobody tries any more
    Column("fetched_at", Millis),
    Column("created_at", Millis, nullable=False),
    Column("updated_at", Millis, nullable=False),
)
Index("ix_media_team_id_mid", media.c.team_id, media.c.mid)
Index("ix_media_id", media.c.id)  # across teams: is it another's?
Index("ix_media_mid", media.c.mid)
Index(
    "ix_media_message_id",
    media.c.message_id,
    sqlite_where=media.c.message_id.is_not(None),
    postgresql_where=media.c.message_id.is_not(None),
)
Index("ix_media_team_id_created_at", media.c.team_id, media.c.created_at, media.c.id)
Index("ix_media_team_id_state", media.c.team_id, media.c.state, media.c.created_at, media.c.id)
