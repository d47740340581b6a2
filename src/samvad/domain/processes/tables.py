"""Procedures and their processes; today only the leads that conversations open."""

from sqlalchemy import Column, Index, Table, Text, UniqueConstraint

from samvad.storage.columns import Millis, metadata

procedures = Table(
    "procedure",
    metadata,
    Column("id", Text, primary_key=True),
    Column("team_id", Text, nullable=False),
    Column("short_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", Millis, nullable=False),
    UniqueConstraint("team_id", "short_id"),
)

processes = Table(
    "process",
    metadata,
    Column("id", Text, primary_key=True),
    Column("team_id", Text, nullable=False),
    Column("procedure_id", Text, nullable=False),
    Column("contact_id", Text, nullable=False),
    Column("created_at", Millis, nullable=False),
    Column("updated_at", Millis, nullable=False),
)
# Not unique: two people who prove to be one may each have had a lead, and neither is lost.
Index("ix_process_contact_id", processes.c.contact_id)
Index("ix_process_team_id", processes.c.team_id, processes.c.id)
