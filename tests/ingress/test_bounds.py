"""What a unit of the fold costs: as many statements for many messages as for few, and never more than it may hold."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from samvad.domain.inbound import queries as inbound
from samvad.domain.inbound.tables import inbound_events
from samvad.domain.messages.tables import messages
from samvad.domain.webhooks import queries as webhooks
from samvad.ingress import fold as folding
from samvad.ingress.fold import fold
from tests.domain.meta import contact, message, received, status, statuses
from tests.domain.quick import Small


@contextmanager
def counted() -> Iterator[list[str]]:
    """The statements that are sent meanwhile, one for many rows counted once."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def test_two_hundred_messages_cost_as_many_statements_as_twenty(small: Small):
    await small.res.db.team(small.ada.id).write(
        webhooks.set_endpoint,
        plugin_id=small.ada.plugin_id,
        format="chakra",
        url="https://example.com",
        at=0,
        events=("message", "status", "message_echo"),
    )
    costs = []
    for count in (20, 200):
        for n in range(count):
            person: dict[str, Any] = {"phone": f"1555{count:03}{n:04}", "bsuid": f"US.{count}.{n}"}
            image = {"id": f"{count}{n:04}", "mime_type": "image/jpeg"}
            said = message(
                f"wamid.{count}.{n}", **person, type="image", image=image, context={"id": "wamid.20.1"}
            )
            await small.deliver(received(said, contacts=[contact(f"Person {n}", **person)]))
            await small.deliver(statuses(status(f"wamid.sent.{count}.{n}", "sent")))
        with counted() as sent:
            await small.res.db.write(fold, limit=2 * count, at=small.clock())
        costs.append(len(sent))

    assert len(await small.rows(messages)) == 220
    assert costs[1] <= costs[0] + 3, "the second batch finds a message to answer"
    assert costs[0] < 50


async def test_a_unit_ends_where_it_holds_enough_and_the_next_goes_on(
    small: Small, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(folding, "MOST", 10)
    for n in range(6):
        await small.deliver(received(*(message(f"wamid.{n}.{m}") for m in range(4))))

    units = []
    while (folded := await small.res.db.write(fold, limit=200, at=small.clock())).bodies:
        units.append((folded.bodies, folded.is_full))

    assert units == [(3, True), (3, False)]
    assert len(await small.rows(messages)) == 24
    assert all(it.folded_at for it in await small.rows(inbound_events))


async def test_large_bodies_are_not_all_read_at_once(small: Small):
    bodies = [
        json.dumps(received(message(f"wamid.{n}", type="text", text={"body": "x" * 1_000}))).encode()
        for n in range(9)
    ]
    for body in bodies:
        await small.deliver(body)

    rows, more = await small.res.db.write(
        inbound.unfolded_oldest_first, limit=200, largest=3 * max(map(len, bodies))
    )
    alone, _ = await small.res.db.write(inbound.unfolded_oldest_first, limit=200, largest=10)

    assert (len(rows), more) == (3, True)
    assert len(alone) == 1, "one that is larger than a unit is a unit of its own"


async def test_a_fold_that_is_behind_takes_more_at_once_and_less_again_when_it_has_caught_up(
    small: Small, monkeypatch: pytest.MonkeyPatch
):
    """On PostgreSQL every statement waits for a turn of a busy loop, so that units and not bodies cost time."""
    monkeypatch.setattr(folding, "BATCH", 2)
    monkeypatch.setattr(folding, "BEHIND", 8)
    folder = folding.Folder(small.res)
    for n in range(25):
        await small.deliver(received(message(f"wamid.{n}")))

    units = []
    while (folded := await folder._fold_batch()).bodies:
        units.append(folded.bodies)
    for n in range(3):
        await small.deliver(received(message(f"wamid.more.{n}")))
    afterwards = (await folder._fold_batch()).bodies

    assert units == [2, 4, 8, 8, 3]
    assert afterwards == 2
    assert len(await small.rows(messages)) == 25 + 2
