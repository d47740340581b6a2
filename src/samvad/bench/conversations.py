"""Conversations by the million, as a team of some years has them: written by the product's own tables, in bulk.

Most people have exchanged a hundred messages with us. One of them has a hundredth of all there are: the hard case of a
page, since that conversation grows with the whole.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Table
from sqlalchemy.schema import CreateIndex, DropIndex

from samvad.bench.leads import uuid_of
from samvad.bench.rig import Party
from samvad.domain.chats.tables import chats
from samvad.domain.contacts.tables import contact_identities, contacts
from samvad.domain.context import Resources
from samvad.domain.messages.model import Status, sort_second
from samvad.domain.messages.tables import messages
from samvad.storage import Tx, every_team

CHUNK = 10_000  # messages to a commit
EACH = 100  # messages of an ordinary person
PERIOD_MS = 2 * 365 * 24 * 3_600_000  # from the oldest message to the youngest
FIRST_PHONE = 918_000_000_000
BODY = '{"text":{"body":"Your order is on its way."}}'  # as JsonText writes it


@dataclass
class Conversations:
    """What is in the database, and what one may ask for there."""

    party: Party
    total: int
    """How many messages there will be at the end: they are as old as their number among these."""

    youngest_at: int
    made: int = 0
    chats: list[str] = field(default_factory=list)
    """By person; who has the most is the first."""

    contacts: list[str] = field(default_factory=list)

    def phone(self, person: int) -> str:
        return str(FIRST_PHONE + person)

    def at(self, number: int) -> int:
        return self.youngest_at - PERIOD_MS + int(number * PERIOD_MS / self.total)


async def fill(res: Resources, its: Conversations, *, upto: int, progress: Callable[[float], None]) -> None:
    """Add messages until there are so many, and the people they are with; the server stands still meanwhile.

    The indexes of messages are made once these are there: row by row they would take most of the time.
    """
    db, begin, rng = res.db.team(its.party.team_id), its.made, random.Random(its.made)
    wanted = max(2, upto // EACH)
    while len(its.chats) < wanted:
        await db.write(_add_people, its, min(CHUNK, wanted - len(its.chats)), rng)
    await db.write(_each_index, DropIndex)
    while its.made < upto:
        size = min(CHUNK, upto - its.made)
        await db.write(_insert, messages, list(_messages(its, size, rng)))
        its.made += size
        progress((its.made - begin) / (upto - begin))
    await db.write(_each_index, CreateIndex)


def _each_index(tx: Tx, change: type[CreateIndex | DropIndex]) -> None:
    for it in sorted(messages.indexes, key=lambda index: str(index.name)):
        tx.execute(change(it))
    if change is CreateIndex and tx.connection.dialect.name == "postgresql":
        tx.connection.exec_driver_sql("ANALYZE message")  # as its own daemon would, later


def _add_people(tx: Tx, its: Conversations, size: int, rng: random.Random) -> None:
    first, party = len(its.chats), its.party
    people = range(first, first + size)
    at = its.at(0)
    new_contacts = [uuid_of(at + person, rng) for person in people]
    new_chats = [uuid_of(at + person, rng) for person in people]
    stamp = {"team_id": party.team_id, "created_at": at}
    _insert(
        tx,
        contacts,
        [
            {**stamp, "id": it, "name": f"Person {n}", "search_name": f"person {n}", "is_imported": False}
            | {"updated_at": at}
            for n, it in zip(people, new_contacts, strict=True)
        ],
    )
    _insert(
        tx,
        contact_identities,
        [
            {**stamp, "value": its.phone(n), "kind": "phone", "contact_id": it}
            for n, it in zip(people, new_contacts, strict=True)
        ],
    )
    _insert(
        tx,
        chats,
        [
            {**stamp, "id": chat, "plugin_id": party.plugin_id, "phone_number_id": party.number.id}
            | {"contact_id": contact, "status": "OPEN", "unread": 0, "updated_at": at}
            | {"last_message_at": its.at(its.total) - n, "last_inbound_at": at}
            for n, contact, chat in zip(people, new_contacts, new_chats, strict=True)
        ],
    )
    its.contacts += new_contacts
    its.chats += new_chats


def _messages(its: Conversations, size: int, rng: random.Random) -> Iterator[dict[str, Any]]:
    party, people = its.party, len(its.chats)
    for number in range(its.made, its.made + size):
        person = 0 if number % EACH == 0 else rng.randrange(people)
        at = its.at(number)
        yield {
            "id": uuid_of(at, rng),
            "team_id": party.team_id,
            "plugin_id": party.plugin_id,
            "phone_number_id": party.number.id,
            "chat_id": its.chats[person],
            "contact_id": its.contacts[person],
            "wamid": f"wamid.{number}",
            "direction": "INBOUND" if number % 2 else "OUTBOUND",
            "peer": its.phone(person),
            "data_type": "text",
            "body": BODY,
            "text": "Your order is on its way.",
            "status": int(Status.READ),
            "is_imported": False,
            "second": sort_second(at),
            "at": at,
            "created_at": at,
            "updated_at": at,
        }


def _insert(tx: Tx, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Straight to the driver, in the product's own words: what reads each value anew takes most of the time."""
    connection = tx.connection
    compiled = every_team.insert(table).compile(dialect=connection.dialect, column_keys=list(rows[0]))
    order = compiled.positiontup
    assert order is not None, "both drivers take their values by place"
    connection.exec_driver_sql(str(compiled), [tuple(row[name] for name in order) for row in rows])
