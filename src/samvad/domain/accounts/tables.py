"""Teams, the people in them, their roles, and the keys programs use."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, Table, Text, UniqueConstraint

from samvad.storage.columns import JsonText, Millis, metadata

teams = Table(
    "team",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("webhook_secret_sealed", Text, nullable=False),
    Column("next_webhook_secret_sealed", Text),  # while one is being rotated: see operations.webhook_secrets
    Column("next_webhook_secret_at", Millis),  # when the next one takes over
    Column("settings", JsonText, nullable=False),
    Column("created_at", Millis, nullable=False),
)

roles = Table(
    "role",
    metadata,
    Column("id", Text, primary_key=True),
    Column("team_id", Text, ForeignKey("team.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("type", Text, nullable=False),  # ADMIN, MANAGER, USER
    Column("created_at", Millis, nullable=False),
    UniqueConstraint("team_id", "name"),
)

users = Table(
    "user",
    metadata,
    Column("id", Text, primary_key=True),
    Column("team_id", Text, ForeignKey("team.id"), nullable=False),
    Column("role_id", Text, ForeignKey("role.id"), nullable=False),
    Column("email", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("created_at", Millis, nullable=False),
    Column("updated_at", Millis, nullable=False),
)
Index("ix_user_team_id", users.c.team_id)

api_keys = Table(
    "api_key",
    metadata,
    Column("id", Text, primary_key=True),
    Column("team_id", Text, ForeignKey("team.id"), nullable=False),
    Column("user_id", Text, ForeignKey("user.id"), nullable=False),
    Column("role_id", Text, ForeignKey("role.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text),
    Column("token_hash", Text, nullable=False, unique=True),
    Column("rate_limit", Integer),  # requests a second; null: as every key of this installation
    Column("expires_at", Millis),
    Column("last_used_at", Millis),
    Column("revoked_at", Millis),
    Column("created_at", Millis, nullable=False),
)
Index("ix_api_key_team_id", api_keys.c.team_id)
