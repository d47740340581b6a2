"""What matters of a run once it is over, in words that are the same in every run of the same script.

Ids of ours and of Meta's become the number of the step they are of; moments of arrival are left out.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Row

from samvad.domain.chats.tables import chats
from samvad.domain.contacts.tables import contact_identities, contacts
from samvad.domain.events.tables import events
from samvad.domain.media.tables import media
from samvad.domain.messages.model import Status
from samvad.domain.messages.tables import messages
from samvad.domain.webhooks.tables import deliveries
from samvad.jobs.tables import jobs
from samvad.storage import Tx, every_team

Line = tuple[Any, ...]

STRANGER = -1  # the number of what no step has made


class State(NamedTuple):
    """Sorted lines of each kind of thing."""

    messages: list[Line]
    chats: list[Line]
    contacts: list[Line]
    media: list[Line]
    events: list[Line]

    @property
    def hash(self) -> str:
        return hash_of(self)

    def differences(self, other: "State", *, most: int = 20) -> list[str]:
        """Sentences on what one has and the other has not."""
        found = []
        for kind, mine, theirs in zip(self._fields, self, other, strict=True):
            for words, lines in (
                ("is missing", Counter(mine) - Counter(theirs)),
                ("is too much", Counter(theirs) - Counter(mine)),
            ):
                found += [f"{kind}: {line!r} {words}" for line in sorted(lines, key=repr)]
        return found[:most]


class Left(NamedTuple):
    """Everything that is looked at after a run."""

    state: State
    sending: list[tuple[str, str]]
    """Id and words of messages that are still `sending`."""
    deliveries: dict[str, tuple[str, str, str]]
    """By id: the endpoint, the order key and the state."""


def read(tx: Tx, numbers: Mapping[str, int]) -> Left:
    """Of the one team that is there. `numbers` says which step a wamid is of."""
    rows = tx.all(every_team.select(messages))
    ambiguous = {row.id for row in rows if row.status == Status.SENDING}
    rows = [row for row in rows if row.id not in ambiguous]
    number_of = {row.id: numbers.get(row.wamid, STRANGER) for row in rows}
    people = _people(tx)
    of_chat: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        of_chat[row.chat_id].append(number_of[row.id])
    state = State(
        sorted((_message(row, number_of, numbers, people) for row in rows), key=repr),
        sorted(
            (
                (people.get(row.contact_id), row.status, row.unread, tuple(sorted(of_chat[row.id])))
                for row in tx.all(every_team.select(chats))
            ),
            key=repr,
        ),
        sorted(
            (
                (people.get(row.id), row.name, row.is_imported, row.process_id is not None)
                for row in tx.all(every_team.select(contacts))
            ),
            key=repr,
        ),
        sorted(
            (
                (number_of.get(row.message_id, STRANGER), row.state, row.sha256, row.size)
                for row in tx.all(every_team.select(media))
            ),
            key=repr,
        ),
        sorted(
            (
                (number_of.get(row.subject_id, STRANGER), row.name)
                for row in tx.all(every_team.select(events).where(events.c.name.startswith("message.")))
                if row.subject_id not in ambiguous
            ),
            key=repr,
        ),
    )
    return Left(
        state,
        [(row.id, row.text or "") for row in tx.all(every_team.select(messages)) if row.id in ambiguous],
        {
            row.id: (row.endpoint_id, row.order_key, row.state)
            for row in tx.all(every_team.select(deliveries))
        },
    )


def hash_of(lines: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(lines)).hexdigest()


def working(tx: Tx) -> int:
    """How much is still to be done: jobs, and files that have not come."""
    waiting = tx.all(every_team.select(jobs.c.id).where(jobs.c.gave_up_at.is_(None)))
    pending = tx.all(every_team.select(media.c.id).where(media.c.state == "PENDING"))
    return len(waiting) + len(pending)


def _people(tx: Tx) -> dict[str, tuple[str, ...]]:
    """Each contact by what the person is known by."""
    known: dict[str, list[str]] = defaultdict(list)
    for row in tx.all(every_team.select(contact_identities)):
        known[row.contact_id].append(f"{row.kind}:{row.value}")
    return {contact: tuple(sorted(names)) for contact, names in known.items()}


def _message(
    row: Row[Any],
    number_of: Mapping[str, int],
    numbers: Mapping[str, int],
    people: Mapping[str, tuple[str, ...]],
) -> Line:
    error = (row.error or {}).get("providerPayload") or {}
    return (
        number_of[row.id],
        row.direction,
        row.data_type,
        row.text,
        row.peer,
        Status(row.status).name,
        error.get("code"),
        people.get(row.contact_id),
        numbers.get(row.target_wamid, STRANGER) if row.target_wamid else None,
        number_of.get(row.in_reply_to, STRANGER) if row.in_reply_to else None,
        tuple(it is not None for it in (row.sent_at, row.delivered_at, row.read_at, row.failed_at)),
    )
