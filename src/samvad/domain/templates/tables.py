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
    Column("rejected_reason", Text),
    Column("category", Text, nullable=False),
    Column("sub_category", Text),
    Column("previous_category", Text),
    Column("correct_category", Text),  # the one Meta means to move it to
    Column("quality", Text),
    Column("quality_at", Millis),
    Column("parameter_format", Text, nullable=False),
    Column("components", JsonText, nullable=False),
    Column("details", JsonText, nullable=False),  # what else Meta's list says of it
    Column("heard", JsonText, nullable=False),  # by aspect, Meta's time of the newest webhook applied to it
    Column("created_at", Millis, nullable=False),
    Column("updated_at", Millis, nullable=False),
    Column("synced_at", Millis, nullable=False),  # when Meta was asked for the list it was last seen in
)
Index("ix_template_team_id", templates.c.team_id, templates.c.waba_id, templates.c.name)
