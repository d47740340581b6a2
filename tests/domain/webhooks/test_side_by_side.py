"""Many chats at once, each in its order; one process for an endpoint; memory and the log within their bounds."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from samvad.app import App
from samvad.domain.waba import operations as waba
from samvad.domain.webhooks import operations, queries, serving
from samvad.domain.webhooks.tables import attempts, deliveries, endpoints, webhook_events
from tests.domain.meta import message, received, status, statuses
from tests.domain.quick import Small, quick
from tests.harness import until
from tests.sandbox.wire import served

ONE, OTHER = "15550001111", "15550002222"


@dataclass
class Watching:
    """A customer's server that sees how many POSTs are under way, and holds or refuses those of some chats."""

    url: str = ""
    got: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    hangs_for: set[str] = field(default_factory=set)
    answers: dict[str, int] = field(default_factory=dict)
    busy_for: set[str] = field(default_factory=set)
    """Chats whose next POST meets a 429 that asks for no wait at all, …"""
    when_busy: Callable[[], None] | None = None
    """… and what happens then."""
    pace_s: float = 0.0
    under_way: int = 0
    most: int = 0
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            part = await receive()
            body, more = body + part.get("body", b""), part.get("more_body", False)
        said = json.loads(body)["entry"][0]["changes"][0]["value"]
        wamids = [it["id"] for it in (said.get("messages") or said.get("statuses") or [])]
        who = {it.get("from") or it.get("recipient_id") for it in said.get("messages") or said["statuses"]}
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            if who & self.hangs_for:
                await self.release.wait()
            await asyncio.sleep(self.pace_s)
            answer = next((self.answers[it] for it in who if it in self.answers), 200)
            headers: list[tuple[bytes, bytes]] = []
            if who & self.busy_for:
                self.busy_for -= who
                if self.when_busy is not None:
                    self.when_busy()
                answer, headers = 429, [(b"retry-after", b"0")]
            if answer == 200:
                self.got += wamids
                self.ids.append(dict(scope["headers"])[b"webhook-id"].decode())
            await send({"type": "http.response.start", "status": answer, "headers": headers})
            await send({"type": "http.response.body", "body": b"OK"})
        finally:
            self.under_way -= 1


@asynccontextmanager
async def watching() -> AsyncIterator[Watching]:
    server = Watching()
    async with served(server) as url:
        server.url = f"{url}/hook"
        yield server
        server.release.set()


@pytest.fixture
async def customer() -> AsyncIterator[Watching]:
    async with watching() as server:
        yield server


async def point(small: Small, url: str | None) -> None:
    config = {"passThroughWebhookUrl": url}
    await waba.update_config(small.context(), small.ada.plugin_id, config)


async def said(small: Small, *wamids: str, phone: str = ONE) -> None:
    for wamid in wamids:
        reply = await small.deliver(received(message(wamid, phone=phone)))
        assert reply.status_code == 200


async def test_a_chat_that_hangs_delays_no_other_chat_of_its_endpoint_and_keeps_its_own_order(
    live: Small, customer: Watching
):
    customer.hangs_for = {ONE}
    await point(live, customer.url)

    await said(live, "one.1", "one.2")
    await until(lambda: customer.under_way == 1)
    await said(live, *(f"other.{n}" for n in range(5)), phone=OTHER)
    await until(lambda: len(customer.got) == 5)

    assert customer.got == [f"other.{n}" for n in range(5)]
    customer.release.set()
    await until(lambda: len(customer.got) == 7)
    assert customer.got[5:] == ["one.1", "one.2"]


async def test_chats_go_side_by_side_but_no_more_than_the_setting_says(
    database_url: str, tmp_path: Path, customer: Watching
):
    async with quick(database_url, tmp_path, loops=True, webhook_at_once=3) as live:
        customer.hangs_for = {f"1555000{n}" for n in range(1000, 1008)}
        await point(live, customer.url)
        for phone in sorted(customer.hangs_for):
            await said(live, f"{phone}.1", f"{phone}.2", phone=phone)
        await until(lambda: customer.under_way == 3)
        customer.release.set()
        await until(lambda: len(customer.got) == 16)

        assert customer.most == 3
        for phone in customer.hangs_for:
            assert [it for it in customer.got if it.startswith(phone)] == [f"{phone}.1", f"{phone}.2"]


async def test_a_body_about_several_people_goes_after_all_before_it_and_before_all_after_it(
    live: Small, customer: Watching
):
    customer.hangs_for = {ONE}
    await point(live, customer.url)
    both = statuses(status("both.1", "read", recipient_id=ONE), status("both.2", "read", recipient_id=OTHER))

    await said(live, "one.1")
    await live.deliver(both)
    await said(live, "other.1", phone=OTHER)
    await until(lambda: customer.under_way == 1)
    await asyncio.sleep(0.2)

    assert customer.got == []
    customer.release.set()
    await until(lambda: len(customer.got) == 4)
    assert customer.got == ["one.1", "both.1", "both.2", "other.1"]


