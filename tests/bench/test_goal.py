"""A short run of the goal at a low rate: never how fast, always that nothing is lost and that a loss would be seen."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from samvad.bench import goal, goal_page, report
from samvad.bench.ingest import SILENT
from samvad.bench.result import Machine
from samvad.bench.rig import Place, rig
from samvad.bench.standin import StandIn, wamid_of_order
from samvad.bench.verify import Verdict
from samvad.domain.messages.model import Status
from samvad.domain.messages.tables import messages
from samvad.kit.errors import BadRequest
from samvad.storage import Tx, every_team
from tests.bench.shown import told_by

FLOOR_S = 0.2


def quiet(what: str, part: float | None) -> None:
    """Nobody watches."""


async def test_every_send_status_and_inbound_message_that_was_acknowledged_is_there(place: Place):
    plan = goal.Plan(sends_per_s=20.0, seconds=3.0, floor_s=FLOOR_S, place=place)

    found = await goal.run(plan, quiet)

    assert found.holds, (found.verdict, found.problems)
    assert (found.lost, found.refused) == (0, 0)
    assert found.send.acknowledged == 60
    assert found.status.acknowledged == 3 * 60
    assert found.inbound.acknowledged == 12
    assert found.verdict.acknowledged == 60 + 180 + 12
    assert found.send.p50_ms >= 80, "Meta takes its time, and the caller waits for it"
    written = json.loads(report.as_json(found))
    assert written["lost"] == 0
    for stream in ("send", "status", "inbound"):
        assert 0 < written[stream]["p50_ms"] <= written[stream]["p99_ms"]
    assert written["rate"]["asked_sends"] == 20
    assert 0 < written["rate"]["sends"] < 25
    assert written["rss_mb"] >= written["rss_idle_mb"] > 0
    assert written["cpu"] > 0
    assert written["floors"]["fsync_per_s"] > 0
    share = written["rate"]["statuses"] / written["floors"]["bare_asgi_per_s"]
    assert written["floors"]["status_share_of_bare_asgi"] == pytest.approx(share, abs=0.001)
    assert sum(it["sends"] for it in written["timeline"]) > 0


async def test_what_is_gone_or_gone_back_or_sent_twice_does_not_hold(tmp_path: Path):
    async with StandIn() as stand_in:
        settings = {"SAMVAD_GRAPH_URL": f"http://127.0.0.1:{stand_in.port}"}
        async with rig(
            Place(tmp_path), sandbox_settings=SILENT, with_relay=False, tell=quiet, settings=settings
        ) as running:
            driven = await goal.drive(running, stand_in, 20.0, 1.0, quiet)
            assert await running.settled()
            assert await running.server.stop()
            before = await goal.audit(running, driven)
            async with running.database() as db:
                await db.write(set_back, wamid_of_order(3))
                await db.write(forget, wamid_of_order(5))
            after = await goal.audit(running, driven)

    assert (before.verdict.lost, before.went_back, driven.sent_twice) == (0, 0, 0)
    assert goal.problems_of(driven, before, settled=True, stopped_in_order=True) == ()
    assert after.went_back == 1
    assert after.verdict.lost == 2 + 4, (
        "delivered and read of one; of the other the message and three statuses"
    )
    assert goal.problems_of(driven, after, settled=True, stopped_in_order=True)
    driven.orders[7] += 1
    assert driven.sent_twice == 1


def test_the_command_writes_json_and_one_page_that_needs_nothing_else(tmp_path: Path):
    written, shown = told_by("goal", "--sends", "20", "--seconds", "1", folder=tmp_path)

    assert written["holds"] is True
    assert "svg" in shown.tags
    for words in (written["command"], written["at"], "0 lost", "bare ASGI", "fsync", "server, rss", "p99 ms"):
        assert words in shown.words
    assert f"{written['status']['p99_ms']:,.1f}" in shown.words


async def test_steps_go_on_until_a_rate_is_not_held_and_the_last_that_held_is_told(monkeypatch):
    """How each step is measured is tested above; here only which of them is told."""
    base = a_good_run()

    async def run_once(plan: goal.Plan, sends_per_s: float, tell: object) -> goal.Goal:
        p99 = 100.0 if sends_per_s < 130 else 251.0
        rate = replace(base.rate, asked_sends=sends_per_s)
        return replace(base, rate=rate, status=replace(base.status, p99_ms=p99))

    monkeypatch.setattr(goal, "run_once", run_once)

    found = await goal.run(goal.Plan(100.0, 1.0, step=True), quiet)

    assert [(it.sends_per_s, it.held) for it in found.steps] == [(100, True), (125, True), (156.2, False)]
    assert found.rate.asked_sends == 125
    assert "Step by step" in goal_page.page(found)


@pytest.mark.parametrize("wrong", [{"sends_per_s": 0}, {"seconds": 601.0}, {"seconds": 600.0}], ids=str)
def test_a_run_is_bounded(wrong):
    with pytest.raises(BadRequest, match="--"):
        goal.Plan(**({"sends_per_s": 1_000.0, "seconds": 1.0} | wrong))


def a_good_run() -> goal.Goal:
    """A run as it would be, were everything well."""
    stream = goal.Stream(1, 1, {}, 0, 0, 1.0, 1.0, 1.0, 1.0)
    verdict = Verdict(1, 0, 0, (), 0, 0, 1, 0)
    floors = goal.GoalFloors(1.0, 1.0, 1.0, 1.0, 1.0, 0.1)
    return goal.Goal(
        command="samvad bench goal",
        at="2026-01-01T00:00:00+00:00",
        database="sqlite",
        machine=Machine(),
        load_average=0.0,
        machine_cores_before=0.0,
        lost=0,
        seconds=1.0,
        rate=goal.Rate(1.0, 1.0, 3.0, 0.2),
        send=stream,
        status=stream,
        inbound=stream,
        cpu=0.1,
        generator_cpu=0.1,
        others_cpu=None,
        rss_mb=1.0,
        rss_idle_mb=1.0,
        catch_up_s=0.0,
        floors=floors,
        verdict=verdict,
        sent_twice=0,
        went_back=0,
        timeline=(),
        problems=(),
    )


def set_back(tx: Tx, wamid: str) -> None:
    tx.execute(every_team.update(messages).where(messages.c.wamid == wamid).values(status=Status.SENT))


def forget(tx: Tx, wamid: str) -> None:
    tx.execute(every_team.delete(messages).where(messages.c.wamid == wamid))
