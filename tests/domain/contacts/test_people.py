"""People and chats: known by phones and BSUIDs, one person once, with all their history."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samvad.domain.chats.model import WINDOW_MS, window_closes_at, window_is_open
from samvad.domain.chats.tables import chats
from samvad.domain.contacts import queries as contacts
from samvad.domain.contacts.model import Contact, Identity, Person, identity_of
from samvad.domain.contacts.tables import contact_identities
from samvad.domain.contacts.tables import contacts as people
from samvad.domain.events.tables import events
from samvad.domain.messages import operations
from samvad.domain.messages.model import Status
from samvad.domain.messages.tables import messages
from samvad.domain.processes import leads as conversations
from samvad.domain.processes.tables import processes as leads
from samvad.jobs import queue
from samvad.jobs.tables import jobs
from samvad.storage import every_team
from tests.domain.meta import contact, echoed, message, received, second
from tests.domain.quick import Small, quick
from tests.harness import PERSON

BSUID = "US.13491208655302741918"
BRAZIL, BRAZIL_WA_ID = "5511987654321", "551187654321"


async def open_leads(small: Small) -> None:
    """What the worker does with the jobs of new contacts."""
    for job in await small.res.db.write(queue.claim, now=small.clock(), limit=100):
        await small.app._handlers()[job.name](job)
        await small.res.db.write(queue.finish, job)


async def test_a_person_known_by_bsuid_alone_is_first_class(small: Small):
    await small.hears(
        received(
            message("wamid.1", phone=None, bsuid=BSUID),
            contacts=[contact(phone=None, bsuid=BSUID, username="ada.l", name="Ada")],
        )
    )
    await open_leads(small)
    sent = await small.send({"recipient": BSUID, "type": "text", "text": {"body": "hello"}})

    person = await small.row(people)
    assert (person.name, person.username) == ("Ada", "ada.l")
    assert person.process_id is not None
    identity = await small.row(contact_identities)
    assert (identity.kind, identity.value) == ("bsuid", BSUID)
    theirs, ours = await small.rows(messages)
    assert (ours.id, ours.chat_id, ours.contact_id) == (sent.message_id, theirs.chat_id, person.id)
    assert theirs.peer == BSUID


async def test_a_bsuid_that_comes_with_a_known_phone_is_the_same_person(small: Small):
    await small.hears(received(message("wamid.1")))
    await small.hears(received(message("wamid.2", bsuid=BSUID)))
    await small.hears(received(message("wamid.3", phone=None, bsuid=BSUID)))

    assert len(await small.rows(people)) == 1
    assert len(await small.rows(contact_identities)) == 2
    assert len({it.contact_id for it in await small.rows(messages)}) == 1
    assert len(await small.rows(chats)) == 1


async def test_two_contacts_that_prove_to_be_one_merge_and_keep_everything(small: Small):
    await small.hears(received(message("wamid.1", at=1), contacts=[contact("By Phone")]))
    await small.hears(
        received(
            message("wamid.2", phone=None, bsuid=BSUID, at=50),
            message("wamid.3", phone=None, bsuid=BSUID, at=51),
            contacts=[contact("By Bsuid", phone=None, bsuid=BSUID, username="ada")],
        )
    )
    await open_leads(small)
    elder, younger = await small.rows(people)
    theirs = await small.res.db.read(lambda tx: tx.all(chats.select().order_by(chats.c.id)))
    assert len(theirs) == 2

    await small.hears(received(message("wamid.4", bsuid=BSUID, at=20)))

    kept = await small.row(people)
    assert kept.id == elder.id
    assert kept.process_id == elder.process_id
    assert (kept.name, kept.username) == ("By Bsuid", "ada"), "the latest name, by whichever it was said"
    chat = await small.row(chats)
    assert (chat.contact_id, chat.unread) == (kept.id, 4)
    assert (chat.last_message_at, chat.last_inbound_at) == (second(51) * 1000, second(51) * 1000)
    said = await small.rows(messages)
    assert [it.wamid for it in said] == [f"wamid.{n}" for n in range(1, 5)]
    assert {(it.contact_id, it.chat_id) for it in said} == {(kept.id, chat.id)}
    (merged,) = await small.rows(events, events.c.name == "contact.merged")
    assert (merged.subject_id, merged.data) == (kept.id, {"gone": younger.id})


@pytest.mark.parametrize(
    ("kept", "gone", "after"),
    [
        ((None, None), ("sam", "sales"), ("sam", "sales")),
        (("ada", None), ("sam", "sales"), ("ada", "sales")),
        (("ada", "help"), (None, None), ("ada", "help")),
    ],
)
async def test_a_merged_chat_stays_with_who_answers_it(
    small: Small, kept: tuple[Any, Any], gone: tuple[Any, Any], after: tuple[Any, Any]
):
    await small.hears(received(message("wamid.1", at=1), contacts=[contact("By Phone")]))
    by_bsuid = contact("By Bsuid", phone=None, bsuid=BSUID)
    await small.hears(received(message("wamid.2", phone=None, bsuid=BSUID, at=2), contacts=[by_bsuid]))
    for chat, (user, pod) in zip(await small.rows(chats), (kept, gone), strict=True):
        given = every_team.update(chats).where(chats.c.id == chat.id)
        await small.execute(given.values(assigned_to=user, belongs_to=pod))

    await small.hears(received(message("wamid.3", bsuid=BSUID, at=3)))

    chat = await small.row(chats)
    assert (chat.assigned_to, chat.belongs_to) == after


async def test_a_merge_carries_the_lead_over_where_only_the_one_that_goes_has_one(small: Small):
    db = small.res.db
    for identity, opened in ((Identity("phone", PERSON), False), (Identity("bsuid", BSUID), True)):
        await db.write(contacts.meet, [Person(small.ada.id, (identity,))], at=1)
        if opened:
            job = max(await db.write(queue.claim, now=small.clock(), limit=9), key=lambda it: it.id)
            await conversations.open_leads(small.res, job)
    elder, younger = await small.rows(people)
    assert elder.process_id is None
    assert younger.process_id is not None

    both = Person(small.ada.id, (Identity("phone", PERSON), Identity("bsuid", BSUID)))
    (met,), merges = await db.write(contacts.meet, [both], at=2)

    assert len(merges) == 1
    kept = await small.row(people)
    assert (kept.id, kept.process_id) == (elder.id, younger.process_id)
    assert met.process_id == younger.process_id

    late = queue.Job(small.ada.id, "processes.open_leads", {"contacts": [elder.id, younger.id]})
    await conversations.open_leads(small.res, late)
    assert len(await small.rows(leads)) == 1, "a job that comes late opens no second lead"


async def test_three_contacts_merge_in_one_batch_of_three_messages(small: Small):
    for wamid, who in (("1", {"phone": "15550000001"}), ("2", {"phone": None, "bsuid": "US.2"})):
        await small.hears(received(message(f"wamid.{wamid}", **who)))
    await small.hears(received(message("wamid.3", phone="15550000003")))

    await small.hears(
        received(
            message("wamid.4", phone="15550000003", bsuid="US.2"),
            message("wamid.5", phone="15550000001", bsuid="US.2"),
            message("wamid.6", phone="15550000001"),
        )
    )

    person, chat = await small.row(people), await small.row(chats)
    assert {(it.contact_id, it.chat_id) for it in await small.rows(messages)} == {(person.id, chat.id)}
    assert chat.unread == 6


def respelling(meta):
    """A Cloud API that knows one number under its other spelling."""

    async def app(scope, receive, send) -> None:
        async def changed(event) -> None:
            if event["type"] == "http.response.start":
                event["headers"] = [it for it in event["headers"] if it[0] != b"content-length"]
            elif body := event.get("body"):
                event["body"] = body.replace(
                    f'"wa_id":"{BRAZIL}"'.encode(), f'"wa_id":"{BRAZIL_WA_ID}"'.encode()
                )
            await send(event)

        await meta(scope, receive, changed)

    return app


@pytest.mark.parametrize("writes_first", [True, False])
async def test_metas_other_spelling_of_a_number_is_the_same_person(
    database_url: str, tmp_path: Path, writes_first: bool
):
    """Brazil's ninth digit: we send to one spelling, Meta answers and writes with the other."""
    async with quick(database_url, tmp_path, loops=False, meta=respelling) as small:
        wrote = received(message(phone=BRAZIL_WA_ID), contacts=[contact("Ana", phone=BRAZIL_WA_ID)])
        if writes_first:
            await small.hears(wrote)
        sent = await small.send_text(to=BRAZIL)
        if not writes_first:
            await small.hears(wrote)

        person, chat = await small.row(people), await small.row(chats)
        assert person.name == "Ana"
        assert {(it.contact_id, it.chat_id) for it in await small.rows(messages)} == {(person.id, chat.id)}
        assert chat.last_inbound_at is not None
        assert sent.answer["contacts"] == [{"input": BRAZIL, "wa_id": BRAZIL_WA_ID}]
        for spelling in (BRAZIL, BRAZIL_WA_ID):
            listed, _ = await operations.list_with(small.context(), spelling, limit=10, skip=0)
            assert len(listed) == 2


