"""The fold: any number of times, in any order, and no update pays for its neighbour."""

import asyncio
import json
import random
import sqlite3

from sqlalchemy import text

from samvad.domain.chats.tables import chats
from samvad.domain.contacts.tables import contacts
from samvad.domain.events.tables import events
from samvad.domain.inbound import queries as inbound
from samvad.domain.inbound.tables import inbound_events
from samvad.domain.messages.tables import messages
from samvad.domain.waba import queries as waba
from samvad.domain.webhooks import queries as webhooks
from samvad.domain.webhooks.tables import deliveries
from samvad.kit.errors import Unavailable
from samvad.storage.sqlite import SqliteDatabase
from tests.domain.meta import contact, echoed, message, received, status, statuses, webhook
from tests.domain.quick import START, Small, at_once
from tests.harness import PERSON, Product, until
from tests.ingress.state import known, state_hash

BSUID = "US.13491208655302741918"


async def test_webhooks_replayed_a_hundred_times_shuffled_and_at_once_change_nothing(product: Product):
    for n in range(3):
        await product.customer_writes(f"question {n}")
        assert (await product.send_text(f"answer {n}")).status_code == 200

    async def read():
        return [it for it in await product.listed() if it["deliveryStatus"] == "READ"]

    await until(lambda: _has(read, 3))
    before = await state_hash(product.app.db)

    replayed = await product.control.post(
        "/replay", json={"last": 12, "times": 100, "concurrent": 32, "shuffle": True}
    )

    assert replayed.json() == {"sent": 1200, "ok": 1200}
    await product.settle()
    assert await state_hash(product.app.db) == before
    assert len(await product.listed()) == 6


async def _has(found, count: int) -> bool:
    return len(await found()) == count


async def test_the_same_bodies_in_any_order_and_any_number_of_times_are_one_state(small: Small):
    sent = await small.send_text("ours")
    bodies = [
        json.dumps(it).encode()
        for it in (
            received(message("wamid.a", at=1), contacts=[contact("Old Name")]),
            received(message("wamid.b", at=5), contacts=[contact("New Name")]),
            received(
                message("wamid.c", at=3, phone=None, bsuid=BSUID), contacts=[contact(phone=None, bsuid=BSUID)]
            ),
            received(message("wamid.d", at=4, bsuid=BSUID), contacts=[contact("Middle Name", bsuid=BSUID)]),
            received(message("wamid.e", at=9, context={"id": "wamid.f"}), contacts=[contact()]),
            received(message("wamid.f", at=2)),
            echoed(
                {
                    "id": "wamid.g",
                    "to": PERSON,
                    "timestamp": "1795000006",
                    "type": "text",
                    "text": {"body": "x"},
                }
            ),
            statuses(status("wamid.g", "read", at=8)),
            statuses(status("wamid.g", "played", at=7)),
            statuses(status(sent.wamid, "delivered", at=7), status(sent.wamid, "failed", at=6)),
            statuses(status("wamid.stranger", "played", at=9), status("wamid.stranger", "read", at=8)),
            statuses(status("wamid.stranger", "read", at=7)),
        )
    ]
    seen = set()
    await forget_all_but_ours(small)
    for seed in range(6):
        shuffled = bodies * 2
        random.Random(seed).shuffle(shuffled)
        for body in shuffled:
            await small.deliver(body)
            if seed % 2:
                await small.fold()
        await small.fold()
        await small.fold_again()
        seen.add(json.dumps(await known(small.res.db), sort_keys=True))
        await forget_all_but_ours(small)

    assert len(seen) == 1


async def forget_all_but_ours(small: Small) -> None:
    """As before the first webhook; only our own send stays, and forgets what became of it."""
    for table in ("inbound_event", "event", "job", "contact", "contact_identity", "chat", "parked_status"):
        await small.execute(text(f"DELETE FROM {table}"))
    await small.execute(text("DELETE FROM message WHERE user_id IS NULL"))
    await small.execute(
        text(
            "UPDATE message SET status = 1, error = NULL, delivered_at = NULL, failed_at = NULL, contact_id = NULL"
        )
    )


