"""A customer's server that hears of everything."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.harness import Receiver
from tests.sandbox.wire import served


@asynccontextmanager
async def a_customer() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with served(receiver) as url:
        receiver.url = f"{url}/hook"
        yield receiver
