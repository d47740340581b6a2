"""The fold: kept bytes become messages, statuses and deliveries; in batches, and any number of times."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import structlog

from samvad.domain.contacts.model import Person
from samvad.domain.context import Resources
from samvad.domain.inbound import news as account_news
from samvad.domain.inbound import queries as inbound
from samvad.domain.inbound.model import AccountNews
from samvad.domain.inbound.queries import Mark
from samvad.domain.messages import people as known_people
from samvad.domain.messages import receiving, statuses
from samvad.domain.messages.model import HEARD, News, Status
from samvad.domain.messages.receiving import Arrival
from samvad.domain.templates import news as template_news
from samvad.domain.waba import discovery
from samvad.domain.waba import news as waba_news
from samvad.domain.webhooks import queries as webhooks
from samvad.domain.webhooks.model import ECHO_FIELD, About, chat_key
from samvad.ingress import past
from samvad.ingress.arrivals import arrival
from samvad.kit.errors import Unavailable
from samvad.kit.ids import is_id
from samvad.storage import TROUBLE, Tx
from samvad.storage.alone import FOLD, alone
from samvad.whatsapp import people
from samvad.whatsapp import webhooks as meta
from samvad.whatsapp.errors import from_webhook
from samvad.whatsapp.webhooks import Echo, Other, Problem, Received, StatusNews, Unreadable

BATCH = 200  # bodies in one unit; with the next three it bounds how long everybody else waits
BEHIND = 800  # bodies in one unit while more wait than fit: on PostgreSQL a unit costs turns of the loop, not bodies
LARGEST = 4 * 1024 * 1024  # bytes of bodies in one unit, which may be one body
MOST = 1_000  # updates in one unit, past which no further body is begun: as many as Meta puts into one
LOOK_EVERY_S = 1.0
GROUP_STATUS = "group_message_status"  # our word, beside Meta's fields: what became of it for one participant
GATHER_S = 0.02  # let a batch grow: a fold of many costs little more than a fold of one

log = structlog.get_logger(__name__)


class Folded(NamedTuple):
    """How many bodies a unit folded, and whether it stopped because it was full."""

    bodies: int
    is_full: bool


class Folder:
    """Folds whatever was kept, until it is closed; then it finishes the batch it has begun.

    Of several processes one does so, for long. Each batch takes a lock besides: who is foreman changes hands in the
    middle of one, too.
    """

    def __init__(self, res: Resources, *, may: Callable[[], bool] = lambda: True) -> None:
        self._res = res
        self._may = may
        self._one_at_a_time = asyncio.Lock()  # two batches at once would be told in either order
        self._limit = BATCH
        self._closing = False

    async def run(self) -> None:
        while not self._closing:
            await self._res.bells.inbound.wait(LOOK_EVERY_S)
            if not self._may():
                continue
            await asyncio.sleep(GATHER_S)
            try:
                # A full batch says that more is waiting; a small one, that gathering again is worth it.
                while not self._closing and self._may() and (await self._fold_batch()).is_full:
                    pass
            except TROUBLE as error:  # the events are kept; the next look finds them
                log.warning("fold.database_trouble", error=repr(error))

    async def fold_all(self) -> int:
        """Fold everything kept so far; returns how many events that were."""
        done = 0
        while not self._closing and (folded := (await self._fold_batch()).bodies):
            done += folded
        return done

    def close(self) -> None:
        self._closing = True
        self._res.bells.inbound.ring()

    async def _fold_batch(self) -> Folded:
        res = self._res
        async with self._one_at_a_time:
            try:
                folded = await res.db.write(fold, limit=self._limit, at=res.clock())
            except TROUBLE:
                raise  # the database's trouble, not the events'
            except Exception as error:
                log.warning("fold.batch_failed", error=repr(error))
                folded = await self._fold_one_by_one()
            self._limit = min(2 * self._limit, BEHIND) if folded.is_full else BATCH
        if folded.bodies:
            res.bells.deliveries.ring()
            res.bells.jobs.ring()
            res.bells.media.ring()
        return folded

    async def _fold_one_by_one(self) -> Folded:
        """Somewhere in the batch is an event that cannot be folded; its neighbours can."""
        res = self._res
        # It locks, so it is no read.
        rows, _ = await res.db.write(inbound.unfolded_oldest_first, limit=BATCH, largest=LARGEST)
        for row in rows:
            try:
                await res.db.write(fold_one, row, at=res.clock())
            except TROUBLE:
                raise
            except Exception as error:
                log.error("fold.event_failed", inbound_event=row.id, error=repr(error))
                mark = Mark(row.id, f"could not be folded: {error!r}"[:2000], None)
                await res.db.write(keep_marked, row, mark, at=res.clock())
        return Folded(len(rows), is_full=bool(rows))


def fold(tx: Tx, *, limit: int, at: int) -> Folded:
    """Fold the oldest kept bodies, as many as a unit may hold."""
    if not alone(tx, FOLD):
        return Folded(0, is_full=False)
    rows, more = inbound.unfolded_oldest_first(tx, limit=limit, largest=LARGEST)
    folded = fold_rows(tx, rows, at=at) if rows else 0
    return Folded(folded, is_full=more or folded < len(rows))


def fold_one(tx: Tx, row: Any, *, at: int) -> None:
    """Fold one of a batch; another process that does the same batch comes to each in the same order.

    Raises kit.errors.Unavailable while one is at work.
    """
    if not alone(tx, FOLD):
        raise Unavailable("Another process folds just now.")
    fold_rows(tx, [row], at=at)


def fold_rows(tx: Tx, rows: Sequence[Any], *, at: int) -> int:
    """Interpret these events and note on each what could not be interpreted.

    Returns how many were: past MOST updates the rest is left for the next unit.
    """
    reading = Reading()
    for count, row in enumerate(rows, start=1):
        reading.read(row.id, row.team_id, row.plugin_id, row.body, received_at=row.received_at)
        if reading.size >= MOST:
            rows = rows[:count]
            break
    reading.keep_to_own_numbers(discovery.owners(tx, reading.numbers(), at=at))
    receiving.receive(tx, reading.arrivals, at=at)
    known_people.learn(tx, reading.people(), at=at)  # before statuses: everybody locks people first
    statuses.apply(tx, reading.news, at=at)
    past.promise(tx, reading.account_news, at=at)
    account_news.log(tx, reading.account_news, at=at)
    template_news.apply(tx, reading.account_news, at=at)
    waba_news.apply(tx, reading.account_news, at=at)
    webhooks.add_for_inbound(
        tx, [(row.id, row.plugin_id, row.received_at) for row in rows], at=at, about=reading.about
    )
    inbound.mark_folded(tx, [row.id for row in rows], reading.marks(), at=at)
    return len(rows)


def keep_marked(tx: Tx, row: Any, mark: Mark, *, at: int) -> None:
    """Give an event up for now; the customer's endpoint gets its bytes all the same."""
    webhooks.add_for_inbound(tx, [(row.id, row.plugin_id, row.received_at)], at=at)
    inbound.mark_folded(tx, [row.id], [mark], at=at)


