"""What Meta's webhooks say of accounts and numbers, applied to our rows at once; Meta is asked where they are vague."""

from collections.abc import Iterator, Sequence
from typing import Any

from samvad.domain.events.log import Event, record
from samvad.domain.inbound.model import AccountNews
from samvad.domain.waba import knowledge, queries, told
from samvad.domain.waba.knowledge import Known
from samvad.domain.waba.model import refresh_job
from samvad.jobs.queue import enqueue_once
from samvad.storage import Tx
from samvad.whatsapp.webhooks import digits


def apply(tx: Tx, heard: Sequence[AccountNews], *, at: int) -> None:
    """Apply these, in whatever order they came; what a team's webhook says of another team's account is nothing."""
    mine = [(it, told.waba_of(it.field, it.value, it.waba_id)) for it in heard if it.field in told.FIELDS]
    if not mine:
        return
    board = Board(tx, {waba_id for _, waba_id in mine}, at=at)
    for it, waba_id in mine:
        board.apply(it, waba_id)
    board.write()


class Board:
    """The accounts that were named with their numbers, locked, and what changes of them."""

    def __init__(self, tx: Tx, waba_ids: set[str], *, at: int) -> None:
        self._tx = tx
        self._at = at
        self._accounts = {row.id: row for row in queries.accounts_to_change(tx, waba_ids)}
        self._numbers = {row.id: row for row in queries.numbers_to_change(tx, waba_ids)}
        rows = (*self._accounts.values(), *self._numbers.values())
        self._known: dict[str, Known] = {row.id: row.known or {} for row in rows}
        self._happened: list[Event] = []
        self._unclear: set[tuple[str, str]] = set()

    def apply(self, it: AccountNews, waba_id: str) -> None:
        account = self._accounts.get(waba_id)
        if account is None or account.team_id != it.team_id:
            return
        numbers = [
            row for row in self._numbers.values() if (row.waba_id, row.team_id) == (waba_id, it.team_id)
        ]
        number = _named(it, numbers) if it.field in told.OF_A_NUMBER else None
        said = told.told(it.field, it.value)
        doubtful = knowledge.contradicts(self._known[waba_id], said.account, at=it.at)
        self._learn_of_account(account, said.account, it.at)
        for row in numbers:
            words = said.numbers | (said.number if row is number else {})
            doubtful |= knowledge.contradicts(self._known[row.id], words, at=it.at)
            self._learn_of_number(row, words, it.at, account.refreshed_at)
        if said.unclear or doubtful or (said.number and number is None):
            self._unclear.add((it.team_id, waba_id))
        self._happened += _told_once(it, waba_id, number)

    def write(self) -> None:
        at = self._at
        for row in self._accounts.values():
            if self._known[row.id] != (row.known or {}):
                queries.set_known_of_account(self._tx, row.id, self._known[row.id], at=at)
        for row in self._numbers.values():
            if self._known[row.id] != (row.known or {}):
                queries.set_known_of_number(self._tx, row.id, self._known[row.id], at=at)
        record(self._tx, self._happened, at=at)
        enqueue_once(self._tx, [refresh_job(*it, at=at) for it in sorted(self._unclear)], at=at)

    def _learn_of_account(self, row: Any, words: dict[str, Any], at: int) -> None:
        before = self._known[row.id]
        after = knowledge.after_news(before, words, at=at, told_at=self._at, read_at=row.refreshed_at or 0)
        if after is not before:
            self._known[row.id] = after
            was, now = (knowledge.account_state(row.details, row.name, it) for it in (before, after))
            changes = knowledge.account_changes(was, now)
            self._happened += [Event(row.team_id, name, row.id, data=data) for name, data in changes]

    def _learn_of_number(self, row: Any, words: dict[str, Any], at: int, read_at: int | None) -> None:
        before = self._known[row.id]
        after = knowledge.after_news(before, words, at=at, told_at=self._at, read_at=read_at or 0)
        if after is not before:
            self._known[row.id] = after
            was, now = (knowledge.number_state(row.details, row.verified_name, it) for it in (before, after))
            changes = knowledge.number_changes(was, now)
            self._happened += [Event(row.team_id, name, row.id, data=data) for name, data in changes]


def _named(it: AccountNews, numbers: Sequence[Any]) -> Any | None:
    """The number of this account that the news is about; Meta names it by its digits, seldom by its id."""
    display = digits(it.value.get("display_phone_number"))
    for row in numbers:
        if row.id == it.phone_number_id:
            return row
    return next((row for row in numbers if display and digits(row.display_phone_number) == display), None)


def _told_once(it: AccountNews, waba_id: str, number: Any | None) -> Iterator[Event]:
    """What is no state but something that happened; folded again, it is there already."""
    origin = f"{it.event_id}/{it.place}/{it.field}"
    if it.field == told.ALERTS:
        yield Event(it.team_id, "account.alerted", waba_id, data=_short(it.value), origin=origin)
    elif it.field == told.SECURITY:
        subject = number.id if number is not None else waba_id
        yield Event(it.team_id, "number.security", subject, data=_short(it.value), origin=origin)


def _short(value: dict[str, Any]) -> dict[str, Any]:
    """The members we know; `meta.<field>` beside it in the log has all."""
    names = ("display_phone_number", "event", "requester", "entity_type", "entity_id", "alert_info")
    return {
        name: it[:1_000] if isinstance(it := value[name], str) else it
        for name in names
        if _small(value, name)
    }


def _small(value: dict[str, Any], name: str) -> bool:
    return name in value and len(str(value[name])) <= 4_000
