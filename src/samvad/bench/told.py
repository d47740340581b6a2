"""What a customer's endpoints were told in a run, held against what should have been told."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from samvad.bench.customer import Book, Heard
from samvad.bench.state import STRANGER, Left, Line
from samvad.domain.webhooks.model import FAILURES_IN_ORDER
from samvad.kit.ids import made_at

KINDS = ("messages", "statuses", "message_echoes")

TOGETHER_MS = 250
"""On PostgreSQL a send's answer and a status are written on two connections, and their events get their ids before
the commit: of two that were made this close, either may be told first (docs/known-gaps.md)."""


def lines_of(path: str, book: Book, numbers: Mapping[str, int]) -> list[Line]:
    """Each event once, whatever its id and its moment: the step it is about, and what it says."""
    return sorted(
        (
            (path, *line[:-1], numbers.get(line[-1], STRANGER))
            for heard in book.heard.values()
            for line in _said(heard.body)
        ),
        key=repr,
    )


def problems_of(
    books: Mapping[str, Book], endpoints: Mapping[str, str], left: Left, *, together_ms: int = 0
) -> Iterator[str]:
    """Lost, invented, changed or out of order; `endpoints` says which path an endpoint's id has.

    Events of our own making that are at most `together_ms` apart have no order; what Meta told always has one.
    """
    for path, book in books.items():
        yield from book.problems
        due = {it: row for it, row in left.deliveries.items() if endpoints.get(row[0]) == path}
        for event_id in due.keys() - book.heard.keys():
            yield f"{path}: {event_id} was never told"
        for event_id in book.heard.keys() - due.keys():
            yield f"{path}: {event_id} was told and is not in the log"
        for event_id, (_, _, state) in due.items():
            heard = book.heard.get(event_id)
            if state != "DELIVERED":
                yield f"{path}: {event_id} is {state}"
            elif heard is not None and not heard.taken:
                yield f"{path}: {event_id} is in the log as delivered and was never taken"
        yield from _out_of_order(path, book, due, together_ms)


def _out_of_order(
    path: str, book: Book, due: Mapping[str, tuple[str, str, str]], together_ms: int
) -> Iterator[str]:
    """In each chat the events are taken in order; one that failed often enough steps aside by design."""
    chats: dict[str, list[tuple[int, str, Heard]]] = defaultdict(list)
    for event_id, (_, order_key, _) in due.items():
        heard = book.heard.get(event_id)
        if heard is not None and heard.first_at is not None and order_key:
            chats[order_key].append((heard.first_at, event_id, heard))
    for order_key, taken in chats.items():
        latest = ""
        for _, event_id, heard in sorted(taken, key=lambda it: it[0]):
            overtaken = event_id < latest and heard.attempts < FAILURES_IN_ORDER
            if overtaken and not _made_together(heard, event_id, latest, together_ms):
                yield f"{path}: {event_id} was overtaken by {latest} in {order_key} after {heard.attempts} attempts"
            latest = max(latest, event_id)


def _made_together(heard: Heard, event_id: str, latest: str, together_ms: int) -> bool:
    is_ours = "event" in heard.body
    return is_ours and together_ms > 0 and made_at(latest) - made_at(event_id) <= together_ms


def _said(body: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Kind, detail and wamid of everything a body says, in either format."""
    if "event" in body:
        payload = body["payload"]
        yield body["event"], payload.get("deliveryStatus", ""), payload.get("externalId", "")
        return
    for entry in body["entry"]:
        for change in entry["changes"]:
            for kind in KINDS:
                for it in change["value"].get(kind, ()):
                    yield kind, it.get("status") or it["type"], it["id"]
