"""Message templates as Meta told us of them."""

from sqlalchemy import Column, Index, Table, Text

from samvad.storage.columns import JsonText, Millis, metadata

templates = Table(
    "template",
    metadata,
    Column("id", Text, primary_key=True),  # Meta's template id
    Column("team_id", Text, nullable=False),
    Column("waba_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("parameter_format", Text, nullable=False),
    Column("components", JsonText, nullable=False),
    Column("synced_at", Millis, nullable=False),
)
Index("ix_template_team_id", templates.c.team_id, templates.c.waba_id, templates.c.name)
