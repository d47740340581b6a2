"""Short runs of each bench: never how fast, always that nothing is lost and that a loss would be seen."""

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from samvad.bench import ingest, listing, processes, receivers, report, send
from samvad.bench.asking import Answered, Measured
from samvad.bench.load import percentiles, read_reply
from samvad.bench.options import Options
from samvad.bench.process import free_port
from samvad.bench.result import Machine
from samvad.bench.rig import Place, Rig, rig
from samvad.bench.updating import Bulk
from samvad.domain.messages.tables import messages, parked_statuses
from samvad.kit.errors import BadRequest
from samvad.storage import Tx, every_team

FLOOR_S = 0.2


def quiet(what: str, part: float | None) -> None:
    """Nobody watches."""


@pytest.fixture
def here(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_no_two_servers_are_given_one_port_nor_one_that_the_system_gives_away():
    count = "from samvad.bench.process import free_port; print(*(free_port() for _ in range(200))); input()"
    others = [
        subprocess.Popen(
            [sys.executable, "-c", count], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    try:
        given = [int(port) for it in others if it.stdout for port in it.stdout.readline().split()]
    finally:
        for it in others:
            it.communicate("go\n")

    assert len(set(given)) == 400
    assert max(*given, free_port()) < 32_768


async def test_ingest_finds_every_acknowledged_webhook_in_the_database(place: Place):
    options = Options(seconds=1.0, callers=8, floor_s=FLOOR_S, place=place)

    result = await ingest.run(options, quiet)

    assert result.holds, (result.verdict, result.problems)
    assert result.load.acknowledged > 0
    assert result.verdict.acknowledged == result.load.acknowledged
    assert result.verdict.parked > 0, "some statuses are about messages nobody knows"
    assert result.floors.bare_asgi_per_s > 0


async def test_send_finds_every_acknowledged_message_with_its_statuses(place: Place):
    options = Options(seconds=1.0, callers=8, rate=40.0, floor_s=FLOOR_S, place=place)

    result = await send.run(options, quiet)

    assert result.holds, (result.verdict, result.problems)
    assert result.load.acknowledged == result.sandbox_accepted == 40
    assert result.status_webhooks_acknowledged == 3 * 40
    assert result.verdict.ambiguous == 0


async def test_send_by_callers_who_wait_is_looked_for_just_the_same(here: Place):
    options = Options(seconds=1.0, callers=4, floor_s=FLOOR_S, place=here)

    result = await send.run(options, quiet)

    assert result.holds, (result.verdict, result.problems)
    assert result.load.acknowledged == result.sandbox_accepted > 0


async def test_a_message_or_status_that_is_gone_is_a_lost_operation(here: Place):
    async with running_ingest(here) as running:
        ingested = await loaded(running, here)
        acknowledged = ingested.acknowledged
        gone = next(it for it in acknowledged if it.status is None)
        unread, forgotten = (
            next(
                it
                for number, it in enumerate(ingested.posts)
                if it.status == "read" and it in acknowledged and ingest.is_unknown(number) is unknown
            )
            for unknown in (False, True)
        )
        parked = [it for it in acknowledged if it.wamid == forgotten.wamid]

        async with running.database() as db:
            before = await ingest.verdict_on(db, ingested.acknowledged)
            await db.write(forget_message, gone.wamid)
            without_message = await ingest.verdict_on(db, ingested.acknowledged)
            await db.write(forget_read, unread.wamid)
            await db.write(forget_parked, forgotten.wamid)
            without_all = await ingest.verdict_on(db, ingested.acknowledged)

    assert before.holds
    assert without_message.lost == 1
    assert gone.wamid in without_message.named[0]
    assert not without_message.holds
    assert without_all.lost == 1 + 1 + len(parked)
    assert any(unread.wamid in words for words in without_all.named)
    assert any(forgotten.wamid in words for words in without_all.named)


async def test_a_send_whose_row_is_gone_is_lost_and_the_books_disagree(here: Place):
    options = Options(seconds=1.0, callers=8, rate=20.0, place=here)
    async with rig(here, sandbox_settings=send.META, with_relay=True, tell=quiet) as running:
        requests = await send.prepare(running, options, quiet)
        sent = await send.load(running, requests, options, quiet)
        assert await running.server.stop()

        async with running.database() as db:
            await db.write(forget_message, sent.wamids[0])
            verdict = await send.verdict_on(db, sent)

    assert verdict.lost == 1 + 3, "the message, and its three statuses"
    assert send.problems_of(sent, verdict, stopped_in_order=True)


@pytest.mark.parametrize("bench", [ingest, send], ids=["ingest", "send"])
async def test_killing_the_server_in_the_middle_loses_nothing_acknowledged(bench, place: Place):
    rate = 60.0 if bench is send else None
    options = Options(seconds=2.0, callers=8, rate=rate, kill_after_s=0.7, floor_s=FLOOR_S, place=place)

    result = await bench.run(options, quiet)

    assert result.killed
    assert result.holds, (result.verdict, result.problems)
    assert result.load.acknowledged > 0
    assert result.load.posted_again + result.load.unanswered > 0, "the crash met requests under way"


async def test_a_healthy_receiver_hears_of_everything_alone_in_calm_and_while_others_hang_or_fail(
    here: Place,
):
    options = Options(seconds=0.5, callers=16, rate=100.0, place=here)

    found = await receivers.run(options, quiet)

    assert found.problems == ()
    for phase in (found.alone, found.calm, found.troubled):
        assert phase.acknowledged == 50
        assert phase.arrived == phase.expected == phase.delay.count == 40
    assert (found.calm.hanging, found.calm.failed) == (0, 0)
    assert found.troubled.hanging >= 2, "one of each team"
    assert found.troubled.failed >= 1
    written = json.loads(report.as_json(found))
    assert written["p99_ratio"] > 0
    assert written["holds"] is (written["p99_ratio"] <= 2)


async def test_every_question_about_leads_is_answered_rightly_and_every_update_is_found(place: Place):
    options = processes.Options(processes=4_000, small=1_000, bulk=600, repeat=8, turns=1, place=place)

    found = await processes.run(options, quiet)

    assert found.problems == ()
    assert found.bulk.lost == 0
    assert min(found.bulk.rows_per_s, found.bulk.floor_before_per_s, found.bulk.floor_after_per_s) > 0
    assert len(found.questions) == 9
    for it in found.questions:
        assert min(it.small.over_http_ms, it.small.inside_ms, it.large.over_http_ms, it.large.inside_ms) > 0
    written = json.loads(report.as_json(found))
    assert written["holds"] is found.holds
    assert written["questions"][0]["over_http_ratio"] > 0


def test_a_slow_answer_or_a_slow_or_lost_update_does_not_hold():
    quick = Answered(1.0, 1.0)
    slow = replace(quick, inside_ms=3.1)
    bulk = Bulk(10, 250, 1.0, 10.0, 20.0, 20.0, 20.0, 0.5, 0)

    def found(answered: Answered, bulk: Bulk) -> processes.Scaled:
        its = Measured("list all", quick, answered, answered.over_http_ms, answered.inside_ms)
        return processes.Scaled("sqlite", 1_000_000, 10_000, 200, Machine(), 1.0, (its,), bulk)

    assert found(quick, bulk).holds
    assert not found(slow, bulk).holds
    assert not found(quick, replace(bulk, share_of_floor=0.33)).holds
    assert not found(quick, replace(bulk, lost=1)).holds


async def test_pages_of_conversations_are_asked_among_few_messages_and_among_many(place: Place):
    options = listing.Options(messages=3_000, small=1_000, repeat=4, turns=2, webhooks=80, place=place)

    found = await listing.run(options, quiet)

    assert found.problems == ()
    assert min(found.ingest.small_per_s, found.ingest.large_per_s) > 0
    assert found.ingest.is_within is (found.ingest.ratio >= 0.7)
    assert [it.question for it in found.questions] == [name for name, _ in listing.QUESTIONS]
    for it in found.questions:
        assert min(it.small.over_http_ms, it.small.inside_ms, it.large.over_http_ms, it.large.inside_ms) > 0
    written = json.loads(report.as_json(found))
    assert written["holds"] is found.holds


@pytest.mark.parametrize(
    "wrong",
    [{"small": 999}, {"small": 5_000, "processes": 5_000}, {"bulk": 10_001}, {"processes": 20_000}],
    ids=str,
)
def test_a_run_among_leads_is_bounded(wrong):
    with pytest.raises(BadRequest, match="--"):
        processes.Options(**wrong)


def test_the_command_writes_only_json_to_stdout_when_asked(tmp_path: Path):
    command = [
        "bench",
        "ingest",
        "--seconds",
        "0.5",
        "--callers",
        "4",
        "--data",
        str(tmp_path),
        "--json",
        "-",
    ]

    done = subprocess.run([sys.executable, "-m", "samvad", *command], capture_output=True, check=False)

    assert done.returncode == 0, done.stderr.decode()
    written = json.loads(done.stdout)
    assert written["holds"] is True
    assert written["verdict"]["lost"] == 0
    assert written["load"]["latency"]["count"] == written["load"]["acknowledged"] > 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"seconds": 0.0},
        {"seconds": 10_000.0},
        {"callers": 0},
        {"rate": 1e9},
        {"rate": 10_000.0, "seconds": 60.0},
        {"kill_after_s": 5.0},
    ],
    ids=str,
)
def test_a_run_is_bounded(wrong):
    with pytest.raises(BadRequest, match="--"):
        Options(**({"seconds": 1.0, "callers": 1} | wrong))


