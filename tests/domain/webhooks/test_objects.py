"""Changes of processes, records and tasks: told signed, once and in order, and to nobody more than they may see."""

import hashlib
import hmac
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from samvad.app import App
from samvad.domain.accounts.operations import webhook_secret
from samvad.domain.webhooks import changes, objects, operations
from samvad.domain.webhooks.changes import Change, body_of, tell_changes
from samvad.domain.webhooks.model import OBJECT_EVENTS, ActsAs, Which
from samvad.domain.webhooks.tables import deliveries, webhook_events
from samvad.kit.ids import new_id
from samvad.storage import Tx
from tests.domain.quick import Side, Small, quick
from tests.domain.webhooks.customers import a_customer
from tests.harness import Receiver, until

NOBODY_LISTENS = "https://example.com/hook"
LEAD = new_id()


def process(n: int = 0, *, process_id: str = LEAD, **more: Any) -> dict[str, Any]:
    """A process as the API shows it, as far as it matters here."""
    shown = {"id": process_id, "status": "OPEN", "assignedTo": None, "isDeleted": False}
    return shown | {"data": {"lead_id": "LEAD-1", "age": n, "salary": 1000 + n}} | more


def change(n: int = 0, *, process_id: str = LEAD, at: int = 5, **how: Any) -> Change:
    told: dict[str, Any] = {
        "object": "process",
        "operation": "update",
        "procedure": "lead",
        "data": process(n, process_id=process_id),
        "before": {"data": {"age": n - 1, "salary": 999 + n}},
        "order_key": process_id,
    }
    return Change(object_id=process_id, at=at, **told | how)


async def listen(small: Small, url: str = NOBODY_LISTENS, side: Side | None = None, **how: Any) -> str:
    row, _, _ = await objects.add(small.context(side), url=url, **how)
    return str(row.id)


async def happens(small: Small, *told: Change, side: Side | None = None) -> None:
    """These changes, in one unit of work."""
    at = small.clock()
    await small.res.db.team((side or small.ada).id).write(lambda tx: tell_changes(tx, told, at=at))
    small.res.bells.deliveries.ring()


def heard(receiver: Receiver) -> list[dict[str, Any]]:
    return [json.loads(body) for body, _ in receiver.got]


def ages(receiver: Receiver, process_id: str = LEAD) -> list[int]:
    return [it["_data"]["data"]["age"] for it in heard(receiver) if it["_data"]["id"] == process_id]


async def written(small: Small) -> list[dict[str, Any]]:
    return [json.loads(row.body) for row in await small.rows(webhook_events)]


async def delivered(small: Small, count: int) -> None:
    """So many were taken; the clock goes on, so that rests end."""

    async def all_there() -> bool:
        small.clock.pass_by(20)
        small.res.bells.deliveries.ring()
        return len(await small.rows(deliveries, deliveries.c.state == "DELIVERED")) == count

    await until(all_there)


async def test_a_change_is_told_in_its_shape_and_signed_over_the_exact_bytes(live: Small, customer: Receiver):
    await listen(live, customer.url)

    await happens(live, change(7, at=1_795_000_000_123))
    await delivered(live, 1)

    ((body, headers),) = customer.got
    assert json.loads(body) == {
        "event": "process:update:post",
        "_data": process(7),
        "_prev": {"data": {"age": 6, "salary": 1006}},
        "timestamp": 1_795_000_000_123,
    }
    assert list(json.loads(body)) == ["event", "_data", "_prev", "timestamp"]
    secret = await webhook_secret(live.res, live.ada.id)
    assert headers["x-chakra-signature-256"] == hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    assert headers["webhook-id"] == (await live.row(deliveries)).id


async def test_many_changes_come_once_and_each_objects_in_order(live: Small, customer: Receiver):
    await listen(live, customer.url)
    ids = [new_id() for _ in range(5)]
    customer.answers = [500, 503, 500]

    for n in range(0, 20, 4):
        await happens(live, *(change(n + step, process_id=it) for step in range(4) for it in ids))
    await delivered(live, 100)

    for it in ids:
        taken = [
            n
            for n, previous in zip(ages(customer, it), [None, *ages(customer, it)], strict=False)
            if n != previous
        ]
        assert taken == list(range(20))
    assert len(customer.got) == 103, "three were not taken at first, all others came once"


async def test_what_waits_goes_on_after_a_restart_in_order(
    database_url: str, tmp_path: Path, customer: Receiver
):
    async with quick(database_url, tmp_path, loops=True) as live:
        endpoint_id = await listen(live, customer.url)
        await happens(live, change(0))
        await delivered(live, 1)
        await operations.pause(live.context(), endpoint_id)
        await happens(live, *(change(n) for n in range(1, 5)))
        await live.app.stop()

        live.app = App(live.app.settings, clock=live.clock)
        await live.app.start()
        await operations.resume(live.context(), endpoint_id)
        await happens(live, change(5))
        await delivered(live, 6)

        assert ages(customer) == list(range(6))


async def test_only_those_who_want_an_event_hear_of_it(small: Small):
    everything = await listen(small)
    leads = await listen(small, procedures=["lead", "lead", "deal"], events=["process:update:post"])
    tasks = await listen(small, events=["task:create:post", "task:delete:post"])
    told = [
        change(procedure="lead"),
        change(procedure="other"),
        change(operation="create", before={}),
        change(object="task", operation="create", procedure="lead"),
        change(object="record", procedure=None),
    ]

    await happens(small, *told)

    rows = await small.rows(deliveries)
    by_endpoint = {
        it: [row.event for row in rows if row.endpoint_id == it] for it in (everything, leads, tasks)
    }
    assert by_endpoint == {
        everything: [it.event for it in told],
        leads: ["process:update:post"],
        tasks: ["task:create:post"],
    }
    assert {row.order_key for row in rows} == {LEAD}
    assert {row.team_id for row in rows} == {small.ada.id}
    assert {row.plugin_id for row in await small.rows(webhook_events)} == {None}


