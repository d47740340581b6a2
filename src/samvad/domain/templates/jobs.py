"""Reading Meta's lists later: promised by a webhook, a new account or a change; or by the clock."""

from samvad.domain.context import Resources
from samvad.domain.templates import operations
from samvad.domain.waba.poll import Poll
from samvad.jobs.queue import Job


async def sync(res: Resources, job: Job) -> None:
    """The job `templates.sync`: the templates of `waba_id`, unless they were read since it was promised."""
    await _sync(res, job.team_id, job.args["waba_id"], since=job.args.get("since"))


def poll(res: Resources, *, every_s: float) -> Poll:
    """Reads the templates of every account by the clock."""
    return Poll(
        res,
        every_s=every_s,
        read_at=lambda account: account.templates_synced_at,
        read=_sync,
        failed="templates.not_synced",
    )


async def _sync(res: Resources, team_id: str, waba_id: str, *, since: int | None = None) -> None:
    source = await operations.find_source(res, team_id, waba_id)
    if source is not None:  # the account may be gone, or be another team's, by now
        await operations.sync(res, source, since=since)
