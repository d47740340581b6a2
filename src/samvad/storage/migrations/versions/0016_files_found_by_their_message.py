"""files of a message are found by it, to be forgotten with it"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("media", schema=None) as batch_op:
        has_one = sa.text("message_id IS NOT NULL")
        batch_op.create_index(
            "ix_media_message_id", ["message_id"], sqlite_where=has_one, postgresql_where=has_one
        )
