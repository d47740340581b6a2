"""Everything that happens by the clock."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Recurring:
    """Something to do every so often, where it is this process's turn; a failure is logged, and the next comes."""

    name: str
    every_s: float
    do: Callable[[], Awaitable[object]]
    may: Callable[[], bool] = lambda: True

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self.every_s)
            if not self.may():
                continue
            try:
                await self.do()
            except Exception as error:
                log.warning("recurring.failed", name=self.name, error=repr(error))
