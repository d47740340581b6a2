"""The disk and the backups. It blocks, and may read a whole database: call it in a thread."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from samvad.domain.doctor.model import Finding, fault, fine, skipped
from samvad.storage.backup import newest_in, problem_of, sqlite_file

LEAST_FREE = 1024**3  # bytes: days of a busy number, so that there is time to act
LARGEST_WAL = 1024**3  # bytes; it is emptied every few megabytes unless something holds an old read open
HOUR_MS = 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Place:
    """Where an installation keeps its things."""

    database_url: str
    data_dir: Path
    blob_url: str
    backup_dir: Path | None
    backup_max_age_h: float
    least_free: int = LEAST_FREE


def disk(place: Place, now: int) -> list[Finding]:
    """Room, a whole database, and a young backup."""
    return [_room(place), _database(place), _backup(place, now)]


def _room(place: Place) -> Finding:
    blobs = urlsplit(place.blob_url)
    folders = {place.data_dir, *([Path(blobs.path)] if blobs.scheme == "file" else [])}
    if (file := sqlite_file(place.database_url)) is not None:
        folders.add(file.absolute().parent)
    least = None
    for folder in sorted(folders):
        try:
            with tempfile.TemporaryFile(dir=folder):
                free = shutil.disk_usage(folder).free
        except OSError as error:
            fix = f"mkdir -p {folder} && chown $(id -u) {folder}"
            return fault("disk", f"{folder} cannot be written to: {error.strerror}", fix)
        if free < place.least_free:
            words = (
                f"{folder} has {_size(free)} left; below {_size(place.least_free)} there is no time to act"
            )
            return fault("disk", words, f"df -h {folder}    # and make room, or move it with SAMVAD_DATA_DIR")
        least = free if least is None else min(least, free)
    return fine("disk", f"{_size(least or 0)} free")


def _database(place: Place) -> Finding:
    file = sqlite_file(place.database_url)
    if file is None:
        return skipped("disk", "PostgreSQL looks after its own files")
    if (problem := problem_of(file)) is not None:
        return fault(
            "disk",
            f"{file} is damaged: {problem:.300}",
            f"stop the server, then: samvad restore BACKUP --data {place.data_dir} --force    # it is kept aside",
        )
    wal = file.with_name(file.name + "-wal")
    size = wal.stat().st_size if wal.exists() else 0
    if size > LARGEST_WAL:
        words = f"{wal} has grown to {_size(size)}: something holds an old read open"
        return fault(
            "disk", words, f"fuser -v {file}    # end whatever else reads it, then restart samvad serve"
        )
    return fine("disk", f"the database is whole ({_size(file.stat().st_size)})")


def _backup(place: Place, now: int) -> Finding:
    sqlite = sqlite_file(place.database_url) is not None
    folder = place.backup_dir or (place.data_dir / "backups" if sqlite else None)
    if folder is None:
        return skipped("disk", "SAMVAD_BACKUP_DIR does not say where pg_dump leaves its files")
    command = "samvad backup" if sqlite else PG_DUMP
    newest = newest_in(folder)
    if newest is None:
        return fault("disk", f"there is no backup in {folder}", command)
    hours = (now - newest.stat().st_mtime * 1000) / HOUR_MS
    if hours > place.backup_max_age_h:
        words = f"the newest backup, {newest.name}, is {hours:.0f} hours old; {place.backup_max_age_h:.0f} are allowed"
        return fault("disk", words, f"{command}    # from cron, every night")
    return fine("disk", f"the newest backup is {max(0.0, hours):.0f} hours old ({newest.name})")


PG_DUMP = 'pg_dump --format=custom --file="$SAMVAD_BACKUP_DIR/samvad-$(date +%F).dump" "$SAMVAD_DATABASE_URL"'


def _size(size: int) -> str:
    return f"{size / 1024**3:.1f} GiB" if size >= 1024**3 else f"{size / 1024**2:.0f} MiB"
