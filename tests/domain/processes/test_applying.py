"""Procedures applied from a file: nothing is lost unasked, rows fit afterwards, the same once more is nothing."""

from typing import Any

import pytest

from samvad.domain.accounts.access import Who
from samvad.domain.events.tables import events
from samvad.domain.procedures.examples import EXAMPLES, example
from samvad.domain.procedures.files import read_document
from samvad.domain.processes import applying, operations
from samvad.domain.processes.drafts import Draft
from samvad.domain.processes.tables import processes, records, tasks
from samvad.domain.processes.writing import Done, Target, create_many, open_desk
from samvad.jobs.queue import Job
from samvad.kit.errors import BadRequest, Conflict, NotFound
from samvad.storage import Tx
from tests.domain.quick import Small

VISITS = """\
entities:
  - shortId: shop
    attributes:
      - { shortId: owner, type: string }
      - { shortId: visits, type: integer, derived: { count: processes, where: { state: PLANNED } } }
procedures:
  - shortId: visit
    entity: shop
    primaryKey: code
    generate: { prefix: V-, digits: 1 }
    states: [{ shortId: PLANNED }, { shortId: GOING }, { shortId: DONE }]
    attributes:
      - { shortId: code, type: stringId }
      - { shortId: note, type: string }
      - { shortId: kind, type: stringEnum, options: [short, long] }
      - { shortId: minutes, type: integer, derived: { sum: minutes, of: tasks } }
      - { shortId: photos, type: integer, derived: { count: tasks } }
    tasks:
      - shortId: look
        attributes: [{ shortId: minutes, type: integer }]
"""


async def apply(small: Small, text: str, **how: Any) -> applying.Plan:
    return await applying.apply(small.res, small.ada.id, read_document(text), **how)


async def plan(small: Small, text: str) -> applying.Plan:
    return await applying.plan(small.res, small.ada.id, read_document(text))


async def with_visits(small: Small) -> list[dict[str, Any]]:
    """The procedure above with four visits: their `data`, and a task of the first."""
    await apply(small, VISITS)
    ctx = small.context()
    made = []
    for data in ({"note": "105"}, {"note": "many", "kind": "long"}, {"kind": "short"}, {}):
        body: dict[str, Any] = {"data": data, "record": {"data": {"owner": "Ada"}} if data else None}
        made.append(await operations.create_process(ctx, "visit", body))
    body = {"data": {"minutes": 30}, "status": "COMPLETED"}
    await operations.create_task(ctx, "visit", "V-1", "look", body)
    await operations.update_process(ctx, "visit", Target("V-2"), {"state": "GOING"})
    return made


async def changes_made(small: Small) -> list[str]:
    names = ("procedure.created", "procedure.changed", "entity.created", "entity.changed")
    return [
        row.name for row in await small.rows(events, events.c.team_id == small.ada.id) if row.name in names
    ]


async def stored(small: Small) -> list[tuple[Any, ...]]:
    found = await small.rows(
        processes, processes.c.team_id == small.ada.id, processes.c.primary_key.like("V-%")
    )
    return [(row.data, row.derived) for row in found]


@pytest.mark.parametrize("name", EXAMPLES)
async def test_an_applied_example_is_exported_as_it_was_and_comes_alike_elsewhere(
    small: Small, name: str
) -> None:
    await apply(small, example(name))
    once = await applying.export(small.res, small.ada.id, [name])
    await applying.apply(small.res, small.babbage.id, read_document(once))

    again = await applying.export(small.res, small.babbage.id, [name])

    assert again == once
    assert [it.short_id for it in read_document(once).procedures] == [name]


async def test_the_same_file_once_more_is_no_change_and_no_event(small: Small) -> None:
    first = await apply(small, VISITS)
    told = await changes_made(small)

    again = await apply(small, VISITS)
    exported = await apply(small, await applying.export(small.res, small.ada.id))

    assert first.changes != []
    assert [*again.changes, *again.losses, *exported.changes] == []
    assert await changes_made(small) == told
    assert told.count("procedure.created") == 2, "the leads, and the visits"


async def test_only_what_is_another_is_written_and_told_of(small: Small) -> None:
    both = VISITS + example("lead").split("procedures:\n")[1]
    await apply(small, both)
    before = await changes_made(small)

    await apply(small, both.replace("note, type: string", "note, type: string, name: Remark"))

    assert (await changes_made(small))[len(before) :] == ["procedure.changed"]


async def test_a_change_by_which_nobody_loses_needs_no_force(small: Small) -> None:
    await with_visits(small)

    planned = await apply(
        small,
        VISITS.replace("note, type: string", "note, type: text").replace(
            "[short, long]", "[long, short, 3rd]"
        ),
    )

    assert (len(planned.changes), planned.losses) == (2, [])


async def test_what_would_be_lost_is_named_and_then_nothing_is_changed(small: Small) -> None:
    await with_visits(small)
    before = await stored(small)
    worse = (
        VISITS.replace("note, type: string", "note, type: integer")
        .replace("[short, long]", "[long]")
        .replace("{ shortId: GOING }, ", "")
        .replace(
            "{ shortId: minutes, type: integer }", "{ shortId: minutes, type: stringEnum, options: [a] }"
        )
        .replace("      - { shortId: owner, type: string }\n", "")
    )

    with pytest.raises(Conflict) as refused:
        await apply(small, worse)

    said = "\n".join(refused.value.problems)
    assert 'attribute note (type: "string" → "integer"): 1 process loses its value' in said
    assert "attribute kind (" in said
    assert "state GOING: processes are in it" in said
    assert "task look: attribute minutes (" in said
    assert "entity shop: attribute owner (goes): 3 records lose their value" in said
    assert "--force" in said
    assert await stored(small) == before
    assert (await plan(small, VISITS)).changes == []


