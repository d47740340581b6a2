"""Teams, the people in them, their roles and pods, what they may see, and the keys programs use."""

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
    Column("username", Text, nullable=False, server_default=""),  # one in the whole installation
    Column("first_name", Text, nullable=False, server_default=""),
    Column("middle_name", Text, nullable=False, server_default=""),
    Column("last_name", Text, nullable=False, server_default=""),
    Column("display_name", Text, nullable=False),
    Column("gender", Text),
    Column("bio", Text),
    Column("profile_image_url", Text),
    Column("cover_image_url", Text),
    Column("timezone", Text),  # IANA's name of it
    Column("dob", Millis),
    Column("data", JsonText),
    Column("onboarding_data", JsonText),
    Column("password_hash", Text, nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("deleted_at", Millis),  # who is deleted keeps name and address: what they did names them
    Column("availability_status", Text, nullable=False, server_default="AVAILABLE"),
    Column("primary_phone", Text),  # digits
    Column("reports_to", Text),  # the user above them
    Column("created_at", Millis, nullable=False),
    Column("updated_at", Millis, nullable=False),
)
Index("ix_user_team_id", users.c.team_id)
Index("uq_user_username", users.c.username, unique=True)
Index("ix_user_reports_to", users.c.reports_to)

pods = Table(
    "pod",
    metadata,
    Column("id", Text, primary_key=True),
    Column("team_id", Text, ForeignKey("team.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", Millis, nullable=False),
    Column("updated_at", Millis, nullable=False),
    UniqueConstraint("team_id", "name"),
)

pod_members = Table(
    "pod_member",
    metadata,
    Column("pod_id", Text, ForeignKey("pod.id"), primary_key=True),
    Column("user_id", Text, ForeignKey("user.id"), primary_key=True),
    Column("team_id", Text, ForeignKey("team.id"), nullable=False),
    Column("created_at", Millis, nullable=False),
)
Index("ix_pod_member_user_id", pod_members.c.team_id, pod_members.c.user_id)

access_rules = Table(
    "resource_access_rule",
    metadata,
    Column("id", Text, primary_key=True),
    Column("team_id", Text, ForeignKey("team.id"), nullable=False),
    Column("resource", Text, nullable=False),  # procedure, statetask, entity
    Column("resource_id", Text, nullable=False),
    Column("resource_short_id", Text),  # what those below know it by: chats ask for the procedure `lead`
    # Empty where there is none, never null: two nulls would be two different things to a unique index.
    Column("sub_resource", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("scope_id", Text, nullable=False),
    Column("access_mode", Text, nullable=False),
    Column("created_at", Millis, nullable=False),
    Column("updated_at", Millis, nullable=False),
)
Index(
    "uq_resource_access_rule",
    access_rules.c.team_id,
    access_rules.c.resource,
    access_rules.c.resource_id,
    access_rules.c.sub_resource,
    access_rules.c.scope,
    access_rules.c.scope_id,
    unique=True,
)

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
