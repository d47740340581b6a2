"""Inbound events: raw webhook bodies of Meta, kept before anything is understood of them.

The table is its own queue (ADR 0005): a row with no `folded_at` waits for the fold.
"""

from sqlalchemy import Column, Index, LargeBinary, Table, Text

from samvad.storage.columns import JsonText, Millis, Serial, metadata

inbound_events = Table(
    "inbound_event",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("team_id", Text, nullable=False),
    Column("plugin_id", Text, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False, unique=True),  # of plugin and body, see queries.keep
    Column("body", LargeBinary, nullable=False),
    Column("received_at", Millis, nullable=False),
    Column("folded_at", Millis),
    Column("problem", Text),  # why it could not be understood; the body stays for a replay
    Column("kept_fields", JsonText),  # what was kept whole and not yet interpreted
)
Index(
    "ix_inbound_event_unfolded",
    inbound_events.c.id,
    sqlite_where=inbound_events.c.folded_at.is_(None),
    postgresql_where=inbound_events.c.folded_at.is_(None),
)
Index("ix_inbound_event_team_id", inbound_events.c.team_id, inbound_events.c.id)
