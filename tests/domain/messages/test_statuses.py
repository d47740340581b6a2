"""What became of our messages, in rows: early, late, twice, and of somebody else's."""

import asyncio
import itertools
import random

import pytest
from sqlalchemy import text

from samvad.domain import audit
from samvad.domain.events.tables import events
from samvad.domain.inbound.tables import inbound_events
from samvad.domain.messages import operations, queries, statuses
from samvad.domain.messages.model import News, Status
from samvad.domain.messages.tables import messages, parked_statuses
from samvad.kit.errors import Ambiguous, Refused
from tests.domain import meta
from tests.domain.meta import status
from tests.domain.quick import Small, quick
from tests.harness import PERSON, until

WORDS = ("sent", "delivered", "read", "failed")
MOMENTS = {"sent": 2, "failed": 3, "delivered": 4, "read": 5}
STEPS = ["message.delivered", "message.failed", "message.read", "message.sent"]


async def test_all_24_orders_of_four_statuses_end_alike_in_any_batches_with_duplicates(small: Small):
    orders = list(itertools.permutations(WORDS))
    sent = [await small.send_text(f"{n}") for n in range(len(orders))]
    chance = random.Random(3)

    for it, order in zip(sent, orders, strict=True):
        told = [status(it.wamid, word, at=MOMENTS[word]) for word in order]
        told.insert(chance.randrange(4), chance.choice(told))
        while told:
            size = chance.randint(1, len(told))
            await small.deliver(meta.statuses(*told[:size]))
            told = told[size:]
            if chance.random() < 0.5:
                await small.fold()
    await small.fold()

    rows = await small.rows(messages)
    ends = {(it.status, it.delivered_at, it.read_at, it.failed_at, str(it.error)) for it in rows}
    assert len(rows) == 24
    assert len(ends) == 1
    assert ends.pop()[0] == Status.READ
    for row in rows:
        happened = [e.name for e in await small.rows(events, events.c.subject_id == row.id)]
        assert sorted(happened) == STEPS, "each step is one event, however often it was told"


async def test_a_batch_that_reaches_its_end_at_once_records_every_step(small: Small):
    sent = await small.send_text()

    await small.hears(meta.statuses(*(status(sent.wamid, it) for it in ("delivered", "read"))))

    names = [it.name for it in await small.rows(events, events.c.subject_id == sent.message_id)]
    assert names == ["message.sent", "message.delivered", "message.read"]


async def test_delivered_after_failed_corrects_it(small: Small):
    sent = await small.send_text()

    await small.hears(meta.statuses(status(sent.wamid, "failed", at=1)))
    failed = await small.row(messages)
    await small.hears(meta.statuses(status(sent.wamid, "delivered", at=2)))

    assert (failed.status, bool(failed.error)) == (Status.FAILED, True)
    assert (await small.row(messages)).status == Status.DELIVERED


async def test_a_change_of_status_leaves_the_time_of_change_as_on_the_vendors_page(small: Small):
    sent = await small.send_text()
    before = await small.row(messages)
    small.clock.now += 5_000

    await small.hears(meta.statuses(status(sent.wamid, "delivered")))
    after = await small.row(messages)
    await small.fold_again()

    assert after.updated_at == before.updated_at
    assert (await small.row(messages)).updated_at == after.updated_at


async def test_a_status_before_its_message_waits_and_keeps_the_earliest_moment(small: Small):
    for word, at in (("played", 12), ("read", 10), ("read", 11), ("delivered", 9)):
        await small.hears(meta.statuses(status("wamid.echo", word, at=at)))
    assert len(await small.rows(parked_statuses)) == 2

    await small.hears(meta.echoed({**meta.message("wamid.echo"), "to": PERSON}))

    row = await small.row(messages)
    assert row.status == Status.READ
    assert row.read_at == meta.second(10) * 1000
    assert await small.rows(parked_statuses) == []


