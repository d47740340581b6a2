"""Files that a team made public."""

from sqlalchemy import BigInteger, Column, Index, Table, Text

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