async def test_an_event_that_is_refused_holds_its_own_chat_only(live: Small, customer: Watching):
    customer.answers = {ONE: 422}
    await point(live, customer.url)

    await said(live, "one.1", "one.2")

    async def held():
        return await live.rows(deliveries, deliveries.c.holds)

    await until(held)
    await said(live, "other.1", phone=OTHER)
    await until(lambda: customer.got == ["other.1"])

    first, second, _ = await live.rows(deliveries)
    assert (first.attempts > 0, second.attempts) == (True, 0)
    assert (await live.row(endpoints)).rests_until_at is None


async def test_an_event_whose_wait_is_over_at_once_is_not_overtaken_by_the_next_of_its_chat(
    live: Small, customer: Watching
):
    customer.busy_for = {ONE}
    customer.when_busy = partial(live.clock.pass_by, 1_000)  # until the answer is written down
    await point(live, customer.url)
    endpoint = await live.row(endpoints)
    await operations.pause(live.context(), endpoint.id)
    await said(live, "one.1", "one.2", "one.3")
    await live.fold()

    await operations.resume(live.context(), endpoint.id)
    await until(lambda: len(customer.got) == 3)

    assert customer.got == ["one.1", "one.2", "one.3"]


async def test_two_processes_on_one_database_deliver_everything_once(
    database_url: str, tmp_path: Path, customer: Watching
):
    if database_url.startswith("sqlite"):
        pytest.skip("one process owns a SQLite file")
    customer.pace_s = 0.01
    async with quick(database_url, tmp_path, loops=True) as live:
        second = App(live.app.settings, clock=live.clock)
        await second.start()
        try:
            await point(live, customer.url)
            for n in range(40):
                await said(live, f"w.{n}", phone=f"1555000{1000 + n % 4}")
            await until(lambda: len(customer.got) == 40)
            await asyncio.sleep(1.2)  # the other one has looked again

            assert len(customer.ids) == len(set(customer.ids)) == 40
        finally:
            await second.stop()


async def test_what_another_process_serves_is_left_to_it_until_its_lease_has_ended(small: Small):
    await point(small, "https://example.com/hook")
    await small.hears(received(message("wamid.1")))
    endpoint, db, now = await small.row(endpoints), small.res.db, small.clock()

    assert await db.write(serving.claim, endpoint.id, me="one", now=now)
    assert not await db.write(serving.claim, endpoint.id, me="other", now=now)
    assert await db.read(serving.ready, me="other", now=now) == []
    assert await db.read(serving.ready, me="one", now=now) == [endpoint.id]

    later = now + serving.LEASE_MS
    assert await db.write(serving.claim, endpoint.id, me="other", now=later)
    assert not await db.write(serving.claim, endpoint.id, me="one", now=later)
    await db.write(serving.release, endpoint.id, me="other")
    assert await db.write(serving.claim, endpoint.id, me="one", now=later)


async def test_a_burst_to_a_dead_endpoint_is_known_by_a_window_at_a_time_without_bodies(small: Small):
    await point(small, "https://example.com/hook")
    endpoint, now = await small.row(endpoints), small.clock()
    burst = [(n, small.ada.plugin_id, now) for n in range(1, 10_001)]
    assert await small.res.db.write(queries.add_for_inbound, burst, at=now) == 10_000
    await small.res.db.write(serving.claim, endpoint.id, me="me", now=now)

    found, due = await small.res.db.read(
        serving.due_oldest_first, endpoint.id, me="me", elsewhere=(), now=now + 1, limit=50
    )

    assert found is not None
    assert [it.inbound_event_id for it in due] == list(range(1, 51))
    assert not any(hasattr(it, "body") for it in due)


async def test_the_log_forgets_what_ended_long_ago_and_folding_again_does_not_bring_it_back(
    live: Small, customer: Watching
):
    await point(live, customer.url)
    await waba.update_config(
        live.context(),
        live.ada.plugin_id,
        {"enableChakraWebhook": True, "chakraWebhookUrl": "http://127.0.0.1:9/dead"}
        | {"whichChakraWebhookEventsToSend": ["message"]},
    )
    await said(live, "wamid.1")

    async def ended():
        return [it for it in await live.rows(deliveries) if it.state == "DELIVERED"]

    await until(ended)
    await operations.forget_old(live.res.db, before=live.clock.now - 1_000_000)
    assert len(await live.rows(deliveries)) == 2

    after = time.time_ns() // 1_000_000 + 60_000  # ids tell the time of the machine, not of the test
    await operations.forget_old(live.res.db, before=after)

    (left,) = await live.rows(deliveries)
    assert left.state == "PENDING", "what waits is never forgotten"
    assert {it.delivery_id for it in await live.rows(attempts)} <= {left.id}
    assert len(await live.rows(webhook_events)) == 1
    await live.fold_again()
    assert [it.id for it in await live.rows(deliveries)] == [left.id]
