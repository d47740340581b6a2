"""Bringing a database to today's schema: one lineage of Alembic migrations for both databases."""

import sqlite3
from functools import cache
from pathlib import Path

import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from samvad.kit.clock import system_clock
from samvad.kit.errors import NotMigrated
from samvad.storage.backup import copy_before, sqlite_file
from samvad.storage.database import Database

MIGRATIONS = Path(__file__).parent / "migrations"

log = structlog.get_logger(__name__)


async def migrate(db: Database) -> None:
    """Bring the schema to the newest revision; nothing happens when it is there already.

    A SQLite file that holds something is copied first. Raises kit.errors.NotMigrated; then nothing was changed.
    """
    await db.migrate(_to_newest)


def _to_newest(connection: Connection) -> None:
    found = current(connection)
    if found == newest():  # the whole of Alembic would only find out the same
        return
    if found is not None and not is_known(found):
        raise NotMigrated(
            f"The database is at revision {found}, which this version does not know (it knows up to {newest()}): "
            "a newer version has used it. Start that one, or restore a backup of before."
        )
    kept = _keep_copy(connection, found)
    try:
        upgrade(connection)
    except Exception as error:
        log.error("schema.not_migrated", at=found, to=newest(), copy=kept, error=repr(error), exc_info=error)
        copy = f", and a copy of it is {kept}" if kept else ""
        raise NotMigrated(
            f"The schema could not be brought from {found or 'nothing'} to {newest()}: {_short(error)} "
            f"Nothing was changed: the database is as it was{copy}. The version before this one still runs on it."
        ) from error
    if found is not None:
        log.warning("schema.migrated", before=found, now=newest(), copy=kept)


def _keep_copy(connection: Connection, found: str | None) -> str | None:
    """Copy a SQLite file with something in it; the writer's lock is ours, so nothing is missing in the copy."""
    file = sqlite_file(connection.engine.url.render_as_string(hide_password=False))
    if found is None or file is None or not file.exists():
        return None
    try:
        kept = copy_before(file, newest(), at_ms=system_clock())
    except (OSError, sqlite3.Error) as error:
        raise NotMigrated(
            f"No copy of {file} could be made before its migration ({error}), so nothing was changed. "
            "Make room beside it and start again."
        ) from error
    log.warning("schema.copied", copy=str(kept), before=found, to=newest())
    return str(kept)


def _short(error: Exception) -> str:
    """The first line of what went wrong; what a driver adds are statements and values."""
    return str(getattr(error, "orig", None) or error).partition("\n")[0][:300].rstrip(".") + "."


def upgrade(connection: Connection, revision: str = "head") -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def current(connection: Connection) -> str | None:
    """The revision this database is at, None when it is empty."""
    return MigrationContext.configure(connection).get_current_revision()


def is_known(revision: str) -> bool:
    """Whether this code can bring a database of that revision to today's."""
    return any(it.revision == revision for it in ScriptDirectory.from_config(_config()).walk_revisions())


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