async def test_the_latest_name_counts_also_when_an_older_webhook_comes_late(small: Small):
    async def name() -> tuple[str, str]:
        row = await small.row(people)
        return row.name, row.username

    await small.hears(received(message(at=1), contacts=[contact("First", username="one")]))
    await small.hears(received(message(at=9), contacts=[contact("Last")]))
    assert await name() == ("Last", "one")

    await small.hears(received(message(at=5), contacts=[contact("Between", username="five")]))
    await small.hears(received(message(at=10), contacts=[contact()]))
    assert await name() == ("Last", "five")


async def test_of_two_names_in_one_batch_the_later_counts(small: Small):
    await small.hears(received(message(at=1), contacts=[contact("A")]))
    await small.deliver(received(message(at=3), contacts=[contact("C")]))
    await small.deliver(received(message(at=2), contacts=[contact("A")]))
    await small.fold()

    assert (await small.row(people)).name == "C"


@given(st.lists(st.tuples(st.sampled_from(["A", "B", None]), st.integers(1, 5)), max_size=6), st.randoms())
def test_names_in_any_order_end_alike(said, chance):
    def end(heard):
        known = Contact("id", None, None, None)
        for name, at in heard:
            known = known.after(Person("t", (), name, name, at))
        return known

    shuffled = list(said)
    chance.shuffle(shuffled)
    assert end(shuffled) == end(said)


