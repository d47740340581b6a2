"""A bulk update through the API, beside the floor: the bare driver that only writes as many rows."""

import asyncio
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
from sqlalchemy import func, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from samvad.bench.asking import PATH
from samvad.bench.leads import HIGHEST_SCORE, Leads
from samvad.bench.rig import Rig, Tell
from samvad.domain.context import Resources
from samvad.domain.events.tables import events
from samvad.domain.processes import bulk, queries
from samvad.domain.processes.model import Process
from samvad.domain.processes.tables import processes
from samvad.storage import Tx
from samvad.storage.columns import among, dump_json
from samvad.storage.sqlite import PRAGMAS

SHARE_AT_LEAST = 1 / 3
DONE_WITHIN_S = 600.0
LOOK_EVERY_S = 0.02

Row = tuple[str, int, str]
"""As the floor writes it: data as JSON, the moment, the id."""


@dataclass(frozen=True, slots=True)
class Bulk:
    """How many rows a second were updated, and how many could be."""

    rows: int
    chunk: int
    """Rows to a commit, of both."""

    seconds: float
    """From the PATCH until its job says it is complete."""

    rows_per_s: float
    floor_per_s: float
    """The mean of one slice before the job and one after it."""

    floor_before_per_s: float
    floor_after_per_s: float
    share_of_floor: float
    lost: int
    """Rows that do not have their new value, or not exactly one event that says so."""


async def update(running: Rig, res: Resources, leads: Leads, rows: int, tell: Tell) -> tuple[Bulk, list[str]]:
    """Change the score of so many leads, each in turn by the bare driver, through the API, by the bare driver."""
    rng = random.Random("bulk")
    numbers = rng.sample(range(len(leads.ids)), 3 * rows)
    before, ours, after = (numbers[at : at + rows] for at in range(0, 3 * rows, rows))
    tell("updating many: the bare driver", None)
    floor_before = await _floor(running, res, leads, before)
    tell("updating many: through the API", None)
    problems: list[str] = []
    wanted = {leads.ids[it]: rng.randrange(HIGHEST_SCORE, 2 * HIGHEST_SCORE) for it in ours}
    body = {
        "processes": [
            {"lead_id": leads.key(it), "update": {"data": {"score": wanted[leads.ids[it]]}}} for it in ours
        ]
    }
    seconds, counts = await _through_the_api(running, body)
    if counts != {"INVALID": 0, "NOT_STARTED": 0, "SUCCESS": rows, "ERROR": 0}:
        problems.append(f"The job of {rows:,} updates counted {counts}.")
    tell("updating many: the bare driver once more", None)
    floor_after = await _floor(running, res, leads, after)
    tell("updating many: looking for every row", None)
    lost = await res.db.team(leads.party.team_id).read(_lost, leads.plan.id, wanted)
    total = await res.db.team(leads.party.team_id).read(_count, leads.plan.id)
    if total != len(leads.ids):
        problems.append(f"There are {total:,} leads after the updates; there were {len(leads.ids):,}.")
    floor = (floor_before + floor_after) / 2
    per_s = rows / seconds
    found = Bulk(
        rows,
        bulk.CHUNK,
        round(seconds, 3),
        round(per_s, 1),
        round(floor, 1),
        round(floor_before, 1),
        round(floor_after, 1),
        round(per_s / floor, 3),
        len(lost),
    )
    return found, problems + lost[:1]


async def _through_the_api(running: Rig, body: dict[str, Any]) -> tuple[float, dict[str, int]]:
    """Seconds until the job is complete, and its counts."""
    headers = {"Authorization": f"Bearer {running.party.token}", "Content-Type": "application/json"}
    url, sent = f"http://127.0.0.1:{running.server.port}", dump_json(body).encode()
    async with aiohttp.ClientSession(headers=headers) as session:
        began = time.perf_counter()
        async with session.patch(f"{url}{PATH}", data=sent) as reply:
            assert reply.status == 200, await reply.text()
            job_id = (await reply.json())["_data"]["id"]
        while time.perf_counter() - began < DONE_WITHIN_S:
            async with session.get(f"{url}/v1/ext/background-job/{job_id}") as reply:
                shown = await reply.json()
            if shown["_data"]["completedAt"]:
                break
            await asyncio.sleep(LOOK_EVERY_S)
        return time.perf_counter() - began, shown["_meta"]["bjEntryCompletionStatusVsCount"]


async def _floor(running: Rig, res: Resources, leads: Leads, numbers: Sequence[int]) -> float:
    """Rows a second of a bare `executemany`, the indexes in place, the JSON made before the clock starts."""
    ids = [leads.ids[it] for it in numbers]
    found = await res.db.team(leads.party.team_id).read(queries.with_ids, leads.plan.id, ids)
    rows = [_scored(found[it]) for it in ids]
    chunks = [rows[at : at + bulk.CHUNK] for at in range(0, len(rows), bulk.CHUNK)]
    if running.database_url.startswith("sqlite"):
        seconds = await asyncio.to_thread(_on_sqlite, str(make_url(running.database_url).database), chunks)
    else:
        seconds = await _on_postgres(running.database_url, chunks)
    return len(rows) / seconds


def _scored(it: Process) -> Row:
    return dump_json({**it.data, "score": it.data["score"] + HIGHEST_SCORE}), it.updated_at + 1, it.id


def _on_sqlite(file: str, chunks: Sequence[Sequence[Row]]) -> float:
    """With the settings of the product's own connection, durable commits first of all."""
    connection = sqlite3.connect(file, isolation_level=None)
    try:
        for pragma in (*PRAGMAS, "busy_timeout = 30000"):
            connection.execute(f"PRAGMA {pragma}")
        began = time.perf_counter()
        for chunk in chunks:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("UPDATE process SET data = ?, updated_at = ? WHERE id = ?", chunk)
            connection.execute("COMMIT")
        return time.perf_counter() - began
    finally:
        connection.close()


async def _on_postgres(url: str, chunks: Sequence[Sequence[Row]]) -> float:
    engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
    try:
        async with engine.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            began = time.perf_counter()
            for chunk in chunks:
                async with driver.transaction():
                    await driver.executemany(
                        "UPDATE process SET data = $1, updated_at = $2 WHERE id = $3", chunk
                    )
            return time.perf_counter() - began
    finally:
        await engine.dispose()


def _lost(tx: Tx, procedure_id: str, wanted: dict[str, int]) -> list[str]:
    found = queries.with_ids(tx, procedure_id, list(wanted))
    told = tx.select(events, events.c.subject_id, events.c.data).where(
        among(events.c.subject_id, "ids"), events.c.name == "process.updated"
    )
    times = Counter(
        row.subject_id
        for row in tx.all(told, {"ids": list(wanted)})
        if "score" in row.data["changed"].get("data", ())
    )
    return [
        f"The lead {it} has the score {found[it].data.get('score') if it in found else None} and "
        f"{times[it]} events of it; it was given {score}."
        for it, score in wanted.items()
        if it not in found or found[it].data.get("score") != score or times[it] != 1
    ]


def _count(tx: Tx, procedure_id: str) -> int:
    row = tx.first(tx.select(processes, func.count()).where(processes.c.procedure_id == procedure_id))
    return int(row[0]) if row else 0
