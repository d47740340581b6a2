"""PostgreSQL: two connections on one person; what one adds is never left with somebody who is gone."""

import asyncio
import threading

import pytest
from sqlalchemy import text

from samvad.domain.chats.tables import chats
from samvad.domain.contacts import queries as contacts
from samvad.domain.contacts.model import Identity, Person
from samvad.domain.contacts.tables import contacts as people
from samvad.domain.messages import merging, sends
from samvad.domain.messages.tables import messages
from samvad.ingress.fold import fold
from samvad.storage import Tx
from samvad.storage.sqlite import SqliteDatabase
from tests.domain.meta import message, received
from tests.domain.quick import Small
from tests.harness import PERSON

BSUID = "US.13491208655302741918"


async def two_people(small: Small) -> None:
    if isinstance(small.res.db, SqliteDatabase):
        pytest.skip("SQLite has one writer: two units are never under way together")
    await small.hears(received(message("wamid.1")), received(message("wamid.2", phone=None, bsuid=BSUID)))
    assert len(await small.rows(people)) == 2


async def all_are_one(small: Small, count: int) -> None:
    person, chat = await small.row(people), await small.row(chats)
    said = await small.rows(messages)
    assert len(said) == count
    assert {(it.contact_id, it.chat_id) for it in said} == {(person.id, chat.id)}
    assert chat.contact_id == person.id


async def test_a_send_under_way_to_somebody_who_is_merged_away_stays_with_who_is_kept(small: Small):
    await two_people(small)
    begun, merging_now = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slow_send(tx: Tx) -> None:
        sends.begin(tx, [small.order("ours", Identity("bsuid", BSUID))])
        loop.call_soon_threadsafe(begun.set)
        wait(tx, merging_now)

    sending = asyncio.create_task(small.res.db.write(slow_send))
    await begun.wait()
    await small.deliver(received(message("wamid.3", bsuid=BSUID)))
    merge = asyncio.create_task(small.res.db.write(fold, limit=10, at=small.clock()))
    await asyncio.sleep(0.3)  # the merge is under way, and waits
    assert not merge.done()
    merging_now.set()
    await asyncio.gather(sending, merge)

    await all_are_one(small, 4)


async def test_a_send_that_begins_while_two_are_merged_goes_to_who_is_kept(small: Small):
    await two_people(small)
    merged, sending_now = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slow_merge(tx: Tx) -> None:
        both = Person(small.ada.id, (Identity("phone", PERSON), Identity("bsuid", BSUID)))
        _, merges = contacts.meet(tx, [both], at=1)
        merging.move_history(tx, merges, at=1)
        loop.call_soon_threadsafe(merged.set)
        wait(tx, sending_now)

    merge = asyncio.create_task(small.res.db.write(slow_merge))
    await merged.wait()
    sending = asyncio.create_task(
        small.res.db.write(sends.begin, [small.order("ours", Identity("bsuid", BSUID))])
    )
    await asyncio.sleep(0.3)  # the send is under way, and waits
    assert not sending.done()
    sending_now.set()
    await asyncio.gather(merge, sending)

    await all_are_one(small, 3)


def wait(tx: Tx, until: threading.Event) -> None:
    """Hold a transaction open, while the loop goes on: its connection sleeps in the server."""
    deadline = 200
    while not until.is_set() and deadline:
        tx.execute(text("SELECT pg_sleep(0.05)"))
        deadline -= 1