async def test_a_chat_is_for_one_contact_and_one_number(small: Small):
    second_number = small.ada.business.phone_numbers[1].id
    await small.hears(
        received(message("wamid.1"), message("wamid.2")),
        received(message("wamid.3"), number=second_number),
        received(message("wamid.4", phone="15550001112")),
    )

    assert len(await small.rows(people)) == 2
    places = {(it.phone_number_id, it.contact_id): it.unread for it in await small.rows(chats)}
    assert len(places) == 3
    assert sorted(places.values()) == [1, 1, 2]


async def test_what_we_send_is_in_the_same_chat_and_not_unread(small: Small):
    await small.hears(received(message("wamid.1")))
    sent = await small.send_text()
    await small.hears(echoed({**message("wamid.2"), "to": PERSON}))

    chat = await small.row(chats)
    assert chat.unread == 1
    assert {it.chat_id for it in await small.rows(messages)} == {chat.id}
    assert (await small.row(messages, messages.c.id == sent.message_id)).direction == "OUTBOUND"


async def test_the_window_counts_from_the_persons_last_word_only(small: Small):
    await small.hears(received(message("wamid.1", at=100)), received(message("wamid.0", at=50)))
    small.clock.now += 3_600_000
    await small.send_text()

    chat = await small.row(chats)
    assert chat.last_inbound_at == second(100) * 1000
    assert chat.last_message_at > chat.last_inbound_at


def test_the_window_is_open_for_24_hours_and_not_a_millisecond_more():
    assert window_closes_at(None) is None
    assert not window_is_open(None, now=0)
    assert window_is_open(1_000, now=1_000 + WINDOW_MS - 1)
    assert not window_is_open(1_000, now=1_000 + WINDOW_MS)


async def test_a_reply_points_at_what_it_quotes_also_in_the_same_batch_or_before_it(small: Small):
    sent = await small.send_text()
    await small.hears(
        received(
            message("wamid.1", context={"id": sent.wamid}),
            message("wamid.2"),
            message("wamid.3", context={"id": "wamid.2"}),
            message("wamid.4", context={"id": "wamid.never"}),
            message("wamid.5", context={"id": "wamid.late"}),
        ),
        received(message("wamid.late")),
    )
    ours = await small.send_text(context={"message_id": "wamid.2"})

    ids = {it.wamid: it.id for it in await small.rows(messages)}
    quoted = {it.wamid: it.in_reply_to for it in await small.rows(messages)}
    assert quoted["wamid.1"] == sent.message_id
    assert quoted["wamid.3"] == ids["wamid.2"]
    assert quoted[ours.wamid] == ids["wamid.2"]
    assert quoted["wamid.4"] is None

    await small.fold_again()
    repaired = await small.row(messages, messages.c.wamid == "wamid.5")
    assert repaired.in_reply_to == ids["wamid.late"], "folding again repairs what came in the wrong order"


