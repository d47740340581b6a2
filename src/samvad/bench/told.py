"""What a customer's endpoints were told in a run, held against what should have been told."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from samvad.bench.customer import Book, Heard
from samvad.bench.state import STRANGER, Left, Line
from samvad.domain.webhooks.model import FAILURES_IN_ORDER

KINDS = ("messages", "statuses", "message_echoes")


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


def problems_of(books: Mapping[str, Book], endpoints: Mapping[str, str], left: Left) -> Iterator[str]:
    """Lost, invented, changed or out of order; `endpoints` says which path an endpoint's id has."""
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
        yield from _out_of_order(path, book, due)


def _out_of_order(path: str, book: Book, due: Mapping[str, tuple[str, str, str]]) -> Iterator[str]:
    """In each chat the events are taken in order; one that failed often enough steps aside by design."""
    chats: dict[str, list[tuple[int, str, Heard]]] = defaultdict(list)
    for event_id, (_, order_key, _) in due.items():
        heard = book.heard.get(event_id)
        if heard is not None and heard.first_at is not None and order_key:
            chats[order_key].append((heard.first_at, event_id, heard))
    for order_key, taken in chats.items():
        latest = ""
        for _, event_id, heard in sorted(taken, key=lambda it: it[0]):
            if event_id < latest and heard.attempts < FAILURES_IN_ORDER:
                yield f"{path}: {event_id} was overtaken by {latest} in {order_key} after {heard.attempts} attempts"
            latest = max(latest, event_id)


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
