"""The slow backstop: every account is read anew every so often, whichever webhooks were lost."""

import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from samvad.domain.context import Resources
from samvad.domain.waba import queries
from samvad.kit.errors import SamvadError
from samvad.storage import TROUBLE

ACCOUNTS_AT_ONCE = 50  # looked at in one unit; they are read one after the other

log = structlog.get_logger(__name__)


class Poll:
    """Reads of every account what one feature keeps of it.

    Each account has its own moment, so that a restart or a long silence makes no rush at Meta.
    """

    def __init__(
        self,
        res: Resources,
        *,
        every_s: float,
        read_at: Callable[[Any], int | None],
        read: Callable[[Resources, str, str], Awaitable[object]],
        failed: str,
    ) -> None:
        """`read_at` is when an account's row says it was read last; `failed` names the line of the log."""
        self._res = res
        self._every_ms = round(every_s * 1000)
        self._read_at = read_at
        self._read = read
        self._failed = failed
        self._tried_at: dict[str, int] = {}  # one that fails has its next turn like the others

    async def run(self) -> None:
        """Read those whose turn has come, one at a time."""
        after = ""
        while True:
            accounts = await self._res.db.read(
                queries.accounts_of_every_team, after=after, limit=ACCOUNTS_AT_ONCE
            )
            for it in accounts:
                last = max(self._read_at(it) or 0, self._tried_at.get(it.id, 0))
                if self._res.clock() - last >= self._turn_ms(it.id):
                    await self._try(it.team_id, it.id)
            if len(accounts) < ACCOUNTS_AT_ONCE:
                return
            after = accounts[-1].id

    async def _try(self, team_id: str, waba_id: str) -> None:
        self._tried_at[waba_id] = self._res.clock()
        try:
            await self._read(self._res, team_id, waba_id)
        except TROUBLE:
            raise
        except SamvadError as error:
            log.warning(self._failed, waba=waba_id, team=team_id, reason=str(error))

    def _turn_ms(self, waba_id: str) -> int:
        """Up to a tenth sooner than the others, always the same for one account."""
        return self._every_ms - self._every_ms * (zlib.crc32(waba_id.encode()) % 100) // 1000
