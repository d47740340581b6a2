"""The clock jumps, back and forth, under load: what was acknowledged is there, once and in order."""

import asyncio
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

from samvad.domain.audit import audit
from samvad.domain.events.tables import events
from samvad.domain.inbound.tables import inbound_events
from samvad.domain.messages.model import Status
from samvad.domain.messages.tables import messages, parked_statuses
from samvad.domain.webhooks.model import ID_HEADER
from samvad.domain.webhooks.tables import deliveries
from samvad.storage import every_team
from tests.harness import Product, Receiver, running, until

JUMPS_MS = (1_500, 90_000, 3 * 3_600_000, 26 * 3_600_000)
"""A late correction, a machine that slept, a wrong zone, a wrong day."""

JUMPS = 14
EVERY_S = 0.15
STEPS = ("message.sent", "message.delivered", "message.read")
chance = random.Random(7)


async def test_a_clock_that_jumps_loses_nothing_doubles_nothing_and_keeps_the_order(
    database_url: str, tmp_path: Path, receiver: Receiver
):
    async with running(database_url, tmp_path) as product:
        product.sandbox.configure(delays={"sent_ms": 5, "delivered_ms": 60, "read_ms": 150})
        config = {
            "passThroughWebhookUrl": f"{receiver.url}/meta",
            "chakraWebhookUrl": f"{receiver.url}/chakra",
            "enableChakraWebhook": True,
            "whichChakraWebhookEventsToSend": ["message", "status", "message_echo"],
        }
        assert (await product.api.post(product.plugin("update-config"), json=config)).status_code == 200
        traffic = Traffic(product)
        busy = [asyncio.create_task(traffic.sends(n)) for n in range(3)]
        busy.append(asyncio.create_task(traffic.writes()))
        receiver.answers += [500] * 5  # so that some are to be tried again, by a clock that is another then
        for _ in range(JUMPS):
            await asyncio.sleep(EVERY_S)
            product.clock.passed += chance.choice(JUMPS_MS) * chance.choice((-1, 1))
        await until(lambda: min(len(traffic.acknowledged), len(traffic.written)) > 20)
        traffic.stopped = True
        await asyncio.gather(*busy)
        product.clock.passed = 0  # it is right again…
        assert (await product.send_text("and now")).status_code == 200
        product.clock.passed = (JUMPS + 1) * max(JUMPS_MS)  # …and whatever was to wait has waited
        await until(lambda: calm(product))

        rows = {row.wamid: row for row in await all_of(product, messages)}
        inbound = await all_of(product, inbound_events)
        log = {row.id: row for row in await all_of(product, deliveries)}
        steps = [(row.name, row.subject_id) for row in await all_of(product, events) if row.name in STEPS]
        parked = await all_of(product, parked_statuses)

    assert traffic.refused == []
    for words, wamid in traffic.acknowledged.items():
        assert rows[wamid].text == words
        assert rows[wamid].status == Status.READ
    assert set(traffic.written) <= rows.keys()
    assert len(rows) == len(traffic.acknowledged) + len(traffic.written) + 1
    assert parked == []
    assert [row.problem for row in inbound if row.problem] == []
    assert len(steps) == len(set(steps)), "a step is in the log once"
    at_meta = [
        it.payload["text"]["body"] for it in product.sandbox.world.messages.values() if it.from_business
    ]
    assert sorted(at_meta) == sorted([*traffic.acknowledged, "and now"]), "nothing was sent twice"

    assert {row.state for row in log.values()} == {"DELIVERED"}
    told = list(dict.fromkeys(headers[ID_HEADER] for _, headers in receiver.got))
    assert set(told) == log.keys()
    in_chats: dict[Any, list[str]] = defaultdict(list)
    for it in (log[id] for id in dict.fromkeys(told)):
        in_chats[it.endpoint_id, it.order_key].append(it.id)
    for chat in in_chats.values():
        assert chat == sorted(chat), "a delivery was overtaken in its chat"


class Traffic:
    """Clients that send and a customer who writes, through the product's own doors."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.acknowledged: dict[str, str] = {}
        self.refused: list[str] = []
        self.written: list[str] = []
        self.stopped = False

    async def sends(self, client: int) -> None:
        to, n = f"1555200{client:04}", 0
        self.product.sandbox.set_window(to, True)
        while not self.stopped:
            n += 1
            words = f"{client}/{n}"
            reply = await self.product.send_text(words, to=to)
            if reply.status_code == 200:
                self.acknowledged[words] = reply.json()["messages"][0]["id"]
            else:
                self.refused.append(reply.text)

    async def writes(self) -> None:
        while not self.stopped:
            self.written.append(await self.product.customer_writes(f"{len(self.written)}"))
            await asyncio.sleep(0.03)


async def all_of(product: Product, table: Any) -> list[Any]:
    return list(await product.app.db.read(lambda tx: tx.all(every_team.select(table))))


async def calm(product: Product) -> bool:
    found = await product.app.db.read(audit, now=2**50)
    world = product.sandbox.world
    return not (
        found["inboundEventsWaiting"] or found["parkedStatuses"] or found["deliveriesPending"]
        or world.deliveries.counts.pending or len(world.timeline)
    )  # fmt: skip
