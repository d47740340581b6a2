"""What became of our messages: news in any order, even before we know the message."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import bindparam, case, exists, func, or_

from samvad.domain.events.log import Event, record
from samvad.domain.messages import telling
from samvad.domain.messages.model import News, Progress, Status
from samvad.domain.messages.tables import messages, parked_statuses
from samvad.storage import Tx, every_team
from samvad.storage.columns import among

_columns = (
    messages.c.id,
    messages.c.team_id,
    messages.c.wamid,
    messages.c.status,
    messages.c.error,
    messages.c.sent_at,
    messages.c.delivered_at,
    messages.c.read_at,
    messages.c.failed_at,
)

BY_WAMID = (
    every_team.select(*_columns)
    # What people wrote to us has no statuses; were one ever heard, its order would not matter.
    .where(among(messages.c.wamid, "wamids"), messages.c.direction == "OUTBOUND")
    .order_by(messages.c.id)  # everybody locks in the same order
    .with_for_update()
)

BY_ID = (
    every_team.select(*_columns).where(among(messages.c.id, "ids")).order_by(messages.c.id).with_for_update()
)

BY_EITHER = (
    every_team.select(*_columns)
    .where(
        or_(among(messages.c.wamid, "wamids"), among(messages.c.id, "ids")),
        messages.c.direction == "OUTBOUND",
    )
    .order_by(messages.c.id)
    .with_for_update()
)

ADVANCE = (
    every_team.update(messages)
    .where(messages.c.id == bindparam("message_id"))
    .values(
        wamid=bindparam("new_wamid"),
        status=bindparam("new_status"),
        error=bindparam("new_error"),
        sent_at=bindparam("sent"),
        delivered_at=bindparam("delivered"),
        read_at=bindparam("read"),
        failed_at=bindparam("failed"),
    )
)

_park = every_team.upsert(parked_statuses)
_is_earlier = _park.excluded.at < parked_statuses.c.at
PARK = _park.on_conflict_do_update(  # of each step the earliest moment counts, as in Progress.after
    index_elements=["wamid", "team_id", "status"],
    set_={
        "at": case((_is_earlier, _park.excluded.at), else_=parked_statuses.c.at),
        "error": case(
            (_is_earlier, func.coalesce(_park.excluded.error, parked_statuses.c.error)),
            else_=func.coalesce(parked_statuses.c.error, _park.excluded.error),
        ),
    },
)

UNPARK = (
    every_team.delete(parked_statuses)
    .where(among(parked_statuses.c.wamid, "wamids"))
    .returning(
        parked_statuses.c.team_id,
        parked_statuses.c.wamid,
        parked_statuses.c.status,
        parked_statuses.c.at,
        parked_statuses.c.error,
    )
)

PARKED = every_team.select(parked_statuses.c.team_id, parked_statuses.c.wamid).where(
    among(parked_statuses.c.wamid, "wamids")
)

OLD_PARKED = every_team.delete(parked_statuses).where(parked_statuses.c.parked_at < bindparam("before"))

PARKED_AND_KNOWN = (
    every_team.select(parked_statuses.c.wamid)
    # Not a join: SQLite would begin at the messages, and read all of them at every sweep.
    .where(
        parked_statuses.c.parked_at >= bindparam("since"),
        exists().where(
            messages.c.wamid == parked_statuses.c.wamid,
            messages.c.team_id == parked_statuses.c.team_id,
            messages.c.direction == "OUTBOUND",
        ),
    )
    .limit(1000)
)


def apply(tx: Tx, heard: Sequence[News], *, at: int, answers: bool = False) -> list[Progress]:
    """Move each message as far as the news goes; park news of messages not yet known.

    Every step that was not known before is an event, also when one batch brings several.
    Returns how far each message that was found has come. `answers` are to our own sends, whose wamids
    are new to us: one question finds them all, where statuses are found by their wamid alone.
    """
    if not heard:
        return []
    before = _answered(tx, heard) if answers else _known(tx, heard)
    after = dict(before)
    by_wamid: dict[tuple[str, str | None], str] = {
        (it.team_id, it.wamid): it.id for it in before.values() if it.wamid
    }
    parked: list[dict[str, Any]] = []
    steps: list[telling.Step] = []
    for news in heard:
        message_id = by_wamid.get((news.team_id, news.wamid)) or _brought_back(news, after)
        if message_id is None:
            if news.wamid is not None:
                parked.append(_parked(news, at=at))
            continue
        for step in _with_acceptance(after[message_id], news):
            message = after[message_id]
            moved = message.after(step)
            if moved is not message:
                after[message_id] = moved
                if not message.heard(step.status) and not step.imported:
                    steps.append(telling.Step(moved.id, step))
    if parked:
        tx.execute_many(PARK, parked)
    _advance(tx, [after[it] for it in after if after[it] is not before[it]])
    record(tx, [_event(it) for it in steps], at=at)
    accepted = [it for it in after if before[it].wamid is None and after[it].wamid is not None]
    telling.moved(tx, accepted, steps, at=at)
    return list(after.values())


def unpark(tx: Tx, wamids: Sequence[str], *, at: int) -> None:
    """Apply what was heard of these messages before we knew them."""
    rows = tx.all(UNPARK, {"wamids": wamids})
    if rows:
        apply(tx, [News(it.team_id, it.wamid, Status(it.status), it.at, it.error) for it in rows], at=at)


def sweep_parked(tx: Tx, *, at: int, since: int = 0) -> int:
    """Apply statuses that were parked, at `since` or later, while, on another connection, their message got its wamid.

    Where another system sends from the number too, hundreds of thousands are parked whose messages never come.
    """
    wamids = [row.wamid for row in tx.all(PARKED_AND_KNOWN, {"since": since})]
    if wamids:
        unpark(tx, wamids, at=at)
    return len(wamids)


def forget_parked(tx: Tx, *, before: int) -> int:
    """Drop what was parked before then: messages another system sent from the number never come here.

    Their webhooks are still kept as inbound events.
    """
    return tx.execute(OLD_PARKED, {"before": before}).rowcount


def parked(tx: Tx, wanted: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of these messages, by team and wamid, of which something is parked."""
    if not wanted:
        return set()
    rows = tx.all(PARKED, {"wamids": {wamid for _, wamid in wanted}})
    return {(row.team_id, row.wamid) for row in rows} & set(wanted)


