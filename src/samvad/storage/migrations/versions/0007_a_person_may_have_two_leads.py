"""a person who was two may have two leads"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("process", schema=None) as batch_op:
        batch_op.drop_constraint("uq_process_procedure_id_contact_id", type_="unique")
        batch_op.create_index("ix_process_contact_id", ["contact_id"], unique=False)
