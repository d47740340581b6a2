"""What a business phone brings along: history and address book, which may be thousands in one body.

They are folded by a job, in units of a bounded size, so that nobody who writes meanwhile waits for them. A job
that is done again, or beside live messages, changes nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple, TypeVar

from samvad.domain.contacts.model import Identity, Person
from samvad.domain.context import Resources
from samvad.domain.inbound import queries as inbound
from samvad.domain.inbound.model import AccountNews
from samvad.domain.messages import people as known_people
from samvad.domain.messages import receiving, statuses
from samvad.domain.messages.model import HEARD, News
from samvad.domain.messages.receiving import Arrival
from samvad.domain.waba import discovery
from samvad.ingress.arrivals import arrival
from samvad.jobs.queue import Job, enqueue
from samvad.storage import Tx
from samvad.whatsapp import history, people
from samvad.whatsapp import webhooks as meta
from samvad.whatsapp.people import Told

T = TypeVar("T")

FIELDS = ("history", "smb_app_state_sync")
AT_ONCE = 100  # messages or people in one unit: it bounds how long everybody else waits

FAILED = "error"  # history's own word for a failed message
WORDS = {**HEARD, FAILED: HEARD["failed"]}


class Piece(NamedTuple):
    """One message of history, and what became of it where it is ours."""

    arrival: Arrival
    news: News | None


def promise(tx: Tx, heard: Sequence[AccountNews], *, at: int) -> None:
    """Have what these bodies bring along folded later, each plugin's in the order of arrival."""
    events = {it.event_id: it for it in heard if it.field in FIELDS}
    jobs = [
        Job(
            it.team_id,
            "ingress.fold_past",
            {"event": event_id, "plugin": it.plugin_id},
            lane=f"past/{it.plugin_id}",
        )
        for event_id, it in sorted(events.items())
    ]
    enqueue(tx, jobs, at=at)


async def fold_past(res: Resources, job: Job) -> None:
    """The job behind a body with history or an address book."""
    event_id, plugin_id = job.args["event"], job.args["plugin"]
    kept = await res.db.read(inbound.find, event_id)
    if kept is None:
        return
    for it in meta.parse(kept.body):
        if not isinstance(it, meta.Other) or it.field not in FIELDS:
            continue
        if it.field == "history":
            number = it.phone_number_id or ""
            if number:
                mention = discovery.Mention(number, it.waba_id, job.team_id, plugin_id)
                owners = await res.db.write(discovery.owners, [mention], at=res.clock())
                if owners.get(number) != job.team_id:
                    continue  # another team's number
            for pieces in _in_units(_pieces(it, job.team_id, plugin_id, kept.received_at)):
                await res.db.write(_keep, pieces, at=res.clock())
        else:
            told = people.read(it.field, it.value)
            for some in _in_units(told):
                who = persons(some, team_id=job.team_id, at=it.at if it.at is not None else kept.received_at)
                await res.db.write(known_people.learn, who, at=res.clock())


def persons(told: Sequence[Told], *, team_id: str, at: int) -> list[Person]:
    """Those of whom something was said, as far as they are named; `at` is for what bears no time."""
    return [
        Person(
            team_id,
            identities,
            it.name,
            None,
            it.at if it.at is not None else at,
            imported=True,
            marketing=it.marketing,
        )
        for it in told
        if (identities := _identities(it))
    ]


def _identities(it: Told) -> tuple[Identity, ...]:
    phone = (Identity("phone", it.phone),) if it.phone else ()
    return phone + tuple(Identity("bsuid", one) for one in it.bsuids)


def _keep(tx: Tx, pieces: Sequence[Piece], *, at: int) -> None:
    receiving.receive(tx, [it.arrival for it in pieces], at=at)
    statuses.apply(tx, [it.news for it in pieces if it.news], at=at)


def _pieces(it: meta.Other, team_id: str, plugin_id: str, at: int) -> Iterator[Piece]:
    for past in history.read(it.value):
        said = meta.message_of(
            past.raw, outbound=past.outbound, waba_id=it.waba_id, phone_number_id=it.phone_number_id or ""
        )
        if said is None:
            continue
        direction = "OUTBOUND" if past.outbound else "INBOUND"
        found = arrival(said, team_id, plugin_id, direction, at, person=past.person, imported=True)
        status = WORDS.get(past.status or "") if past.outbound else None
        news = News(team_id, said.wamid, status, found.at, imported=True) if status is not None else None
        yield Piece(found, news)


def _in_units(things: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(things)
    while some := list(islice(rest, AT_ONCE)):
        yield some
