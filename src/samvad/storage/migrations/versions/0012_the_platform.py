"""the platform: procedures as data, processes with attributes, records, tasks, background jobs"""

import json
from typing import Any

import sqlalchemy as sa
import uuid_utils
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from samvad.kit.phones import same_line  # a key of another making would need a migration of its own

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

CHUNK = 500
SEARCHED = sa.Text().with_variant(JSONB(), "postgresql")
WRITTEN = sa.JSON().with_variant(JSONB(), "postgresql")

PROCEDURE = sa.table(
    "procedure",
    *map(
        sa.column, ("id", "team_id", "short_id", "name", "definition", "version", "created_at", "updated_at")
    ),
)
PROCESS = sa.table(
    "process",
    *map(sa.column, ("id", "procedure_id", "contact_id", "status", "state_id", "primary_key", "phone_key")),
    sa.column("data", WRITTEN),
    sa.column("derived", WRITTEN),
)
CONTACT = sa.table("contact", sa.column("id"), sa.column("name"))
IDENTITY = sa.table("contact_identity", sa.column("contact_id"), sa.column("kind"), sa.column("value"))
COUNTER = sa.table("counter", sa.column("team_id"), sa.column("name"), sa.column("value"))

# What every team's leads are from now on; a later version of the product may give new teams more.
LEAD: dict[str, Any] = {
    "primaryKey": "lead_id",
    "generate": {"prefix": "LEAD-"},
    "primaryIdentifier": "name",
    "primaryPhone": "phone_number",
    "primaryEmail": "email",
    "mergeOnPhone": True,
    "startState": "NEW",
    "completedState": "CONVERTED",
}
STATES: list[dict[str, Any]] = [
    {"shortId": "NEW", "name": "New", "color": "#3B82F6"},
    {"shortId": "IN_PROGRESS", "name": "In progress", "color": "#F59E0B"},
    {"shortId": "NOT_INTERESTED", "name": "Not interested", "color": "#6B7280"},
    {"shortId": "CONVERTED", "name": "Converted", "color": "#10B981"},
]
ATTRIBUTES: list[dict[str, Any]] = [
    {"shortId": "lead_id", "type": "stringId", "name": "Lead id", "filterable": True},
    {"shortId": "name", "type": "name", "name": "Name"},
    {"shortId": "firstname", "type": "string", "name": "First name"},
    {"shortId": "lastname", "type": "string", "name": "Last name"},
    {"shortId": "phone_number", "type": "phone", "name": "Phone number", "filterable": True},
    {"shortId": "email", "type": "email", "name": "E-mail", "filterable": True},
    {"shortId": "city", "type": "string", "name": "City", "filterable": True},
    {"shortId": "score", "type": "integer", "name": "Score", "filterable": True},
]
TASKS: list[dict[str, Any]] = [
    {
        "shortId": "call",
        "name": "Call",
        "taskType": "call",
        "attributes": [
            {"shortId": "call_disposition", "type": "string", "name": "Disposition"},
            {"shortId": "next_call_time", "type": "datetimeISO8601", "name": "Next call"},
            {"shortId": "remarks", "type": "text", "name": "Remarks"},
        ],
    }
]