@pytest.mark.parametrize("own", [None, "the client's own word"])
async def test_statuses_quicker_than_the_answer_are_not_lost(live: Small, own: str | None):
    """Meta's webhooks overtake its answer; the client's own callback data leaves us no id to go by."""
    live.sandbox.configure(reply_delay_ms=150)
    more = {"biz_opaque_callback_data": own} if own else {}

    sent = await live.send_text("quick", **more)

    async def read():
        await live.res.db.write(statuses.sweep_parked, at=live.clock())
        return (await live.row(messages)).status == Status.READ

    await until(read)
    row = await live.row(messages)
    assert row.wamid == sent.wamid
    assert None not in (row.sent_at, row.delivered_at, row.read_at)
    assert await live.rows(parked_statuses) == []


async def test_a_status_parked_while_its_send_is_under_way_is_applied_with_the_answer(small: Small):
    small.sandbox.configure(reply_delay_ms=200)
    sending = asyncio.create_task(small.send_text(biz_opaque_callback_data="the client's own word"))
    await until(lambda: small.sandbox.world.counts.accepted)
    (accepted,) = [it for it in small.sandbox.world.messages.values() if it.from_business]

    await small.hears(meta.statuses(status(accepted.wamid, "delivered")))
    assert len(await small.rows(parked_statuses)) == 1
    await sending

    row = await small.row(messages)
    assert (row.wamid, row.status) == (accepted.wamid, Status.DELIVERED)
    assert await small.rows(parked_statuses) == []


async def test_the_sweep_applies_what_was_left_parked(small: Small):
    sent = await small.send_text()
    left = [
        {"wamid": sent.wamid, "team_id": small.ada.id, "status": 3, "at": 1, "parked_at": 1, "error": None},
        {
            "wamid": sent.wamid,
            "team_id": small.babbage.id,
            "status": 4,
            "at": 1,
            "parked_at": 1,
            "error": None,
        },
    ]
    await small.execute(parked_statuses.insert().values(left))

    later = await small.res.db.write(statuses.sweep_parked, at=small.clock(), since=2)
    assert later == 0, "what was parked before then waits for the sweep of all"
    assert await small.res.db.write(statuses.sweep_parked, at=small.clock(), since=1) == 1

    assert (await small.row(messages)).status == Status.DELIVERED
    assert [it.team_id for it in await small.rows(parked_statuses)] == [small.babbage.id]
    assert await small.res.db.write(statuses.sweep_parked, at=small.clock()) == 0


async def test_statuses_of_another_teams_message_do_nothing(small: Small):
    sent = await small.send_text()
    told = [status(sent.wamid, "read"), status("wamid.new", "read", opaque=sent.message_id)]

    reply = await small.deliver(meta.statuses(*told, number=small.babbage.number), small.babbage)
    assert reply.status_code == 200
    await small.fold()

    row = await small.row(messages)
    assert (row.status, row.wamid) == (Status.SENT, sent.wamid)


async def test_a_status_completes_a_send_that_meta_did_not_answer(database_url, tmp_path):
    async with quick(database_url, tmp_path, loops=True) as live:
        live.sandbox.refuse_next(behaviour="accept_then_drop")

        with pytest.raises(Ambiguous):
            await live.send_text("did it go")

        async def read():
            return (await live.row(messages)).status == Status.READ

        await until(read)
        row = await live.row(messages)
        assert row.wamid in live.sandbox.world.messages
        names = [it.name for it in await live.rows(events, events.c.subject_id == row.id)]
        assert sorted(names) == ["message.delivered", "message.read", "message.sent"]
        assert live.sandbox.world.counts.accepted == 1


async def test_a_failure_told_after_an_answer_that_was_lost_is_of_a_message_meta_had_accepted(
    database_url, tmp_path
):
    """The steps are those of a day on which the answer came: sent, then failed."""
    async with quick(database_url, tmp_path, loops=False) as small:
        small.sandbox.refuse_next(behaviour="drop")
        with pytest.raises(Ambiguous):
            await small.send_text("did it go")
        before = await small.row(messages)

        late = {
            **status("wamid.late", "failed", opaque=before.id),
            "errors": [{"code": 131026, "title": "no"}],
        }
        await small.hears(meta.statuses(late))

        row = await small.row(messages)
        assert (row.status, row.wamid) == (Status.FAILED, "wamid.late")
        assert row.sent_at == row.failed_at
        names = [it.name for it in await small.rows(events, events.c.subject_id == row.id)]
        assert names == ["message.sent", "message.failed"]


