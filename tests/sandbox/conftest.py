from collections.abc import AsyncIterator

import pytest

from samvad.sandbox import Delays, Sandbox, Settings
from tests.harness import asking
from tests.sandbox.wire import BOOK_SHOP, TEA_SHOP, TOKEN, Receiver, Wire, served

QUICK = Delays(sent_ms=5, delivered_ms=10, read_ms=15)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    one = Receiver()
    async with served(one) as url:
        one.url = url
        yield one


class Clock:
    """A clock that is a value: tests move it."""

    def __init__(self) -> None:
        self.now = 1_780_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def wire(receiver: Receiver, clock: Clock) -> AsyncIterator[Wire]:
    """A sandbox with a tea shop, whose customers' words and statuses go to the receiver."""
    settings = Settings(delays=QUICK, webhook_url=f"{receiver.url}/hook")
    sandbox = Sandbox(TEA_SHOP, BOOK_SHOP, settings=settings, seed=7, clock=clock)
    bearer = {"authorization": f"Bearer {TOKEN}"}
    async with (
        served(sandbox.app) as url,
        asking(url, headers=bearer) as meta,
    ):
        yield Wire(sandbox, url, receiver, meta)
        sandbox.reset()  # so that closing does not wait for what a test left scheduled
        await sandbox.close()
