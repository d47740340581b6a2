"""Waiting for a ring."""

import asyncio

from samvad.realtime.bell import Bell


async def test_whoever_is_cancelled_while_it_rings_is_cancelled():
    """On Python 3.11 asyncio.wait_for forgets it, and a server that stops waits for ever."""
    bell = Bell()
    waiting = asyncio.create_task(bell.wait(60))
    await asyncio.sleep(0)

    bell.ring()
    waiting.cancel()

    await asyncio.wait([waiting], timeout=30)
    assert waiting.cancelled()


async def test_a_ring_wakes_and_is_over_and_nobody_waits_longer_than_told():
    bell = Bell()
    bell.ring()

    await asyncio.wait_for(bell.wait(60), 30)
    waiting = asyncio.create_task(bell.wait(0.01))
    await asyncio.wait([waiting], timeout=30)

    assert waiting.done()
    assert waiting.exception() is None
