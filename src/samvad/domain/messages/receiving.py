"""Receiving: what people write to us, and what our own people write from the phone app."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, bindparam

from samvad.domain.chats import queries as chats
from samvad.domain.chats.queries import Place, Touch
from samvad.domain.contacts import queries as contacts
from samvad.domain.contacts.model import Contact, Identity, Person
from samvad.domain.events.log import Event, record
from samvad.domain.media import fetching
from samvad.domain.media.model import MEDIA, expected, files_in
from samvad.domain.messages import merging, sends, statuses, targets, telling
from samvad.domain.messages.model import (
    AMENDING,
    PLACEHOLDER,
    TEST_PREFIX,
    Status,
    attachments_of,
    sort_second,
)
from samvad.domain.messages.tables import messages
from samvad.kit.ids import new_id
from samvad.storage import Tx, every_team
from samvad.storage.columns import among


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that exists at Meta and is to exist here: somebody's, or an echo of our own."""

    team_id: str
    plugin_id: str
    phone_number_id: str
    wamid: str
    direction: str
    identities: tuple[Identity, ...]
    data_type: str
    content: dict[str, Any]
    text: str | None
    at: int
    name: str | None = None
    username: str | None = None
    context: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] | None = None
    group_id: str | None = None
    waba_id: str = ""
    raw: dict[str, Any] = field(default_factory=dict)  # Meta's own object
    imported: bool = False  # from history: it was said before this number was connected

    @property
    def target(self) -> str | None:
        """The wamid of the message this one is about: that it answers, reacts to, edits or takes back."""
        for holder, member in (
            (self.content, "original_message_id"),
            (self.content if self.data_type == "reaction" else {}, "message_id"),
            (self.context, "id"),
        ):
            wamid = holder.get(member)
            if isinstance(wamid, str) and wamid:
                return wamid
        return None


RECEIVED = (
    messages.c.id,
    messages.c.team_id,
    messages.c.wamid,
    messages.c.chat_id,
    messages.c.contact_id,
    messages.c.direction,
    messages.c.data_type,
)

RECEIVE = (
    every_team.upsert(messages)
    .on_conflict_do_nothing(index_elements=["wamid", "team_id"])
    .returning(*RECEIVED)
)

PLACEHOLDERS = (
    every_team.select(messages.c.id, messages.c.team_id, messages.c.wamid)
    .where(among(messages.c.wamid, "wamids"), messages.c.data_type == PLACEHOLDER)
    .order_by(messages.c.id)
    .with_for_update()
)
COMPLETE = (
    every_team.update(messages)
    .where(messages.c.id == bindparam("message_id"))
    .values(
        data_type=bindparam("new_type"),
        body=bindparam("new_body"),
        text=bindparam("new_text"),
        attachments=bindparam("new_attachments"),
    )
)

IMPORTED = (
    every_team.select(*RECEIVED)
    .where(among(messages.c.wamid, "wamids"), messages.c.is_imported)
    .order_by(messages.c.id)
    .with_for_update()
)
SPOKEN = every_team.update(messages).where(among(messages.c.id, "ids")).values(is_imported=False)


def receive(tx: Tx, arrivals: Sequence[Arrival], *, at: int) -> None:
    """Store messages, each once however often Meta repeats it; the rest of a person's chat follows."""
    if not arrivals:
        return
    met = _meet(tx, arrivals, at=at)
    # What is known has its chat already, which may be closed by now: a repetition opens no other.
    known = sends.ids_by_wamid(tx, {_key(it) for it in arrivals})
    fresh = [it for it in arrivals if _key(it) not in known]
    spoken = {_key(it) for it in arrivals if not it.imported}
    touches = [
        Touch(it.team_id, it.plugin_id, place, it.at, it.direction == "INBOUND")
        for it in fresh
        if (place := _place(it, met)) is not None
    ]
    places = chats.open_with(tx, touches, at=at) if touches else {}
    rows = []
    for it in fresh:
        place = _place(it, met)
        row = _row(it, met.get(_key(it)), places[place] if place else None, at=at)
        rows.append(row | {"is_imported": _key(it) not in spoken})
    added = {_key(row): row for row in tx.all(RECEIVE, rows)} if rows else {}
    completed = _complete(tx, [it for it in arrivals if _may_complete(it, added.get(_key(it)))])
    targets.aim(tx, list(added), completed)
    lived = [row for key, row in added.items() if key in spoken] + _come_alive(tx, spoken - added.keys())
    unread = [row for row in lived if row.direction == "INBOUND" and row.data_type not in AMENDING]
    chats.count_unread(tx, [row.chat_id for row in unread if row.chat_id])
    happened = [Event(row.team_id, _NAMES[row.direction], row.id) for row in lived]
    happened += [
        Event(row.team_id, "message.imported", row.id) for key, row in added.items() if key not in spoken
    ]
    record(tx, happened, at=at)
    telling.arrived(tx, _as_they_came(lived, [it for it in arrivals if not it.imported]), at=at)
    _expect_files(tx, arrivals, completed | {key: row.id for key, row in added.items()}, at=at)
    echoes = [it.wamid for it in arrivals if it.direction == "OUTBOUND"]
    if echoes:
        statuses.unpark(tx, echoes, at=at)


