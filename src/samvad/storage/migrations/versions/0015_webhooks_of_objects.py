"""endpoints that hear of changes of processes, records and tasks, and so have no plugin"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("endpoint", schema=None) as batch_op:
        batch_op.alter_column("plugin_id", existing_type=sa.Text(), nullable=True)
        batch_op.add_column(sa.Column("procedures", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("acts_as", sa.Text(), nullable=True))
    with op.batch_alter_table("webhook_event", schema=None) as batch_op:
        batch_op.alter_column("plugin_id", existing_type=sa.Text(), nullable=True)
