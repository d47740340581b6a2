"""People, and what they are known by."""

from sqlalchemy import Boolean, Column, Index, Table, Text, false

from samvad.storage.columns import Millis, metadata

contacts = Table(
    "contact",
    metadata,
    Column("id", Text, primary_key=True),
    Column("team_id", Text, nullable=False),
    Column("name", Text),
    Column("search_name", Text),  # the name without its capitals, as it is searched
    Column("named_at", Millis),  # when it was last said: an older word that comes late changes nothing
    Column("username", Text),
    Column("username_at", Millis),
    Column("process_id", Text),  # the person's lead, once it is there
    # Known from an address book or from history alone: no lead until the person is spoken with here.
    Column("is_imported", Boolean, nullable=False, server_default=false()),
    Column("marketing", Text),  # stop or resume: the person's own word on marketing messages
    Column("marketing_at", Millis),
    Column("created_at", Millis, nullable=False),
    Column("updated_at", Millis, nullable=False),
)
Index("ix_contact_team_id", contacts.c.team_id, contacts.c.id)
Index(
    "ix_contact_process_id",
    contacts.c.process_id,
    sqlite_where=contacts.c.process_id.is_not(None),
    postgresql_where=contacts.c.process_id.is_not(None),
)
Index("ix_contact_search_name", contacts.c.team_id, contacts.c.search_name)

contact_identities = Table(
    "contact_identity",
    metadata,
    Column("value", Text, primary_key=True),  # first: a batch of many teams looks up by value
    Column("kind", Text, primary_key=True),  # phone (digits) or bsuid
    Column("team_id", Text, primary_key=True),
    Column("contact_id", Text, nullable=False),
    Column("created_at", Millis, nullable=False),
)
Index("ix_contact_identity_contact_id", contact_identities.c.contact_id)
