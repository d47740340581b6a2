"""An endpoint's deliveries are in the order of their commits: whoever began first, whosever clock is ahead."""

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from samvad.domain.waba import operations as waba
from samvad.domain.webhooks import outgoing, serving
from samvad.domain.webhooks.model import EVERY_CHAT, About
from samvad.domain.webhooks.outgoing import Listener, Telling
from samvad.domain.webhooks.queries import delivery_row
from samvad.domain.webhooks.tables import deliveries, endpoints
from samvad.kit.ids import made_at, new_id_after, oldest_id
from samvad.storage import Tx, every_team
from samvad.storage.sqlite import SqliteDatabase
from tests.domain.quick import Small

A_MINUTE_MS = 60_000


@pytest.fixture
async def listener(small: Small) -> Listener:
    """An endpoint of Ada's that nobody delivers to: what is told waits in the log."""
    config = {
        "chakraWebhookUrl": "http://127.0.0.1:9/hook",
        "enableChakraWebhook": True,
        "whichChakraWebhookEventsToSend": ["status"],
    }
    await waba.update_config(small.context(), small.ada.plugin_id, config)
    (row,) = await small.rows(endpoints)
    return Listener(row.id, row.team_id, row.format)


def tell(tx: Tx, listener: Listener, *names: str) -> None:
    told = [Telling(listener, None, About(it, "a chat", None, it), None, {"event": it}) for it in names]
    outgoing.tell(tx, told, at=1)


async def in_order(small: Small) -> list[str]:
    rows = await small.res.db.read(
        lambda tx: tx.all(every_team.select(deliveries.c.event).order_by(deliveries.c.id))
    )
    return [row.event for row in rows]


async def test_what_is_told_in_one_unit_keeps_its_order_and_comes_after_what_was_there(
    small: Small, listener: Listener
):
    def two_rounds(tx: Tx) -> None:
        tell(tx, listener, "3", "4")
        tell(tx, listener, "5")

    await small.res.db.write(tell, listener, "1", "2")
    await small.res.db.write(two_rounds)

    assert await in_order(small) == ["1", "2", "3", "4", "5"]


async def test_a_clock_that_was_ahead_puts_nothing_before_what_is_told_later(
    small: Small, listener: Listener
):
    await small.res.db.write(tell, listener, "1")
    (first,) = await small.rows(deliveries)
    ahead = oldest_id(made_at(first.id) + A_MINUTE_MS)
    await small.execute(every_team.update(deliveries).values(id=ahead))

    await small.res.db.write(tell, listener, "2", "3")
    await small.res.db.write(tell, listener, "4")

    assert await in_order(small) == ["1", "2", "3", "4"]


def test_an_id_after_another_is_a_new_one_unless_the_other_is_of_a_later_moment():
    ahead = oldest_id(made_at(new_id_after(None)) + A_MINUTE_MS)

    assert abs(made_at(new_id_after(oldest_id(1))) - made_at(new_id_after(None))) < A_MINUTE_MS
    assert new_id_after(ahead) > ahead
    assert made_at(new_id_after(ahead)) == made_at(ahead)


async def test_a_unit_that_fails_tells_nothing(small: Small, listener: Listener):
    def fails(tx: Tx) -> None:
        tell(tx, listener, "never")
        raise ValueError("after all not")

    with pytest.raises(ValueError, match="after all not"):
        await small.res.db.write(fails)
    await small.res.db.write(tell, listener, "1")

    assert await in_order(small) == ["1"]


async def test_who_began_first_and_commits_last_is_told_last(small: Small, listener: Listener):
    def slow(tx: Tx) -> None:
        tell(tx, listener, "began first")
        hold(tx)

    began, hold = holding(small)
    first = asyncio.create_task(small.res.db.write(slow))
    await began.wait()

    await small.res.db.write(tell, listener, "committed first")
    hold.keywords["until"].set()
    await first

    assert await in_order(small) == ["committed first", "began first"]


async def test_while_one_has_its_place_and_no_commit_yet_nobody_else_gets_one(
    small: Small, listener: Listener
):
    def slow(tx: Tx) -> None:
        tell(tx, listener, "first")
        tx.at_the_end(lambda tx, _: hold(tx), [])  # its place is taken; the commit takes long

    began, hold = holding(small)
    first = asyncio.create_task(small.res.db.write(slow))
    await began.wait()
    second = asyncio.create_task(small.res.db.write(tell, listener, "second"))
    await asyncio.sleep(0.3)  # it is under way, and waits

    assert not second.done()
    assert await in_order(small) == []
    hold.keywords["until"].set()
    await asyncio.gather(first, second)
    assert await in_order(small) == ["first", "second"]


async def test_what_is_about_all_chats_passes_none_that_is_held_and_none_passes_it(
    small: Small, listener: Listener
):
    def row(n: int, key: str, *, held: bool = False) -> dict[str, Any]:
        about = About(str(n), key, None, None)
        row = delivery_row(listener.team_id, listener.endpoint_id, about, at=1) | {"id": f"{n}"}
        return row | ({"holds": True, "attempts": 1, "next_attempt_at": 2**50} if held else {})

    async def due(*rows: dict[str, Any]) -> list[str]:
        await small.execute(every_team.delete(deliveries))
        for it in rows:
            await small.execute(every_team.insert(deliveries).values(it))
        db, whose, now = small.res.db, listener.endpoint_id, small.clock()
        _, found = await db.read(serving.due_oldest_first, whose, me="me", elsewhere=(), now=now, limit=50)
        has_work = await db.read(serving.has_work, whose, now=now)
        assert has_work is bool(found)
        return [it.id for it in found]

    await small.res.db.write(serving.claim, listener.endpoint_id, me="me", now=small.clock())
    for_all = EVERY_CHAT

    assert await due(row(1, "x", held=True), row(2, "y"), row(3, for_all), row(4, "y")) == ["2"]
    assert await due(row(1, "y"), row(2, for_all), row(3, "x", held=True), row(4, "y")) == ["1", "2", "4"]
    assert await due(row(1, "y"), row(2, for_all, held=True), row(3, "x")) == ["1"]
    assert await due(row(2, for_all, held=True), row(3, "x")) == []


def holding(small: Small) -> tuple[asyncio.Event, "partial[None]"]:
    """An event that says a unit is in `hold`, and `hold`, which keeps its transaction open until it is told."""
    if isinstance(small.res.db, SqliteDatabase):
        pytest.skip("SQLite has one writer: two units are never under way together")
    began, until = asyncio.Event(), threading.Event()
    tell_loop: Callable[[], Any] = partial(asyncio.get_running_loop().call_soon_threadsafe, began.set)
    return began, partial(_hold, began=tell_loop, until=until)


def _hold(tx: Tx, *, began: Callable[[], Any], until: threading.Event) -> None:
    began()
    for _ in range(600):
        if until.is_set():
            return
        tx.execute(text("SELECT pg_sleep(0.05)"))
    raise AssertionError("nobody said to go on")
