"""The event log: one row for each thing that happened here."""

from sqlalchemy import Column, Index, Table, Text

from samvad.storage.columns import JsonText, Millis, Serial, metadata

events = Table(
    "event",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("team_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("actor_id", Text),
    Column("data", JsonText),
    Column("at", Millis, nullable=False),
)
Index("ix_event_team_id", events.c.team_id, events.c.id)