def upgrade() -> None:
    op.create_table(
        "background_job",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("procedure_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("status_message", sa.Text(), nullable=True),
        sa.Column("acts_as", sa.Text(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("completed_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_background_job")),
    )
    with op.batch_alter_table("background_job", schema=None) as batch_op:
        batch_op.create_index("ix_background_job_team_id", ["team_id", "id"], unique=False)

    op.create_table(
        "background_job_chunk",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("entries", sa.Text(), nullable=False),
        sa.Column("invalid", sa.Integer(), nullable=False),
        sa.Column("not_started", sa.Integer(), nullable=False),
        sa.Column("success", sa.Integer(), nullable=False),
        sa.Column("error", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "position", name=op.f("pk_background_job_chunk")),
    )
    with op.batch_alter_table("background_job_chunk", schema=None) as batch_op:
        batch_op.create_index("ix_background_job_chunk_team_id", ["team_id"], unique=False)

    op.create_table(
        "counter",
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("team_id", "name", name=op.f("pk_counter")),
    )
    op.create_table(
        "entity",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("short_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_entity")),
        sa.UniqueConstraint("team_id", "short_id", name=op.f("uq_entity_team_id_short_id")),
    )
    op.create_table(
        "record",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Text(), nullable=False),
        sa.Column("data", SEARCHED, nullable=False),
        sa.Column("derived", SEARCHED, nullable=False),
        sa.Column("primary_key", sa.Text(), nullable=True),
        sa.Column("phone_key", sa.Text(), nullable=True),
        sa.Column("assigned_to", sa.Text(), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.Column("belongs_to", sa.Text(), nullable=True),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_record")),
    )
    with op.batch_alter_table("record", schema=None) as batch_op:
        batch_op.create_index(
            "ix_record_phone_key",
            ["entity_id", "phone_key"],
            unique=False,
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        )
        batch_op.create_index("ix_record_team_id", ["team_id", "id"], unique=False)
        batch_op.create_index(
            "uq_record_primary_key",
            ["entity_id", "primary_key"],
            unique=True,
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        )

    op.create_table(
        "task",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("procedure_id", sa.Text(), nullable=False),
        sa.Column("process_id", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=True),
        sa.Column("state_task_id", sa.Text(), nullable=False),
        sa.Column("task_type", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("data", SEARCHED, nullable=False),
        sa.Column("derived", SEARCHED, nullable=False),
        sa.Column("assigned_to", sa.Text(), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.Column("belongs_to", sa.Text(), nullable=True),
        sa.Column("starts_at", sa.BigInteger(), nullable=True),
        sa.Column("ends_at", sa.BigInteger(), nullable=True),
        sa.Column("due_by", sa.BigInteger(), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("completed_at", sa.BigInteger(), nullable=True),
        sa.Column("cancelled_at", sa.BigInteger(), nullable=True),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task")),
    )
    with op.batch_alter_table("task", schema=None) as batch_op:
        batch_op.create_index("ix_task_process_id", ["process_id", "state_task_id", "position"], unique=False)
        batch_op.create_index("ix_task_team_id", ["team_id", "id"], unique=False)

    with op.batch_alter_table("procedure", schema=None) as batch_op:
        batch_op.add_column(sa.Column("definition", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("version", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("updated_at", sa.BigInteger(), nullable=True))

    with op.batch_alter_table("process", schema=None) as batch_op:
        for name in ("record_id", "status", "state_id", "primary_key", "phone_key"):
            batch_op.add_column(sa.Column(name, sa.Text(), nullable=True))
        for name in ("data", "derived"):
            batch_op.add_column(sa.Column(name, SEARCHED, nullable=True))
        for name in ("assigned_to", "created_by", "belongs_to"):
            batch_op.add_column(sa.Column(name, sa.Text(), nullable=True))
        for name in ("next_action_at", "completed_at", "cancelled_at", "deleted_at"):
            batch_op.add_column(sa.Column(name, sa.BigInteger(), nullable=True))
        batch_op.alter_column("contact_id", existing_type=sa.Text(), nullable=True)

    with op.batch_alter_table("contact", schema=None) as batch_op:
        has_lead = {
            "sqlite_where": sa.text("process_id IS NOT NULL"),
            "postgresql_where": sa.text("process_id IS NOT NULL"),
        }
        batch_op.create_index("ix_contact_process_id", ["process_id"], unique=False, **has_lead)

    _define_leads(op.get_bind())

    with op.batch_alter_table("procedure", schema=None) as batch_op:
        batch_op.alter_column("definition", existing_type=sa.Text(), nullable=False)
        batch_op.alter_column("version", existing_type=sa.Integer(), nullable=False)
        batch_op.alter_column("updated_at", existing_type=sa.BigInteger(), nullable=False)

    there = {"sqlite_where": sa.text("deleted_at IS NULL"), "postgresql_where": sa.text("deleted_at IS NULL")}
    recorded = {
        "sqlite_where": sa.text("record_id IS NOT NULL"),
        "postgresql_where": sa.text("record_id IS NOT NULL"),
    }
    with op.batch_alter_table("process", schema=None) as batch_op:
        for name in ("status", "state_id"):
            batch_op.alter_column(name, existing_type=sa.Text(), nullable=False)
        for name in ("data", "derived"):
            batch_op.alter_column(name, existing_type=SEARCHED, nullable=False)
        batch_op.create_index(
            "ix_process_newest", ["procedure_id", "created_at", "id"], unique=False, **there
        )
        batch_op.create_index(
            "ix_process_state_id", ["procedure_id", "state_id", "created_at", "id"], unique=False, **there
        )
        batch_op.create_index(
            "ix_process_assigned_to",
            ["procedure_id", "assigned_to", "created_at", "id"],
            unique=False,
            **there,
        )
        batch_op.create_index("ix_process_phone_key", ["procedure_id", "phone_key"], unique=False, **there)
        batch_op.create_index("uq_process_primary_key", ["procedure_id", "primary_key"], unique=True, **there)
        batch_op.create_index("ix_process_record_id", ["record_id"], unique=False, **recorded)


def _define_leads(connection: sa.Connection) -> None:
    """Give the leads that conversations opened their definition, their numbers, and the name and phone they are of."""
    for procedure in connection.execute(sa.select(PROCEDURE)).all():
        definition = _with_ids(procedure.id, procedure.short_id, procedure.name)
        changes = {"definition": json.dumps(definition), "version": 1, "updated_at": procedure.created_at}
        connection.execute(sa.update(PROCEDURE).where(PROCEDURE.c.id == procedure.id).values(**changes))
        last, number = "", 0
        while rows := connection.execute(_some(procedure.id, after=last)).all():
            phones: dict[str, str] = dict(connection.execute(_phones([row.contact_id for row in rows])).all())
            for row in rows:
                number += 1
                key = f"LEAD-{number:06d}"
                phone = phones.get(row.contact_id)
                data = {"lead_id": key, "name": row.contact_name, "phone_number": phone}
                values = {
                    "status": "OPEN",
                    "state_id": definition["states"][0]["id"],
                    "data": {name: value for name, value in data.items() if value},
                    "derived": {},
                    "primary_key": key,
                    "phone_key": same_line(phone) if phone else None,
                }
                connection.execute(sa.update(PROCESS).where(PROCESS.c.id == row.id).values(**values))
            last = rows[-1].id
        if number:
            counter = {"team_id": procedure.team_id, "name": procedure.id, "value": number}
            connection.execute(sa.insert(COUNTER).values(**counter))


def _some(procedure_id: str, *, after: str) -> sa.Select[Any]:
    return (
        sa.select(PROCESS.c.id, PROCESS.c.contact_id, CONTACT.c.name.label("contact_name"))
        .join(CONTACT, CONTACT.c.id == PROCESS.c.contact_id, isouter=True)
        .where(PROCESS.c.procedure_id == procedure_id, PROCESS.c.id > after)
        .order_by(PROCESS.c.id)
        .limit(CHUNK)
    )


def _phones(contact_ids: list[str]) -> sa.Select[Any]:
    return (
        sa.select(IDENTITY.c.contact_id, sa.func.min(IDENTITY.c.value))
        .where(IDENTITY.c.contact_id.in_(contact_ids), IDENTITY.c.kind == "phone")
        .group_by(IDENTITY.c.contact_id)
    )


def _with_ids(procedure_id: str, short_id: str, name: str) -> dict[str, Any]:
    def numbered(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{"id": str(uuid_utils.uuid7()), **part} for part in parts]

    tasks = [{**task, "attributes": numbered(task["attributes"])} for task in numbered(TASKS)]
    return {
        "id": procedure_id,
        "shortId": short_id,
        "name": name,
        **LEAD,
        "states": numbered(STATES),
        "attributes": numbered(ATTRIBUTES),
        "tasks": tasks,
    }
