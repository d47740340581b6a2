"""parked statuses are found by when they were parked"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("parked_status", schema=None) as batch_op:
        batch_op.create_index("ix_parked_status_parked_at", ["parked_at"])
