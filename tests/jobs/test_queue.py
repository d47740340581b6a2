"""Jobs: promised with their cause, done at least once, in order where order is promised, never lost in silence."""

import asyncio

import pytest

from samvad.domain import audit
from samvad.jobs import queue
from samvad.jobs.queue import BACK_OFF_MS, LEASE_MS, Job
from samvad.jobs.recurring import Recurring
from samvad.jobs.tables import jobs
from samvad.jobs.worker import Worker
from samvad.realtime.bell import Bell
from samvad.storage import Tx
from tests.domain.quick import Clock, Small
from tests.harness import until


async def promise(small: Small, *wanted: Job) -> None:
    await small.res.db.write(queue.enqueue, wanted, at=small.clock())


async def claim(small: Small, limit: int = 20) -> list[Job]:
    return await small.res.db.write(queue.claim, now=small.clock(), limit=limit)


def job(n: int, lane: str | None = None, name: str = "work") -> Job:
    return Job("a team", name, {"n": n}, lane)


async def test_a_job_is_promised_with_its_cause_or_not_at_all(small: Small):
    def undone(tx: Tx) -> None:
        queue.enqueue(tx, [job(1)], at=0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await small.res.db.write(undone)

    assert await small.rows(jobs) == []


async def test_claimed_jobs_are_nobody_elses_until_their_lease_ends(small: Small):
    await promise(small, job(1), job(2))

    first = await claim(small)
    assert [it.args["n"] for it in first] == [1, 2]
    assert await claim(small) == []

    small.clock.now += LEASE_MS
    again = await claim(small)
    assert [(it.id, it.attempts) for it in again] == [(it.id, 1) for it in first]


async def test_workers_at_once_share_the_jobs_and_take_none_twice(small: Small):
    await promise(small, *(job(n) for n in range(60)))

    claims = await asyncio.gather(*(claim(small, limit=20) for _ in range(6)))

    taken = [it.id for mine in claims for it in mine]
    assert len(taken) == len(set(taken))
    while more := await claim(small):
        taken += [it.id for it in more]
    assert len(set(taken)) == 60


async def test_of_a_lane_only_the_oldest_is_taken(small: Small):
    await promise(small, job(1, "x"), job(2, "x"), job(3, "y"), job(4))

    first = await claim(small)
    assert [it.args["n"] for it in first] == [1, 3, 4]

    await small.res.db.write(queue.finish, first[0])
    assert [it.args["n"] for it in await claim(small)] == [2]


async def test_a_failing_job_holds_its_own_lane_and_no_other_work(small: Small):
    """More jobs wait behind it than one claim takes."""
    await promise(small, *(job(n, "x") for n in range(30)))
    (head,) = await claim(small)
    await small.res.db.write(queue.fail, head, why="no", now=small.clock())
    await promise(small, job(100), job(101, "y"))

    assert [it.args["n"] for it in await claim(small)] == [100, 101]


async def test_a_failing_job_backs_off_and_at_last_gives_up_where_it_is_seen(small: Small):
    await promise(small, job(1, "x"), job(2, "x"))
    for wait_ms in BACK_OFF_MS:
        (mine,) = await claim(small)
        now = small.clock()
        await small.res.db.write(queue.fail, mine, why="because", now=now)
        row = (await small.rows(jobs))[0]
        assert (row.run_at, row.error, row.gave_up_at) == (now + wait_ms, "because", None)
        assert await claim(small) == []
        small.clock.now += wait_ms

    (mine,) = await claim(small)
    await small.res.db.write(queue.fail, mine, why="for ever", now=small.clock())

    assert (await small.rows(jobs))[0].gave_up_at is not None
    assert (await small.res.db.read(audit.audit, now=small.clock()))["jobsThatGaveUp"] == 1
    assert [it.args["n"] for it in await claim(small)] == [2], "the lane goes on"
    small.clock.now += 10 * BACK_OFF_MS[-1]
    assert mine.id not in [it.id for it in await claim(small)]


async def test_the_worker_runs_lanes_in_order_tries_again_and_forgets_what_is_done(small: Small):
    ran: list[int] = []

    async def work(it: Job) -> None:
        await asyncio.sleep(0)
        if it.args["n"] == 2 and ran.count(2) == 0:
            ran.append(2)
            raise OSError("the first time it fails")
        ran.append(it.args["n"])

    async with working(small, {"work": work}) as bell:
        await promise(small, *(job(n, "x") for n in range(5)), job(9))
        bell.ring()

        async def backing_off():
            bell.ring()
            return [it for it in await small.rows(jobs) if it.error]

        (failed,) = await until(backing_off)
        assert "the first time" in failed.error
        small.clock.now = failed.run_at

        async def done():
            bell.ring()
            return await small.rows(jobs) == []

        await until(done)

    assert [n for n in ran if n != 9] == [0, 1, 2, 2, 3, 4]
    assert ran.count(9) == 1


async def test_slow_work_has_workers_of_its_own(small: Small):
    await promise(small, job(1, name="slow"), job(2), job(3, name="of the future"), job(4, name="slow"))
    now = small.clock()

    slow = await small.res.db.write(queue.claim, now=now, limit=20, only=("slow",))
    others = await small.res.db.write(queue.claim, now=now, limit=20, but=("slow",))

    assert [it.args["n"] for it in slow] == [1, 4]
    assert [it.args["n"] for it in others] == [2, 3], "also what nobody knows"


async def test_a_job_that_takes_longer_than_its_lease_is_not_taken_again(small: Small, monkeypatch):
    monkeypatch.setattr("samvad.jobs.worker.RENEW_EVERY_S", 0.01)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: Job) -> None:
        begun.set()
        await go_on.wait()

    async with working(small, {"work": slow}) as bell:
        await promise(small, job(1))
        bell.ring()
        await begun.wait()
        small.clock.now += LEASE_MS // 2
        before = small.clock.now

        async def renewed() -> bool:
            return bool((await small.rows(jobs))[0].run_at >= before + LEASE_MS)

        await until(renewed)
        small.clock.now = before + LEASE_MS // 2
        assert await claim(small) == []
        go_on.set()

    assert await small.rows(jobs) == []


