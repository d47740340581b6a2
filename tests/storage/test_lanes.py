"""Lanes, on both databases: many single calls, few commits, and nobody pays for a neighbour."""

import asyncio
from collections.abc import Sequence

import pytest

from samvad.kit import tracing
from samvad.kit.errors import Conflict, SamvadError, Unavailable
from samvad.storage import Database, Lane, Tx
from tests.storage.notes import Wrong, add, add_all, texts


async def test_every_caller_gets_its_own_result_and_arrival_decides_the_order(db: Database):
    lane: Lane[str, str] = Lane(db, add_all)

    results = await asyncio.gather(*(lane.put(f"n{n}") for n in range(50)))

    assert results == [f"N{n}" for n in range(50)]
    assert await texts(db) == [f"n{n}" for n in range(50)]


async def test_what_queues_during_a_commit_is_one_batch(db: Database):
    sizes: list[int] = []

    def counted(tx: Tx, items: Sequence[str]) -> list[str]:
        sizes.append(len(items))
        return add_all(tx, items)

    lane: Lane[str, str] = Lane(db, counted)
    first = asyncio.create_task(lane.put("first"))
    while not sizes:
        await asyncio.sleep(0)
    await asyncio.gather(first, *(lane.put(f"n{n}") for n in range(30)))

    assert sizes == [1, 30]


async def test_a_lane_that_is_in_no_hurry_waits_for_company_until_there_is_enough_of_it(db: Database):
    sizes: list[int] = []

    def counted(tx: Tx, items: Sequence[str]) -> list[str]:
        sizes.append(len(items))
        return add_all(tx, items)

    lane: Lane[str, str] = Lane(db, counted, enough=3, gather_s=0.2)
    first = asyncio.create_task(lane.put("first"))
    for _ in range(3):  # it is on its way, and waits
        await asyncio.sleep(0)
    two = await asyncio.gather(first, lane.put("second"))
    three = await asyncio.gather(*(lane.put(f"n{n}") for n in range(3)))

    assert [*two, *three] == ["FIRST", "SECOND", "N0", "N1", "N2"]
    assert sizes == [2, 3]


async def test_a_batch_has_its_limit(db: Database):
    sizes: list[int] = []

    def counted(tx: Tx, items: Sequence[str]) -> list[str]:
        sizes.append(len(items))
        return add_all(tx, items)

    lane: Lane[str, str] = Lane(db, counted, batch=8)
    await asyncio.gather(*(lane.put(f"n{n}") for n in range(20)))

    assert max(sizes) == 8
    assert sum(sizes) == 20


@pytest.mark.parametrize("at", [0, 3, 12])
async def test_a_poisonous_item_fails_alone_and_its_neighbours_commit_in_order(db: Database, at: int):
    lane: Lane[str, str] = Lane(db, add_all)
    items = [f"n{n}" for n in range(13)]
    items[at] = "poison"

    results = await asyncio.gather(*(lane.put(it) for it in items), return_exceptions=True)

    assert isinstance(results[at], Wrong)
    healthy = [it for it in items if it != "poison"]
    assert [it for it in results if isinstance(it, str)] == [it.upper() for it in healthy]
    assert await texts(db) == healthy


async def test_several_poisonous_items_fail_each_with_its_own_reason(db: Database):
    lane: Lane[str, str] = Lane(db, add_all)

    results = await asyncio.gather(
        *(lane.put(it) for it in ("poison 1", "a", "poison 2", "b")), return_exceptions=True
    )

    assert [str(it) for it in results] == ["poison 1", "A", "poison 2", "B"]
    assert await texts(db) == ["a", "b"]


async def test_a_poisonous_commit_fails_alone_too(db: Database):
    def owned(tx: Tx, items: Sequence[str]) -> list[None]:
        for it in items:
            add(tx, it, owner=404 if it == "orphan" else None)
        return [None] * len(items)

    lane: Lane[str, None] = Lane(db, owned)
    results = await asyncio.gather(
        *(lane.put(it) for it in ("a", "orphan", "b", "c")), return_exceptions=True
    )

    assert [it is None for it in results] == [True, False, True, True]
    assert await texts(db) == ["a", "b", "c"]


