"""Bringing a database to today's schema: one lineage of Alembic migrations for both databases."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from samvad.storage.database import Database

MIGRATIONS = Path(__file__).parent / "migrations"


async def migrate(db: Database) -> None:
    """Bring the schema to the newest revision; nothing happens when it is there already."""
    await db.migrate(_to_newest)


def _to_newest(connection: Connection) -> None:
    if current(connection) != newest():  # the whole of Alembic would only find out the same
        upgrade(connection)


def upgrade(connection: Connection, revision: str = "head") -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def current(connection: Connection) -> str | None:
    """The revision this database is at, None when it is empty."""
    return MigrationContext.configure(connection).get_current_revision()


@cache
def newest() -> str:
    """The revision of this code."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config
