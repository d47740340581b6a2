"""Looking for every acknowledged operation in the database. What is not there was lost."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import Row, and_, func, or_

from samvad.domain import audit
from samvad.domain.events.tables import events
from samvad.domain.messages import statuses
from samvad.domain.messages.model import HEARD, Status
from samvad.domain.messages.tables import messages, parked_statuses
from samvad.storage import Database, Tx, every_team
from samvad.storage.columns import among

CHUNK = 1_000  # wamids in one statement
NAMED = 20  # losses that are named one by one

MOMENTS = {"sent": "sent_at", "delivered": "delivered_at", "read": "read_at", "failed": "failed_at"}

# The bench works for no team in particular, and reads whatever the run has left.
ROWS = every_team.select(
    messages.c.wamid,
    messages.c.direction,
    messages.c.status,
    messages.c.sent_at,
    messages.c.delivered_at,
    messages.c.read_at,
    messages.c.failed_at,
).where(among(messages.c.wamid, "wamids"))

PARKED = every_team.select(parked_statuses.c.wamid, parked_statuses.c.status).where(
    among(parked_statuses.c.wamid, "wamids")
)

SENT = every_team.select(func.count()).where(
    messages.c.direction == "OUTBOUND", messages.c.wamid.is_not(None)
)

_outbound = every_team.select(func.count()).where(messages.c.direction == "OUTBOUND")
WENT_BACK = _outbound.where(
    or_(
        and_(messages.c.read_at.is_not(None), messages.c.status < Status.READ),
        and_(messages.c.delivered_at.is_not(None), messages.c.status < Status.DELIVERED),
        and_(messages.c.sent_at.is_not(None), messages.c.status < Status.SENT),
    )
)

TWICE_TOLD = (
    every_team.select(events.c.subject_id, events.c.name)
    .where(events.c.name.like("message.%"))
    .group_by(events.c.subject_id, events.c.name)
    .having(func.count() > 1)
    .limit(1000)
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the database says about what was acknowledged."""

    acknowledged: int
    """Operations that were looked for: inbound messages, statuses, sends."""

    lost: int
    """Acknowledged, and not there: no row, or a status neither applied nor parked."""

    doubled: int
    """Rows more than there are wamids, among everything that is there."""

    named: tuple[str, ...]
    """The first few that are lost or doubled."""

    parked: int
    """Acknowledged statuses that wait for a message nobody knows; that is where they belong."""

    ambiguous: int
    """Sends Meta did not answer: named by the product, never repeated by it."""

    outbound_with_wamid: int
    """Sends whose wamid is known here."""

    inbound_problems: int
    """Webhook bodies that were kept and not understood."""

    @property
    def holds(self) -> bool:
        return not (self.lost or self.doubled)


async def verify(
    db: Database,
    *,
    inbound: Collection[str] = (),
    told: Collection[tuple[str, str]] = (),
    sends: Collection[str] = (),
    now: int,
) -> Verdict:
    """Look for acknowledged inbound wamids, statuses (wamid and Meta's word) and sent wamids.

    Each message must be one row of its direction. A status must be written on its message's row, or be
    parked when there is no such row.
    """
    lost: list[str] = []
    doubled: list[str] = []
    parked = 0
    words: dict[str, set[str]] = defaultdict(set)
    for wamid, word in told:
        words[wamid].add(word)
    wanted = {**dict.fromkeys(inbound, "INBOUND"), **dict.fromkeys(sends, "OUTBOUND")}
    for chunk in chunks({**wanted, **dict.fromkeys(words)}):
        rows, waiting = await db.read(find, chunk)
        for wamid in chunk:
            found = rows.get(wamid, [])
            if len(found) > 1:
                doubled.append(f"{wamid} has {len(found)} rows")
            direction = wanted.get(wamid)
            if direction is not None and direction not in [row.direction for row in found]:
                lost.append(f"{wamid} ({direction.lower()}) has no row")
            for word in words.get(wamid, ()):
                if found and getattr(found[0], MOMENTS[word]) is not None and found[0].status >= HEARD[word]:
                    continue
                if not found and HEARD[word] in waiting[wamid]:
                    parked += 1
                    continue
                lost.append(f"{wamid} is not known to be {word}")
    books = await db.read(audit.audit, now=now)
    return Verdict(
        acknowledged=len(inbound) + len(told) + len(sends),
        lost=len(lost),
        doubled=books["withWamid"] - books["distinctWamids"],
        named=tuple((lost + doubled)[:NAMED]),
        parked=parked,
        ambiguous=len(books["ambiguousSends"]),
        outbound_with_wamid=await db.read(count_sent),
        inbound_problems=len(books["inboundProblems"]),
    )


def find(tx: Tx, wamids: Sequence[str]) -> tuple[dict[str, list[Row[Any]]], defaultdict[str, set[int]]]:
    """The rows of these wamids, and the statuses that are parked for them."""
    rows: dict[str, list[Row[Any]]] = defaultdict(list)
    for row in tx.all(ROWS, {"wamids": wamids}):
        rows[row.wamid].append(row)
    waiting: defaultdict[str, set[int]] = defaultdict(set)
    for row in tx.all(PARKED, {"wamids": wamids}):
        waiting[row.wamid].add(row.status)
    return rows, waiting


def count_sent(tx: Tx) -> int:
    """Outbound messages whose wamid is known."""
    row = tx.first(SENT)
    return int(row[0]) if row else 0


def count_went_back(tx: Tx) -> int:
    """Messages whose status is less than a step of theirs that was heard."""
    row = tx.first(WENT_BACK)
    return int(row[0]) if row else 0


def count_twice_told(tx: Tx) -> int:
    """Steps of messages that are in the log more than once (at most a thousand are counted)."""
    return len(tx.all(TWICE_TOLD))


def parked_though_known(tx: Tx) -> int:
    """Statuses that a sweep will apply (at most a thousand are counted)."""
    return len(tx.all(statuses.PARKED_AND_KNOWN, {"since": 0}))


def chunks(wamids: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(wamids)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk
