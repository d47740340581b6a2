"""Definitions: procedures and entities of a team, and the counters of their generated keys."""

from sqlalchemy import BigInteger, Column, Integer, Table, Text, UniqueConstraint

from samvad.storage.columns import Millis, metadata

procedures = Table(
    "procedure",
    metadata,
    Column("id", Text, primary_key=True),
    Column("team_id", Text, nullable=False),
    Column("short_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("definition", Text, nullable=False),  # model.Definition as JSON; text, since it is read as a whole
    Column("version", Integer, nullable=False),  # one more with every change of the definition
    Column("created_at", Millis, nullable=False),
    Column("updated_at", Millis, nullable=False),
    UniqueConstraint("team_id", "short_id"),
)

entities = Table(
    "entity",
    metadata,
    Column("id", Text, primary_key=True),
    Column("team_id", Text, nullable=False),
    Column("short_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("definition", Text, nullable=False),  # model.Entity as JSON
    Column("version", Integer, nullable=False),
    Column("created_at", Millis, nullable=False),
    Column("updated_at", Millis, nullable=False),
    UniqueConstraint("team_id", "short_id"),
)

counters = Table(
    "counter",
    metadata,
    Column("team_id", Text, primary_key=True),
    Column("name", Text, primary_key=True),  # the id of the procedure whose keys it counts
    Column("value", BigInteger, nullable=False),  # the last number that was given out
)
