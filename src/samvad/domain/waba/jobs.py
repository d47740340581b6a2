"""What happens later: Meta is told that a WABA has left."""

import structlog

from samvad.domain.context import Resources
from samvad.domain.waba import operations, queries
from samvad.jobs.queue import BACK_OFF_MS, Job
from samvad.kit.errors import Ambiguous, Refused, Unreachable

log = structlog.get_logger(__name__)


async def unsubscribe(res: Resources, job: Job) -> None:
    """Meta is to deliver no more of this WABA; nothing is done where it has been connected again since.

    A best effort: where Meta says no, or cannot be reached for an hour, it goes on delivering to an address
    that is gone, which harms nobody. The job, and the sealed token in it, ends either way.
    """
    waba_id = job.args["wabaId"]
    account = await res.db.read(queries.account_of_any_team, waba_id)
    if account is not None and not operations.is_free(account):
        return
    try:
        token = res.seal.open(job.args["sealed"])
        await res.cloud.delete(f"{waba_id}/subscribed_apps", token=token)
    except Refused as error:
        log.warning("waba.not_unsubscribed", waba=waba_id, reason=str(error))
    except (Unreachable, Ambiguous) as error:
        if job.attempts < len(BACK_OFF_MS):
            raise
        log.warning("waba.not_unsubscribed", waba=waba_id, reason=str(error))
