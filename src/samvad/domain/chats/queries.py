"""Chats in the database."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy import Row, Select, bindparam, func

from samvad.domain.accounts.access import CHAT, LEAD, Access, Who
from samvad.domain.accounts.queries import access_of, teams_that_reopen
from samvad.domain.chats.tables import chats
from samvad.domain.events.log import Event, record
from samvad.kit.ids import new_id
from samvad.storage import Tx, every_team
from samvad.storage.columns import among, later


class Place(NamedTuple):
    """Where a chat is: a business number, and a contact or a group."""

    phone_number_id: str
    contact_id: str | None
    group_id: str | None = None


class Touch(NamedTuple):
    """A message that passed in a chat."""

    team_id: str
    plugin_id: str
    place: Place
    at: int
    inbound: bool


_columns = (
    chats.c.id,
    chats.c.phone_number_id,
    chats.c.contact_id,
    chats.c.group_id,
    chats.c.status,
    chats.c.last_message_at,
    chats.c.last_inbound_at,
    chats.c.unread,
    chats.c.assigned_to,
    chats.c.belongs_to,
)

OPEN_CHATS = every_team.select(*_columns).where(
    among(chats.c.contact_id, "contacts"), chats.c.status == "OPEN"
)
OPEN_GROUPS = every_team.select(*_columns).where(
    among(chats.c.group_id, "groups"), chats.c.group_id.is_not(None), chats.c.status == "OPEN"
)
CLOSED_CHATS = every_team.select(*_columns).where(
    among(chats.c.contact_id, "contacts"), chats.c.status == "CLOSED"
)
CLOSED_GROUPS = every_team.select(*_columns).where(
    among(chats.c.group_id, "groups"), chats.c.group_id.is_not(None), chats.c.status == "CLOSED"
)
"""All teams' at once: contact ids are ours and of one team, and a group has one business number."""

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
        updated_at=later(chats.c.updated_at, bindparam("now", type_=chats.c.updated_at.type)),
    )
)

REOPEN = (
    every_team.update(chats)
    .where(chats.c.id == bindparam("chat_id"))
    .values(status="OPEN", updated_at=bindparam("now"))
)

UNREAD = (
    every_team.update(chats)
    .where(chats.c.id == bindparam("chat_id"))
    .values(unread=chats.c.unread + bindparam("more"))
)

