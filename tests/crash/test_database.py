"""The database fails under load: its server crashes, its disk is full. What was acknowledged is there afterwards."""

import asyncio
import os
import random
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from samvad.domain.audit import audit
from samvad.domain.inbound.tables import inbound_events
from samvad.domain.messages import operations
from samvad.domain.messages.model import Status
from samvad.domain.messages.tables import messages
from samvad.kit.errors import Unavailable
from samvad.storage import Tx, every_team
from samvad.storage.postgres import connect_apart
from samvad.storage.sqlite import SqliteDatabase, command
from tests.crash.test_cluster import (
    Cluster,
    Progress,
    cluster,
    each_event_is_told_in_order,
    nothing_is_lost,
    postgres,
)
from tests.harness import Product, Receiver, running, until

__all__ = ["postgres"]

CRASHES = int(os.environ.get("SAMVAD_DATABASE_CRASHES", "2"))
MANY_WORDS = "x" * 4000
ENOUGH_ROOM = 2**30
chance = random.Random(41)


async def crash(url: str) -> None:
    """Kill one of the server's processes: it ends all others, and recovers as after a crash of its own."""
    connection = await connect_apart(url)
    try:
        pid = await connection.fetchval("SELECT pg_backend_pid()")
        try:
            os.kill(pid, signal.SIGKILL)
        except (PermissionError, ProcessLookupError):
            pytest.skip("the server's processes are not on this machine, or not ours")
    finally:
        connection.terminate()


async def test_crashes_of_the_database_lose_nothing_double_nothing_and_end_no_process(
    postgres: str, tmp_path: Path
):
    async with cluster(postgres, tmp_path, webs=1, workers=1) as it:
        progress = Progress(it)
        watching = asyncio.create_task(progress.watch())
        async with it.under_load():
            for _ in range(CRASHES):
                await asyncio.sleep(chance.uniform(1.0, 2.0))
                before = len(it.traffic.acknowledged)
                await crash(postgres)
                await until(partial(_goes_on, it, before))
        for server in (*it.webs, *it.workers):
            assert await server.answers(), "it goes on by itself"
        await until(it.calm, within_s=240)
        watching.cancel()

        assert progress.went_back == []
        await nothing_is_lost(it)
        await each_event_is_told_in_order(it)
        print(
            f"\n{CRASHES} crashes of the database: {len(it.traffic.acknowledged)} sends acknowledged, "
            f"{len(it.traffic.unanswered)} unanswered"
        )


def _goes_on(it: Cluster, before: int) -> bool:
    return len(it.traffic.acknowledged) > before + 10


@pytest.fixture
def sqlite(database_url: str) -> str:
    if not database_url.startswith("sqlite"):
        pytest.skip("how large a PostgreSQL database may become cannot be set")
    return database_url


async def room(product: Product, pages: int) -> None:
    """How large the file may become: SQLite answers as it does on a full disk."""
    await product.app.db.write(lambda tx: tx.execute(text(f"PRAGMA max_page_count = {pages}")))


async def fill(product: Product) -> None:
    """Until not even a little fits any more."""

    def one_page(tx: Tx) -> None:
        tx.execute(text("CREATE TABLE IF NOT EXISTS filler (words TEXT)"))
        tx.execute(text("INSERT INTO filler VALUES (:words)"), {"words": MANY_WORDS})

    await room(product, 1)  # no less than it has
    while True:
        try:
            await product.app.db.write(one_page)
        except Unavailable as error:
            if "full" in str(error):
                return
            raise


async def test_a_full_disk_refuses_what_it_cannot_keep_and_loses_nothing(
    sqlite: str, tmp_path: Path, receiver: Receiver
):
    async with running(sqlite, tmp_path) as product:
        await product.open_window()
        config = {"passThroughWebhookUrl": receiver.url}
        assert (await product.api.post(product.plugin("update-config"), json=config)).status_code == 200
        assert (await product.send_text("kept")).status_code == 200
        await until(lambda: _status(product, "kept", Status.READ))
        await fill(product)

        refused = [await product.send_text(f"{n} {MANY_WORDS}") for n in range(3)]
        wamid = await product.customer_writes(f"is anybody there? {MANY_WORDS}")
        health = await product.api.get("/v1/health")
        listed = await product.listed()
        await asyncio.sleep(0.5)
        assert wamid not in {row.wamid for row in await _rows(product, messages)}
        await room(product, ENOUGH_ROOM)

        for reply in refused:
            assert reply.status_code == 503
            assert "database or disk is full" in reply.json()["_errors"][0]
            assert reply.headers["retry-after"]
        assert health.status_code == 200
        assert [it["text"] for it in listed] == ["kept"]
        assert (await product.send_text("and now")).status_code == 200
        await until(lambda: _status(product, "and now", Status.READ))

        async def heard() -> bool:
            return wamid in {row.wamid for row in await _rows(product, messages)}

        await until(heard)
        said = [
            it.payload["text"]["body"] for it in product.sandbox.world.messages.values() if it.from_business
        ]
        assert said == ["kept", "and now"], "what was refused never reached Meta"
        await until(lambda: _calm(product))
        assert {body for body, _ in receiver.got} == {
            bytes(row.body) for row in await _rows(product, inbound_events)
        }
        assert [row.problem for row in await _rows(product, inbound_events) if row.problem] == []


def write_protect(product: Product, on: bool) -> None:
    """The file takes nothing more at all: a row that grows no page would still fit on a full disk."""
    assert isinstance(product.app.db, SqliteDatabase)
    command(product.app.db._writer, f"PRAGMA query_only = {on:d}")


async def test_what_meta_accepted_is_answered_so_also_when_nothing_can_be_written_by_then(
    sqlite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Told to try again, its sender would send it twice."""
    monkeypatch.setattr(operations, "TRIES_S", (0.05, 0.1))
    async with running(sqlite, tmp_path) as product:
        await product.open_window()
        product.sandbox.configure(reply_delay_ms=300)
        sending = asyncio.create_task(product.send_text("accepted"))
        await until(lambda: product.sandbox.world.counts.accepted == 1)
        write_protect(product, True)

        reply = await sending

        assert reply.status_code == 200, reply.text
        (row,) = await _rows(product, messages)
        assert (row.status, row.wamid) == (Status.SENDING, None)
        write_protect(product, False)
        await until(lambda: _status(product, "accepted", Status.READ))
        (row,) = await _rows(product, messages)
        assert row.wamid == reply.json()["messages"][0]["id"]
        assert product.sandbox.world.counts.accepted == 1


async def _rows(product: Product, table: Any) -> list[Any]:
    return list(await product.app.db.read(lambda tx: tx.all(every_team.select(table))))


async def _status(product: Product, words: str, status: Status) -> bool:
    return any(row.text == words and row.status == status for row in await _rows(product, messages))


async def _calm(product: Product) -> bool:
    found = await product.app.db.read(audit, now=2**50)
    return not (
        found["inboundEventsWaiting"] or found["parkedStatuses"] or found["deliveriesPending"]
        or product.sandbox.world.deliveries.counts.pending
    )  # fmt: skip
