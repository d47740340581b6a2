"""Backups: made while everything goes on, and put back with every byte checked."""

import json
import os
import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from urllib.parse import urlsplit

import typer

from samvad.cli import app
from samvad.cli.accounts import DataDir
from samvad.kit.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from samvad.settings import Settings
    from samvad.storage import Database
    from samvad.storage.bundle import Bundle, Manifest

T = TypeVar("T")

KEEP_KEY = (
    "Keep SAMVAD_SECRET_KEY (or secret.key) apart from it: Meta's tokens in it open with that key only."
)
HAS_KEY = "It holds the sealing key: whoever has this backup has Meta's tokens. Lock it away."


@app.command()
def backup(
    to: Annotated[
        Path | None,
        typer.Option(help="The folder; default SAMVAD_BACKUP_DIR, or backups in the data folder."),
    ] = None,
    tar: Annotated[bool, typer.Option("--tar", help="One .tar instead of a folder.")] = False,
    with_key: Annotated[bool, typer.Option("--with-key", help="The sealing key too.")] = False,
    copy: Annotated[bool, typer.Option("--copy", help="Copies of files, never hard links.")] = False,
    data: DataDir = None,
) -> None:
    """Back up the database and the files while they are in use, and print where the backup is.

    Of PostgreSQL the files only: it prints the pg_dump command that has to go before.
    """
    from samvad.cli.running import read_settings
    from samvad.kit.clock import system_clock
    from samvad.storage.backup import sqlite_file, stamp

    settings = read_settings(data_dir=data)
    file = sqlite_file(settings.database_url)
    if file is not None and not file.exists():
        raise BadRequest(f"There is no database at {file}; `samvad migrate` makes one.")
    at_ms = system_clock()
    folder = (to or settings.backup_dir or settings.data_dir / "backups").absolute()
    target = folder / f"samvad-{stamp(at_ms)}"
    try:
        manifest = _make(settings, file, target, at_ms=at_ms, with_key=with_key, as_links=not (copy or tar))
        if tar:
            target = _packed(target)
    except (OSError, sqlite3.Error) as error:
        raise BadRequest(f"No backup was made: {error}.") from None
    typer.echo(target)
    for words in _remarks(manifest):
        typer.echo(words, err=True)
    if manifest.missing:
        raise BadRequest(
            f"{len(manifest.missing)} files that rows name are missing in {settings.blob_url} or are not what their "
            f"rows say, such as {manifest.missing[0]}; the backup holds everything else and lists them."
        )


@app.command()
def restore(
    place: Annotated[Path, typer.Argument(help="A folder or a .tar that `samvad backup` made.")],
    data: DataDir = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Also into a data folder that is in use; its database is kept aside."),
    ] = False,
) -> None:
    """Put a backup into a data folder, each file checked against its hash, and print what the audit says.

    The server must not be running on that folder.
    """
    from samvad import settings as options
    from samvad.cli.running import configure_logs
    from samvad.kit.sealing import new_sealing_key
    from samvad.storage.backup import sqlite_file
    from samvad.storage.bundle import KEY, opened

    with opened(place) as bundle:
        settings = options.from_environment(
            None,
            data_dir=data,
            # Reading the settings would else make a key, which opens nothing of what is restored.
            secret_key=os.environ.get("SAMVAD_SECRET_KEY") or new_sealing_key(),
        )
        configure_logs(settings.log_format)
        file = sqlite_file(settings.database_url)
        if not force and file is not None and file.exists():  # perhaps elsewhere than in the data folder
            raise BadRequest(
                f"There is a database at {file}; say --force to replace it, which keeps it aside."
            )
        if not force and settings.data_dir.exists() and any(settings.data_dir.iterdir()):
            raise BadRequest(
                f"{settings.data_dir} is not empty. Name an empty folder with --data, or say --force to replace what "
                "is there; the server must not be running on it."
            )
        try:
            _put_back(bundle, settings)
        except (OSError, sqlite3.Error) as error:
            raise BadRequest(f"The backup was not restored: {error}.") from None
        manifest = bundle.manifest
    if manifest.kind == "sqlite":
        typer.echo(json.dumps(_audited(settings.database_url), indent=2))
        typer.echo(f"Restored to {settings.data_dir}, as it was at {manifest.made_at}.", err=True)
        if not (settings.data_dir / KEY).exists() and "SAMVAD_SECRET_KEY" not in os.environ:
            words = (
                f"The sealing key is not there: put it to {settings.data_dir / KEY} or into SAMVAD_SECRET_KEY"
            )
            typer.echo(f"{words} before the server starts, or no token of Meta's opens again.", err=True)
    else:
        if manifest.files_in == "backup":
            typer.echo(f"The files are back in {settings.blob_url}.", err=True)
        typer.echo("The database is pg_restore's:", err=True)
        typer.echo(PG_RESTORE)
    if manifest.files_in != "backup":
        words = f"Its files are not in it: they stayed in {manifest.files_in}."
        if settings.blob_url != manifest.files_in:
            words += f" SAMVAD_BLOB_URL is {settings.blob_url}, where they are not: set it before the server starts."
        typer.echo(words, err=True)
    if manifest.missing:
        typer.echo(
            f"{len(manifest.missing)} files were missing when it was made; manifest.json lists them.",
            err=True,
        )


