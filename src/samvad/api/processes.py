"""Processes, tasks, background jobs and the team's config."""

from typing import Any

from samvad.api.call import Call, Fields, numbers_of
from samvad.asgi.replies import Reply, data
from samvad.domain.processes import bulk, configuring
from samvad.domain.processes import operations as processes
from samvad.domain.processes.writing import Target
from samvad.kit.errors import BadRequest

FARTHEST_SKIP = 1_000_000


async def get_process(call: Call) -> Reply:
    path = call.path
    return data(await processes.get_process(call.ctx, path["procedureShortId"], path["processId"]))


async def list_processes(call: Call) -> Reply:
    """A page of processes; a limit past the longest page is the longest page, as the vendor has it."""
    body = await call.json()
    fields = Fields(body)
    where = fields.optional_object("where") or {}
    limit = fields.number("limit", processes.DEFAULT_PAGE, least=-(10**9), most=10**9)
    skip = fields.number("skip", 0, least=0, most=FARTHEST_SKIP)
    fields.done()
    limit = min(max(limit, 1), processes.LONGEST_PAGE)
    page = await processes.list_processes(
        call.ctx, call.path["procedureShortId"], where, limit=limit, skip=skip
    )
    return data(page.processes, _meta={"hasMore": page.has_more})


async def create_process(call: Call) -> Reply:
    return data(await processes.create_process(call.ctx, call.path["procedureShortId"], await call.json()))


async def update_process(call: Call) -> Reply:
    return data(
        await processes.update_process(
            call.ctx, call.path["procedureShortId"], _target(call), await call.json()
        )
    )


async def delete_process(call: Call) -> Reply:
    return data(await processes.delete_process(call.ctx, call.path["procedureShortId"], _target(call)))


async def bulk_create(call: Call) -> Reply:
    """The body is the list itself."""
    items = await call.json_value(bulk.LARGEST_BODY)
    return data(_started(await bulk.start(call.ctx, call.path["procedureShortId"], bulk.CREATE, items)))


async def bulk_update(call: Call) -> Reply:
    """Here the list is in an object."""
    body = await call.json(bulk.LARGEST_BODY)
    items = body.get("processes")
    return data(_started(await bulk.start(call.ctx, call.path["procedureShortId"], bulk.UPDATE, items)))


async def create_task(call: Call) -> Reply:
    path = call.path
    return data(
        await processes.create_task(
            call.ctx,
            path["procedureShortId"],
            path["processIdOrPrimaryKey"],
            path["stateTaskShortId"],
            await call.json(),
        )
    )


async def show_background_job(call: Call) -> Reply:
    shown = await bulk.get_job(call.ctx, call.path["backgroundJobId"])
    return data(
        _job(shown.job) | {"type": "bulk_api_job"},
        _meta={"bjEntryCompletionStatusVsCount": shown.counts},
    )


async def list_background_job_entries(call: Call) -> Reply:
    query = numbers_of(call.query())
    fields = Fields(query)
    limit = fields.number("limit", bulk.DEFAULT_PAGE, least=1, most=bulk.LONGEST_PAGE)
    skip = fields.number("skip", 0, least=0, most=FARTHEST_SKIP)
    fields.done()
    job_id = call.path["backgroundJobId"]
    page = await bulk.list_entries(call.ctx, job_id, limit=limit, skip=skip)
    following = skip + limit
    path = f"/v1/ext/background-job/{job_id}/entries?skip={following}&limit={limit}"
    return data(
        [_entry(page.job, *it) for it in page.entries],
        _meta={"total": page.total, "nextPage": path if following < page.total else None},
    )


async def show_config(call: Call) -> Reply:
    return data(await configuring.config(call.ctx))


def _target(call: Call) -> Target:
    """By its id, or by a key whose name is in the path."""
    if "processId" in call.path:
        return Target(call.path["processId"], by="id")
    value = call.path["primaryKeyValue"]
    if not value:
        raise BadRequest("The primary key's value is missing in the path.")
    return Target(value, by="key", called=call.path["primaryKeyShortId"])


def _started(job: Any) -> dict[str, Any]:
    return _job(job) | {"type": bulk.type_id(job.kind)}


def _job(job: Any) -> dict[str, Any]:
    return {
        "id": job.id,
        "createdAt": job.created_at,
        "updatedAt": job.updated_at,
        "completionStatus": job.status,
        "statusMessage": job.status_message,
        "startedAt": job.started_at,
        "completedAt": job.completed_at or 0,  # the vendor's word for not yet
        "team": job.team_id,
    }


def _entry(job: Any, number: int, entry: dict[str, Any], chunk: Any) -> dict[str, Any]:
    is_done = entry["status"] in ("SUCCESS", "ERROR")
    return {
        "id": bulk.entry_id(job.id, number),
        "createdAt": chunk.created_at,
        "updatedAt": chunk.updated_at,
        "completionStatus": entry["status"],
        "statusMessage": entry.get("message"),
        "input": entry["input"],
        "output": {"process": entry["output"]} if entry.get("output") else None,
        "startedAt": chunk.updated_at if is_done else None,
        "completedAt": chunk.updated_at if is_done else None,
        "backgroundJob": job.id,
        "team": job.team_id,
    }
