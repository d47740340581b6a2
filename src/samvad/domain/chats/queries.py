"""Chats in the database."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import bindparam, func

from samvad.domain.chats.tables import chats
from samvad.kit.ids import new_id
from samvad.storage import Tx, every_team
from samvad.storage.columns import among, later


class Place(NamedTuple):
    """Where a chat is: a business number and a contact."""

    phone_number_id: str
    contact_id: str


class Touch(NamedTuple):
    """A message that passed in a chat."""

    team_id: str
    plugin_id: str
    place: Place
    at: int
    inbound: bool


OPEN_CHATS = every_team.select(
    chats.c.id,
    chats.c.phone_number_id,
    chats.c.contact_id,
    chats.c.last_message_at,
    chats.c.last_inbound_at,
    chats.c.unread,
).where(among(chats.c.contact_id, "contacts"), chats.c.status == "OPEN")

ADD = every_team.upsert(chats).on_conflict_do_nothing()

_inbound_at = bindparam("inbound_at", type_=chats.c.last_inbound_at.type)

MOVED = (
    every_team.update(chats)
    .where(chats.c.id == bindparam("chat_id"))
    .values(
        last_message_at=later(
            chats.c.last_message_at, bindparam("message_at", type_=chats.c.last_message_at.type)
        ),
        # Null where nobody wrote: a send must not undo what the fold, on another connection, just heard.
        last_inbound_at=func.coalesce(later(chats.c.last_inbound_at, _inbound_at), _inbound_at),
    )
)

UNREAD = (
    every_team.update(chats)
    .where(chats.c.id == bindparam("chat_id"))
    .values(unread=chats.c.unread + bindparam("more"))
)

REHOME = (
    every_team.update(chats).where(chats.c.id == bindparam("chat_id")).values(contact_id=bindparam("kept"))
)
REMOVE = every_team.delete(chats).where(chats.c.id == bindparam("chat_id"))


def open_with(tx: Tx, touches: Iterable[Touch], *, at: int) -> dict[Place, str]:
    """The open chat of each place, opened now or before, and moved to its latest message."""
    latest: dict[Place, Touch] = {}
    heard: dict[Place, int] = {}
    for it in touches:
        if it.place not in latest or it.at > latest[it.place].at:
            latest[it.place] = it
        if it.inbound:
            heard[it.place] = max(it.at, heard.get(it.place, it.at))
    contacts = {place.contact_id for place in latest}
    known = {
        Place(row.phone_number_id, row.contact_id): row for row in tx.all(OPEN_CHATS, {"contacts": contacts})
    }
    if new := sorted(place for place in latest if place not in known):
        tx.execute(ADD, [_row(latest[place], heard.get(place), at=at) for place in new])
        rows = tx.all(OPEN_CHATS, {"contacts": contacts})  # another process may have been quicker
        known = {Place(row.phone_number_id, row.contact_id): row for row in rows}
    moved = [
        {
            "chat_id": known[place].id,
            "message_at": it.at,
            "inbound_at": heard.get(place),
        }
        for place, it in latest.items()
        if it.at > known[place].last_message_at or heard.get(place, 0) > (known[place].last_inbound_at or 0)
    ]
    if moved:
        tx.execute(MOVED, sorted(moved, key=lambda row: str(row["chat_id"])))
    return {place: known[place].id for place in latest}


def count_unread(tx: Tx, chat_ids: Iterable[str]) -> None:
    """One more unread message for each mention of a chat."""
    more = Counter(chat_ids)
    if more:
        tx.execute(UNREAD, [{"chat_id": chat, "more": n} for chat, n in sorted(more.items())])


def move_to_contact(tx: Tx, *, gone: str, kept: str) -> dict[str, str]:
    """Give one contact's chats to another; where both have an open one, it is one from now on.

    Returns the chats that ended, each with the chat its messages belong to now.
    """
    rows = tx.all(OPEN_CHATS, {"contacts": [gone, kept]})
    of_kept = {row.phone_number_id: row.id for row in rows if row.contact_id == kept}
    ended = {}
    for row in rows:
        if row.contact_id == gone and row.phone_number_id in of_kept:
            ended[row.id] = stays = of_kept[row.phone_number_id]
            tx.execute(
                MOVED,
                {"chat_id": stays, "message_at": row.last_message_at, "inbound_at": row.last_inbound_at},
            )
            tx.execute(UNREAD, {"chat_id": stays, "more": row.unread})
            tx.execute(REMOVE, {"chat_id": row.id})
    of_gone = tx.all(every_team.select(chats.c.id).where(chats.c.contact_id == gone))
    if of_gone:
        tx.execute(REHOME, [{"chat_id": row.id, "kept": kept} for row in of_gone])
    return ended


def _row(touch: Touch, heard_at: int | None, *, at: int) -> dict[str, object]:
    return {
        "id": new_id(),
        "team_id": touch.team_id,
        "plugin_id": touch.plugin_id,
        "phone_number_id": touch.place.phone_number_id,
        "contact_id": touch.place.contact_id,
        "status": "OPEN",
        "unread": 0,
        "last_message_at": touch.at,
        "last_inbound_at": heard_at,
        "created_at": at,
        "updated_at": at,
    }
