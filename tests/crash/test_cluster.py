"""Two webs and two workers on one PostgreSQL, killed and started again under load; and a restart that rolls.

For longer: SAMVAD_CRASH_S=120 SAMVAD_CRASH_EVERY_S=10 bin/test tests/crash/test_cluster.py -s
"""

import asyncio
import os
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Row

from samvad.app import App
from samvad.bench.process import free_port
from samvad.domain.audit import audit
from samvad.domain.events.tables import events
from samvad.domain.inbound.tables import inbound_events
from samvad.domain.messages.model import Status
from samvad.domain.messages.tables import messages, parked_statuses
from samvad.domain.webhooks import queries as webhooks
from samvad.domain.webhooks.model import ID_HEADER
from samvad.domain.webhooks.tables import attempts, deliveries
from samvad.sandbox import Sandbox
from samvad.sandbox.deliveries import Delivery
from samvad.storage import every_team
from tests.crash.test_kill import Server, Traffic, around
from tests.harness import BUSINESS, Receiver, Team, make_team, until

SECONDS = float(os.environ.get("SAMVAD_CRASH_S", "15"))
EVERY_S = float(os.environ.get("SAMVAD_CRASH_EVERY_S", "3.5"))
LONGEST_GAP_S = 60.0
"""That a customer's server hears nothing: a lease of 5 s, and starts of processes on a busy machine."""

STEPS = ("message.sent", "message.delivered", "message.read")
chance = random.Random(23)


@dataclass
class Balancer:
    """Gives each connection to the next web that takes it."""

    webs: list[Server]
    port: int = field(default_factory=free_port)
    turn: Iterator[int] = field(default_factory=count)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            web_reader, web_writer = await self._connect()
        except OSError:
            return writer.close()
        there = asyncio.create_task(_pass_on(reader, web_writer))
        back = asyncio.create_task(_pass_on(web_reader, writer))
        await asyncio.wait({there, back}, return_when=asyncio.ALL_COMPLETED)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        first = next(self.turn)
        for n in range(len(self.webs)):
            web = self.webs[(first + n) % len(self.webs)]
            with suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", web.port)
        raise OSError("no web is there")


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while part := await reader.read(65536):
            writer.write(part)
            await writer.drain()
    writer.close()


@dataclass
class Cluster:
    """Several processes of one installation, the world around them, and what was said and heard."""

    webs: list[Server]
    workers: list[Server]
    environment: dict[str, str]
    balancer: Balancer
    sandbox: Sandbox
    team: Team
    customer: Receiver
    app: App
    traffic: Traffic
    in_turn: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """By customer: the wamids of what they wrote, each after Meta had our word for the one before."""

    def server(self, role: str) -> Server:
        return Server(free_port(), {**self.environment, "SAMVAD_ROLE": role})

    @asynccontextmanager
    async def under_load(self) -> AsyncIterator[None]:
        busy = [asyncio.create_task(self.traffic.sends(n)) for n in range(4)]
        busy += [asyncio.create_task(self._write_freely())]
        busy += [asyncio.create_task(self._write_in_turn(n)) for n in range(3)]
        try:
            yield
        finally:
            self.traffic.stopped = True
            ends = await asyncio.gather(*busy, return_exceptions=True)
        assert [it for it in ends if it is not None] == []

    async def calm(self) -> bool:
        """Nothing waits any more, neither at Meta nor here."""
        found = await self.app.db.read(audit, now=2**50)
        return not (
            self.sandbox.world.deliveries.counts.pending or len(self.sandbox.world.timeline)
            or found["inboundEventsWaiting"] or found["parkedStatuses"] or found["deliveriesPending"]
        )  # fmt: skip

    async def rows(self, table: Any) -> list[Row[Any]]:
        return list(await self.app.db.read(lambda tx: tx.all(every_team.select(table).order_by(table.c.id))))

    async def _write_freely(self) -> None:
        words = {"type": "text", "text": {"body": "and"}}
        while not self.traffic.stopped:
            self.traffic.written.append(self.sandbox.customer_writes("15551000000", words)["wamid"])
            await asyncio.sleep(0.05)  # one chat, told one by one: faster than that it would only pile up

    async def _write_in_turn(self, person: int) -> None:
        phone, log = f"1555200{person:04}", self.sandbox.world.deliveries.log
        while not self.traffic.stopped:
            words = {"type": "text", "text": {"body": f"{len(self.in_turn[phone])}"}}
            wamid = self.sandbox.customer_writes(phone, words)["wamid"]
            self.in_turn[phone].append(wamid)
            sent = [it for it in list(log)[-200:] if wamid in it.wamids]
            assert sent, "the sandbox forgot what it was to deliver"
            await until(partial(_acknowledged, sent), within_s=240)
            await asyncio.sleep(0.05)