class Reading:
    """What a batch of bodies says, in our words, and what of it could only be kept."""

    def __init__(self) -> None:
        self.size = 0  # updates
        self.arrivals: list[Arrival] = []
        self.news: list[News] = []
        self.account_news: list[AccountNews] = []
        self.about: dict[int, About] = {}
        self._problems: dict[int, list[str]] = {}
        self._kept: dict[int, list[str]] = {}
        self._places: dict[tuple[str, str], tuple[str, str]] = {}
        self._mentioned_by: dict[tuple[str, str], set[int]] = {}

    def read(self, event_id: int, team_id: str, plugin_id: str, body: bytes, *, received_at: int) -> None:
        """Read one body; where Meta names no time, the time it came counts, also when it is folded again."""
        try:
            said = meta.parse(body)
        except Unreadable as error:
            self._problems.setdefault(event_id, []).append(str(error))
            return
        self.size += len(said)
        for place, it in enumerate(said):
            match it:
                case StatusNews():
                    self._note(event_id, "messages", it, it.phone or it.bsuid)
                    self._status(event_id, team_id, it, received_at)
                    if it.group_id is not None:  # of one participant: what it says stands in the log
                        when = it.at if it.at is not None else received_at
                        self.account_news.append(
                            AccountNews(
                                event_id,
                                place,
                                team_id,
                                plugin_id,
                                it.waba_id,
                                it.phone_number_id,
                                GROUP_STATUS,
                                when,
                                it.raw,
                            )
                        )
                case Received():
                    self._note(event_id, "messages", it, it.phone or it.bsuid)
                    self._seen(it, team_id, plugin_id, event_id)
                    self.arrivals.append(arrival(it, team_id, plugin_id, "INBOUND", received_at))
                case Echo():
                    self._echo(event_id, team_id, plugin_id, it, received_at)
                case Other(waba_id, field, phone_number_id, moment, value):
                    self._about(event_id, About(field))
                    self._kept.setdefault(event_id, []).append(field)
                    when = moment if moment is not None else received_at
                    self.account_news.append(
                        AccountNews(
                            event_id, place, team_id, plugin_id, waba_id, phone_number_id, field, when, value
                        )
                    )
                case Problem(where, why, _):
                    self._problems.setdefault(event_id, []).append(f"{where}: {why}")

    def _note(self, event_id: int, event: str, it: Received | Echo | StatusNews, peer: str | None) -> None:
        """Whose chat a body is about, for the order of its deliveries and for whoever looks for them."""
        key = chat_key(it.phone_number_id, it.group_id or peer)
        self._about(event_id, About(event, key, peer, it.wamid))

    def _about(self, event_id: int, about: About) -> None:
        known = self.about.get(event_id)
        self.about[event_id] = about if known is None else known.and_also(about)

    def numbers(self) -> list[discovery.Mention]:
        return [
            discovery.Mention(number, waba_id, team_id, plugin_id)
            for (team_id, number), (plugin_id, waba_id) in self._places.items()
            if number  # Meta left it out: nobody's in particular
        ]

    def keep_to_own_numbers(self, owners: dict[str, str]) -> None:
        """Drop what a webhook signed for one team says about another team's number."""
        foreign = {place for place in self._places if place[1] and owners.get(place[1]) != place[0]}
        if foreign:
            for place in foreign:
                for event_id in self._mentioned_by[place]:
                    self._problems.setdefault(event_id, []).append(f"{place[1]} is another team's number")
            self.arrivals = [it for it in self.arrivals if (it.team_id, it.phone_number_id) not in foreign]

    def people(self) -> list[Person]:
        """What is said of people apart from their messages; an address book waits for its job."""
        return [
            person
            for it in self.account_news
            if it.field in people.FIELDS and it.field not in past.FIELDS
            for person in past.persons(list(people.read(it.field, it.value)), team_id=it.team_id, at=it.at)
        ]

    def marks(self) -> list[Mark]:
        return [
            Mark(
                it,
                "; ".join(problems)[:2000] if (problems := self._problems.get(it)) else None,
                self._kept.get(it),
            )
            for it in sorted({*self._problems, *self._kept})
        ]

    def _status(self, event_id: int, team_id: str, it: StatusNews, received_at: int) -> None:
        status = HEARD.get(it.status)
        if status is None:
            self._kept.setdefault(event_id, []).append(f"status:{it.status}"[:100])
            return
        if it.group_id is not None:
            status = min(
                status, Status.DELIVERED
            )  # it arrived; that one has read it says nothing of the others
            if status is Status.FAILED:
                return  # for one participant
        error = None
        if it.error is not None:
            error = {"message": from_webhook(it.error).text, "providerPayload": it.error}
        ours = it.opaque if it.opaque and is_id(it.opaque) else None
        self.news.append(News(team_id, it.wamid, status, it.at or received_at, error, ours))

    def _echo(self, event_id: int, team_id: str, plugin_id: str, it: Echo, received_at: int) -> None:
        self._note(event_id, ECHO_FIELD, it, it.to or it.bsuid)
        self._seen(it, team_id, plugin_id, event_id)
        self.arrivals.append(arrival(it, team_id, plugin_id, "OUTBOUND", received_at))

    def _seen(self, it: Received | Echo, team_id: str, plugin_id: str, event_id: int) -> None:
        place = (team_id, it.phone_number_id)
        self._places.setdefault(place, (plugin_id, it.waba_id))
        self._mentioned_by.setdefault(place, set()).add(event_id)
