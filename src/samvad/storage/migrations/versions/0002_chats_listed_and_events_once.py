"""chats in three orders and of groups; events that are recorded once; messages about messages; people's wishes"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("chat", schema=None) as batch_op:
        batch_op.drop_index("ix_chat_team_id")
        batch_op.add_column(sa.Column("group_id", sa.Text(), nullable=True))
        batch_op.alter_column("contact_id", existing_type=sa.Text(), nullable=True)
        batch_op.create_index("ix_chat_last_message_at", ["team_id", "last_message_at", "id"], unique=False)
        batch_op.create_index("ix_chat_updated_at", ["team_id", "updated_at", "id"], unique=False)
        batch_op.create_index("ix_chat_created_at", ["team_id", "created_at", "id"], unique=False)
        batch_op.create_index(
            "ix_chat_group_id",
            ["group_id"],
            unique=False,
            sqlite_where=sa.text("group_id IS NOT NULL"),
            postgresql_where=sa.text("group_id IS NOT NULL"),
        )
        batch_op.create_index(
            "uq_chat_open_group",
            ["phone_number_id", "group_id"],
            unique=True,
            sqlite_where=sa.text("group_id IS NOT NULL AND status = 'OPEN'"),
            postgresql_where=sa.text("group_id IS NOT NULL AND status = 'OPEN'"),
        )

    with op.batch_alter_table("contact", schema=None) as batch_op:
        batch_op.add_column(sa.Column("search_name", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("is_imported", sa.Boolean(), server_default=sa.false(), nullable=False))
        batch_op.add_column(sa.Column("marketing", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("marketing_at", sa.BigInteger(), nullable=True))
        batch_op.create_index("ix_contact_search_name", ["team_id", "search_name"], unique=False)
    op.execute("UPDATE contact SET search_name = lower(name) WHERE name IS NOT NULL")

    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.add_column(sa.Column("origin", sa.Text(), nullable=True))
        batch_op.create_index("ix_event_name", ["team_id", "name", "id"], unique=False)
        batch_op.create_index("ix_event_subject_id", ["team_id", "subject_id", "id"], unique=False)
        batch_op.create_index(
            "uq_event_origin",
            ["origin"],
            unique=True,
            sqlite_where=sa.text("origin IS NOT NULL"),
            postgresql_where=sa.text("origin IS NOT NULL"),
        )

    with op.batch_alter_table("message", schema=None) as batch_op:
        batch_op.add_column(sa.Column("target_wamid", sa.Text(), nullable=True))
        batch_op.create_index("ix_message_of_chat", ["chat_id", "second", "id"], unique=False)
        batch_op.create_index(
            "ix_message_target",
            ["target_wamid", "team_id"],
            unique=False,
            sqlite_where=sa.text("target_wamid IS NOT NULL"),
            postgresql_where=sa.text("target_wamid IS NOT NULL"),
        )
