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
    Column("origin", Text),  # what may bring it again: an event with an origin is recorded once
)
Index("ix_event_team_id", events.c.team_id, events.c.id)
Index("ix_event_name", events.c.team_id, events.c.name, events.c.id)
Index("ix_event_subject_id", events.c.team_id, events.c.subject_id, events.c.id)
Index(
    "uq_event_origin",
    events.c.origin,
    unique=True,
    sqlite_where=events.c.origin.is_not(None),
    postgresql_where=events.c.origin.is_not(None),
)