INHERIT = (
    every_team.update(chats)
    .where(chats.c.id == bindparam("chat_id"))
    .values(
        assigned_to=func.coalesce(chats.c.assigned_to, bindparam("user", type_=chats.c.assigned_to.type)),
        belongs_to=func.coalesce(chats.c.belongs_to, bindparam("pod", type_=chats.c.belongs_to.type)),
    )
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
    known = _open_in(tx, latest)
    if new := sorted((place for place in latest if place not in known), key=repr):
        _begin(tx, new, latest, heard, at=at)
        known = _open_in(tx, latest)  # another process may have been quicker
    moved = [
        {
            "chat_id": known[place].id,
            "message_at": it.at,
            "inbound_at": heard.get(place),
            "now": at,
        }
        for place, it in latest.items()
        if it.at > known[place].last_message_at or heard.get(place, 0) > (known[place].last_inbound_at or 0)
    ]
    if moved:
        tx.execute_many(MOVED, sorted(moved, key=lambda row: str(row["chat_id"])))
    return {place: known[place].id for place in latest}


def _begin(tx: Tx, new: list[Place], latest: dict[Place, Touch], heard: dict[Place, int], *, at: int) -> None:
    """Open a chat in each of these places, where there is none or only closed ones.

    A team may want its last closed chat opened again instead. The session window is the person's, so a
    new chat goes on with the one of the chats before it.
    """
    before = _in_places(tx, CLOSED_CHATS, CLOSED_GROUPS, new)
    again = teams_that_reopen(tx, {latest[place].team_id for place in before})
    reopened = [place for place in new if place in before and latest[place].team_id in again]
    if reopened:
        tx.execute(REOPEN, [{"chat_id": before[place].id, "now": at} for place in reopened])
        happened = [Event(latest[place].team_id, "chat.opened", before[place].id) for place in reopened]
        record(tx, happened, at=at)
    rows = [
        _row(latest[place], _latest(heard.get(place), before.get(place)), at=at)
        for place in new
        if place not in reopened
    ]
    if rows:
        tx.execute(ADD, rows)


def _open_in(tx: Tx, places: Iterable[Place]) -> dict[Place, Row[Any]]:
    return _in_places(tx, OPEN_CHATS, OPEN_GROUPS, places)


def _in_places(
    tx: Tx, with_people: Select[Any], with_groups: Select[Any], places: Iterable[Place]
) -> dict[Place, Row[Any]]:
    """The chat of each place, the latest one where there are several."""
    wanted = set(places)
    contacts = {place.contact_id for place in wanted if place.contact_id}
    groups = {place.group_id for place in wanted if place.group_id}
    rows = list(tx.all(with_people, {"contacts": contacts})) if contacts else []
    rows += tx.all(with_groups, {"groups": groups}) if groups else []
    found: dict[Place, Row[Any]] = {}
    for row in sorted(rows, key=lambda row: (row.last_message_at, row.id)):
        found[Place(row.phone_number_id, row.contact_id, row.group_id)] = row
    return {place: row for place, row in found.items() if place in wanted}


def _latest(heard_at: int | None, before: Row[Any] | None) -> int | None:
    known = [it for it in (heard_at, before.last_inbound_at if before else None) if it is not None]
    return max(known, default=None)


def count_unread(tx: Tx, chat_ids: Iterable[str]) -> None:
    """One more unread message for each mention of a chat."""
    more = Counter(chat_ids)
    if more:
        tx.execute(UNREAD, [{"chat_id": chat, "more": n} for chat, n in sorted(more.items())])


def move_to_contact(tx: Tx, *, gone: str, kept: str, at: int) -> dict[str, str]:
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
                {"chat_id": stays, "message_at": row.last_message_at, "inbound_at": row.last_inbound_at}
                | {"now": at},
            )
            tx.execute(UNREAD, {"chat_id": stays, "more": row.unread})
            tx.execute(INHERIT, {"chat_id": stays, "user": row.assigned_to, "pod": row.belongs_to})
            tx.execute(REMOVE, {"chat_id": row.id})
    of_gone = tx.all(every_team.select(chats.c.id).where(chats.c.contact_id == gone))
    if of_gone:
        tx.execute(REHOME, [{"chat_id": row.id, "kept": kept} for row in of_gone])
    return ended


def access_to_chats(tx: Tx, who: Who) -> Access:
    """What somebody may do with the team's chats; where no rule says otherwise, what nobody answers is everybody's."""
    access = access_of(tx, who, resource="procedure", resource_id=LEAD, sub_resource=CHAT)
    return replace(access, takes_unassigned=access.is_default)


def find_to_change(tx: Tx, chat_id: str) -> Row[Any] | None:
    """A chat of the team, held until the end of the unit: `status`, `assigned_to`, `belongs_to`."""
    columns = (chats.c.status, chats.c.assigned_to, chats.c.belongs_to)
    return tx.first(tx.select(chats, *columns).where(chats.c.id == chat_id).with_for_update())


def another_is_open(tx: Tx, chat_id: str) -> bool:
    """Whether beside this chat the same person, or group, has an open one at the same number."""
    other = chats.alias("other")
    same = (chats.c.contact_id == other.c.contact_id) | (chats.c.group_id == other.c.group_id)
    beside = (chats.c.phone_number_id == other.c.phone_number_id) & same & (chats.c.id != other.c.id)
    query = tx.select(chats, other.c.id).join(other, beside)
    return tx.first(query.where(chats.c.id == chat_id, other.c.status == "OPEN")) is not None


def set_chat(tx: Tx, chat_id: str, **changes: Any) -> None:
    tx.execute(tx.update(chats).where(chats.c.id == chat_id).values(**changes))


def _row(touch: Touch, heard_at: int | None, *, at: int) -> dict[str, object]:
    return {
        "id": new_id(),
        "team_id": touch.team_id,
        "plugin_id": touch.plugin_id,
        "phone_number_id": touch.place.phone_number_id,
        "contact_id": touch.place.contact_id,
        "group_id": touch.place.group_id,
        "status": "OPEN",
        "unread": 0,
        "last_message_at": touch.at,
        "last_inbound_at": heard_at,
        "created_at": at,
        "updated_at": at,
    }