PG_RESTORE = 'pg_restore --clean --if-exists --no-owner --dbname="$SAMVAD_DATABASE_URL" samvad-….dump'


def _make(
    settings: "Settings", file: Path | None, target: Path, *, at_ms: int, with_key: bool, as_links: bool
) -> "Manifest":
    """The database first: whatever its rows name is in the store by then, and nothing leaves the store."""
    from samvad import __version__
    from samvad.domain import backup as backups
    from samvad.storage import bundle, schema
    from samvad.storage.backup import copy_database

    with bundle.building(target) as folder:
        if file is not None:
            copy = folder / bundle.DATABASE
            copy_database(file, copy)
            revision = bundle.read_copy(copy, lambda tx: schema.current(tx.connection))
            if revision != schema.newest():
                raise BadRequest(
                    f"The database is at revision {revision}, this version is of {schema.newest()}: run `samvad "
                    "migrate` first, or the backup of the version that made it."
                )
            named, counts = bundle.read_copy(copy, lambda tx: (backups.files_named(tx), backups.counts(tx)))
        else:
            revision, named, counts = _asked(settings.database_url)
        store = _local(settings.blob_url)
        files, missing = (
            bundle.gather(named, store, folder, as_links=as_links) if store is not None else ({}, [])
        )
        if with_key:
            key = folder / bundle.KEY
            key.touch(mode=0o600)
            key.write_text(settings.secret_key + "\n", encoding="ascii")
        manifest = bundle.Manifest(
            format=bundle.FORMAT,
            samvad=__version__,
            schema=revision or "",
            made_at=datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds"),
            kind="sqlite" if file is not None else "postgresql",
            files_in="backup" if store is not None else settings.blob_url,
            counts=counts,
            database=bundle.described(folder / bundle.DATABASE) if file is not None else None,
            files=files,
            missing=missing,
            with_key=with_key,
        )
        bundle.write_manifest(folder, manifest)
    return manifest


def _packed(folder: Path) -> Path:
    from samvad.storage.bundle import pack

    target = folder.with_name(f"{folder.name}.tar")
    try:
        pack(folder, target)
    finally:
        shutil.rmtree(folder)
    return target


def _remarks(manifest: "Manifest") -> list[str]:
    from samvad.domain.doctor.disk import PG_DUMP

    size = sum(it.size for it in manifest.files.values())
    words = [HAS_KEY if manifest.with_key else KEEP_KEY]
    if manifest.files_in == "backup":
        words.append(f"{len(manifest.files)} files are in it ({size:,} bytes).")
    else:
        words.append(f"Files are not in it: they stay in {manifest.files_in}, which has backups of its own.")
    if manifest.kind == "postgresql":
        words.append(
            "The database is NOT in it. Run this first, and then `samvad backup` for the files it names:"
        )
        words.append(PG_DUMP)
    return words


