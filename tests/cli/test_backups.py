"""Backups: made under load, put back, and whole; what is not as it should be is said."""

import asyncio
import json
import os
import shutil
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from samvad.domain.backup import files_named
from samvad.storage.bundle import read_copy
from tests.api.pictures import png
from tests.cli.test_cli import Shell, session  # noqa: F401
from tests.harness import SEALING_KEY, Product, copy_file, running, until
from tests.s3 import S3

PNG = png()
KEPT_APART = "Keep SAMVAD_SECRET_KEY"


def shell(session: Any, product: Product, **more: str) -> Shell:  # noqa: F811
    settings = product.settings
    words = {
        "data_dir": str(settings.data_dir),
        "database_url": settings.database_url,
        "secret_key": SEALING_KEY,
        **more,
    }
    return Shell(session, {f"SAMVAD_{name.upper()}": value for name, value in words.items()})


def elsewhere(session: Any, **more: str) -> Shell:  # noqa: F811
    """Somebody on another machine, where nothing is set."""
    return Shell(session, more)


@pytest.fixture
async def on_sqlite(migrated_sqlite: Path, tmp_path: Path):
    folder = tmp_path / "installation"
    folder.mkdir()
    async with running(copy_file(migrated_sqlite, folder / "samvad.db"), folder) as product:
        yield product


async def upload(product: Product, number: int) -> str:
    reply = await product.api.post(
        "/v1/ext/photo", files={"photo": (f"{number}.png", PNG + str(number).encode(), "image/png")}
    )
    assert reply.status_code == 200, reply.text
    return str(reply.json()["_data"]["id"])


async def test_a_backup_under_load_has_everything_acknowledged_before_it_began_and_every_file_its_rows_name(
    on_sqlite: Product,
    session: Any,  # noqa: F811
    tmp_path: Path,
):
    samvad = shell(session, on_sqlite)
    sent: list[str] = []
    files: list[str] = []
    await on_sqlite.customer_writes("first")
    await until(on_sqlite.listed)
    stop = asyncio.Event()

    async def sending(name: int) -> None:
        while not stop.is_set():
            reply = await on_sqlite.send_text(f"from {name}")
            assert reply.status_code == 200, reply.text
            sent.append(reply.json()["messages"][0]["id"])

    async def writing() -> None:
        while not stop.is_set():
            await on_sqlite.customer_writes("under load")

    async def uploading() -> None:
        while not stop.is_set():
            files.append(await upload(on_sqlite, len(files)))

    load = [asyncio.create_task(it) for it in (sending(1), sending(2), writing(), uploading())]
    await until(lambda: len(sent) > 20 and len(files) > 5)

    for number in range(20):  # until messages were sent while it was made: it takes a blink
        before, uploaded = list(sent), list(files)
        made = await samvad("backup", "--to", str(tmp_path / f"backups{number}"))
        if len(sent) > len(before):
            break
    stop.set()
    await asyncio.gather(*load)
    restored = await elsewhere(session)("restore", made.out.strip(), "--data", str(tmp_path / "new"))

    assert (made.code, restored.code) == (0, 0), (made, restored)
    assert len(sent) > len(before), "nothing was sent while the backup was made"
    audit = json.loads(restored.out)
    with closing(sqlite3.connect(tmp_path / "new" / "samvad.db")) as opened:
        wamids = {row[0] for row in opened.execute("select wamid from message where wamid is not null")}
        photos = {row[0] for row in opened.execute("select id from photo")}
    assert set(before) <= wamids
    assert set(uploaded) <= photos
    assert audit["withWamid"] == audit["distinctWamids"] == len(wamids)
    assert audit["inboundProblems"] == []
    named = read_copy(tmp_path / "new" / "samvad.db", files_named)
    assert len(named) >= len(uploaded)
    assert all((tmp_path / "new" / "files" / key).is_file() for key in named)
    assert "The sealing key is not there" in restored.err


async def test_a_restored_installation_goes_on_where_it_was(
    on_sqlite: Product,
    session: Any,  # noqa: F811
    tmp_path: Path,
):
    await on_sqlite.customer_writes("kept for good")
    await until(on_sqlite.listed)
    photo = await upload(on_sqlite, 1)
    made = await shell(session, on_sqlite)("backup", "--with-key")

    new = tmp_path / "new"
    restored = await elsewhere(session)("restore", made.out.strip(), "--data", str(new))
    await on_sqlite.start_again(
        data_dir=new, database_url=f"sqlite:///{new / 'samvad.db'}", blob_url=f"file://{new / 'files'}"
    )

    assert restored.code == 0, restored
    assert (new / "secret.key").read_text().strip() == SEALING_KEY
    assert "holds the sealing key" in made.err
    assert [it["text"] for it in await on_sqlite.listed()] == ["kept for good"]
    assert (await on_sqlite.api.get(f"/v1/ext/photo/{photo}")).content == PNG + b"1"
    assert (await on_sqlite.send_text("and on")).status_code == 200


