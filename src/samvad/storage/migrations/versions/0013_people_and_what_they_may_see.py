"""People of a team in full, pods, who may see which rows, and whose a chat is."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    _people()
    _pods()
    _rules()
    op.add_column("chat", sa.Column("assigned_to", sa.Text(), nullable=True))
    op.add_column("chat", sa.Column("belongs_to", sa.Text(), nullable=True))
    op.create_index("ix_chat_assigned_to", "chat", ["team_id", "assigned_to"])


def _people() -> None:
    # Both databases rename a column in place; a copy of the table would break what refers to it.
    op.execute('ALTER TABLE "user" RENAME COLUMN name TO display_name')
    for name in ("username", "first_name", "middle_name", "last_name"):
        op.add_column("user", sa.Column(name, sa.Text(), server_default="", nullable=False))
    for name in ("gender", "bio", "profile_image_url", "cover_image_url", "timezone"):
        op.add_column("user", sa.Column(name, sa.Text(), nullable=True))
    op.add_column("user", sa.Column("dob", sa.BigInteger(), nullable=True))
    op.add_column("user", sa.Column("data", sa.Text(), nullable=True))
    op.add_column("user", sa.Column("onboarding_data", sa.Text(), nullable=True))
    op.add_column("user", sa.Column("deleted_at", sa.BigInteger(), nullable=True))
    op.add_column(
        "user", sa.Column("availability_status", sa.Text(), server_default="AVAILABLE", nullable=False)
    )
    op.add_column("user", sa.Column("primary_phone", sa.Text(), nullable=True))
    op.add_column("user", sa.Column("reports_to", sa.Text(), nullable=True))
    op.execute('UPDATE "user" SET username = email, first_name = display_name')
    op.create_index("uq_user_username", "user", ["username"], unique=True)
    op.create_index("ix_user_reports_to", "user", ["reports_to"])


def _pods() -> None:
    op.create_table(
        "pod",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["team.id"], name=op.f("fk_pod_team_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pod")),
        sa.UniqueConstraint("team_id", "name", name=op.f("uq_pod_team_id_name")),
    )
    op.create_table(
        "pod_member",
        sa.Column("pod_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["pod_id"], ["pod.id"], name=op.f("fk_pod_member_pod_id")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("fk_pod_member_user_id")),
        sa.ForeignKeyConstraint(["team_id"], ["team.id"], name=op.f("fk_pod_member_team_id")),
        sa.PrimaryKeyConstraint("pod_id", "user_id", name=op.f("pk_pod_member")),
    )
    op.create_index("ix_pod_member_user_id", "pod_member", ["team_id", "user_id"])


def _rules() -> None:
    op.create_table(
        "resource_access_rule",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=False),
        sa.Column("resource_short_id", sa.Text(), nullable=True),
        sa.Column("sub_resource", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("scope_id", sa.Text(), nullable=False),
        sa.Column("access_mode", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["team.id"], name=op.f("fk_resource_access_rule_team_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_resource_access_rule")),
    )
    op.create_index(
        "uq_resource_access_rule",
        "resource_access_rule",
        ["team_id", "resource", "resource_id", "sub_resource", "scope", "scope_id"],
        unique=True,
    )
