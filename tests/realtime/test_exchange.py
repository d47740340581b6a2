"""Several processes on one database: a ring wakes all, one is the foreman, a lost connection is made anew."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from samvad.realtime import postgres
from samvad.realtime.bell import Bell
from samvad.realtime.exchange import Exchange, open_exchange
from samvad.realtime.postgres import CHANNEL, PostgresExchange
from samvad.storage.postgres import connect_apart
from tests.harness import until

Make = Callable[..., Any]
FAR = 120.0


@pytest.fixture
async def made(database_url: str) -> AsyncIterator[Make]:
    """Makes exchanges as of processes of their own, open until the test ends."""
    if database_url.startswith("sqlite"):
        pytest.skip("one process owns a SQLite file")
    async with AsyncExitStack() as stack:

        async def make(*, stands: bool = True) -> PostgresExchange:
            exchange = open_exchange(database_url, stands=stands)
            assert isinstance(exchange, PostgresExchange)
            for name in ("inbound", "jobs"):
                exchange.bell(name)
            await exchange.open()
            stack.push_async_callback(exchange.close)
            return exchange

        yield make


async def silent(*bells: Bell) -> None:
    """What rang while they connected is over."""
    for bell in bells:
        await bell.wait(0)


async def test_a_ring_wakes_the_waiters_of_all_processes_and_of_that_bell_only(made: Make):
    one, other, third = [await made() for _ in range(3)]
    heard = [it.bell("inbound") for it in (one, other, third)]
    jobs = other.bell("jobs")
    await silent(*heard, jobs)

    one.bell("inbound").ring()

    async with asyncio.timeout(FAR / 2):
        await asyncio.gather(*(it.wait(FAR) for it in heard))
    assert not jobs._rung.is_set()


async def test_a_thousand_rings_of_two_bells_are_a_few_notices(made: Make, database_url: str):
    exchange = await made()
    got: list[str] = []
    listener = await connect_apart(database_url)
    await listener.add_listener(CHANNEL, lambda *it: got.append(it[3]))
    try:
        began = time.monotonic()
        for _ in range(100):
            for _ in range(10):
                exchange.bell("inbound").ring()
                exchange.bell("jobs").ring()
            await asyncio.sleep(0.001)
        most = (time.monotonic() - began) / postgres.GATHER_S + 2  # a ring before the first rest, one after
        await until(lambda: got)
        await asyncio.sleep(0.1)
    finally:
        await listener.close()

    assert {name for it in got for name in it.split()} == {"inbound", "jobs"}
    assert len(got) <= most < 1_000, "with a rest between any two"


async def test_one_process_is_the_foreman_and_another_is_as_soon_as_it_resigns(
    made: Make, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(postgres, "LOOK_EVERY_S", 60.0)  # so that only being told helps
    web, one, other = await made(stands=False), await made(), await made()
    await asyncio.sleep(0.1)
    assert [it.is_foreman() for it in (web, one, other)] == [False, True, False]

    one.resign()

    assert not one.is_foreman()
    await until(other.is_foreman)
    assert not web.is_foreman()


async def test_a_foreman_that_stands_still_loses_its_office(made: Make, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(postgres, "STANDS_STILL_S", 2)
    both = await made(), await made()
    await until(lambda: both[0].is_foreman() != both[1].is_foreman())
    one, other = (
        both if both[0].is_foreman() else both[::-1]
    )  # on a slow machine the first was silent too long

    one._task.cancel()  # it does nothing any more, and its connection stays

    await until(other.is_foreman)
    await until(lambda: not one.is_foreman())  # the end of its session may be heard of a moment later
    one._task = None


async def test_a_lost_connection_is_made_anew_and_what_was_rung_meanwhile_is_told(
    made: Make, database_url: str
):
    one, other = await made(), await made()
    heard = other.bell("inbound")
    await asyncio.sleep(0.1)
    await silent(heard)
    killer = await connect_apart(database_url)
    try:
        await killer.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    finally:
        await killer.close()
    await until(lambda: not one.is_foreman())
    one.bell("inbound").ring()

    await until(lambda: one.is_foreman() != other.is_foreman())
    async with asyncio.timeout(FAR / 2):
        await heard.wait(FAR)
    await asyncio.sleep(0.1)
    await silent(heard)
    one.bell("inbound").ring()
    async with asyncio.timeout(FAR / 2):
        await heard.wait(FAR)


async def test_a_process_that_is_alone_is_the_foreman():
    exchange = open_exchange("sqlite:///samvad.db", stands=True)

    assert type(exchange) is Exchange
    assert exchange.is_foreman()
