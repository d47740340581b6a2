"""Which messages are known from history alone: one that is heard of as it happens, too, is told and unread."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column(
        "message", sa.Column("is_imported", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