async def test_forced_rows_are_made_to_fit_and_counts_stay_true(small: Small) -> None:
    await with_visits(small)
    worse = (
        VISITS.replace("note, type: string", "note, type: integer")
        .replace("[short, long]", "[long]")
        .replace("{ shortId: GOING }, ", "")
        .replace("{ shortId: owner, type: string }", "{ shortId: owner, type: multiString }")
        .replace("    tasks:\n", "      - { shortId: all, type: integer, derived: { count: tasks } }\n    tasks:\n")
    )  # fmt: skip
    looked_at: list[int] = []

    planned = await apply(small, worse, force=True, progress=looked_at.append)

    assert planned.losses
    assert planned.rows == 4
    assert sum(looked_at) >= 4
    zero = {"minutes": 0, "photos": 0, "all": 0}
    assert await stored(small) == [
        ({"code": "V-1", "note": 105}, {"minutes": 30, "photos": 1, "all": 1}),
        ({"code": "V-2", "kind": "long"}, zero),
        ({"code": "V-3"}, zero),
        ({"code": "V-4"}, zero),
    ]
    page = await operations.list_processes(small.context(), "visit", {"state": "PLANNED"}, limit=10, skip=0)
    assert len(page.processes) == 4
    assert [row.data for row in await small.rows(records)] == [{"owner": ["Ada"]}] * 3
    assert [row.derived for row in await small.rows(records)] == [{"visits": 1}] * 3
    assert [row.data for row in await small.rows(tasks)] == [{"minutes": 30}]


async def test_fitting_may_be_broken_off_and_done_again_by_its_job(small: Small) -> None:
    made = await with_visits(small)
    planned = await plan(small, VISITS.replace("note, type: string", "note, type: integer"))

    def breaks_off(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await applying.apply_plan(small.res, small.ada.id, planned, progress=breaks_off)
    job = Job(small.ada.id, applying.CONFORM, {"procedure": made[0]["procedure"]})
    await applying.conform_promised(small.res, job)
    await applying.conform_promised(small.res, job)

    assert [data.get("note") for data, _ in await stored(small)] == [105, None, None, None]
    assert await applying.conform(small.res, small.ada.id, made[0]["procedure"]) == 0


async def test_all_rows_of_thousands_are_looked_at(small: Small) -> None:
    await apply(small, VISITS)

    def unit(tx: Tx) -> int:
        desk = open_desk(tx, Who(small.ada.id, "", "", "ADMIN"), "visit", at=1)
        return sum(
            isinstance(it, Done) for it in create_many(desk, [Draft(data={"note": "x"}) for _ in range(251)])
        )

    assert await small.res.db.team(small.ada.id).write(unit) == 251
    lost = (await plan(small, VISITS.replace("note, type: string", "note, type: integer"))).losses
    await apply(small, VISITS.replace("note, type: string", "note, type: integer"), force=True)

    assert "251 processes lose their value" in lost[0]
    assert {tuple(data) for data, _ in await stored(small)} == {("code",)}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("primaryKey: code", "startState: GOING\n    primaryKey: code", "startState cannot be changed"),
        ("code\n    generate: { prefix: V-, digits: 1 }", "note", "primaryKey, and its type, cannot be changed"),
        ("code, type: stringId", "code, type: integerId", "have no prefix"),
        ("    entity: shop\n", "", "entity cannot be changed while there are processes"),
        ("primaryKey: code", "roles: [Boss]\n    primaryKey: code", "there is no role 'Boss' in this team"),
    ],
)  # fmt: skip
async def test_what_rows_stand_on_cannot_be_changed_under_them(
    small: Small, old: str, new: str, words: str
) -> None:
    await with_visits(small)
    assert old in VISITS

    with pytest.raises(BadRequest) as refused:
        await plan(small, VISITS.replace(old, new))

    assert words in "\n".join(refused.value.problems)


async def test_everything_wrong_with_a_file_is_told_and_nothing_of_it_is_done(small: Small) -> None:
    wrong = (
        VISITS.replace("type: stringEnum, options: [short, long]", "type: stringEnum")
        + VISITS.split("dures:\n")[1]
    )

    with pytest.raises(BadRequest) as refused:
        await apply(small, wrong)

    said = "\n".join(refused.value.problems)
    assert "attribute kind" in said
    assert "procedure visit is there twice" in said
    with pytest.raises(NotFound, match="There are: lead"):
        await applying.export(small.res, small.ada.id, ["visit"])


async def test_a_plan_holds_only_while_the_definitions_are_those_it_saw(small: Small) -> None:
    await apply(small, VISITS)
    planned = await plan(small, VISITS.replace("note, type: string", "note, type: text"))
    await apply(small, VISITS.replace("note, type: string", "note, type: html"))

    with pytest.raises(Conflict, match="changed meanwhile"):
        await applying.apply_plan(small.res, small.ada.id, planned)


async def test_another_team_has_its_own(small: Small) -> None:
    await apply(small, VISITS)

    assert "visit" not in await applying.export(small.res, small.babbage.id)
