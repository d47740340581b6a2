"""Tokens that Meta calls invalid: noted once, on whatever was connected with them, until one works again."""

import structlog

from samvad.domain.context import Resources
from samvad.domain.events.log import Event, record
from samvad.domain.waba import queries
from samvad.domain.waba.knowledge import INVALID
from samvad.domain.waba.tables import business_accounts, plugins
from samvad.realtime.bell import Bell
from samvad.storage import TROUBLE, Tx

ASK_AGAIN_MS = 30_000  # a busy sender with a dead token hears of it a thousand times a second
MOST_SUSPECTS = 1_000
CHUNK = 200  # tokens looked at in one unit
LOOK_EVERY_S = 60.0

log = structlog.get_logger(__name__)


class Watch:
    """Hears from the Cloud API client which tokens were refused, and writes it down behind the call.

    A call that goes well never comes here; one that is refused pays one look in a small dictionary.
    """

    def __init__(self, res: Resources) -> None:
        self._res = res
        self._suspects: dict[str, int] = {}
        self._noted_at: dict[str, int] = {}
        self._bell = Bell()

    def suspect(self, token: str) -> None:
        """Meta refused this token just now. Never fails, never waits."""
        now = self._res.clock()
        if now - self._noted_at.get(token, -ASK_AGAIN_MS) < ASK_AGAIN_MS:
            return
        if len(self._suspects) < MOST_SUSPECTS:
            self._suspects.setdefault(token, now)
            self._bell.ring()

    async def run(self) -> None:
        while True:
            await self._bell.wait(LOOK_EVERY_S)
            try:
                await self.note_all()
            except TROUBLE as error:  # the next refusal tells it again
                log.warning("tokens.database_trouble", error=repr(error))

    async def note_all(self) -> None:
        """Write down everything that was heard."""
        while self._suspects:
            token, at = self._suspects.popitem()
            if len(self._noted_at) >= MOST_SUSPECTS:
                self._noted_at.clear()
            self._noted_at[token] = at
            await self._note(token, at)

    async def _note(self, token: str, at: int) -> None:
        """Find what was connected with it: the token is sealed differently each time, so each is opened."""
        for table in (plugins, business_accounts):
            after = ""
            while True:
                rows = await self._res.db.read(queries.tokens_of_every_team, table, after=after, limit=CHUNK)
                for row in rows:
                    if self._opens(row.access_token_sealed) == token:
                        await self._res.db.team(row.team_id).write(
                            note_invalid, row.access_token_sealed, at=at
                        )
                if len(rows) < CHUNK:
                    break
                after = rows[-1].id

    def _opens(self, sealed: str) -> str | None:
        try:
            return self._res.seal.open(sealed)
        except ValueError:  # sealed with another key: the doctor tells of it
            return None


def note_invalid(tx: Tx, sealed: str, *, at: int) -> None:
    """Nothing happens where it is noted already, or where the token was replaced meanwhile."""
    for plugin in queries.plugins_with_token(tx, sealed):
        if plugin.token_invalid_at is None:
            queries.set_plugin(tx, plugin.id, token_invalid_at=at)
            record(tx, [Event(plugin.team_id, "plugin.token_invalid", plugin.id)], at=at)
    for account in queries.accounts_with_token(tx, sealed):
        if INVALID not in (account.known or {}):
            known = {**(account.known or {}), INVALID: {"at": at, "value": True}}
            queries.set_account(tx, account.id, known=known)
            event = Event(
                account.team_id, "plugin.token_invalid", account.plugin_id, data={"waba": account.id}
            )
            record(tx, [event], at=at)


def prove(tx: Tx, sealed: str, *, asked_at: int) -> None:
    """Meta took this token just now, when it was asked then: what was noted of it before is over."""
    for plugin in queries.plugins_with_token(tx, sealed):
        if plugin.token_invalid_at is not None and plugin.token_invalid_at <= asked_at:
            queries.set_plugin(tx, plugin.id, token_invalid_at=None)
            record(tx, [Event(plugin.team_id, "plugin.token_valid", plugin.id)], at=asked_at)
    for account in queries.accounts_with_token(tx, sealed):
        noted = (account.known or {}).get(INVALID)
        if noted is not None and noted["at"] <= asked_at:
            known = {name: it for name, it in account.known.items() if name != INVALID}
            queries.set_account(tx, account.id, known=known or None)
            event = Event(account.team_id, "plugin.token_valid", account.plugin_id, data={"waba": account.id})
            record(tx, [event], at=asked_at)
