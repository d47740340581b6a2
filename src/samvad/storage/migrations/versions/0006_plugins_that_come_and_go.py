"""plugins may wait for credentials and may go; connect tokens; what webhooks say of accounts and numbers"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "connect_token",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("plugin_id", sa.Text(), nullable=False),
        sa.Column("new_plugin_name", sa.Text(), nullable=True),
        sa.Column("client", sa.Text(), nullable=True),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["team_id"], ["team.id"], name=op.f("fk_connect_token_team_id")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_connect_token")),
    )
    with op.batch_alter_table("connect_token", schema=None) as batch_op:
        batch_op.create_index("ix_connect_token_team_id", ["team_id"], unique=False)

    with op.batch_alter_table("plugin", schema=None) as batch_op:
        batch_op.add_column(sa.Column("client", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("token_invalid_at", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("deleted_at", sa.BigInteger(), nullable=True))

    with op.batch_alter_table("business_account", schema=None) as batch_op:
        batch_op.add_column(sa.Column("access_token_sealed", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("app_secret_sealed", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("known", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("refreshed_at", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("disconnected_at", sa.BigInteger(), nullable=True))

    with op.batch_alter_table("phone_number", schema=None) as batch_op:
        batch_op.add_column(sa.Column("known", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("disconnected_at", sa.BigInteger(), nullable=True))
        batch_op.create_index("ix_phone_number_waba_id", ["waba_id"], unique=False)
