"""What happens by the clock."""

import asyncio

from samvad.jobs.recurring import Recurring
from tests.harness import until


async def test_it_happens_only_while_it_is_the_turn_of_this_process_and_a_failure_does_not_end_it():
    done, is_foreman = [], False

    async def do() -> None:
        done.append(1)
        raise ValueError("a bad day")

    running = asyncio.create_task(Recurring("some", 0.005, do, may=lambda: is_foreman).run())
    await asyncio.sleep(0.05)
    assert done == []

    is_foreman = True
    await until(lambda: len(done) > 1)
    running.cancel()