def _acknowledged(sent: list[Delivery]) -> bool:
    return any(it.last_status == 200 for it in sent)


@asynccontextmanager
async def cluster(database_url: str, folder: Path, *, webs: int, workers: int) -> AsyncIterator[Cluster]:
    balancer = Balancer([])
    async with around(database_url, folder, public_url=balancer.url) as (environment, sandbox, customer, app):
        door = await asyncio.start_server(balancer.serve, "127.0.0.1", balancer.port)
        team = Team("", "", "", "", "", "")
        it = Cluster(
            [],
            [],
            environment,
            balancer,
            sandbox,
            team,
            customer,
            app,
            Traffic(balancer, sandbox, team, pause_s=0.1),
        )
        it.webs += [it.server("web") for _ in range(webs)]
        it.workers += [it.server("worker") for _ in range(workers)]
        balancer.webs = it.webs
        try:
            await asyncio.gather(*(server.start() for server in (*it.webs, *it.workers)))
            it.team = it.traffic.team = await make_team(app, BUSINESS, name="Ada's Kitchen")
            write, plugin_id = app.db.team(it.team.id).write, it.team.plugin_id
            for format, asked in (("meta", ()), ("chakra", ("message", "status"))):
                url = f"{customer.url}/{format}"
                await write(
                    webhooks.set_endpoint, plugin_id=plugin_id, format=format, url=url, at=0, events=asked
                )
            yield it
        finally:
            for server in (*it.webs, *it.workers):
                await server.kill()
            door.close()


@pytest.fixture
def postgres(database_url: str) -> str:
    if database_url.startswith("sqlite"):
        pytest.skip("one process owns a SQLite file")
    return database_url


async def test_kills_of_two_webs_and_two_workers_lose_nothing_double_nothing_and_keep_the_order(
    postgres: str, tmp_path: Path
):
    async with cluster(postgres, tmp_path, webs=2, workers=2) as it:
        kills, gap, progress = 0, Gap(it.customer), Progress(it)
        watching = [asyncio.create_task(gap.watch()), asyncio.create_task(progress.watch())]
        async with it.under_load():
            until_s = time.monotonic() + SECONDS
            while time.monotonic() < until_s or kills < 2:  # on a busy machine a start takes long
                await asyncio.sleep(EVERY_S * chance.uniform(0.7, 1.0))
                dead = [chance.choice(it.webs), chance.choice(it.workers)]
                for server in dead:
                    await server.kill()
                kills += 1
                await asyncio.gather(*(server.start() for server in dead))
        await until(it.calm, within_s=240 + SECONDS)
        for task in watching:
            assert not task.done()
            task.cancel()

        assert kills > 1
        assert len(progress.reached) > 20
        assert progress.went_back == []
        await nothing_is_lost(it)
        await each_event_is_told_in_order(it)
        print(
            f"\n{kills} kills of a web and a worker: {len(it.traffic.acknowledged)} sends acknowledged, "
            f"{len(it.traffic.unanswered)} unanswered, {len(await it.rows(inbound_events))} webhooks of Meta, "
            f"{len(await it.rows(deliveries))} deliveries in {len(await it.rows(attempts))} attempts, "
            f"{len(it.customer.got)} POSTs heard, longest silence {gap.longest_s:.1f} s"
        )
    assert gap.longest_s < LONGEST_GAP_S


async def test_a_rolling_restart_of_web_and_worker_loses_nothing_and_doubles_nothing(
    postgres: str, tmp_path: Path
):
    async with cluster(postgres, tmp_path, webs=1, workers=1) as it:
        async with it.under_load():
            await asyncio.sleep(1)
            for running, role in ((it.webs, "web"), (it.workers, "worker")):
                fresh, old = it.server(role), running[0]
                await fresh.start()
                running.append(fresh)
                assert await old.stop() in (0, -signal.SIGTERM), "it ended by itself, in time"
                running.remove(old)
            await asyncio.sleep(1)
        await until(it.calm, within_s=240)

        await nothing_is_lost(it)
        await each_event_is_told_in_order(it)
        tried = Counter(row.delivery_id for row in await it.rows(attempts))
        told = Counter(headers[ID_HEADER] for _, headers in it.customer.got)
        at_meta = {
            row.payload["text"]["body"] for row in it.sandbox.world.messages.values() if row.from_business
        }
    assert set(tried.values()) == {1}, "nobody was asked twice"
    assert set(told.values()) == {1}
    assert not at_meta & set(it.traffic.unanswered), "whatever reached Meta was answered"


