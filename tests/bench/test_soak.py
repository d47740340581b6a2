"""A soak of some seconds holds what it promises; the rules it judges by are tried on made-up series."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from samvad.bench import report, soak, soak_page
from samvad.bench import soak_rules as rules
from samvad.bench.ingest import SILENT
from samvad.bench.result import Machine
from samvad.bench.rig import Place, rig
from samvad.bench.sampling import Sample, sampling
from samvad.bench.verify import Verdict
from samvad.domain.messages.tables import idempotency_keys
from samvad.jobs.queue import Job, enqueue
from samvad.kit.clock import system_clock
from samvad.kit.errors import BadRequest
from samvad.storage import Tx, every_team
from tests.bench.shown import told_by
from tests.bench.test_goal import quiet

SHORT = 3.0 / 60  # minutes
AN_HOUR = [it * 5.0 for it in range(721)]
QUIET = Sample(0.0, 200.0, 80, 6, 100.0, 16.0, 1, 3, 2, 0, 1, 500, 0)


async def test_a_short_soak_loses_nothing_leaves_nothing_and_says_that_it_was_too_short(
    place: Place,
):
    found = await soak.run(soak.Plan(minutes=SHORT, sends_per_s=20.0, place=place), quiet)

    assert found.holds, (found.judged, found.verdict, found.problems)
    assert (found.lost, found.refused) == (0, 0)
    assert found.acknowledged == 60 + 180 + 12
    assert found.delivered == 180 + 12, "every webhook of Meta's is passed on to the customer"
    assert judged(found, "nothing left").holds is True
    assert judged(found, "memory").holds is None, "a few seconds are all warm-up"
    assert judged(found, "wal").holds is (None if found.database == "postgresql" else True)
    assert found.after.promises == 60, "each send had an idempotency key"
    written = json.loads(report.as_json(found))
    assert len(written["samples"]) >= 3
    assert all(it["database_mb"] >= 0 for it in written["samples"])
    assert written["after"]["database_mb"] + (written["after"]["wal_mb"] or 0) > 0
    assert sum(it["sends"] for it in written["windows"]) == 60
    assert written["after"]["tables_mb"], "which tables are the large ones"


async def test_a_look_counts_what_stays_in_the_tables(place: Place):
    async with (
        rig(place, sandbox_settings=SILENT, with_relay=False, tell=quiet) as running,
        sampling(running, every_s=60.0) as looks,
    ):
        async with running.database() as db:
            await db.write(leave_things_lying)
        found = await looks.look()

    assert found.jobs >= 20
    assert (found.promises, found.promises_overdue) == (2, 1)
    assert (found.rss_mb or 0) > 0
    assert (found.descriptors or 0) > 0
    assert rules.nothing_is_left(found).holds is False
    assert "1 promises past their time" in rules.nothing_is_left(found).said


def test_the_command_ends_with_0_and_writes_json_and_a_page_that_needs_nothing_else(tmp_path: Path):
    written, shown = told_by("soak", "--minutes", "0.03", "--sends", "10", folder=tmp_path)

    assert written["holds"] is True
    for words in (written["command"], written["at"], "Everything held", "not judged", "resident", "WAL"):
        assert words in shown.words


def test_a_page_names_what_did_not_hold():
    said = "Memory: 100 MB in the middle of the load, 300 MB at its end"
    bad = replace(a_good_soak(), judged=(rules.Judged("memory", False, said),))

    shown = soak_page.page(bad)

    assert not bad.holds
    assert said in shown
    assert "Not everything held" in shown


@pytest.mark.parametrize("wrong", [{"minutes": 0}, {"sends_per_s": -1}, {"minutes": 1_440.0}], ids=str)
def test_a_soak_is_bounded(wrong):
    with pytest.raises(BadRequest, match="--"):
        soak.Plan(**wrong)


def test_memory_that_grows_all_the_time_is_noticed():
    leaks = [(at, 200.0 + 0.01 * at + noise()) for at in AN_HOUR]

    found = rules.memory_is_flat(leaks)

    assert found.holds is False
    assert "MB an hour" in found.said


def test_memory_that_is_noisy_has_spikes_or_warms_up_is_flat():
    noisy = [(at, 200.0 + 8 * noise()) for at in AN_HOUR]
    spiky = [(at, 200.0 + (150.0 if number % 50 == 0 else 0.0)) for number, at in enumerate(AN_HOUR)]
    warming = [(at, 100.0 + min(at, 1_500.0) / 10) for at in AN_HOUR]

    assert [rules.memory_is_flat(it).holds for it in (noisy, spiky, warming)] == [True] * 3


def test_memory_that_sinks_is_flat():
    assert rules.memory_is_flat([(at, 500.0 - 0.05 * at) for at in AN_HOUR]).holds is True


def test_a_short_or_unknown_series_is_not_judged():
    short = [(at, 200.0 + at) for at in AN_HOUR if at < 60]

    assert rules.memory_is_flat(short).holds is None
    assert rules.memory_is_flat([]).holds is None


def test_descriptors_that_are_not_closed_are_noticed():
    assert flat("descriptors", [(at, 80 + at // 60) for at in AN_HOUR]) is False
    assert flat("descriptors", [(at, 80 + 6 * noise()) for at in AN_HOUR]) is True


def test_a_wal_that_stays_large_is_noticed():
    well = [4.0, 16.0, 16.0, 90.0, 90.0, 16.0]

    assert rules.wal_is_moved(well, after_mb=16.0, stopped_mb=0.0).holds is True
    assert rules.wal_is_moved([*well, 70.0, 70.0, 70.0], after_mb=16.0, stopped_mb=0.0).holds is False
    assert rules.wal_is_moved(well, after_mb=90.0, stopped_mb=0.0).holds is False
    assert rules.wal_is_moved(well, after_mb=16.0, stopped_mb=12.0).holds is False
    assert rules.wal_is_moved([None, None], after_mb=None, stopped_mb=None).holds is None


def test_a_table_of_jobs_that_grows_is_noticed_while_the_load_lasts_and_after_it():
    grows = [replace(QUIET, at_s=at, jobs=int(at / 10)) for at in AN_HOUR]
    steady = [replace(QUIET, at_s=at, jobs=number % 7) for number, at in enumerate(AN_HOUR)]

    assert by_rule(grows)["jobs"] is False
    assert by_rule(steady)["jobs"] is True
    assert rules.nothing_is_left(replace(QUIET, jobs=rules.JOBS_LEFT + 1)).holds is False


@pytest.mark.parametrize(
    "left",
    ["inbound_waiting", "deliveries_pending", "parked_statuses", "sends_unanswered", "promises_overdue"],
)
def test_whatever_waits_once_nothing_ought_to_is_named(left: str):
    done = replace(QUIET, inbound_waiting=0, deliveries_pending=0, parked_statuses=0, sends_unanswered=0)

    assert rules.nothing_is_left(done).holds is True
    waits: dict[str, Any] = {left: 7}
    found = rules.nothing_is_left(replace(done, **waits))
    assert found.holds is False
    assert "7 " in found.said


def test_a_backlog_of_moments_is_well_and_one_that_grows_is_not():
    bursts = [replace(QUIET, at_s=at, inbound_waiting=number % 3 * 90) for number, at in enumerate(AN_HOUR)]
    behind = [replace(QUIET, at_s=at, inbound_waiting=int(at * 5)) for at in AN_HOUR]

    assert by_rule(bursts)["unfolded inbound events"] is True
    assert by_rule(behind)["unfolded inbound events"] is False


def test_a_message_may_not_cost_more_room_the_longer_it_goes_on():
    counts = [float(it * 100) for it in range(400)]
    even = [(it, it * 0.01) for it in counts]
    in_steps = [(it, it * 0.01 // 16 * 16) for it in counts]
    more_and_more = [(it, 1e-7 * it * it) for it in counts]
    little = [(it, it * 0.0001) for it in counts]

    assert rules.file_grows_evenly(even).holds is True
    assert rules.file_grows_evenly(in_steps).holds is True, "as SQLite moves its WAL into the file"
    assert rules.file_grows_evenly(more_and_more).holds is False
    assert rules.file_grows_evenly(little).holds is None


def test_a_long_series_is_thinned_and_keeps_its_slope():
    day = [(it * 5.0, 200.0 + it * 0.05) for it in range(17_280)]

    assert len(rules.thinned(day)) <= rules.MOST_LOOKS
    assert rules.slope(day) == pytest.approx(0.01)


def leave_things_lying(tx: Tx) -> None:
    """Twenty jobs of next year, and promises of today and of last week."""
    now, day = system_clock(), 24 * 60 * 60 * 1000
    later = [Job("nobodys", "templates.sync", {"number": it}) for it in range(20)]
    enqueue(tx, later, at=now, run_at=now + 365 * day)
    promise = {"team_id": "nobodys", "request_sha256": "", "message_id": ""}
    rows = [promise | {"key": str(age), "created_at": now - age * day} for age in (0, 7)]
    tx.execute(every_team.insert(idempotency_keys), rows)


def by_rule(samples: list[Sample]) -> dict[str, bool | None]:
    found = rules.judge(
        samples, after=QUIET, messages=[0] * len(samples), webhooks_per_s=160.0, wal_at_the_end_mb=0.0
    )
    return {it.rule: it.holds for it in found}


def flat(what: str, values: rules.Series) -> bool | None:
    return rules.is_flat(what, values, more=rules.DESCRIPTORS_MORE).holds


def judged(found: soak.Soak, rule: str) -> rules.Judged:
    return next(it for it in found.judged if it.rule == rule)


def noise() -> float:
    return random.uniform(-1, 1)


def a_good_soak() -> soak.Soak:
    """A run as it would be, were everything well."""
    return soak.Soak(
        command="samvad bench soak",
        at="2026-01-01T00:00:00+00:00",
        database="sqlite",
        machine=Machine(),
        load_average=0.0,
        minutes=1.0,
        sends_per_s=1.0,
        acknowledged=1,
        lost=0,
        refused=0,
        delivered=1,
        drain_s=0.0,
        judged=(),
        verdict=Verdict(1, 0, 0, (), 0, 0, 1, 0),
        problems=(),
        samples=(QUIET,),
        after=QUIET,
        windows=(),
    )