async def test_every_kind_of_message_is_a_row(small: Small):
    kinds: list[tuple[dict[str, Any], str | None]] = [
        ({"type": "reaction", "reaction": {"message_id": "wamid.x", "emoji": "👍"}}, "👍"),
        ({"type": "reaction", "reaction": {"message_id": "wamid.x"}}, None),
        ({"type": "order", "order": {"catalog_id": "1", "text": "two", "product_items": []}}, "two"),
        ({"type": "unsupported", "errors": [{"code": 131051, "title": "Unsupported"}]}, None),
        ({"type": "unknown", "errors": [{"code": 131060, "title": "Unavailable"}]}, None),
        ({"type": "system", "system": {"body": "changed", "type": "user_changed_number"}}, "changed"),
        ({"type": "a new kind of Meta's", "x": 1}, None),
        ({"type": "audio", "audio": {"id": "1"}, "referral": {"ctwa_clid": "c"}}, None),
    ]

    await small.hears(*(received(message(**content)) for content, _ in kinds))

    rows = await small.rows(messages)
    for row, (content, words) in zip(rows, kinds, strict=True):
        assert (row.data_type, row.text, row.status) == (content["type"], words, Status.DELIVERED)
        assert bool(row.error) is ("errors" in content)
        assert row.context.get("referral") == content.get("referral")


async def test_an_echo_is_our_own_message_to_that_person(small: Small):
    await small.hears(echoed({**message("wamid.1"), "from": "15550002222", "to": PERSON}))

    row = await small.row(messages)
    assert (row.direction, row.peer, row.status) == ("OUTBOUND", PERSON, Status.SENT)
    assert (await small.row(contact_identities)).value == PERSON
    assert (await small.row(chats)).last_inbound_at is None


async def test_a_message_from_nobody_we_can_name_is_kept_all_the_same(small: Small):
    await small.hears(received(message("wamid.1", phone=None)))

    row = await small.row(messages)
    assert (row.contact_id, row.chat_id, row.peer) == (None, None, None)


async def test_one_person_met_at_once_on_many_connections_is_one_contact_with_one_lead(small: Small):
    person = Person(small.ada.id, (Identity("phone", PERSON), Identity("bsuid", BSUID)), "Ada", None, 1)

    await asyncio.gather(*(small.res.db.write(contacts.meet, [person], at=1) for _ in range(10)))
    await open_leads(small)

    assert len(await small.rows(people)) == 1
    assert len(await small.rows(contact_identities)) == 2
    assert len(await small.rows(events, events.c.name == "contact.created")) == 1
    assert len(await small.rows(leads)) == 1


async def test_sends_and_messages_of_one_new_person_at_once_are_one_contact_and_one_chat(live: Small):
    await asyncio.gather(
        *(live.send_text(f"{n}") for n in range(10)),
        *(live.deliver(received(message(f"wamid.{n}", bsuid=BSUID, at=n))) for n in range(10)),
    )
    await live.fold()

    assert len(await live.rows(people)) == 1
    chat = await live.row(chats)
    assert chat.unread == 10
    assert chat.last_inbound_at == second(9) * 1000


async def test_teams_know_the_same_phone_each_for_itself(small: Small):
    await small.hears(received(message("wamid.1"), contacts=[contact("Ada's name")]))
    await small.hears(received(message("wamid.2"), number=small.babbage.number), side=small.babbage)

    assert sorted((it.team_id, it.name) for it in await small.rows(people)) == sorted(
        [(small.ada.id, "Ada's name"), (small.babbage.id, None)]
    )


async def test_leads_are_opened_once_and_only_where_the_team_has_them(small: Small):
    await small.hears(received(*(message(phone=f"1555000000{n}") for n in range(5))))
    (job,) = await small.rows(jobs)
    work = queue.Job(job.team_id, job.name, job.args, id=job.id)

    await conversations.open_leads(small.res, work)
    await conversations.open_leads(small.res, work)

    opened = await small.rows(leads)
    assert sorted(it.contact_id for it in opened) == sorted(it.id for it in await small.rows(people))
    assert {it.process_id for it in await small.rows(people)} == {it.id for it in opened}
    assert len(await small.rows(events, events.c.name == "process.created")) == 5


async def test_two_workers_on_one_job_open_each_lead_once(small: Small):
    await small.hears(received(*(message(phone=f"1555000000{n}") for n in range(5))))
    (job,) = await small.rows(jobs)
    work = queue.Job(job.team_id, job.name, job.args, id=job.id)

    await asyncio.gather(
        *(conversations.open_leads(small.res, work) for _ in range(4)), return_exceptions=True
    )

    opened = await small.rows(leads)
    assert len(opened) == 5
    assert {it.process_id for it in await small.rows(people)} == {it.id for it in opened}


def test_a_recipient_of_digits_is_a_phone_and_anything_else_a_bsuid():
    assert identity_of(PERSON) == Identity("phone", PERSON)
    assert identity_of(BSUID) == Identity("bsuid", BSUID)
