from collections.abc import AsyncIterator

import pytest

from tests.domain.webhooks.customers import a_customer
from tests.harness import Receiver


@pytest.fixture
async def customer() -> AsyncIterator[Receiver]:
    async with a_customer() as receiver:
        yield receiver
