"""Customers' endpoints, what is to be delivered to them, and every attempt to do so.

A delivery is its own queue entry (ADR 0005): state PENDING, oldest first per endpoint.
"""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text

from samvad.storage.columns import Millis, Serial, metadata

endpoints = Table(
    "endpoint",
    metadata,
    Column("id", Text, primary_key=True),
    Column("team_id", Text, nullable=False),
    Column("plugin_id", Text, nullable=False),
    Column("format", Text, nullable=False),  # meta: Meta's bytes as they came
    Column("url", Text, nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("failures", Integer, nullable=False),  # in a row, of the endpoint itself
    Column("rests_until_at", Millis),
    Column("created_at", Millis, nullable=False),
    Column("updated_at", Millis, nullable=False),
)
Index("uq_endpoint_plugin_id", endpoints.c.plugin_id, endpoints.c.format, unique=True)
Index("ix_endpoint_team_id", endpoints.c.team_id)

deliveries = Table(
    "webhook_delivery",
    metadata,
    Column("id", Text, primary_key=True),  # UUIDv7: in the order they were made
    Column("team_id", Text, nullable=False),
    Column("endpoint_id", Text, nullable=False),
    Column("inbound_event_id", BigInteger, nullable=False),
    Column("state", Text, nullable=False),  # PENDING, DELIVERED, EXHAUSTED, CANCELLED
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", Millis, nullable=False),
    Column("created_at", Millis, nullable=False),
    Column("updated_at", Millis, nullable=False),
)
Index(
    "ix_webhook_delivery_pending",
    deliveries.c.endpoint_id,
    deliveries.c.id,
    sqlite_where=deliveries.c.state == "PENDING",
    postgresql_where=deliveries.c.state == "PENDING",
)
Index(
    "uq_webhook_delivery_endpoint_id",
    deliveries.c.endpoint_id,
    deliveries.c.inbound_event_id,
    unique=True,
)
Index("ix_webhook_delivery_team_id", deliveries.c.team_id, deliveries.c.id)

attempts = Table(
    "webhook_attempt",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("team_id", Text, nullable=False),
    Column("delivery_id", Text, nullable=False),
    Column("at", Millis, nullable=False),
    Column("status", Integer),  # the HTTP status, null when there was no answer
    Column("error", Text),
    Column("duration_ms", Integer, nullable=False),
    Column("response_body", Text),
)
Index("ix_webhook_attempt_delivery_id", attempts.c.delivery_id)
