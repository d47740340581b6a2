"""webhooks in two formats, in order per chat, with pauses, leases and rotating secrets"""

import json
import time
import uuid

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "webhook_event",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("plugin_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_event")),
    )
    with op.batch_alter_table("endpoint", schema=None) as batch_op:
        batch_op.add_column(sa.Column("events", sa.Text(), nullable=False, server_default="[]"))
        batch_op.add_column(sa.Column("hears_from_at", sa.BigInteger(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("failing_since_at", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("failed_at", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("delivered_at", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("paused_at", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("paused_why", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("lease_owner", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("leased_until_at", sa.BigInteger(), nullable=True))
    op.execute("UPDATE endpoint SET hears_from_at = created_at")
    with op.batch_alter_table("endpoint", schema=None) as batch_op:
        batch_op.alter_column("events", server_default=None)
        batch_op.alter_column("hears_from_at", server_default=None)

    _serve_what_was_configured()

    # What waits goes on in one line, as it did: `messages` is what nearly all of it is.
    with op.batch_alter_table("webhook_delivery", schema=None) as batch_op:
        batch_op.alter_column("inbound_event_id", existing_type=sa.BigInteger(), nullable=True)
        batch_op.add_column(sa.Column("webhook_event_id", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("event", sa.Text(), nullable=False, server_default="messages"))
        batch_op.add_column(sa.Column("order_key", sa.Text(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("peer", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("wamid", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("holds", sa.Boolean(), nullable=False, server_default=sa.false()))
    with op.batch_alter_table("webhook_delivery", schema=None) as batch_op:
        batch_op.alter_column("event", server_default=None)
        batch_op.alter_column("order_key", server_default=None)
        batch_op.alter_column("holds", server_default=None)
        batch_op.create_index("uq_webhook_delivery_event", ["endpoint_id", "webhook_event_id"], unique=True)
        batch_op.create_index(
            "ix_webhook_delivery_holds",
            ["endpoint_id"],
            unique=False,
            sqlite_where=sa.text("holds"),
            postgresql_where=sa.text("holds"),
        )

    with op.batch_alter_table("webhook_attempt", schema=None) as batch_op:
        batch_op.add_column(sa.Column("url", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("request_headers", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("response_headers", sa.Text(), nullable=True))
    with op.batch_alter_table("team", schema=None) as batch_op:
        batch_op.add_column(sa.Column("next_webhook_secret_sealed", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("next_webhook_secret_at", sa.BigInteger(), nullable=True))


def _serve_what_was_configured() -> None:
    """Switches and addresses that could be set before, and had no effect yet."""
    db, now = op.get_bind(), time.time_ns() // 1_000_000
    for plugin_id, team_id, stored in db.execute(sa.text("SELECT id, team_id, config FROM plugin")).all():
        config = json.loads(stored)
        extra = [
            event
            for event, switch in (
                ("smb_message_echoes", "enableMessageEchoesForPassThroughWebhook"),
                ("chakra_send_template", "enableSendMessageTemplateEventForPassThroughWebhook"),
            )
            if config.get(switch)
        ]
        if extra:
            wants = sa.text(
                "UPDATE endpoint SET events = :events WHERE plugin_id = :plugin AND format = 'meta'"
            )
            db.execute(wants, {"events": json.dumps(extra), "plugin": plugin_id})
        if config.get("enableChakraWebhook") and config.get("chakraWebhookUrl"):
            events = sorted(config.get("whichChakraWebhookEventsToSend") or [])
            row = {"id": str(uuid.uuid4()), "team": team_id, "plugin": plugin_id, "at": now}
            row |= {"url": config["chakraWebhookUrl"], "events": json.dumps(events), "yes": True}
            db.execute(
                sa.text(
                    "INSERT INTO endpoint (id, team_id, plugin_id, format, url, events, is_active, hears_from_at, "
                    "failures, created_at, updated_at) "
                    "VALUES (:id, :team, :plugin, 'chakra', :url, :events, :yes, :at, 0, :at, :at)"
                ),
                row,
            )
