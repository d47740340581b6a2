"""A receiver that hangs delays nobody else, and a dead one costs no memory however much waits for it."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from samvad.domain.inbound import queries as inbound
from samvad.domain.inbound.queries import Body
from samvad.domain.inbound.tables import inbound_events
from samvad.domain.waba import operations as waba
from samvad.domain.webhooks import queries
from samvad.domain.webhooks.tables import attempts
from samvad.storage import every_team
from tests.domain.meta import message, received
from tests.domain.quick import Small, quick
from tests.harness import Receiver, until
from tests.sandbox.wire import served

BURST = 40
WAITING = 10_000
BODY_BYTES = 2_000
MOST_MEMORY = 2 * 2**20  # a tenth of the bodies that wait; half a megabyte is used


@dataclass
class Hanging:
    """Takes a POST and never answers."""

    url: str = ""
    under_way: int = 0
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.under_way += 1
        await self.release.wait()


@pytest.fixture
async def hanging() -> AsyncIterator[Hanging]:
    server = Hanging()
    async with served(server) as server.url:
        yield server
        server.release.set()


async def test_receivers_that_hang_for_ever_delay_no_other_of_their_team_or_of_another(
    database_url: str, tmp_path: Path, receiver: Receiver, hanging: Hanging, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("samvad.domain.webhooks.posting.TIMEOUT_S", 600.0)
    async with quick(database_url, tmp_path, loops=True) as live:
        config = {
            "passThroughWebhookUrl": receiver.url,
            "chakraWebhookUrl": hanging.url,
            "enableChakraWebhook": True,
            "whichChakraWebhookEventsToSend": ["message"],
        }
        await waba.update_config(live.context(), live.ada.plugin_id, config)
        theirs = {"passThroughWebhookUrl": hanging.url}
        await waba.update_config(live.context(live.babbage), live.babbage.plugin_id, theirs)

        for n in range(BURST):
            phone = f"1555000{n % 10:04}"
            await live.deliver(received(message(f"wamid.{n}", phone=phone)))
            if n < 3:
                where: dict[str, Any] = {"number": live.babbage.number, "waba": live.babbage.business.waba_id}
                await live.deliver(received(message(f"wamid.b{n}", phone=phone), **where), live.babbage)
        await until(lambda: len(receiver.got) == BURST)
        await until(lambda: hanging.under_way >= 2)

        tried = [it for it in await live.rows(attempts) if hanging.url in it.url]
        assert tried == [], "the ones that hang still hold their first POSTs"
        hanging.release.set()


async def test_ten_thousand_events_that_wait_for_a_dead_endpoint_are_not_held_in_memory(small: Small):
    await waba.update_config(
        small.context(), small.ada.plugin_id, {"passThroughWebhookUrl": "http://127.0.0.1:9/hook"}
    )
    db, now = small.res.db, small.clock()
    for first in range(0, WAITING, 1_000):
        bodies = [b'{"n": %d, "padding": "%s"}' % (n, b"x" * BODY_BYTES) for n in range(first, first + 1_000)]
        await db.write(inbound.keep, [Body(small.ada.id, small.ada.plugin_id, it, now) for it in bodies])
    ids = await db.read(lambda tx: [row.id for row in tx.all(every_team.select(inbound_events.c.id))])
    waiting = [(it, small.ada.plugin_id, now) for it in ids]
    assert await db.write(queries.add_for_inbound, waiting, at=now) == WAITING
    del bodies, ids, waiting

    tracemalloc.start()
    try:
        serving = asyncio.create_task(small.app.dispatcher.run())
        for _ in range(5):
            before = len(await small.rows(attempts))
            small.clock.pass_by(10_000)  # the endpoint's rest is over
            small.res.bells.deliveries.ring()
            await until(partial(_more, small, before))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        small.app.dispatcher.close()
        await serving

    assert peak < MOST_MEMORY


async def _more(small: Small, seen: int) -> bool:
    return len(await small.rows(attempts)) > seen