async def test_one_unreadable_update_in_a_body_does_not_lose_its_neighbours(small: Small):
    body = webhook(
        {
            "messages": [message("wamid.one"), "nonsense", {"type": "text"}, message("wamid.two")],
            "statuses": [None, status("wamid.three", "sent"), {"id": "wamid.four"}],
        }
    )
    body["entry"] += ["nonsense", {"id": "1", "changes": [{"field": "messages", "value": 7}]}]

    await small.hears(body)

    assert [it.wamid for it in await small.rows(messages)] == ["wamid.one", "wamid.two"]
    row = await small.row(inbound_events)
    for place in ("messages[1]", "messages[2]", "statuses[0]", "statuses[2]", "entry[1]", "entry[2]"):
        assert place in row.problem


async def test_half_an_emoji_and_a_nul_are_replaced_and_not_fatal(small: Small):
    raw = json.dumps(received(message("wamid.one", text={"body": "cut \\ud83d"}, type="text"))).replace(
        "\\\\u", "\\u"
    )
    nul = json.dumps(received(message("wamid.two", text={"body": "a\x00b", "k\x00": 1}, type="text")))

    await small.hears(raw.encode(), nul.encode(), received(message("wamid.three")))

    assert [it.text for it in await small.rows(messages)] == ["cut \ufffd", "a\ufffdb", "hi"]


async def test_a_poisonous_event_is_marked_and_its_neighbours_fold(small: Small):
    await refuse_messages_called(small, "wamid.poison")
    wamids = ["wamid.1", "wamid.2", "wamid.poison", "wamid.3", "wamid.4"]
    for wamid in wamids:
        await small.deliver(received(message(wamid)))

    await small.fold()

    assert [it.wamid for it in await small.rows(messages)] == ["wamid.1", "wamid.2", "wamid.3", "wamid.4"]
    problems = [it.problem for it in await small.rows(inbound_events)]
    assert [bool(it) for it in problems] == [False, False, True, False, False]
    assert "could not be folded" in problems[2]

    await allow_all_messages(small)
    assert await small.res.db.write(inbound.fold_again, only_problems=True) == 1
    await small.fold()
    assert "wamid.poison" in [it.wamid for it in await small.rows(messages)]
    assert not any(it.problem for it in await small.rows(inbound_events))


async def test_a_value_too_long_for_an_index_of_postgresql_costs_nobody_else_anything(small: Small):
    noise = random.Random(1).randbytes(6_000).hex()

    await small.hears(received(message(f"wamid.{noise}")), received(message("wamid.after")))

    assert "wamid.after" in [it.wamid for it in await small.rows(messages)]
    first, _ = await small.rows(inbound_events)
    assert bool(first.problem) is not isinstance(small.res.db, SqliteDatabase)


async def test_a_poisonous_event_reaches_the_customers_endpoint_all_the_same(small: Small):
    await small.res.db.team(small.ada.id).write(
        webhooks.set_endpoint,
        plugin_id=small.ada.plugin_id,
        format="meta",
        url="https://example.com",
        at=START,
    )
    await refuse_messages_called(small, "wamid.poison")

    await small.hears(received(message("wamid.poison")), received(message("wamid.1")))

    kept = [it.id for it in await small.rows(inbound_events)]
    assert [it.inbound_event_id for it in await small.rows(deliveries)] == kept


async def test_folding_again_leaves_the_state_and_records_nothing_new(small: Small):
    sent = await small.send_text()
    await small.hears(
        received(message("wamid.a", context={"id": sent.wamid}), contacts=[contact("Ada")]),
        statuses(status(sent.wamid, "sent"), status(sent.wamid, "read"), status("wamid.other", "sent")),
        received(message("wamid.b", phone=None, bsuid=BSUID)),
    )
    before, happened = await state_hash(small.res.db), len(await small.rows(events))

    for _ in range(3):
        await small.fold_again()

    assert await state_hash(small.res.db) == before
    assert len(await small.rows(events)) == happened


async def test_one_event_can_be_folded_again_by_its_id_or_its_time(small: Small):
    await small.hears(received(message("wamid.1")))
    small.clock.now += 60_000
    await small.hears(received(message("wamid.2")), received(message("wamid.3")))
    first, second, _ = await small.rows(inbound_events)
    again = small.res.db.write

    assert await again(inbound.fold_again, event_ids=[first.id]) == 1
    await small.fold()
    assert await again(inbound.fold_again, since=second.received_at) == 2
    await small.fold()
    assert await again(inbound.fold_again) == 3


