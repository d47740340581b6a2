"""The log of webhooks is asked for a state, an endpoint, an event, a person or a message without reading all of it."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

NOT_DELIVERED = sa.text("state <> 'DELIVERED'")
WITH_PEER = sa.text("peer IS NOT NULL")
WITH_WAMID = sa.text("wamid IS NOT NULL")


def upgrade() -> None:
    table = "webhook_delivery"
    op.create_index(
        "ix_webhook_delivery_state",
        table,
        ["team_id", "state", "id"],
        sqlite_where=NOT_DELIVERED,
        postgresql_where=NOT_DELIVERED,
    )
    op.create_index("ix_webhook_delivery_endpoint", table, ["endpoint_id", "id"])
    op.create_index("ix_webhook_delivery_event", table, ["team_id", "event", "id"])
    op.create_index(
        "ix_webhook_delivery_peer",
        table,
        ["team_id", "peer", "id"],
        sqlite_where=WITH_PEER,
        postgresql_where=WITH_PEER,
    )
    op.create_index(
        "ix_webhook_delivery_wamid",
        table,
        ["team_id", "wamid", "id"],
        sqlite_where=WITH_WAMID,
        postgresql_where=WITH_WAMID,
    )
