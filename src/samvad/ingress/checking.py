"""Nothing is lost: a look at webhooks that were folded, and whether what they say is here."""

from typing import Any

import structlog

from samvad.domain.context import Resources
from samvad.domain.inbound import queries as inbound
from samvad.domain.messages import sends, statuses
from samvad.domain.messages.model import HEARD
from samvad.storage import Tx
from samvad.whatsapp import webhooks as meta
from samvad.whatsapp.webhooks import Echo, Received, StatusNews, Unreadable

AT_ONCE = 100  # events in one look
LARGEST = 64 * 1024  # bytes of a body that is looked at: a look must stay a matter of milliseconds

log = structlog.get_logger(__name__)

Key = tuple[str, str]


class Check:
    """Compares raw inbound events with messages and statuses, from those of its making on, some at each look."""

    def __init__(self, res: Resources) -> None:
        self._res = res
        self._after: int | None = None

    async def look(self) -> tuple[int, int]:
        """Returns how many events were compared, and how many messages and statuses of theirs are not here."""
        if self._after is None:
            self._after = await self._res.db.read(inbound.newest_id)
            return 0, 0
        rows = await self._res.db.read(
            inbound.folded_oldest_first, after=self._after, limit=AT_ONCE, largest=LARGEST
        )
        if not rows:
            return 0, 0
        said = {row.id: _said(row) for row in rows if row.problem is None}
        lost = await self._res.db.read(_not_here, [key for keys in said.values() for key in keys])
        for event_id, keys in said.items():
            if gone := keys & lost:
                wamids = sorted(wamid for _, wamid in gone)
                log.critical("ingress.event_lost", inbound_event=event_id, wamids=wamids)
        self._after = rows[-1].id
        return len(rows), len(lost)


def _said(row: Any) -> set[Key]:
    """The messages that a body brings or is about, by team and wamid."""
    try:
        said = meta.parse(row.body)
    except Unreadable:
        return set()
    return {
        (row.team_id, it.wamid)
        for it in said
        if isinstance(it, (Received, Echo))
        or (isinstance(it, StatusNews) and it.group_id is None and it.status in HEARD)
    }


def _not_here(tx: Tx, keys: list[Key]) -> set[Key]:
    """Parked ones first: what leaves there meanwhile is a message's by then."""
    wanted = set(keys)
    wanted -= statuses.parked(tx, wanted)
    return wanted - sends.ids_by_wamid(tx, wanted).keys()
