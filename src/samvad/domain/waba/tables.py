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
    # The three are "" before a WABA is connected: SQLite makes a column nullable only by a new table.
    Column("access_token_sealed", Text, nullable=False),
    Column("app_secret_sealed", Text, nullable=False),
    Column("verify_token_sealed", Text, nullable=False),
    Column("config", JsonText, nullable=False),
    Column("client", JsonText),  # whom a partner connected it for: {referenceId, name, email}
    Column("token_invalid_at", Millis),  # since when Meta calls the access token invalid
    Column("deleted_at", Millis),  # its history stays, so the row does
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
    # Its own credentials, where the plugin holds another WABA that was connected with others.
    Column("access_token_sealed", Text),
    Column("app_secret_sealed", Text),
    Column("known", JsonText),  # what webhooks said of it, and when: see knowledge.Known
    Column("refreshed_at", Millis),  # when Meta was last asked about it and its numbers
    Column("disconnected_at", Millis),  # it has left its plugin; whoever shows a token may connect it
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
    Column("known", JsonText),  # as of its account
    Column("disconnected_at", Millis),  # with its account
    Column("created_at", Millis, nullable=False),
    Column("updated_at", Millis, nullable=False),
)
Index("ix_phone_number_team_id", phone_numbers.c.team_id)
Index("ix_phone_number_waba_id", phone_numbers.c.waba_id)

connect_tokens = Table(
    "connect_token",
    metadata,
    Column("token_hash", Text, primary_key=True),  # the token itself is told once
    Column("team_id", Text, ForeignKey("team.id"), nullable=False),
    Column("plugin_id", Text, nullable=False),  # which may come to be only when the connection succeeds
    Column("new_plugin_name", Text),  # None for a plugin that is there already
    Column("client", JsonText),
    Column("made_by", Text, nullable=False),
    Column("created_at", Millis, nullable=False),
    Column("expires_at", Millis, nullable=False),
    Column("used_at", Millis),
)
Index("ix_connect_token_team_id", connect_tokens.c.team_id)