async def test_another_team_hears_nothing(live: Small, customer: Receiver):
    async with a_customer() as others:
        await listen(live, others.url, live.babbage)
        await listen(live, customer.url)

        await happens(live, change(1))
        await happens(live, change(2), side=live.babbage)
        await delivered(live, 2)

        assert ages(customer) == [1]
        assert ages(others) == [2]


def as_seen(data: dict[str, Any]):
    """Managers see all, users no salary, and nobody else anything."""

    def shows(acts_as: ActsAs) -> dict[str, Any] | None:
        if acts_as.role_type == "MANAGER":
            return data
        if acts_as.role_type != "USER":
            return None
        return data | {"data": {name: value for name, value in data["data"].items() if name != "salary"}}

    return shows


async def test_each_endpoint_is_told_what_whom_it_stands_for_may_see(small: Small):
    for role in ("Admin", "Manager", "Agent"):
        await listen(small, role=role)

    await happens(small, change(5, shows=as_seen(process(5))))

    manager, agent = sorted(await written(small), key=lambda it: "salary" not in it["_data"]["data"])
    assert manager["_data"] == process(5)
    assert manager["_prev"] == {"data": {"age": 4, "salary": 1004}}
    assert agent["_data"]["data"] == {"lead_id": "LEAD-1", "age": 5}
    assert agent["_prev"] == {"data": {"age": 4}}
    assert len(await small.rows(deliveries)) == 2, "and the admin, who sees nothing here, hears nothing"


@pytest.mark.parametrize(
    ("shown", "before", "told"),
    [
        (process(5), {"status": "CANCELLED"}, {"status": "CANCELLED"}),
        (process(5), {"data": {"gone": 1}}, {"data": {"gone": 1}}),
        (process(5, assignedTo="***"), {"assignedTo": "ada", "status": "OPEN"}, {"status": "OPEN"}),
        (process(5) | {"data": {"age": "hidden"}}, {"data": {"age": 4, "lead_id": "LEAD-0"}}, {"data": {}}),
        (process(5) | {"data": {"age": 5}}, {"data": {"gone": 1, "age": 4}}, {"data": {"age": 4}}),
        ({"id": LEAD}, {"data": {"age": 4}, "status": "OPEN", "gone": 1}, {}),
    ],
)
def test_what_a_value_was_is_hidden_where_the_value_is(shown, before, told):
    body = body_of(change(5, before=before, shows=lambda acts_as: shown), ActsAs(None, None, "USER"))

    assert body is not None
    assert body["_data"] == shown
    assert body["_prev"] == told


async def test_what_nobody_listens_to_costs_one_question_and_writes_nothing(small: Small):
    removed = await listen(small)
    await objects.remove(small.context(), removed)
    asked: list[str] = []

    def unit(tx: Tx) -> None:
        def note(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
            asked.append(statement)

        event.listen(tx.connection, "before_cursor_execute", note)
        tell_changes(tx, [change(n) for n in range(100)], at=5)
        tell_changes(tx, [], at=5)
        event.remove(tx.connection, "before_cursor_execute", note)

    await small.res.db.team(small.ada.id).write(unit)

    assert len(asked) == 1
    assert await small.rows(webhook_events) == []


async def test_what_is_told_is_told_with_its_cause_or_not_at_all(small: Small):
    await listen(small)

    def unit(tx: Tx) -> None:
        tell_changes(tx, [change()], at=5)
        raise RuntimeError("the change itself failed")

    with pytest.raises(RuntimeError):
        await small.res.db.team(small.ada.id).write(unit)

    assert await small.rows(deliveries) == []
    assert await small.rows(webhook_events) == []


async def test_one_that_is_removed_hears_nothing_more_and_its_log_stays(live: Small, customer: Receiver):
    endpoint_id = await listen(live, customer.url)
    await happens(live, change(1))
    await delivered(live, 1)
    await operations.pause(live.context(), endpoint_id)
    await happens(live, change(2))

    await objects.remove(live.context(), endpoint_id)
    await happens(live, change(3))

    rows = await live.rows(deliveries)
    assert [it.state for it in rows] == ["DELIVERED", "CANCELLED"]
    page, told, _ = await operations.list_deliveries(live.context(), Which(), limit=10, skip=0)
    assert [it.id for it in page] == [rows[1].id, rows[0].id]
    assert told[rows[0].id][0].status == 200
    assert await operations.list_endpoints(live.context()) == []


async def test_a_delivery_of_a_change_is_replayed_and_forgotten_like_every_other(
    live: Small, customer: Receiver
):
    await listen(live, customer.url)
    await happens(live, change(1))
    await delivered(live, 1)
    (row,) = await live.rows(deliveries)

    await operations.replay(live.context(), row.id)
    await until(lambda: len(customer.got) == 2)
    await delivered(live, 1)
    assert customer.got[0][0] == customer.got[1][0]
    assert await operations.get_body(live.context(), row.id) == customer.got[0][0]

    live.clock.pass_by(60 * 24 * 60 * 60 * 1000)
    await operations.forget_old(live.res.db, before=live.clock())
    assert await live.rows(webhook_events) == []
    assert await live.rows(deliveries) == []


def test_there_is_an_event_for_every_deed_on_every_object():
    every: Sequence[str] = OBJECT_EVENTS

    assert len(every) == len(set(every)) == 9
    assert {it.split(":")[2] for it in every} == {"post"}
    assert changes.BY_ATTRIBUTE == ("data", "derivedData")
