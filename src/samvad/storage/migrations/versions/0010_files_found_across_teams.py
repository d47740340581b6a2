"""Whether a file is another team's is asked before Meta is: found by its id, whoever has it."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    with op.batch_alter_table("media", schema=None) as batch_op:
        batch_op.create_index("ix_media_id", ["id"], unique=False)
        batch_op.create_index("ix_media_mid", ["mid"], unique=False)