async def test_a_tar_is_the_same_in_one_file_and_holds_no_key_unless_asked(
    on_sqlite: Product,
    session: Any,  # noqa: F811
    tmp_path: Path,
):
    await upload(on_sqlite, 1)

    made = await shell(session, on_sqlite)("backup", "--tar", "--to", str(tmp_path / "backups"))
    restored = await elsewhere(session)("restore", made.out.strip(), "--data", str(tmp_path / "new"))

    with tarfile.open(made.out.strip()) as tar:
        names = tar.getnames()
    assert names[0] == "manifest.json"
    assert sorted(it.split("/")[0] for it in names) == ["files", "manifest.json", "samvad.db"]
    assert os.listdir(tmp_path / "backups") == [Path(made.out.strip()).name]
    assert os.stat(made.out.strip()).st_mode & 0o077 == 0
    assert KEPT_APART in made.err
    assert SEALING_KEY.encode() not in content(made.out.strip())
    assert restored.code == 0, restored


@pytest.mark.parametrize("of", ["samvad.db", "files"])
async def test_a_damaged_backup_is_refused_before_anything_changes(
    on_sqlite: Product,
    session: Any,  # noqa: F811
    tmp_path: Path,
    of: str,
):
    await upload(on_sqlite, 1)
    made = Path((await shell(session, on_sqlite)("backup", "--copy")).out.strip())
    damaged = next(it for it in (made / of, *(made / of).rglob("*")) if it.is_file())
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")

    refused = await elsewhere(session)("restore", str(made), "--data", str(tmp_path / "new"))

    assert "is damaged" in refused.mistake
    assert "Nothing was restored" in refused.mistake
    assert list((tmp_path / "new").iterdir()) == []


async def test_a_data_folder_in_use_is_replaced_by_force_only_and_its_database_is_kept_aside(
    on_sqlite: Product,
    session: Any,  # noqa: F811
    tmp_path: Path,
):
    await on_sqlite.customer_writes("then")
    await until(on_sqlite.listed)
    made = (await shell(session, on_sqlite)("backup", "--to", str(tmp_path / "backups"))).out.strip()
    await on_sqlite.send_text("since")
    data = on_sqlite.settings.data_dir

    (data / "other").mkdir()
    in_place = await elsewhere(session)("restore", made, "--data", str(data))
    named = {"SAMVAD_DATABASE_URL": on_sqlite.settings.database_url}
    by_setting = await elsewhere(session, **named)("restore", made, "--data", str(tmp_path / "empty"))
    (data / "samvad.db").rename(data / "aside.db")
    refused = await elsewhere(session)("restore", made, "--data", str(data))
    (data / "aside.db").rename(data / "samvad.db")
    forced = await elsewhere(session)("restore", made, "--data", str(data), "--force")

    assert "There is a database at" in in_place.mistake
    assert "There is a database at" in by_setting.mistake
    assert "is not empty" in refused.mistake
    assert "--force" in refused.mistake
    assert forced.code == 0, forced
    (kept,) = data.glob("replaced-*.db")
    assert str(kept) in forced.err
    assert texts(data / "samvad.db") == ["then"]
    assert texts(kept) == ["since", "then"]


async def test_a_file_that_is_missing_is_said_and_the_rest_is_backed_up(
    on_sqlite: Product,
    session: Any,  # noqa: F811
    tmp_path: Path,
):
    await upload(on_sqlite, 1)
    await upload(on_sqlite, 2)
    lost = next(it for it in (on_sqlite.settings.data_dir / "files").rglob("*") if it.is_file())
    lost.unlink()

    made = await shell(session, on_sqlite)("backup", "--to", str(tmp_path / "backups"))

    manifest = json.loads((Path(made.out.strip()) / "manifest.json").read_text())
    assert made.code == 1
    assert "1 files that rows name are missing" in made.err
    assert [it.split("/")[-1] for it in manifest["missing"]] == [lost.name]
    assert len(manifest["files"]) == 1
    assert manifest["counts"]["photo"] == 2


async def test_what_is_no_backup_is_a_sentence(session: Any, tmp_path: Path):  # noqa: F811
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.tar").write_text("words")

    folder = await elsewhere(session)("restore", str(tmp_path / "empty"), "--data", str(tmp_path / "new"))
    file = await elsewhere(session)("restore", str(tmp_path / "file.tar"), "--data", str(tmp_path / "new"))

    assert "has no manifest.json" in folder.mistake
    assert "neither a folder nor a .tar" in file.mistake


async def test_of_postgresql_the_files_are_backed_up_and_pg_dump_is_named(
    product: Product,
    session: Any,  # noqa: F811
    tmp_path: Path,
):
    if product.settings.database_url.startswith("sqlite"):
        pytest.skip("SQLite has its own tests in this file: there the whole file is backed up")
    await upload(product, 1)
    samvad = shell(session, product)

    made = await samvad("backup", "--to", str(tmp_path / "backups"))
    new = tmp_path / "new"
    there = shell(session, product, data_dir=str(new))
    restored = await there("restore", made.out.strip())

    manifest = json.loads((Path(made.out.strip()) / "manifest.json").read_text())
    assert made.code == 0, made
    assert "The database is NOT in it" in made.err
    assert 'pg_dump --format=custom --file="$SAMVAD_BACKUP_DIR' in made.err
    assert (manifest["kind"], manifest["database"], manifest["counts"]["photo"]) == ("postgresql", None, 1)
    assert restored.code == 0, restored
    assert restored.out.startswith("pg_restore ")
    assert [it.read_bytes() for it in (new / "files").rglob("*") if it.is_file()] == [PNG + b"1"]


