"""Photos that a team's programs and people sent up."""

from sqlalchemy import BigInteger, Column, Index, Table, Text

from samvad.storage.columns import Millis, metadata

photos = Table(
    "photo",
    metadata,
    Column("id", Text, primary_key=True),  # a UUID, maybe of the client's making; of all teams, so once
    Column("team_id", Text, nullable=False),
    Column("mime_type", Text, nullable=False),  # by its bytes
    Column("filetype", Text, nullable=False),  # an extension
    Column("filename", Text),
    Column("size", BigInteger, nullable=False),  # bytes
    Column("sha256", Text, nullable=False),  # hex; also the name of its blob
    Column("width", BigInteger),  # pixels; null where its headers do not tell
    Column("height", BigInteger),
    Column("user_id", Text),  # null when it came by an API key
    Column("created_at", Millis, nullable=False),
    Column("updated_at", Millis, nullable=False),
)
Index("ix_photo_team_id", photos.c.team_id, photos.c.id)
