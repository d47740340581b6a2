"""What is written or fetched is found by what is rare about it, never by going through everything a team has.

SQLite keeps no statistics of ours: it takes any equality for as good as any other, and a team for one lead.
"""

import re
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from samvad.app import App
from samvad.domain.accounts import operations as accounts
from samvad.domain.context import Context
from samvad.domain.procedures.files import read_document
from samvad.domain.processes import applying, bulk
from samvad.domain.processes import operations as processes
from samvad.domain.processes.writing import Target
from samvad.jobs.queue import Job
from tests.harness import copy_file, settings_for

ORDERS = """
entities:
  - shortId: customer
    primaryKey: code
    primaryPhone: phone
    attributes:
      - { shortId: code, type: string }
      - { shortId: phone, type: phone }
      - { shortId: orders, type: integer, derived: { count: processes } }
procedures:
  - shortId: order
    entity: customer
    primaryKey: order_id
    generate: { prefix: O- }
    primaryPhone: phone
    mergeOnPhone: true
    startState: NEW
    completedState: DONE
    states: [{ shortId: NEW }, { shortId: DONE }]
    attributes:
      - { shortId: order_id, type: stringId, filterable: true }
      - { shortId: phone, type: phone, filterable: true }
      - { shortId: city, type: string, filterable: true }
      - { shortId: score, type: integer, filterable: true }
      - { shortId: visits, type: integer, derived: { count: tasks } }
    tasks:
      - { shortId: visit, taskType: visit }
"""
MANY = "process|record|task|contact|contact_identity|event|message|chat"
THROUGH_ALL = re.compile(rf"SCAN ({MANY})\b|SEARCH ({MANY}) .*\((team_id=\?|procedure_id=\?|entity_id=\?)\)")


async def test_no_row_is_looked_for_by_its_team_or_procedure_alone(migrated_sqlite: Path, tmp_path: Path):
    app = App(settings_for(copy_file(migrated_sqlite, tmp_path / "samvad.db"), tmp_path))
    team_id = await accounts.create_team(app.res, name="Ada's Kitchen")
    await applying.apply(app.res, team_id, read_document(ORDERS))
    ctx = Context(team_id, "", None, "ADMIN", app.res)
    said: list[tuple[str, Any]] = []

    def listen(connection: Any, cursor: Any, sql: str, params: Any, context: Any, many: bool) -> None:
        said.append((sql, params[0] if many else params))

    event.listen(Engine, "before_cursor_execute", listen)
    try:
        await _do_everything(ctx)
    finally:
        event.remove(Engine, "before_cursor_execute", listen)
        await app.cloud.close()
        await app.db.close()

    plans = {}
    with sqlite3.connect(tmp_path / "samvad.db") as file:
        for sql, params in said:
            if sql.startswith(("SELECT", "UPDATE", "DELETE")):
                plans[sql] = [row[3] for row in file.execute(f"EXPLAIN QUERY PLAN {sql}", params)]
    file.close()
    assert len(plans) > 20
    assert {sql: plan for sql, plan in plans.items() if any(THROUGH_ALL.search(step) for step in plan)} == {}


async def _do_everything(ctx: Context) -> None:
    person = {"data": {"code": "C-1", "phone": "15550001111"}}
    body = {"record": person, "data": {"city": "Goa", "score": 5, "phone": "15550002222"}}
    made = await processes.create_process(ctx, "order", body)
    merged = await processes.create_process(ctx, "order", {"data": body["data"]})
    assert merged["id"] == made["id"]
    assert made["derivedData"] == {"visits": 0}
    await processes.create_task(ctx, "order", made["id"], "visit", {})
    assert (await processes.get_process(ctx, "order", made["id"]))["derivedData"] == {"visits": 1}
    by_key = Target("O-000001", by="key", called="order_id")
    by_phone = Target("15550002222", by="key", called="phone")
    for target in (by_key, by_phone, Target(made["id"], by="id")):
        await processes.update_process(ctx, "order", target, {"data": {"score": 7}})
    for query in ({"city": "Goa"}, {"order_id": "O-000001"}, {"state": "NEW"}):
        found = await processes.list_processes(ctx, "order", query, limit=10, skip=0)
        assert [it["id"] for it in found.processes] == [made["id"]], query
    job = await bulk.start(ctx, "order", bulk.UPDATE, [{"phone": "15559998888", "update": {}}])
    await bulk.run(ctx.resources, Job(ctx.team_id, bulk.RUN, {"job": job.id}))
    await processes.delete_process(ctx, "order", by_key)