async def test_files_on_s3_stay_there_and_a_backup_says_so_and_is_restored_beside_them(
    s3: S3,
    migrated_sqlite: Path,
    session: Any,  # noqa: F811
    tmp_path: Path,
):
    bucket, folder = s3.bucket(), tmp_path / "installation"
    folder.mkdir()
    store = f"s3://{bucket}/files"
    async with running(copy_file(migrated_sqlite, folder / "samvad.db"), folder, blob_url=store) as product:
        photo, kept = await upload(product, 1), s3.keys(bucket)

        made = await shell(session, product, blob_url=store)("backup", "--to", str(tmp_path / "backups"))
        place, new = made.out.strip(), tmp_path / "new"
        restored = await elsewhere(session, SAMVAD_BLOB_URL=store)("restore", place, "--data", str(new))
        forgotten = await elsewhere(session)("restore", place, "--data", str(tmp_path / "forgotten"))
        await product.start_again(data_dir=new, database_url=f"sqlite:///{new / 'samvad.db'}")

        manifest = json.loads((Path(place) / "manifest.json").read_text())
        assert made.code == 0, made
        assert f"Files are not in it: they stay in {store}" in made.err
        assert (manifest["files_in"], manifest["files"], manifest["missing"]) == (store, {}, [])
        assert manifest["counts"]["photo"] == 1
        assert sorted(os.listdir(place)) == ["manifest.json", "samvad.db"]
        assert restored.code == 0, restored
        assert f"Its files are not in it: they stayed in {store}.\n" in restored.err
        assert forgotten.code == 0, forgotten
        assert "where they are not: set it before the server starts" in forgotten.err
        assert (await product.api.get(f"/v1/ext/photo/{photo}")).content == PNG + b"1"
        assert len(kept) == 1
        assert s3.keys(bucket) == kept


async def test_of_postgresql_with_files_on_s3_a_restore_names_pg_restore_and_where_the_files_are(
    s3: S3,
    database_url: str,
    session: Any,  # noqa: F811
    tmp_path: Path,
):
    if database_url.startswith("sqlite"):
        pytest.skip("SQLite has its own tests in this file: there the database is in the backup")
    store = f"s3://{s3.bucket()}/files"
    async with running(database_url, tmp_path, blob_url=store) as product:
        await upload(product, 1)

        made = await shell(session, product, blob_url=store)("backup", "--to", str(tmp_path / "backups"))
        there = shell(session, product, blob_url=store, data_dir=str(tmp_path / "new"))
        restored = await there("restore", made.out.strip())

        assert made.code == 0, made
        assert "The database is NOT in it" in made.err
        assert f"Files are not in it: they stay in {store}" in made.err
        assert restored.code == 0, restored
        assert restored.out.startswith("pg_restore ")
        assert "are back in" not in restored.err
        assert f"they stayed in {store}" in restored.err


async def test_files_of_a_folder_are_moved_to_s3_by_copying_the_folder(
    s3: S3,
    on_sqlite: Product,
    session: Any,  # noqa: F811
    tmp_path: Path,
):
    bucket = s3.bucket()
    store = f"s3://{bucket}/files"
    photo = await upload(on_sqlite, 1)
    made = (
        await shell(session, on_sqlite)("backup", "--copy", "--to", str(tmp_path / "backups"))
    ).out.strip()

    refused = await elsewhere(session, SAMVAD_BLOB_URL=store)(
        "restore", made, "--data", str(tmp_path / "new")
    )
    shutil.copytree(on_sqlite.settings.data_dir / "files", s3.folder / bucket / "files")
    shutil.rmtree(on_sqlite.settings.data_dir / "files")
    await on_sqlite.start_again(blob_url=store)

    assert "Restore without it, and then copy the folder of files into the store" in refused.mistake
    assert (await on_sqlite.api.get(f"/v1/ext/photo/{photo}")).content == PNG + b"1"


async def test_a_damaged_database_makes_room_for_a_backup(
    on_sqlite: Product,
    session: Any,  # noqa: F811
    tmp_path: Path,
):
    await on_sqlite.send_text("kept")
    made = (await shell(session, on_sqlite)("backup", "--to", str(tmp_path / "backups"))).out.strip()
    new = tmp_path / "new"
    new.mkdir()
    (new / "samvad.db").write_bytes(b"SQLite format 3\0" + b"not really" * 500)

    restored = await elsewhere(session)("restore", made, "--data", str(new), "--force")

    (kept,) = new.glob("replaced-*.db")
    assert restored.code == 0, restored
    assert b"not really" in content(kept)
    assert texts(new / "samvad.db") == ["kept"]


def content(file: str | Path) -> bytes:
    return Path(file).read_bytes()


def texts(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as opened:
        return sorted(row[0] for row in opened.execute("select text from message"))
