"""Looking after a SQLite file: a copy while it is in use, and whether it is whole. It blocks: call it in a thread."""

import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import make_url

UNFINISHED = ".part"
BEFORE = "before-"
KEPT_BEFORE = 3  # copies made before migrations: each is as large as the database


def sqlite_file(database_url: str) -> Path | None:
    """The file behind a URL, None for a database that is not a file of ours."""
    url = make_url(database_url)
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


def copy_database(file: Path, target: Path) -> None:
    """Copy a database that others go on writing to, check the copy, and only then give it its name.

    The copy is one moment of the database. Raises OSError, sqlite3.Error.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(UNFINISHED)
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    try:
        with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(unfinished)) as copy:
            source.backup(copy)
            # The copy is one file: nobody should have to know of a -wal beside it.
            copy.execute("PRAGMA journal_mode = DELETE")
        if (problem := problem_of(unfinished)) is not None:
            raise sqlite3.DatabaseError(problem)
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def copy_before(file: Path, revision: str, *, at_ms: int) -> Path:
    """Keep a copy of a database that is about to be migrated, beside it; of such copies the newest few stay."""
    kept = file.parent / f"{BEFORE}{revision}-{stamp(at_ms)}.db"
    copy_database(file, kept)
    copies = sorted(file.parent.glob(f"{BEFORE}*.db"), key=lambda it: it.stat().st_mtime_ns)
    for old in copies[:-KEPT_BEFORE]:
        old.unlink(missing_ok=True)
    return kept


def stamp(at_ms: int) -> str:
    """A moment in a file's name: 20260131T120000Z."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")


def problem_of(file: Path) -> str | None:
    """What SQLite's own check finds wrong with a file, None when it is whole."""
    try:
        with closing(sqlite3.connect(file.absolute().as_uri() + "?mode=ro", uri=True)) as connection:
            rows = connection.execute("PRAGMA quick_check(3)").fetchall()
    except sqlite3.Error as error:
        return str(error)
    return None if rows == [("ok",)] else "; ".join(str(row[0]) for row in rows)


def newest_in(folder: Path) -> Path | None:
    """The newest finished backup of a folder, whoever made it, a file or a folder; an empty one is none."""
    if not folder.is_dir():
        return None
    found = [it for it in folder.iterdir() if not it.name.startswith(".") and it.suffix != UNFINISHED]
    return max((it for it in found if _holds(it)), key=lambda it: it.stat().st_mtime, default=None)


def _holds(it: Path) -> bool:
    return any(it.iterdir()) if it.is_dir() else it.is_file() and it.stat().st_size > 0
