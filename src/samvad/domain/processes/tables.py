"""Processes, the records they are about, their tasks, and the background jobs that make many of them.

`data` and `derived` are JSON that is searched: an attribute that is declared filterable has an expression index,
made when the procedure is applied (storage/attributes.py), and so none of these is named here.
"""

from typing import Any

from sqlalchemy import Column, Index, Integer, Table, Text

from samvad.storage.columns import JsonText, Millis, SearchedJson, metadata

processes = Table(
    "process",
    metadata,
    Column("id", Text, primary_key=True),
    Column("team_id", Text, nullable=False),
    Column("procedure_id", Text, nullable=False),
    Column("contact_id", Text),  # the person whose conversation opened it
    Column("record_id", Text),
    Column("status", Text, nullable=False),  # OPEN, COMPLETED, CANCELLED
    Column("state_id", Text, nullable=False),
    Column("data", SearchedJson, nullable=False),
    Column("derived", SearchedJson, nullable=False),
    Column(
        "primary_key", Text
    ),  # the value of the procedure's key as text; unique among those that are there
    Column("phone_key", Text),  # kit.phones.same_line of the primary phone: one key for every way to write it
    Column("assigned_to", Text),
    Column("created_by", Text),
    Column("belongs_to", Text),  # a pod
    Column("next_action_at", Millis),
    Column("completed_at", Millis),
    Column("cancelled_at", Millis),
    Column("deleted_at", Millis),
    Column("created_at", Millis, nullable=False),
    Column("updated_at", Millis, nullable=False),
)
_there: dict[str, Any] = {
    "sqlite_where": processes.c.deleted_at.is_(None),
    "postgresql_where": processes.c.deleted_at.is_(None),
}
# Not unique: two people who prove to be one may each have had a lead, and neither is lost.
Index("ix_process_contact_id", processes.c.contact_id)
Index("ix_process_team_id", processes.c.team_id, processes.c.id)
Index("uq_process_primary_key", processes.c.procedure_id, processes.c.primary_key, unique=True, **_there)
Index("ix_process_phone_key", processes.c.procedure_id, processes.c.phone_key, **_there)
# Each holds the order of the list, newest first, so that a page is read in the index.
Index("ix_process_newest", processes.c.procedure_id, processes.c.created_at, processes.c.id, **_there)
Index(
    "ix_process_state_id",
    processes.c.procedure_id,
    processes.c.state_id,
    processes.c.created_at,
    processes.c.id,
    **_there,
)
Index(
    "ix_process_assigned_to",
    processes.c.procedure_id,
    processes.c.assigned_to,
    processes.c.created_at,
    processes.c.id,
    **_there,
)
Index(
    "ix_process_record_id",
    processes.c.record_id,
    sqlite_where=processes.c.record_id.is_not(None),
    postgresql_where=processes.c.record_id.is_not(None),
)

records = Table(
    "record",
    metadata,
    Column("id", Text, primary_key=True),
    Column("team_id", Text, nullable=False),
    Column("entity_id", Text, nullable=False),
    Column("data", SearchedJson, nullable=False),
    Column("derived", SearchedJson, nullable=False),
    Column("primary_key", Text),
    Column("phone_key", Text),
    Column("assigned_to", Text),  # nobody, today: the columns by which access rules judge a row
    Column("created_by", Text),
    Column("belongs_to", Text),
    Column("deleted_at", Millis),
    Column("created_at", Millis, nullable=False),
    Column("updated_at", Millis, nullable=False),
)
Index("ix_record_team_id", records.c.team_id, records.c.id)
Index(
    "uq_record_primary_key",
    records.c.entity_id,
    records.c.primary_key,
    unique=True,
    sqlite_where=records.c.deleted_at.is_(None),
    postgresql_where=records.c.deleted_at.is_(None),
)
Index(
    "ix_record_phone_key",
    records.c.entity_id,
    records.c.phone_key,
    sqlite_where=records.c.deleted_at.is_(None),
    postgresql_where=records.c.deleted_at.is_(None),
)

tasks = Table(
    "task",
    metadata,
    Column("id", Text, primary_key=True),
    Column("team_id", Text, nullable=False),
    Column("procedure_id", Text, nullable=False),
    Column("process_id", Text, nullable=False),
    Column("record_id", Text),
    Column("state_task_id", Text, nullable=False),  # its definition in the procedure
    Column("task_type", Text, nullable=False),
    Column("title", Text),
    Column("description", Text),
    Column("position", Integer, nullable=False),  # among the tasks of its process, from 1
    Column("status", Text, nullable=False),
    Column("data", SearchedJson, nullable=False),
    Column("derived", SearchedJson, nullable=False),
    Column("assigned_to", Text),
    Column("created_by", Text),
    Column("belongs_to", Text),
    Column("starts_at", Millis),
    Column("ends_at", Millis),
    Column("due_by", Millis),
    Column("started_at", Millis),
    Column("completed_at", Millis),
    Column("cancelled_at", Millis),
    Column("deleted_at", Millis),
    Column("created_at", Millis, nullable=False),
    Column("updated_at", Millis, nullable=False),
)
Index("ix_task_process_id", tasks.c.process_id, tasks.c.state_task_id, tasks.c.position)
Index("ix_task_team_id", tasks.c.team_id, tasks.c.id)

background_jobs = Table(
    "background_job",
    metadata,
    Column("id", Text, primary_key=True),
    Column("team_id", Text, nullable=False),
    Column("kind", Text, nullable=False),  # bulk-create, bulk-update
    Column("procedure_id", Text, nullable=False),
    Column("status", Text, nullable=False),  # NOT_STARTED, IN_PROGRESS, SUCCESS, ERROR
    Column("status_message", Text),
    Column("acts_as", JsonText, nullable=False),  # whose sight and hand it has: user_id, role_id, role_type
    Column("total", Integer, nullable=False),
    Column("started_at", Millis),
    Column("completed_at", Millis),
    Column("created_at", Millis, nullable=False),
    Column("updated_at", Millis, nullable=False),
)
Index("ix_background_job_team_id", background_jobs.c.team_id, background_jobs.c.id)

background_job_chunks = Table(
    "background_job_chunk",
    metadata,
    Column("job_id", Text, primary_key=True),
    Column("position", Integer, primary_key=True),  # from 0; all but the last are of the same size
    Column("team_id", Text, nullable=False),
    Column("entries", JsonText, nullable=False),  # hundreds in a row: a row for each costs more than its work
    Column("invalid", Integer, nullable=False),
    Column("not_started", Integer, nullable=False),  # 0: this chunk is done, in the commit that did it
    Column("success", Integer, nullable=False),
    Column("error", Integer, nullable=False),
    Column("created_at", Millis, nullable=False),
    Column("updated_at", Millis, nullable=False),
)
Index("ix_background_job_chunk_team_id", background_job_chunks.c.team_id)
