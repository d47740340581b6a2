"""Work to do later, written in the transaction that causes it."""

from sqlalchemy import Column, Index, Integer, Table, Text

from samvad.storage.columns import JsonText, Millis, Serial, metadata

jobs = Table(
    "job",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("team_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("lane", Text),  # jobs of one lane run one after the other, in order
    Column("args", JsonText, nullable=False),
    Column("run_at", Millis, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error", Text),
    Column("gave_up_at", Millis),
    Column("created_at", Millis, nullable=False),
)
Index(
    "ix_job_run_at",
    jobs.c.run_at,
    jobs.c.id,
    sqlite_where=jobs.c.gave_up_at.is_(None),
    postgresql_where=jobs.c.gave_up_at.is_(None),
)
Index(
    "ix_job_lane",
    jobs.c.lane,
    jobs.c.id,
    sqlite_where=jobs.c.gave_up_at.is_(None),
    postgresql_where=jobs.c.gave_up_at.is_(None),
)
Index("ix_job_team_id", jobs.c.team_id)