def _event(step: telling.Step) -> Event:
    news = step.news
    data = {"requestId": news.request_id} if news.request_id is not None else None
    return Event(news.team_id, f"message.{news.status.name.lower()}", step.message_id, data=data)


def _with_acceptance(message: Progress, news: News) -> Sequence[News]:
    """A failure that is told later, under an id of Meta's own, is of a message that Meta had accepted.

    Where the answer to the send was lost nothing else says so, and the steps would not be those of other days.
    """
    if news.status is not Status.FAILED or news.wamid is None or message.wamid is not None:
        return (news,)
    return (news._replace(status=Status.SENT, error=None), news)


def _known(tx: Tx, heard: Sequence[News]) -> dict[str, Progress]:
    rows = list(tx.all(BY_WAMID, {"wamids": {news.wamid for news in heard if news.wamid}}))
    known = {(row.team_id, row.wamid) for row in rows}
    ours = {it.message_id for it in heard if it.message_id and (it.team_id, it.wamid) not in known}
    if ours:  # an answer of Meta that never reached us, or has not yet
        rows += tx.all(BY_ID, {"ids": ours})
    return {row.id: _progress(row) for row in rows}


def _answered(tx: Tx, heard: Sequence[News]) -> dict[str, Progress]:
    asked = {
        "wamids": {news.wamid for news in heard if news.wamid},
        "ids": {news.message_id for news in heard if news.message_id},
    }
    return {row.id: _progress(row) for row in tx.all(BY_EITHER, asked)}


def _brought_back(news: News, known: dict[str, Progress]) -> str | None:
    """Our own id, where the status carries it and it is this team's message with no other wamid."""
    message = known.get(news.message_id) if news.message_id else None
    if message is None or message.team_id != news.team_id or message.wamid not in (None, news.wamid):
        return None
    return message.id


def _progress(row: Sequence[Any]) -> Progress:
    message_id, team_id, wamid, status, *rest = row
    return Progress(message_id, team_id, wamid, _STATUSES[status], *rest)


_STATUSES = {int(it): it for it in Status}  # looking one up is much cheaper than making one


def _parked(news: News, *, at: int) -> dict[str, Any]:
    return {
        "wamid": news.wamid,
        "team_id": news.team_id,
        "status": news.status,
        "error": news.error,
        "at": news.at,
        "parked_at": at,
    }


def _advance(tx: Tx, moved: Sequence[Progress]) -> None:
    if moved:
        tx.execute_many(
            ADVANCE,
            [
                {
                    "message_id": it.id,
                    "new_wamid": it.wamid,
                    "new_status": it.status,
                    "new_error": it.error,
                    "sent": it.sent_at,
                    "delivered": it.delivered_at,
                    "read": it.read_at,
                    "failed": it.failed_at,
                }
                for it in sorted(moved)
            ],
        )
