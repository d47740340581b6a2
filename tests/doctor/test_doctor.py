"""`samvad doctor`: each of the eight faults is named with what mends it, and a good installation has none."""

import json
import os
import re
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from samvad.domain.accounts import operations as accounts
from samvad.domain.doctor.disk import Place, disk
from samvad.domain.inbound.tables import inbound_events
from samvad.domain.waba import operations as waba_operations
from samvad.domain.waba import queries as waba
from samvad.domain.waba.model import Connection
from samvad.kit.sealing import Seal
from samvad.storage import Tx, every_team
from tests.cli.test_cli import Ended, Shell, session, settings_of  # noqa: F401  (a fixture)
from tests.harness import (
    BUSINESS,
    OTHER_BUSINESS,
    SEALING_KEY,
    Product,
    copy_file,
    make_team,
    running,
    until,
)
from tests.s3 import S3
from tests.sandbox.wire import served

SCOPES = ["whatsapp_business_messaging", "whatsapp_business_management"]
NUMBER = BUSINESS.phone_numbers[0].id
DOCTOR = "/v1/samvad/doctor"
EIGHT = {"token", "scopes", "subscription", "callback", "signature", "clock", "number", "disk"}


@dataclass
class Meta:
    """The sandbox on a day when Meta says something else: answers are changed on their way."""

    sandbox: Any
    behind_s: float = 0
    changes: dict[str, Callable[[Any], None]] = field(default_factory=dict)
    token: dict[str, Any] = field(
        default_factory=lambda: {"is_valid": True, "expires_at": 0, "scopes": list(SCOPES)}
    )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        start: dict[str, Any] = {}
        body = b""

        async def keep(message: Any) -> None:
            nonlocal body
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                body += message.get("body", b"")

        await self.sandbox(scope, receive, keep)
        # Only for a token that the sandbox knows: it answers the path of a stranger's token with 401.
        if scope["path"].endswith("/debug_token") and start["status"] != 401:
            start["status"], body = 200, json.dumps({"data": self.token}).encode()
        for path, change in self.changes.items():
            if scope["path"].endswith(path):
                said = json.loads(body)
                change(said)
                body = json.dumps(said).encode()
        headers = [it for it in start["headers"] if it[0].lower() not in (b"date", b"content-length")]
        date = formatdate(time.time() - self.behind_s, usegmt=True).encode()
        headers += [(b"date", date), (b"content-length", str(len(body)).encode())]
        await send({**start, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@dataclass
class Clinic:
    """A product, Meta as it is today, and `samvad` at its keyboard."""

    product: Product
    meta: Meta
    samvad: Shell
    folder: Path

    async def findings(self, *words: str) -> list[dict[str, Any]]:
        ended = await self.samvad("doctor", "--json", *words)
        said = json.loads(ended.out)
        bad = [it for it in said["findings"] if it["state"] == "fault"]
        assert (ended.code, said["fine"]) == ((1, False) if bad else (0, True)), ended
        found: list[dict[str, Any]] = said["findings"]
        return found

    async def faults(self) -> dict[str, tuple[str, str]]:
        """What is wrong and what mends it, by check."""
        found = [it for it in await self.findings() if it["state"] == "fault"]
        assert all(it["fix"] for it in found)
        return {it["check"]: (it["words"], it["fix"]) for it in found}


@pytest.fixture
async def clinic(
    database_url: str,
    tmp_path: Path,
    session: Any,  # noqa: F811
) -> AsyncIterator[Clinic]:
    async with opened(database_url, tmp_path, session) as clinic:
        yield clinic


@pytest.fixture
async def on_sqlite(migrated_sqlite: Path, tmp_path: Path, session: Any) -> AsyncIterator[Clinic]:  # noqa: F811
    """For what has nothing to do with the kind of database."""
    async with opened(copy_file(migrated_sqlite, tmp_path / "samvad.db"), tmp_path, session) as clinic:
        yield clinic


@asynccontextmanager
async def opened(url: str, folder: Path, session: Any) -> AsyncIterator[Clinic]:  # noqa: F811
    async with running(url, folder) as product:
        meta = Meta(product.sandbox.app)
        async with served(meta) as meta_url:
            backups = folder / "backups"
            backups.mkdir()
            (backups / "tonight.dump").write_bytes(b"all of it")
            places = {"graph_url": meta_url, "public_url": product.base_url, "backup_dir": str(backups)}
            yield Clinic(product, meta, Shell(session, settings_of(url, folder, **places)), folder)


async def test_a_good_installation_has_no_fault_and_exit_code_0(clinic: Clinic) -> None:
    printed = (await clinic.samvad("doctor")).printed

    checked = set(re.findall(r"^✓ (\w+)", printed, re.MULTILINE))
    assert checked == EIGHT
    assert "✗" not in printed
    assert f"Plugin {clinic.product.team.plugin_id}" in printed
    assert await clinic.product.listed() == []
    assert await clinic.product.app.db.read(events) == 0, "the probe left something behind"


def events(tx: Tx) -> int:
    return len(tx.all(every_team.select(inbound_events.c.id)))


async def test_1_a_revoked_token_is_named(on_sqlite: Clinic) -> None:
    world = on_sqlite.product.sandbox.world
    world.tokens.clear()
    world.bearers.clear()

    words, fix = (await on_sqlite.faults())["token"]

    assert "no longer accepts the access token" in words
    assert fix.startswith(f"samvad connect --team {on_sqlite.product.team.id} --waba-id {BUSINESS.waba_id}")


async def test_1_a_token_that_ends_this_week_is_named(on_sqlite: Clinic) -> None:
    on_sqlite.meta.token["expires_at"] = int(time.time()) + 3600

    words, fix = (await on_sqlite.faults())["token"]

    assert "expires on" in words
    assert "samvad connect" in fix


async def test_2_a_missing_scope_is_named_and_so_is_one_for_another_account(on_sqlite: Clinic) -> None:
    on_sqlite.meta.token["scopes"] = SCOPES[:1]
    words, fix = (await on_sqlite.faults())["scopes"]
    on_sqlite.meta.token |= {
        "scopes": SCOPES,
        "granular_scopes": [{"scope": SCOPES[0], "target_ids": ["123"]}],
    }
    narrow, _ = (await on_sqlite.faults())["scopes"]

    assert "whatsapp_business_management is missing" in words
    assert "whatsapp_business_management" in fix
    assert f"not for WABA {BUSINESS.waba_id}" in narrow


async def test_3_a_waba_that_is_not_subscribed_or_delivers_elsewhere_is_named(on_sqlite: Clinic) -> None:
    account = on_sqlite.product.sandbox.world.accounts[BUSINESS.waba_id]
    ours, account.callback = account.callback, "https://elsewhere.example/hook"
    elsewhere, _ = (await on_sqlite.faults())["subscription"]
    account.callback = ours
    account.numbers[0].callback = "https://elsewhere.example/number"
    number, _ = (await on_sqlite.faults())["subscription"]
    account.numbers[0].callback = None
    account.subscribed = False
    words, fix = (await on_sqlite.faults())["subscription"]

    assert "delivers to https://elsewhere.example/hook" in elsewhere
    assert f"number {NUMBER} delivers to https://elsewhere.example/number" in number
    assert "is not subscribed" in words
    assert "samvad connect" in fix


async def test_4_a_callback_that_is_not_there_or_another_installation_is_named(on_sqlite: Clinic) -> None:
    account = on_sqlite.product.sandbox.world.accounts[BUSINESS.waba_id]
    ours = account.callback or ""
    path = ours.removeprefix(on_sqlite.product.base_url)
    seen = {}
    for host in ("http://127.0.0.1:1", "http://no-such-host.invalid"):
        account.callback = host + path
        seen[host] = (await on_sqlite.faults())["callback"]
    account.callback = ours
    plugin = {"verify_token_sealed": Seal(SEALING_KEY).close("another verify token")}
    await until(lambda: on_sqlite.product.app.directory.callback(on_sqlite.product.team.plugin_id))
    async with Frozen(on_sqlite.product):
        await change_plugin(on_sqlite.product, **plugin)
        words, fix = (await on_sqlite.faults())["callback"]

    assert "nothing takes connections at 127.0.0.1:1" in seen["http://127.0.0.1:1"][0]
    assert "samvad serve" in seen["http://127.0.0.1:1"][1]
    assert "no-such-host.invalid" in seen["http://no-such-host.invalid"][0]
    assert "does not know this verify token" in words
    assert "SAMVAD_PUBLIC_URL" in fix


class Frozen:
    """The server goes on with the plugin it knows: what is in the database is another installation's."""

    def __init__(self, product: Product) -> None:
        self._callbacks = product.app.directory._callbacks

    async def __aenter__(self) -> None:
        self._before, self._callbacks._for_s = self._callbacks._for_s, 1e9
        known = dict(self._callbacks._known)
        self._callbacks._known.update({key: (1e12, value) for key, (_, value) in known.items()})

    async def __aexit__(self, *_: object) -> None:
        self._callbacks._for_s = self._before
        self._callbacks.forget()


async def change_plugin(product: Product, **changes: Any) -> None:
    def unit(tx: Tx) -> None:
        waba.set_plugin(tx, product.team.plugin_id, **changes)

    await product.app.db.team(product.team.id).write(unit)


async def test_5_an_app_secret_that_is_not_metas_is_named(on_sqlite: Clinic) -> None:
    await change_plugin(on_sqlite.product, app_secret_sealed=Seal(SEALING_KEY).close("of another app"))
    on_sqlite.product.app.directory.forget()

    words, fix = (await on_sqlite.faults())["signature"]

    assert "the app secret kept here is not that of Meta's app" in words
    assert "samvad connect" in fix


async def test_5_refused_webhooks_are_told_and_forgotten_with_the_next_good_one(on_sqlite: Clinic) -> None:
    def nothing_said_of_proofs(said: Any) -> None:
        said.clear()
        said["error"] = {"message": "(#3) Not for this app", "code": 3}

    path = f"/webhooks/whatsapp/{on_sqlite.product.team.plugin_id}"
    forged = {"X-Hub-Signature-256": "sha256=" + "0" * 64}
    refused = await on_sqlite.product.api.post(path, content=b'{"entry":[1]}', headers=forged)
    proven = [it for it in await on_sqlite.findings() if it["check"] == "signature"]
    on_sqlite.meta.changes[f"/{BUSINESS.waba_id}"] = nothing_said_of_proofs
    faults = await on_sqlite.faults()
    await on_sqlite.product.customer_writes("hi")
    await until(on_sqlite.product.listed)
    after = await on_sqlite.faults()

    assert refused.status_code == 401
    assert proven[0]["state"] == "fine"
    assert "1 webhooks were refused" in proven[0]["words"]
    assert "1 webhooks were refused for a wrong signature" in faults["signature"][0]
    assert "signature" not in after


async def test_6_a_wrong_clock_is_named(clinic: Clinic) -> None:
    clinic.meta.behind_s = 95

    words, fix = (await clinic.faults())["clock"]

    assert re.fullmatch(r"this machine's clock is 9[3-7] s ahead of Meta", words)
    assert "timedatectl" in fix


async def test_7_a_number_that_is_blocked_or_badly_liked_is_named(on_sqlite: Clinic) -> None:
    def blocked(said: Any) -> None:
        it = next(it for it in said["data"] if it["id"] == NUMBER)
        it["quality_rating"] = "RED"
        error = {
            "error_code": 141006,
            "error_description": "No payment method.",
            "possible_solution": "Add one.",
        }
        entity = {"entity_type": "BUSINESS", "can_send_message": "BLOCKED", "errors": [error]}
        it["health_status"] = {"can_send_message": "BLOCKED", "entities": [entity]}

    on_sqlite.meta.changes["/phone_numbers"] = blocked

    words, fix = (await on_sqlite.faults())["number"]

    assert "sending is BLOCKED by its BUSINESS: No payment method. Add one." in words
    assert "quality RED" in words
    assert "business.facebook.com" in fix


async def test_8_an_old_backup_is_named_and_a_new_one_mends_it(on_sqlite: Clinic) -> None:
    old = on_sqlite.folder / "backups" / "tonight.dump"
    long_ago = time.time() - 50 * 3600
    os.utime(old, (long_ago, long_ago))
    words, fix = (await on_sqlite.faults())["disk"]

    made = await on_sqlite.samvad("backup")

    assert "is 50 hours old; 48 are allowed" in words
    assert fix.startswith("samvad backup")
    assert made.code == 0
    assert "secret.key" in made.err
    assert await on_sqlite.faults() == {}


async def test_8_a_damaged_database_and_a_missing_backup_are_named(tmp_path: Path) -> None:
    file = tmp_path / "samvad.db"
    file.write_bytes(b"SQLite format 3\0" + b"not really" * 500)
    place = Place(f"sqlite:///{file}", tmp_path, f"file://{tmp_path}", None, 48.0, least_free=2**62)

    room, database, backup = disk(place, now=0)

    assert "no time to act" in room.words
    assert "is damaged" in database.words
    assert "there is no backup" in backup.words
    assert [it.state for it in (room, database, backup)] == ["fault"] * 3


async def test_the_doctor_that_cannot_look_ends_with_2(on_sqlite: Clinic) -> None:
    ended = await on_sqlite.samvad("doctor", "--plugin", "01942000-0000-7000-8000-000000000000")

    assert (ended.code, ended.out) == (2, "")
    assert "No active plugin" in ended.err


async def test_a_backup_is_the_whole_database_while_it_is_written_to(
    on_sqlite: Clinic, tmp_path: Path
) -> None:
    await on_sqlite.product.customer_writes("kept for good")
    await until(on_sqlite.product.listed)

    made = await on_sqlite.samvad("backup", "--to", str(tmp_path / "elsewhere"))

    texts, mode, beside = looked_at(Path(made.out.strip()))
    assert texts == [("kept for good",)]
    assert mode & 0o077 == 0
    assert beside == 1


def looked_at(copy: Path) -> tuple[list[Any], int, int]:
    with closing(sqlite3.connect(copy / "samvad.db")) as opened:
        texts = opened.execute("select text from message").fetchall()
    return texts, copy.stat().st_mode, len(list(copy.parent.iterdir()))


async def test_a_manager_asks_the_doctor_over_the_api_and_only_about_their_team(product: Product) -> None:
    agent = await accounts.create_key(product.app.res, product.team.id, name="agent", role="Agent")
    other = await make_team(product.app, OTHER_BUSINESS, name="Babbage")

    found = (await product.api.get(DOCTOR)).json()["_data"]
    async with product.client(agent.token) as client:
        refused = await client.get(DOCTOR)
    stranger = await product.api.get(DOCTOR, params={"pluginId": other.plugin_id})

    states = {it["check"]: it["state"] for it in found}
    assert {it["plugin"] for it in found} == {product.team.plugin_id, None}
    assert {states[it] for it in ("token", "subscription", "callback", "signature", "number")} == {"fine"}
    assert "fault" not in states.values()
    assert refused.status_code == 403
    assert stranger.status_code == 404


async def test_each_waba_is_examined_with_its_own_credentials(on_sqlite: Clinic) -> None:
    product, other = on_sqlite.product, OTHER_BUSINESS
    wanted = Connection(
        other.waba_id,
        other.phone_numbers[0].id,
        other.access_token,
        other.app_secret,
        plugin_id=product.team.plugin_id,
    )
    await waba_operations.connect(product.app.res, product.team.id, wanted)
    product.app.directory.forget()  # else the server believes the new app within a second
    assert await on_sqlite.faults() == {}

    revoked = {"waba_id": other.waba_id, "revoked": True}
    assert (await product.control.post("/tokens", json=revoked)).status_code == 200
    found = await on_sqlite.findings()

    tokens = {it["words"].partition(":")[0]: it for it in found if it["check"] == "token"}
    assert tokens[f"WABA {BUSINESS.waba_id}"]["state"] == "fine"
    assert tokens[f"WABA {other.waba_id}"]["state"] == "fault"
    assert f"--waba-id {other.waba_id}" in tokens[f"WABA {other.waba_id}"]["fix"]
    assert {it["plugin_id"] for it in tokens.values()} == {product.team.plugin_id}


async def test_over_the_api_no_address_is_asked_but_our_own(on_sqlite: Clinic) -> None:
    product = on_sqlite.product
    account = product.sandbox.world.accounts[BUSINESS.waba_id]
    path = (account.callback or "").removeprefix(product.base_url)
    knocks: list[str] = []

    async def neighbour(scope: Any, receive: Any, send: Any) -> None:
        knocks.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with served(neighbour) as url:
        account.callback = url + path
        found = (await product.api.get(DOCTOR)).json()["_data"]
        over_api = len(knocks)
        on_server = (await on_sqlite.faults())["callback"][0]

    assert {it["state"] for it in found if it["check"] in ("callback", "signature")} == {"skipped"}
    assert over_api == 0
    assert knocks
    assert "not with the challenge" in on_server


async def test_8_a_store_of_files_elsewhere_is_tried_out_and_what_it_says_is_told(
    s3: S3,
    migrated_sqlite: Path,
    tmp_path: Path,
    session: Any,  # noqa: F811
) -> None:
    bucket = s3.bucket()
    async with opened(copy_file(migrated_sqlite, tmp_path / "samvad.db"), tmp_path, session) as clinic:
        clinic.samvad.settings.update(s3.settings, SAMVAD_BLOB_URL=f"s3://{bucket}/files")
        good = [it["words"] for it in await clinic.findings() if it["check"] == "disk"]
        clinic.samvad.settings["AWS_SECRET_ACCESS_KEY"] = "another"
        refused, fix = (await clinic.faults())["disk"]
        clinic.samvad.settings.update(s3.settings, SAMVAD_BLOB_URL="s3://never-made/files")
        no_bucket, _ = (await clinic.faults())["disk"]
        clinic.samvad.settings["AWS_ENDPOINT_URL"] = "http://127.0.0.1:1"
        down, _ = (await clinic.faults())["disk"]

    assert f"s3://{bucket}/files takes files and gives them back" in good
    assert s3.keys(bucket) == []
    assert "refuses us" in refused
    assert "SignatureDoesNotMatch" in refused
    assert "SAMVAD_BLOB_URL" in fix
    assert "no such bucket" in no_bucket
    assert "http://127.0.0.1:1/" in down