async def test_a_job_nobody_knows_stays_and_says_so(small: Small):
    async with working(small, {}) as bell:
        await promise(small, job(1, name="of the future"))
        bell.ring()

        async def failed():
            return [it for it in await small.rows(jobs) if it.error]

        (row,) = await until(failed)

    assert "of the future" in row.error


async def test_closing_finishes_what_was_begun(small: Small):
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: Job) -> None:
        begun.set()
        await go_on.wait()

    async with working(small, {"work": slow}) as bell:
        await promise(small, job(1))
        bell.ring()
        await begun.wait()
        asyncio.get_running_loop().call_later(0.05, go_on.set)

    assert await small.rows(jobs) == []


async def test_what_recurs_survives_its_failures():
    turns = []

    async def fails() -> None:
        turns.append(1)
        raise OSError("again")

    task = asyncio.create_task(Recurring("it", 0.001, fails).run())
    await until(lambda: len(turns) >= 3)
    assert not task.done()
    task.cancel()


class working:
    """A worker of the tests on a product whose own stands still."""

    def __init__(self, small: Small, handlers) -> None:
        self._bell = Bell()
        self._worker = Worker(small.res.db, handlers, clock=small.clock, bell=self._bell)

    async def __aenter__(self) -> Bell:
        self._task = asyncio.create_task(self._worker.run())
        return self._bell

    async def __aexit__(self, *_) -> None:
        self._worker.close()
        await self._task


def test_the_clock_of_these_tests_goes_forward():
    clock = Clock()
    assert clock() < clock()


async def test_a_promise_that_waits_takes_the_newest_words_and_one_that_was_begun_takes_none(small: Small):
    async def promise_once(n: int) -> None:
        await small.res.db.write(queue.enqueue_once, [job(n, "a lane")], at=small.clock())

    await promise_once(1)
    (begun,) = await claim(small)
    await promise_once(2)
    await promise_once(3)

    waiting = [row.args["n"] for row in await small.rows(jobs) if row.id != begun.id]
    assert (begun.args["n"], waiting) == (1, [3])