def _put_back(bundle: "Bundle", settings: "Settings") -> None:
    """Everything is written beside its place and checked before anything that is there makes room."""
    from samvad.kit.clock import system_clock
    from samvad.storage import bundle as bundles
    from samvad.storage import schema
    from samvad.storage.backup import copy_database, problem_of, sqlite_file, stamp

    manifest, file = bundle.manifest, sqlite_file(settings.database_url)
    store = _local(settings.blob_url)
    if not schema.is_known(manifest.schema):
        raise BadRequest(
            f"The backup is of revision {manifest.schema}, which this version does not know (it knows up to "
            f"{schema.newest()}): restore it with Samvad {manifest.samvad} or newer."
        )
    if (manifest.kind == "sqlite") != (file is not None):
        raise BadRequest(
            f"The backup is of {manifest.kind}; SAMVAD_DATABASE_URL names another kind of database."
        )
    if manifest.files and store is None:
        raise BadRequest(
            f"The backup holds files for a local folder; SAMVAD_BLOB_URL is {settings.blob_url}. Restore without it, "
            "and then copy the folder of files into the store: names in it are the same."
        )
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    staged = settings.data_dir / f".restoring-{os.getpid()}"
    try:
        if manifest.database is not None:
            copy = staged / bundles.DATABASE
            bundle.take(bundles.DATABASE, copy, manifest.database)
            if (problem := problem_of(copy)) is not None:
                raise BadRequest(f"The database of the backup is damaged: {problem:.300}")
            found = bundles.read_copy(copy, lambda tx: schema.current(tx.connection))
            if found != manifest.schema:
                raise BadRequest(f"The manifest says revision {manifest.schema}, the database {found}.")
        for key, expected in manifest.files.items():
            bundle.take(f"{bundles.FILES}/{key}", staged / bundles.FILES / key, expected)
        moment = stamp(system_clock())
        if store is not None:
            for key in manifest.files:
                target = store / key
                target.parent.mkdir(parents=True, exist_ok=True)
                (staged / bundles.FILES / key).replace(target)
        if manifest.with_key:
            _put_key(bundle.text(bundles.KEY), settings.data_dir / bundles.KEY, moment)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            if file.exists():
                kept = file.with_name(f"replaced-{moment}.db")
                try:
                    copy_database(file, kept)
                except sqlite3.Error:  # damaged, which is why a backup is put back
                    shutil.copy2(file, kept)
                typer.echo(f"The database that was there is kept as {kept}.", err=True)
            for beside in ("-wal", "-shm"):  # of the old file: the new one must not be read with them
                file.with_name(file.name + beside).unlink(missing_ok=True)
            (staged / bundles.DATABASE).replace(file)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _put_key(key: str, target: Path, moment: str) -> None:
    if target.exists() and target.read_text(encoding="ascii").strip() != key:
        target.rename(target.with_name(f"replaced-{moment}.key"))
    target.touch(mode=0o600)
    target.write_text(key + "\n", encoding="ascii")


def _asked(database_url: str) -> tuple[str | None, dict[str, str], dict[str, int]]:
    """What a running PostgreSQL names, in one moment of it."""
    from samvad.domain import backup as backups
    from samvad.storage import Tx, schema

    def unit(tx: Tx) -> tuple[str | None, dict[str, str], dict[str, int]]:
        return schema.current(tx.connection), backups.files_named(tx), backups.counts(tx)

    async def work(db: "Database") -> tuple[str | None, dict[str, str], dict[str, int]]:
        return await db.read(unit)

    return _with_database(database_url, work)


def _audited(database_url: str) -> dict[str, Any]:
    """Brings an older backup to today's schema first."""
    from samvad.domain import audit as audits
    from samvad.kit.clock import system_clock
    from samvad.storage.schema import migrate

    async def work(db: "Database") -> dict[str, Any]:
        await migrate(db)
        return await db.read(audits.audit, now=system_clock())

    return _with_database(database_url, work)


def _with_database(database_url: str, work: "Callable[[Database], Awaitable[T]]") -> T:
    import asyncio

    from samvad.storage import open_database

    async def run() -> T:
        db = open_database(database_url)
        try:
            return await work(db)
        finally:
            await db.close()

    return asyncio.run(run())


def _local(blob_url: str) -> Path | None:
    """The folder of a store on this disk, None for one elsewhere."""
    parts = urlsplit(blob_url)
    return Path(parts.path) if parts.scheme == "file" else None