def _key(it: Arrival | Row[Any]) -> tuple[str, str]:
    return it.team_id, it.wamid


def _come_alive(tx: Tx, keys: set[tuple[str, str]]) -> list[Row[Any]]:
    """Those of these messages that history had told of, and that are now heard of as they happen."""
    if not keys:
        return []
    rows = [row for row in tx.all(IMPORTED, {"wamids": {wamid for _, wamid in keys}}) if _key(row) in keys]
    if rows:
        tx.execute(SPOKEN, {"ids": [row.id for row in rows]})
    return rows


def _may_complete(it: Arrival, added: Row[Any] | None) -> bool:
    """A file whose message was here before it, perhaps without it."""
    return it.data_type in MEDIA and (added is None or added.data_type == PLACEHOLDER)


_NAMES = {"INBOUND": "message.received", "OUTBOUND": "message.echoed"}


def _as_they_came(added: Sequence[Row[Any]], arrivals: Sequence[Arrival]) -> list[tuple[Row[Any], Arrival]]:
    """What was added with its arrival, in the order of arrival."""
    rows = {_key(row): row for row in added}
    return [(row, it) for it in arrivals if (row := rows.pop(_key(it), None)) is not None]


def _meet(tx: Tx, arrivals: Sequence[Arrival], *, at: int) -> dict[tuple[str, str], Contact]:
    """The contact of each arrival by team and wamid; a message may come from nobody we can name."""
    from_people = [it for it in arrivals if it.identities]
    if not from_people:
        return {}
    people = [
        Person(it.team_id, it.identities, it.name, it.username, it.at, it.imported) for it in from_people
    ]
    met, merges = contacts.meet(tx, people, at=at)
    merging.move_history(tx, merges, at=at)
    return {_key(it): contact for it, contact in zip(from_people, met, strict=True)}


def _place(it: Arrival, met: dict[tuple[str, str], Contact]) -> Place | None:
    """Where a message was said: in a group, or with its person; None where Meta names neither."""
    if it.group_id is not None:
        return Place(it.phone_number_id, None, it.group_id)
    contact = met.get(_key(it))
    return Place(it.phone_number_id, contact.id) if contact else None


def _expect_files(tx: Tx, arrivals: Sequence[Arrival], ids: dict[tuple[str, str], str], *, at: int) -> None:
    """The message exists first; its files follow by a job.

    Those of the test chat do not: whoever writes there may name any file, and our token may open another team's.
    """
    files = [
        expected(file, team_id=it.team_id, plugin_id=it.plugin_id, message_id=ids[it.team_id, it.wamid])
        for it in arrivals
        if _key(it) in ids and not it.wamid.startswith(TEST_PREFIX)
        for file in files_in(it.data_type, it.content)
    ]
    fetching.expect(tx, files, at=at)


def _complete(tx: Tx, arrived: Sequence[Arrival]) -> dict[tuple[str, str], str]:
    """Put files in the place of what history had instead of them; returns those messages by team and wamid."""
    files = {_key(it): it for it in reversed(arrived)}
    if not files:
        return {}
    rows = [
        row for row in tx.all(PLACEHOLDERS, {"wamids": {wamid for _, wamid in files}}) if _key(row) in files
    ]
    if rows:
        tx.execute(COMPLETE, [_file_of(files[_key(row)]) | {"message_id": row.id} for row in rows])
    return {_key(row): str(row.id) for row in rows}


def _file_of(it: Arrival) -> dict[str, Any]:
    return {
        "new_type": it.data_type,
        "new_body": it.content,
        "new_text": it.text,
        "new_attachments": attachments_of(it.data_type, it.content),
    }


def _row(
    it: Arrival,
    contact: Contact | None,
    chat_id: str | None,
    *,
    at: int,
) -> dict[str, Any]:
    inbound = it.direction == "INBOUND"
    return {
        "id": new_id(),
        "team_id": it.team_id,
        "plugin_id": it.plugin_id,
        "phone_number_id": it.phone_number_id,
        "chat_id": chat_id,
        "contact_id": contact.id if contact else None,
        "wamid": it.wamid,
        "direction": it.direction,
        "peer": it.identities[0].value if it.identities else None,
        "data_type": it.data_type,
        "body": it.content,
        "text": it.text,
        "attachments": attachments_of(it.data_type, it.content),
        "status": Status.DELIVERED if inbound else Status.SENT,
        "error": it.error,
        "context": it.context if inbound else it.context or None,
        "target_wamid": it.target,
        "second": sort_second(it.at),
        "at": it.at,
        "created_at": at,
        "updated_at": at,
    }
