"""Plugins, WhatsApp Business Accounts and business phone numbers."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Table, Text

from samvad.storage.columns import JsonText, Millis, metadata

plugins = Table(
    "plugin",
    metadata,
    Column("id", Text, primary_key=True),
    Column("team_id", Text, ForeignKey("team.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("access_token_sealed", Text, nullable=False),
    Column("app_secret_sealed", Text, nullable=False),
    Column("verify_token_sealed", Text, nullable=False),
    Column("config", JsonText, nullable=False),
    Column("created_at", Millis, nullable=False),
    Column("updated_at", Millis, nullable=False),
)
Index("ix_plugin_team_id", plugins.c.team_id)

business_accounts = Table(
    "business_account",
    metadata,
    Column("id", Text, primary_key=True),  # Meta's WABA id
    Column("team_id", Text, ForeignKey("team.id"), nullable=False),
    Column("plugin_id", Text, ForeignKey("plugin.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("details", JsonText, nullable=False),
    Column("templates_synced_at", Millis),
    Column("created_at", Millis, nullable=False),
    Column("updated_at", Millis, nullable=False),
)
Index("ix_business_account_team_id", business_accounts.c.team_id)

phone_numbers = Table(
    "phone_number",
    metadata,
    Column("id", Text, primary_key=True),  # Meta's phone number id
    Column("team_id", Text, ForeignKey("team.id"), nullable=False),
    Column("plugin_id", Text, ForeignKey("plugin.id"), nullable=False),
    Column("waba_id", Text, ForeignKey("business_account.id"), nullable=False),
    Column("display_phone_number", Text, nullable=False),
    Column("verified_name", Text),
    Column("details", JsonText, nullable=False),
    Column("created_at", Millis, nullable=False),
    Column("updated_at", Millis, nullable=False),
)
Index("ix_phone_number_team_id", phone_numbers.c.team_id)