async def test_a_persons_mistake_is_a_result_and_costs_the_batch_nothing(db: Database):
    runs: list[int] = []

    def some_refused(tx: Tx, items: Sequence[str]) -> list[str | SamvadError]:
        runs.append(len(items))
        return [Conflict("Taken.") if it == "taken" else add_all(tx, [it])[0] for it in items]

    lane: Lane[str, str] = Lane(db, some_refused)
    results = await asyncio.gather(*(lane.put(it) for it in ("a", "taken", "b")), return_exceptions=True)

    assert isinstance(results[1], Conflict)
    assert results[0] == "A"
    assert results[2] == "B"
    assert sum(runs) == 3, "nothing ran twice"


async def test_a_unit_that_returns_too_few_results_is_a_mistake_of_ours(db: Database):
    lane: Lane[str, str] = Lane(db, lambda tx, items: [])

    with pytest.raises(AssertionError, match="0 results for 1 items"):
        await lane.put("one")


async def test_a_full_lane_refuses_and_what_it_took_is_done(db: Database):
    lane: Lane[str, str] = Lane(db, add_all, waiting=5)

    results = await asyncio.gather(*(lane.put(f"n{n}") for n in range(8)), return_exceptions=True)

    assert [isinstance(it, Unavailable) for it in results] == [False] * 5 + [True] * 3
    assert len(await texts(db)) == 5


async def test_a_lane_that_fell_too_far_behind_refuses(db: Database, monkeypatch: pytest.MonkeyPatch):
    lane: Lane[str, str] = Lane(db, add_all, batch=1)
    waiting = [asyncio.create_task(lane.put(f"n{n}")) for n in range(3)]
    await asyncio.sleep(0)
    monkeypatch.setattr("samvad.storage.lane.OLDEST_S", 0.0)

    with pytest.raises(Unavailable):
        await lane.put("one more")
    monkeypatch.undo()
    await asyncio.gather(*waiting)

    assert await texts(db) == ["n0", "n1", "n2"]


async def test_close_commits_what_was_accepted_and_takes_nothing_new(db: Database):
    lane: Lane[str, str] = Lane(db, add_all, batch=4)
    accepted = [asyncio.create_task(lane.put(f"n{n}")) for n in range(10)]
    await asyncio.sleep(0)

    await lane.close()

    assert all(task.done() for task in accepted)
    assert len(await texts(db)) == 10
    with pytest.raises(Unavailable):
        await lane.put("too late")


async def test_a_caller_that_goes_away_leaves_its_neighbours_alone(db: Database):
    lane: Lane[str, str] = Lane(db, add_all)
    tasks = [asyncio.create_task(lane.put(f"n{n}")) for n in range(4)]
    await asyncio.sleep(0)
    tasks[1].cancel()

    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert [it for it in results if isinstance(it, str)] == ["N0", "N2", "N3"]
    assert "n1" not in await texts(db), "nobody waits for it, so it is not written"
    assert await lane.put("after") == "AFTER"


async def test_a_database_in_trouble_blames_no_item(db: Database):
    lane: Lane[str, str] = Lane(db, add_all)
    await db.close()

    results = await asyncio.gather(*(lane.put(it) for it in ("a", "b")), return_exceptions=True)

    assert [type(it) for it in results] == [Unavailable, Unavailable]


async def test_a_batch_carries_many_requests_and_is_in_the_log_as_none_of_them(db: Database):
    seen: list[str | None] = []

    def unit(tx: Tx, items: list[int]) -> list[int]:
        seen.append(tracing.current())
        return items

    lane: Lane[int, int] = Lane(db, unit)
    tracing.begin("the-first-one")
    await lane.put(1)

    assert seen == [None]
    assert tracing.current() == "the-first-one"
    await lane.close()


async def test_a_lane_tells_how_much_each_commit_carried_and_how_long_it_took(db: Database):
    told: list[tuple[int, float]] = []
    lane: Lane[int, int] = Lane(
        db, lambda tx, items: list(items), on_batch=lambda size, seconds: told.append((size, seconds))
    )

    await asyncio.gather(*(lane.put(n) for n in range(5)))

    assert sum(size for size, _ in told) == 5
    assert all(0 < seconds < 10 for _, seconds in told)
    await lane.close()