@dataclass
class Gap:
    """How long a customer's server heard nothing while there was something to hear."""

    customer: Receiver
    longest_s: float = 0.0

    async def watch(self) -> None:
        heard, since = 0, time.monotonic()
        while True:
            await asyncio.sleep(0.05)
            if len(self.customer.got) != heard:
                heard, since = len(self.customer.got), time.monotonic()
            elif heard:
                self.longest_s = max(self.longest_s, time.monotonic() - since)


@dataclass
class Progress:
    """How far each message had come whenever one looked."""

    cluster: Cluster
    reached: dict[str, int] = field(default_factory=dict)
    went_back: list[tuple[str, int, int]] = field(default_factory=list)

    async def watch(self) -> None:
        query = every_team.select(messages.c.id, messages.c.status)
        while True:
            await asyncio.sleep(0.5)
            for row in await self.cluster.app.db.read(lambda tx: tx.all(query)):
                before = self.reached.get(row.id, row.status)
                if row.status < before:
                    self.went_back.append((row.id, before, row.status))
                self.reached[row.id] = row.status


async def nothing_is_lost(it: Cluster) -> None:
    """What was acknowledged is there, once, and went forward only."""
    rows = {row.wamid: row for row in await it.rows(messages) if row.wamid}
    seen = await it.app.db.read(audit, now=2**50)
    inbound = await it.rows(inbound_events)

    assert len(it.traffic.acknowledged) > 20
    for words, wamid in it.traffic.acknowledged.items():
        assert rows[wamid].text == words
        assert rows[wamid].status == Status.READ, "every status came, and was not forgotten"
    for wamid in chain(it.traffic.written, *it.in_turn.values()):
        assert rows[wamid].direction == "INBOUND"
    assert len(rows) == sum(1 for row in await it.rows(messages) if row.wamid), "a wamid is there twice"

    at_meta = [row for row in it.sandbox.world.messages.values() if row.from_business]
    said = [row.payload["text"]["body"] for row in at_meta]
    assert len(said) == len(set(said)), "no words were sent twice"
    assert {row.wamid for row in at_meta} <= rows.keys(), "a status completes also what nobody heard of"
    open_sends = {row.id: row.text for row in await it.rows(messages) if row.status == Status.SENDING}
    assert {row["id"] for row in seen["ambiguousSends"]} == set(open_sends)
    assert not set(open_sends.values()) & set(said), "what stays open never reached Meta"

    assert await it.app.db.read(lambda tx: tx.all(every_team.select(parked_statuses))) == []
    assert [row.problem for row in inbound if row.problem] == []

    steps = Counter((row.name, row.subject_id) for row in await it.rows(events) if row.name in STEPS)
    assert set(steps.values()) == {1}, "a step is in the log once, in whatever order Meta told of them"


async def each_event_is_told_in_order(it: Cluster) -> None:
    """To each endpoint at least once, under one id, and in the order of the log in each chat."""
    log = {row.id: row for row in await it.rows(deliveries)}
    bodies = {row.id: bytes(row.body) for row in await it.rows(inbound_events)}
    told: dict[str, bytes] = {}
    for body, headers in it.customer.got:
        assert told.setdefault(headers[ID_HEADER], body) == body, "one id, two bodies"

    assert {row.state for row in log.values()} == {"DELIVERED"}
    assert told.keys() == log.keys()
    by_event = [row for row in log.values() if row.inbound_event_id is not None]
    assert len(by_event) == len(bodies), "an event of Meta's has one delivery"
    assert all(told[row.id] == bodies[row.inbound_event_id] for row in by_event)

    for chat in in_chats(log[id] for id in told):  # in the order in which each was heard first
        assert chat == sorted(chat), "a delivery was overtaken in its chat"
    written = [
        message["id"]
        for id, body in told.items()
        if log[id].inbound_event_id is not None
        for message in value_of(body).get("messages", ())
    ]
    place = {wamid: n for n, wamid in enumerate(written)}
    for wamids in it.in_turn.values():
        assert len(wamids) > 5
        places = [place[wamid] for wamid in wamids]
        assert places == sorted(places), "what was written later was told earlier"


def in_chats(told: Iterable[Row[Any]]) -> Iterable[list[str]]:
    chats: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in told:
        if row.order_key:
            chats[row.endpoint_id, row.order_key].append(row.id)
    return chats.values()


def value_of(body: bytes) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(body)["entry"][0]["changes"][0]["value"]
    return found
