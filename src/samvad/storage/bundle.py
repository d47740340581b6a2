"""A backup as it lies on a disk: a folder or a .tar of the database, its files and a manifest. It blocks.

manifest.json   what is in it, each with its sha256; written last
samvad.db       one moment of a SQLite database; not there where the database is PostgreSQL
files/…         what the rows of that moment name, by key
secret.key      only where it was asked for
"""

import hashlib
import os
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeVar

import msgspec
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from samvad.kit.errors import BadRequest
from samvad.storage.backup import UNFINISHED
from samvad.storage.tx import Tx

T = TypeVar("T")

FORMAT = 1
MANIFEST = "manifest.json"
DATABASE = "samvad.db"
FILES = "files"
KEY = "secret.key"
PIECE = 1024 * 1024
LARGEST_MANIFEST = 1024**3  # bytes: some 200 of them for each file

_key = re.compile(
    r"[A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,64}){0,4}"
)  # nobody's backup writes outside of its folder


@dataclass(frozen=True, slots=True)
class File:
    """A file of a backup: its size in bytes, and its sha256 in hex."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself."""

    format: int
    samvad: str
    schema: str
    made_at: str
    kind: str
    """`sqlite`, or `postgresql`: then pg_dump has the database."""

    files_in: str
    """`backup`, or the address of the store where they stay."""

    counts: dict[str, int]
    database: File | None = None
    files: dict[str, File] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    """Keys that rows name, and whose file was not there or not as its row says."""

    with_key: bool = False


@contextmanager
def building(target: Path) -> Iterator[Path]:
    """A folder to fill, which gets its name when all of it is there; broken off, it leaves nothing behind."""
    if target.exists():
        raise BadRequest(f"{target} is there already.")
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}{UNFINISHED}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    try:
        yield unfinished
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def read_copy(file: Path, unit: Callable[[Tx], T]) -> T:
    """Run a unit that reads on a copy, which stays as it is."""
    engine = create_engine(f"sqlite:///file:{file.absolute()}?mode=ro&uri=true", poolclass=NullPool)
    with engine.connect() as connection:
        return unit(Tx(connection))


def gather(
    named: Mapping[str, str], store: Path, folder: Path, *, as_links: bool
) -> tuple[dict[str, File], list[str]]:
    """Take the named files of a local store into a backup's folder; returns them, and those that are not right.

    A file of the store is never written to again, so a hard link is as good as a copy on the same disk.
    """
    taken, missing = {}, []
    for key, sha256 in sorted(named.items()):
        target = folder / FILES / checked(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            _take(store / key, target, as_link=as_links)
        except FileNotFoundError:
            missing.append(key)
            continue
        file = described(target)
        if file.sha256 != sha256:
            target.unlink()
            missing.append(key)
            continue
        taken[key] = file
    return taken, missing


def described(file: Path) -> File:
    with file.open("rb") as opened:
        size, sha256 = _measure(opened)
    return File(size, sha256)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")


def pack(folder: Path, target: Path) -> None:
    """One .tar of a finished folder, with the manifest first, so that a look into it is short."""
    unfinished = target.with_name(f".{target.name}{UNFINISHED}")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    try:
        with tarfile.open(unfinished, "w", dereference=True) as tar:
            for it in sorted(folder.rglob("*"), key=lambda it: (it.name != MANIFEST, it)):
                if it.is_file():
                    tar.add(it, arcname=it.relative_to(folder).as_posix(), recursive=False)
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


class Bundle:
    """A backup that is read, from its folder or its .tar."""

    def __init__(self, place: Path) -> None:
        self._folder = place if place.is_dir() else None
        self._tar: tarfile.TarFile | None = None
        if self._folder is None:
            try:
                self._tar = tarfile.open(place, "r:")  # noqa: SIM115  (closed with the bundle)
            except (OSError, tarfile.TarError) as error:
                raise BadRequest(f"{place} is neither a folder nor a .tar of a backup: {error}.") from None
        self._place = place
        self.manifest = self._read_manifest()

    def close(self) -> None:
        if self._tar is not None:
            self._tar.close()

    def take(self, name: str, target: Path, expected: File) -> None:
        """Write a file of the backup out. Raises BadRequest where it is not what the manifest says."""
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch(mode=0o600)
        with self._open(name) as source, target.open("wb") as written:
            size, sha256 = _measure(source, written)
            written.flush()
            os.fsync(written.fileno())
        if (size, sha256) != (expected.size, expected.sha256):
            raise BadRequest(
                f"{name} in {self._place} is damaged: {size:,} bytes with the sha256 {sha256}, where the manifest says "
                f"{expected.size:,} and {expected.sha256}. Nothing was restored; take another backup."
            )

    def text(self, name: str) -> str:
        with self._open(name) as source:
            return source.read(PIECE).decode("ascii").strip()

    def _read_manifest(self) -> Manifest:
        with self._open(MANIFEST) as source:
            raw = source.read(LARGEST_MANIFEST)
        try:
            found = msgspec.json.decode(raw, type=Manifest)
        except msgspec.DecodeError as error:
            raise BadRequest(f"The {MANIFEST} of {self._place} cannot be read: {error}.") from None
        if found.format != FORMAT:
            raise BadRequest(f"{self._place} has the format {found.format}; this version reads {FORMAT}.")
        for key in found.files:
            checked(key)
        return found

    def _open(self, name: str) -> IO[bytes]:
        with suppress(OSError, KeyError):
            if self._folder is not None:
                return (self._folder / name).open("rb")
            assert self._tar is not None
            if (member := self._tar.extractfile(name)) is not None:
                return member
        raise BadRequest(f"{self._place} has no {name}: it is no backup, or not all of one.")


@contextmanager
def opened(place: Path) -> Iterator[Bundle]:
    with closing(Bundle(place)) as bundle:
        yield bundle


def checked(key: str) -> str:
    """A key that stays in its folder."""
    if _key.fullmatch(key) is None:
        raise BadRequest(f"{key!r:.100} is no key of a file.")
    return key


def _take(source: Path, target: Path, *, as_link: bool) -> None:
    if as_link:
        try:
            os.link(source, target)
        except FileNotFoundError:
            raise
        except OSError:  # another disk, or a file system without links
            pass
        else:
            return
    shutil.copy2(source, target)


def _measure(source: IO[bytes], target: IO[bytes] | None = None) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    while piece := source.read(PIECE):
        digest.update(piece)
        size += len(piece)
        if target is not None:
            target.write(piece)
    return size, digest.hexdigest()