async def test_a_send_that_meta_did_not_answer_stays_open_and_is_named(database_url, tmp_path):
    async with quick(database_url, tmp_path, loops=False) as small:
        small.sandbox.refuse_next(behaviour="drop")

        with pytest.raises(Ambiguous) as unknown:
            await small.send_text("nobody knows")

        row = await small.row(messages)
        assert (row.status, row.wamid) == (Status.SENDING, None)
        assert row.id in unknown.value.problems[0]
        seen = await small.res.db.read(audit.audit, now=small.clock())
        assert [it["id"] for it in seen["ambiguousSends"]] == [row.id]


async def test_a_refusal_is_a_failed_message_without_an_id_of_metas(small: Small):
    small.sandbox.refuse_next(131047)

    with pytest.raises(Refused):
        await small.send_text("too late")

    row = await small.row(messages)
    assert (row.status, row.wamid) == (Status.FAILED, None)
    assert "131047" in row.error["message"]


async def test_two_refusals_are_two_failed_messages(small: Small):
    small.sandbox.refuse_next(131047, times=2)

    await asyncio.gather(small.send_text("a"), small.send_text("b"), return_exceptions=True)

    assert [it.status for it in await small.rows(messages)] == [Status.FAILED] * 2


async def test_a_refusal_after_the_status_has_told_its_id_changes_nothing_and_parks_nothing(small: Small):
    sent = await small.send_text()
    refused = News(small.ada.id, None, Status.FAILED, 1, {"message": "no"}, sent.message_id)

    await small.res.db.write(statuses.apply, [refused], at=small.clock())

    assert (await small.row(messages)).status == Status.SENT
    assert await small.rows(parked_statuses) == []


async def test_the_last_word_on_a_status_nobody_knows_is_kept(small: Small):
    sent = await small.send_text()

    await small.hears(meta.statuses(status(sent.wamid, "teleported")))

    assert (await small.row(messages)).status == Status.SENT
    assert (await small.row(inbound_events)).kept_fields == ["status:teleported"]


async def test_many_sends_and_their_statuses_at_once_end_read(live: Small):
    sent = await asyncio.gather(*(live.send_text(f"{n}", to=f"1555000{n:04}") for n in range(60)))
    for it in sent:
        live.sandbox.set_window(PERSON, True)
        await live.deliver(meta.statuses(*(status(it.wamid, word) for word in ("read", "delivered"))))

    async def all_read():
        await live.res.db.write(statuses.sweep_parked, at=live.clock())
        return {it.status for it in await live.rows(messages)} == {Status.READ}

    await until(all_read)
    assert await live.rows(parked_statuses) == []


async def test_the_order_of_a_chat_is_metas_second_and_then_arrival(small: Small):
    for wamid, at in (("b", 2), ("a", 1), ("d", 3), ("c", 2), ("e", 3)):
        await small.hears(meta.received(meta.message(f"wamid.{wamid}", at=at)))

    listed, more = await operations.list_with(small.context(), PERSON, limit=10, skip=0)

    assert [it.wamid for it in reversed(listed)] == ["wamid.a", "wamid.b", "wamid.c", "wamid.d", "wamid.e"]
    assert not more
    page, more = await operations.list_with(small.context(), PERSON, limit=2, skip=1)
    assert [it.wamid for it in page] == ["wamid.d", "wamid.c"]
    assert more


async def test_another_team_lists_nothing_of_ours(small: Small):
    await small.hears(meta.received(meta.message("wamid.a")))

    assert await operations.list_with(small.context(small.babbage), PERSON, limit=10, skip=0) == ([], False)
    row = await small.row(messages)
    assert await small.res.db.team(small.babbage.id).read(queries.find, row.id) is None


async def test_the_index_of_waiting_sends_is_used(small: Small):
    if "sqlite" not in small.app.settings.database_url:
        pytest.skip("PostgreSQL scans a table of no rows, rightly")
    plan = await small.res.db.read(
        lambda tx: [
            row[-1] for row in tx.all(text("EXPLAIN QUERY PLAN SELECT id FROM message WHERE status = 0"))
        ]
    )

    assert "ix_message_sending" in plan[0]
