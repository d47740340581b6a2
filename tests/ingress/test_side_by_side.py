"""Two processes that fold: one at a time, whoever it is."""

import asyncio
from collections import defaultdict

import pytest

from samvad.app import App
from samvad.domain.inbound import queries as inbound
from samvad.domain.inbound.tables import inbound_events
from samvad.domain.webhooks import queries as webhooks
from samvad.domain.webhooks.tables import deliveries
from samvad.storage.alone import FOLD
from samvad.storage.postgres import connect_apart
from tests.domain.meta import message, received
from tests.domain.quick import Small

PEOPLE = 5


@pytest.fixture
def several(small: Small) -> Small:
    if small.app.settings.database_url.startswith("sqlite"):
        pytest.skip("one process owns a SQLite file")
    return small


async def test_while_another_process_folds_nothing_is_folded_here_and_nothing_is_lost(several: Small):
    other = await connect_apart(several.app.settings.database_url)
    await several.deliver(received(message("wamid.1")))
    try:
        async with other.transaction():
            assert await other.fetchval("SELECT pg_try_advisory_xact_lock($1)", FOLD)
            assert await several.app.folder.fold_all() == 0
            assert await several.res.db.read(inbound.waiting) == 1

        assert await several.app.folder.fold_all() == 1
    finally:
        await other.close()


async def test_two_that_fold_as_fast_as_they_can_tell_each_chat_in_the_order_in_which_it_was_kept(
    several: Small,
):
    await several.res.db.team(several.ada.id).write(
        webhooks.set_endpoint,
        plugin_id=several.ada.plugin_id,
        format="meta",
        url="https://example.com/hook",
        at=0,
    )
    second = App(several.app.settings, clock=several.clock)
    try:
        for n in range(60):  # an event whose fold is slow between quick ones
            many = [
                message(f"w.{n}.{it}", phone=f"1555000{1000 + n % PEOPLE}")
                for it in range(1 + 50 * (n % 7 == 0))
            ]
            await several.deliver(received(*many))

        async def fold(app: App) -> None:
            while await several.res.db.read(inbound.waiting):
                await app.folder.fold_all()
                await asyncio.sleep(0)

        await asyncio.gather(fold(several.app), fold(second))
    finally:
        await second.cloud.close()
        await second.db.close()

    told = defaultdict(list)
    for row in sorted(await several.rows(deliveries), key=lambda it: it.id):
        told[row.order_key].append(row.inbound_event_id)
    assert len(told) == PEOPLE
    assert sum(map(len, told.values())) == len(await several.rows(inbound_events)) == 60
    assert all(its == sorted(its) for its in told.values())
