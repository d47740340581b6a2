"""`kill -9` in the middle of a bulk call: after the next start it goes on, and each of its rows is done once."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from samvad.app import App
from samvad.domain.events.tables import events
from samvad.domain.processes.tables import processes
from samvad.jobs.tables import jobs
from samvad.storage import Tx, every_team
from tests.crash.test_kill import Server, serving
from tests.harness import Team, asking

ROWS = 10_000
chance = random.Random()
KILL_AT = (1_000, 5_000)
"""Rows that are done when the server is killed, the first time and the second."""

LEADS = "/v1/ext/procedure/lead/process"
ALL_DONE = {"INVALID": 0, "NOT_STARTED": 0, "SUCCESS": ROWS, "ERROR": 0}


async def test_a_bulk_create_that_is_killed_twice_makes_each_row_once(database_url: str, tmp_path: Path):
    # With neither key nor phone nothing else keeps them apart.
    new = [{"data": {"score": n}} for n in range(ROWS)]
    async with serving(database_url, tmp_path) as (server, _, team, _, app):
        counts = await call(app, server, team, "POST", f"{LEADS}/bulk-create", new, kills=KILL_AT)
        leads = await app.db.read(all_leads)
        times = await app.db.read(how_often, "process.created")

    assert counts == ALL_DONE
    assert sorted(it.data["score"] for it in leads) == list(range(ROWS))
    assert {it.primary_key for it in leads} == {f"LEAD-{n:06}" for n in range(1, ROWS + 1)}
    assert times == dict.fromkeys((it.id for it in leads), 1)


async def test_a_bulk_update_that_is_killed_twice_changes_each_row_once(database_url: str, tmp_path: Path):
    keys = [f"K-{n}" for n in range(ROWS // 2)]
    # Each to and fro: a chunk that is done once more would leave its tracks in the log, not in the values.
    changes = [{"lead_id": key, "update": {"data": {"score": score}}} for key in keys for score in (1, 2)]
    async with serving(database_url, tmp_path) as (server, _, team, _, app):
        await call(app, server, team, "POST", f"{LEADS}/bulk-create", [{"lead_id": it} for it in keys])
        counts = await call(app, server, team, "PATCH", LEADS, {"processes": changes}, kills=KILL_AT)
        leads = await app.db.read(all_leads)
        times = await app.db.read(how_often, "process.updated")

    assert counts == ALL_DONE
    assert {it.primary_key: it.data["score"] for it in leads} == dict.fromkeys(keys, 2)
    assert times == dict.fromkeys((it.id for it in leads), 2)


async def call(
    app: App, server: Server, team: Team, method: str, path: str, body: Any, *, kills: Sequence[int] = ()
) -> dict[str, int]:
    """The counts of a bulk call's job, whose server is killed each time so many rows are done, and started again."""
    headers = {"Authorization": f"Bearer {team.token}"}
    async with (
        asyncio.timeout(120),
        asking(server.url, headers=headers) as http,
    ):
        reply = await http.request(method, path, json=body)
        assert reply.status_code == 200, reply.text
        path, left = f"/v1/ext/background-job/{reply.json()['_data']['id']}", list(kills)
        while True:
            shown = (await http.get(path)).json()
            counts: dict[str, int] = shown["_meta"]["bjEntryCompletionStatusVsCount"]
            if shown["_data"]["completedAt"]:
                assert not left, "it was done before it could be killed"
                return counts
            if left and counts["SUCCESS"] >= left[0]:
                left.pop(0)
                await asyncio.sleep(chance.uniform(0, 0.2))  # anywhere in a chunk, not only behind its commit
                await server.kill()
                await app.db.write(end_leases)
                await server.start()
            await asyncio.sleep(0.01)


def end_leases(tx: Tx) -> None:
    """The dead server's lease lasts for some seconds, in which a test would only wait."""
    tx.execute(every_team.update(jobs).values(run_at=0))


def all_leads(tx: Tx) -> Any:
    return tx.all(every_team.select(processes))


def how_often(tx: Tx, name: str) -> dict[str, int]:
    """How many events of this name there are of each subject."""
    query = every_team.select(events.c.subject_id).where(events.c.name == name)
    return dict(Counter(row.subject_id for row in tx.all(query)))