async def test_what_a_webhook_says_of_another_teams_number_is_dropped_and_every_such_event_marked(
    small: Small,
):
    theirs = small.babbage.number

    for n in range(3):
        await small.deliver(received(message(f"wamid.{n}"), number=theirs))
    await small.deliver(received(message("wamid.ours")))
    await small.fold()

    assert [it.wamid for it in await small.rows(messages)] == ["wamid.ours"]
    problems = [it.problem for it in await small.rows(inbound_events)]
    assert [bool(it) for it in problems] == [True, True, True, False]
    assert theirs in problems[0]


async def test_a_number_nobody_connected_is_noted_for_whose_plugin_heard_of_it(small: Small):
    await small.hears(received(message("wamid.1"), number="100200300400777"))

    assert (await small.row(messages)).phone_number_id == "100200300400777"
    number = await small.res.db.team(small.ada.id).read(waba.find_number, "100200300400777")
    assert number is not None
    assert number.details["discovered"]


async def test_two_teams_may_hear_of_one_wamid_in_one_batch(small: Small):
    await small.deliver(received(message("wamid.same", phone="15550000001")))
    await small.deliver(
        received(message("wamid.same", phone="15550000002"), number=small.babbage.number), small.babbage
    )
    await small.fold()

    ada, babbage = sorted(await small.rows(messages), key=lambda it: it.team_id != small.ada.id)
    owner = {it.id: it.team_id for it in await small.rows(contacts)}
    homes = {it.id: it.team_id for it in await small.rows(chats)}
    for row, team in ((ada, small.ada.id), (babbage, small.babbage.id)):
        assert (row.team_id, owner[row.contact_id], homes[row.chat_id]) == (team, team, team)


async def test_bodies_that_come_while_others_fold_are_folded_once(live: Small):
    await at_once(
        *(live.deliver(received(message(f"wamid.{n}"))) for n in range(200)), live.fold(), live.fold()
    )
    await live.fold()

    assert len(await live.rows(messages)) == 200
    received_events = [it for it in await live.rows(events) if it.name == "message.received"]
    assert len(received_events) == 200
    assert (await live.row(chats)).unread == 200


async def test_the_fold_goes_on_after_the_database_was_in_trouble(live: Small):
    """A locked file, or a server that cut its connections: the loop is still there afterwards."""
    if isinstance(live.res.db, SqliteDatabase):
        file = live.res.db._writing.url.database
        assert file is not None
        await live.deliver(received(message("wamid.1")))
        visitor = sqlite3.connect(file, isolation_level=None)
        visitor.execute("BEGIN IMMEDIATE")
        await asyncio.sleep(0.05)  # the fold has been rung, and waits in vain
        visitor.execute("ROLLBACK")
        visitor.close()
    else:
        cut = text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        for _ in range(3):
            await live.execute(cut)
            await live.deliver(received(message("wamid.1")))

    async def folded() -> bool:
        reply = await live.deliver(received(message("wamid.later")))
        try:
            known = [it.wamid for it in await live.rows(messages)]
        except Unavailable:  # our own look met one of the connections that were cut
            return False
        return reply.status_code == 200 and "wamid.later" in known

    await until(folded)
    loops = {task.get_name() for task in live.app._loops if not task.done()}
    assert {"fold", "deliveries", "jobs"} <= loops


async def refuse_messages_called(small: Small, wamid: str) -> None:
    """Let the database itself refuse one message: nothing else fails so surely on both."""
    if isinstance(small.res.db, SqliteDatabase):
        await small.execute(
            text(
                f"CREATE TRIGGER refuse BEFORE INSERT ON message WHEN NEW.wamid = '{wamid}' "
                "BEGIN SELECT RAISE(ABORT, 'poison'); END"
            )
        )
    else:
        await small.execute(text(f"ALTER TABLE message ADD CONSTRAINT refuse CHECK (wamid <> '{wamid}')"))


async def allow_all_messages(small: Small) -> None:
    sqlite_file = isinstance(small.res.db, SqliteDatabase)
    await small.execute(
        text("DROP TRIGGER refuse" if sqlite_file else "ALTER TABLE message DROP CONSTRAINT refuse")
    )
