"""Customers' endpoints, what is to be delivered to them, and every attempt to do so.

A delivery is its own queue entry (ADR 0005): state PENDING, oldest first per endpoint and chat.
"""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, Table, Text

from samvad.storage.columns import JsonText, Millis, Serial, metadata

endpoints = Table(
    "endpoint",
    metadata,
    Column("id", Text, primary_key=True),
    Column("team_id", Text, nullable=False),
    Column("plugin_id", Text),  # null where it hears of objects, which are of no plugin
    Column(
        "format", Text, nullable=False
    ),  # meta: Meta's bytes as they came; chakra: {event, payload}; object
    Column("url", Text, nullable=False),
    Column("events", JsonText, nullable=False),  # the outgoing events it wants, by name
    Column("procedures", JsonText),  # of an object endpoint: only of these, by short id; null: of all
    Column("acts_as", JsonText),  # of an object endpoint: whose sight it has
    Column("is_active", Boolean, nullable=False),
    Column("hears_from_at", Millis, nullable=False),  # of what was received before then it hears nothing
    Column("failures", Integer, nullable=False),  # rounds in a row, of the endpoint itself
    Column("failing_since_at", Millis),
    Column(
        "failed_at", Millis
    ),  # the last failure that counted: those begun before it were of the same round
    Column("delivered_at", Millis),
    Column("rests_until_at", Millis),
    Column("paused_at", Millis),
    Column("paused_why", Text),  # HAND, FAILING, GONE
    Column("lease_owner", Text),  # the process that delivers to it now
    Column("leased_until_at", Millis),
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
    Column("inbound_event_id", BigInteger),  # its body is Meta's…
    Column("webhook_event_id", Text),  # …or one of our own
    Column("event", Text, nullable=False),  # Meta's field, or the name of the outgoing event
    Column("order_key", Text, nullable=False),  # deliveries of one key go one after the other
    Column("peer", Text),  # the phone or BSUID it is about
    Column("wamid", Text),
    Column("state", Text, nullable=False),  # PENDING, DELIVERED, EXHAUSTED, CANCELLED
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", Millis, nullable=False),
    Column("holds", Boolean, nullable=False),  # its chat waits until it is tried again
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
Index(
    "uq_webhook_delivery_event",
    deliveries.c.endpoint_id,
    deliveries.c.webhook_event_id,
    unique=True,
)
Index(
    "ix_webhook_delivery_holds",
    deliveries.c.endpoint_id,
    sqlite_where=deliveries.c.holds,
    postgresql_where=deliveries.c.holds,
)
Index("ix_webhook_delivery_team_id", deliveries.c.team_id, deliveries.c.id)
# A log of millions is asked for the few that failed, for a plugin, an event, a person, a message.
Index(
    "ix_webhook_delivery_state",
    deliveries.c.team_id,
    deliveries.c.state,
    deliveries.c.id,
    sqlite_where=deliveries.c.state.op("<>")("DELIVERED"),  # as PostgreSQL spells it when it is asked
    postgresql_where=deliveries.c.state.op("<>")("DELIVERED"),
)
Index("ix_webhook_delivery_endpoint", deliveries.c.endpoint_id, deliveries.c.id)
Index("ix_webhook_delivery_event", deliveries.c.team_id, deliveries.c.event, deliveries.c.id)
Index(
    "ix_webhook_delivery_peer",
    deliveries.c.team_id,
    deliveries.c.peer,
    deliveries.c.id,
    sqlite_where=deliveries.c.peer.is_not(None),
    postgresql_where=deliveries.c.peer.is_not(None),
)
Index(
    "ix_webhook_delivery_wamid",
    deliveries.c.team_id,
    deliveries.c.wamid,
    deliveries.c.id,
    sqlite_where=deliveries.c.wamid.is_not(None),
    postgresql_where=deliveries.c.wamid.is_not(None),
)

webhook_events = Table(
    "webhook_event",
    metadata,
    Column("id", Text, primary_key=True),
    Column("team_id", Text, nullable=False),
    Column("plugin_id", Text),
    Column("name", Text, nullable=False),
    Column("message_id", Text),  # ours, of the message it is about
    Column("body", LargeBinary, nullable=False),  # to the byte as it is delivered and signed
    Column("created_at", Millis, nullable=False),
)

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
    Column("url", Text),
    Column("request_headers", JsonText),
    Column("response_headers", JsonText),
    Column("response_body", Text),
)
Index("ix_webhook_attempt_delivery_id", attempts.c.delivery_id)
