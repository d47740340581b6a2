"""Reading Meta's lists later: promised by a webhook, a new account or a change; or by the clock."""

import zlib

import structlog

from samvad.domain.context import Resources
from samvad.domain.templates import operations
from samvad.domain.waba import queries as waba
from samvad.jobs.queue import Job
from samvad.kit.errors import SamvadError
from samvad.storage import TROUBLE

ACCOUNTS_AT_ONCE = 50  # looked at in one unit; they are read one after the other

log = structlog.get_logger(__name__)


async def sync(res: Resources, job: Job) -> None:
    """The job `templates.sync`: the templates of `waba_id`, unless they were read since it was promised."""
    source = await operations.find_source(res, job.team_id, job.args["waba_id"])
    if source is not None:  # the account may be gone, or be another team's, by now
        await operations.sync(res, source, since=job.args.get("since"))


class Poll:
    """The slow backstop: every account is read anew every so often, whichever webhooks were lost.

    Each account has its own moment, so that a restart or a long silence makes no rush at Meta.
    """

    def __init__(self, res: Resources, *, every_s: float) -> None:
        self._res = res
        self._every_ms = round(every_s * 1000)
        self._tried_at: dict[str, int] = {}  # one that fails has its next turn like the others

    async def run(self) -> None:
        """Read those whose turn has come, one at a time."""
        after = ""
        while True:
            accounts = await self._res.db.read(
                waba.accounts_of_every_team, after=after, limit=ACCOUNTS_AT_ONCE
            )
            for it in accounts:
                last = max(it.templates_synced_at or 0, self._tried_at.get(it.id, 0))
                if self._res.clock() - last >= self._turn_ms(it.id):
                    await self._read(it.team_id, it.id)
            if len(accounts) < ACCOUNTS_AT_ONCE:
                return
            after = accounts[-1].id

    async def _read(self, team_id: str, waba_id: str) -> None:
        self._tried_at[waba_id] = self._res.clock()
        source = await operations.find_source(self._res, team_id, waba_id)
        if source is None:
            return
        try:
            await operations.sync(self._res, source)
        except TROUBLE:
            raise
        except SamvadError as error:
            log.warning("templates.not_synced", waba=waba_id, team=team_id, reason=str(error))

    def _turn_ms(self, waba_id: str) -> int:
        """Up to a tenth sooner than the others, always the same for one account."""
        return self._every_ms - self._every_ms * (zlib.crc32(waba_id.encode()) % 100) // 1000