async def test_only_a_postgresql_server_can_be_named(tmp_path: Path):
    options = Options(seconds=1.0, callers=1, place=Place(tmp_path, "sqlite:///other.db"))

    with pytest.raises(BadRequest, match="PostgreSQL"):
        await ingest.run(options, quiet)


def test_a_reply_is_read_once_it_is_whole():
    reply = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno"

    assert read_reply(reply[:20]) is None
    assert read_reply(reply[:-1]) is None
    assert read_reply(reply) == (503, b"no")


def test_percentiles_are_in_milliseconds():
    found = percentiles([number / 1000 for number in range(1, 101)])

    assert (found.count, found.p50_ms, found.p90_ms, found.p99_ms, found.max_ms) == (100, 51, 91, 100, 100)


def running_ingest(place: Place):
    return rig(place, sandbox_settings=ingest.SILENT, with_relay=False, tell=quiet)


async def loaded(running: Rig, place: Place) -> ingest.Ingested:
    """A short load that has been folded, the server stopped after it."""
    options = Options(seconds=0.5, callers=8, rate=160.0, place=place)
    posts = await ingest.prepare(running, options, quiet)
    ingested = await ingest.load(running, posts, options, quiet)
    assert await asyncio.wait_for(running.server.stop(), 30)
    return ingested


def forget_message(tx: Tx, wamid: str) -> None:
    tx.execute(every_team.delete(messages).where(messages.c.wamid == wamid))


def forget_read(tx: Tx, wamid: str) -> None:
    tx.execute(every_team.update(messages).where(messages.c.wamid == wamid).values(read_at=None))


def forget_parked(tx: Tx, wamid: str) -> None:
    tx.execute(every_team.delete(parked_statuses).where(parked_statuses.c.wamid == wamid))
