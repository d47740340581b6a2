"""Everything Meta sends is understood or kept: one test for each thing, and none depends on the order."""

import json
import random
from typing import Any

import pytest
from sqlalchemy import text

from samvad.domain.chats.tables import chats
from samvad.domain.contacts.tables import contact_identities
from samvad.domain.contacts.tables import contacts as people
from samvad.domain.events import queries as event_log
from samvad.domain.events.tables import events
from samvad.domain.inbound.tables import inbound_events
from samvad.domain.messages.model import Status
from samvad.domain.messages.tables import messages
from samvad.domain.processes.tables import processes as leads
from samvad.jobs import queue
from samvad.jobs.tables import jobs
from samvad.kit.errors import Refused
from tests.domain.meta import contact, echoed, message, received, second, status, statuses, webhook
from tests.domain.quick import Small
from tests.harness import BUSINESS, PERSON
from tests.ingress.state import known

BSUID, NEW_BSUID = "US.13491208655302741918", "US.99999999999999999999"
NEW_PHONE = "15550001112"
GROUP = "Y2FwaV9ncm91cDoxNzA1NTU1MDEzOToxMjAzNjM0MDQ2OTQyMzM4MjAZD"
OURS = "15550002222"

FIELDS: dict[str, dict[str, Any]] = {
    "message_template_status_update": {"event": "APPROVED", "message_template_id": 1, "reason": None},
    "message_template_quality_update": {"previous_quality_score": "GREEN", "new_quality_score": "YELLOW"},
    "message_template_components_update": {"message_template_id": 1, "message_template_element": "Hi {{1}}"},
    "template_category_update": {"previous_category": "UTILITY", "new_category": "MARKETING"},
    "template_correct_category_detection": {"category": "UTILITY", "correct_category": "MARKETING"},
    "phone_number_quality_update": {"display_phone_number": OURS, "event": "UPGRADE"},
    "phone_number_name_update": {"display_phone_number": OURS, "decision": "APPROVED"},
    "account_update": {"event": "ACCOUNT_RESTRICTION", "restriction_info": [{"restriction_type": "X"}]},
    "account_alerts": {"entity_type": "BUSINESS", "entity_id": "1", "alert_info": {"alert_type": "X"}},
    "account_review_update": {"decision": "APPROVED"},
    "account_settings_update": {"type": "PHONE_NUMBER_SETTINGS", "timestamp": "1795000001"},
    "business_capability_update": {"max_daily_conversations_per_business": 2000},
    "security": {"display_phone_number": OURS, "event": "PIN_CHANGED", "requester": "1"},
    "flows": {"event": "FLOW_STATUS_CHANGE", "flow_id": "1", "new_status": "PUBLISHED"},
    "calls": {"calls": [{"id": "wacid.one", "event": "connect", "from": PERSON, "timestamp": "1795000001"}]},
    "history": {"history": [{"errors": [{"code": 2593109, "title": "History sharing is turned off"}]}]},
    "smb_app_state_sync": {"state_sync": [{"type": "contact", "action": "remove"}]},
    "user_preferences": {"user_preferences": [{"wa_id": PERSON, "value": "stop", "timestamp": 1795000001}]},
    "user_id_update": {"wa_id": PERSON, "user_id": {"previous": BSUID, "current": NEW_BSUID}},
    "business_username_update": {"display_phone_number": OURS, "username": "ada", "status": "approved"},
    "group_lifecycle_update": {"groups": [{"group_id": GROUP, "type": "group_create"}]},
    "group_participants_update": {"groups": [{"group_id": GROUP, "type": "group_participants_add"}]},
    "group_settings_update": {"groups": [{"group_id": GROUP, "type": "group_settings_update"}]},
    "group_status_update": {"groups": [{"group_id": GROUP, "type": "group_suspend"}]},
    "partner_solutions": {"event": "SOLUTION_CREATED", "solution_id": "1"},
    "payment_configuration_update": {"configuration_name": "x"},
    "automatic_events": {"automatic_events": [{"id": "1", "event_name": "Purchase"}]},
    "messaging_handovers": {"recipient": {"phone_number_id": "1"}},
    "standby": {"standby": [{"id": "1"}]},
    "consumer_profile": {"anything": 1},
    "a_field_of_next_year": {"anything": [1]},
}


async def work(small: Small) -> None:
    """What the worker does, until nothing is left to do."""
    while claimed := await small.res.db.write(queue.claim, now=small.clock(), limit=100):
        for job in claimed:
            if job.name != "media.fetch":  # the file itself is another story
                await small.app._handlers()[job.name](job)
            await small.res.db.write(queue.finish, job)


async def hear(small: Small, *bodies: dict[str, Any]) -> None:
    await small.hears(*bodies)
    await work(small)


async def test_every_field_is_an_event_of_its_team_with_what_meta_said_and_only_once(small: Small):
    for field, value in FIELDS.items():
        await hear(small, webhook(value, field=field))
    await small.fold_again()
    await work(small)

    team = small.res.db.team(small.ada.id)
    for field, value in FIELDS.items():
        (event,) = await team.read(event_log.newest_first, limit=9, name=f"meta.{field}")
        about = value["calls"][0] if field == "calls" else value
        assert {name: event.data[name] for name in about} == about, field
        assert event.subject_id == ("wacid.one" if field == "calls" else small.ada.number)
    other = small.res.db.team(small.babbage.id)
    assert not await other.read(event_log.newest_first, limit=9, name="meta.")
    assert not [it.problem for it in await small.rows(inbound_events) if it.problem]


async def test_a_value_too_large_for_the_log_is_named_there_and_kept_whole_beside_it(small: Small):
    await small.hears(webhook({"words": "x" * 20_000}, field="flows", number=None))

    (event,) = await small.rows(events, events.c.name == "meta.flows")
    kept = await small.row(inbound_events)
    assert (event.data["truncated"], event.data["inboundEvent"]) == (True, kept.id)
    assert event.subject_id == BUSINESS.waba_id


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (2, 0, 1)])
async def test_an_edit_and_a_revoke_change_what_is_shown_and_lose_nothing(
    small: Small, order: tuple[int, ...]
):
    edit = {"original_message_id": "wamid.m", "message": {"type": "text", "text": {"body": "meant"}}}
    said = [
        received(message("wamid.m", at=1, type="text", text={"body": "typed"})),
        received(message("wamid.e", at=2, type="edit", edit=edit)),
        received(message("wamid.r", at=3, type="revoke", revoke={"original_message_id": "wamid.m"})),
    ]
    for which in order:
        await small.hears(said[which])
    await small.fold_again()

    by_wamid = {it.wamid: it for it in await small.rows(messages)}
    original = by_wamid["wamid.m"]
    assert (original.text, original.body) == ("meant", {"body": "typed"})
    assert original.context == {
        "edited": {"at": second(2) * 1000, "text": "meant", "originalText": "typed"},
        "revoked": {"at": second(3) * 1000},
    }
    assert {by_wamid[it].in_reply_to for it in ("wamid.e", "wamid.r")} == {original.id}
    assert (await small.row(chats)).unread == 1, "an edit is nothing new to read"


async def test_our_own_edits_from_the_phone_are_told_and_nobody_edits_what_another_said(small: Small):
    ours = {"to": PERSON, "timestamp": str(second(1)), "type": "text", "text": {"body": "5 pm"}}
    edit = {"original_message_id": "wamid.o", "message": {"type": "text", "text": {"body": "6 pm"}}}
    theirs = {"original_message_id": "wamid.o", "message": {"type": "text", "text": {"body": "never"}}}
    await small.hears(
        echoed({"id": "wamid.o", **ours}),
        echoed({"id": "wamid.oe", "to": PERSON, "timestamp": str(second(2)), "type": "edit", "edit": edit}),
        received(message("wamid.t", at=9, type="edit", edit=theirs)),
    )

    (original,) = await small.rows(messages, messages.c.wamid == "wamid.o")
    assert original.text == "6 pm"


async def test_a_reply_or_reaction_that_comes_before_its_message_finds_it_without_folding_again(small: Small):
    await small.hears(received(message("wamid.re", context={"id": "wamid.q", "from": OURS})))
    reaction = {"message_id": "wamid.q", "emoji": "👍"}
    await small.hears(received(message("wamid.like", type="reaction", reaction=reaction)))

    await small.hears(received(message("wamid.q")))

    found = {it.wamid: it for it in await small.rows(messages)}
    assert found["wamid.re"].in_reply_to == found["wamid.like"].in_reply_to == found["wamid.q"].id
    assert found["wamid.like"].text == "👍"


async def test_a_group_is_one_chat_with_its_people_and_opens_no_persons_window(small: Small):
    other = "15550001117"
    await small.hears(
        received(message("wamid.a", group_id=GROUP)),
        received(message("wamid.b", phone=other, group_id=GROUP)),
        received(message("wamid.c", phone=other)),
    )

    group, private = sorted(await small.rows(chats), key=lambda it: it.group_id is None)
    assert (group.group_id, group.contact_id, group.unread) == (GROUP, None, 2)
    in_group = await small.rows(messages, messages.c.chat_id == group.id)
    assert [it.wamid for it in in_group] == ["wamid.a", "wamid.b"]
    assert len({it.contact_id for it in in_group}) == 2
    assert private.unread == 1


async def test_what_one_participant_of_a_group_did_is_not_what_became_of_the_message(small: Small):
    sent = await small.send_text()
    group = {"recipient_type": "group", "recipient_id": GROUP}
    await small.hears(
        statuses(status(sent.wamid, "failed", at=2, **group, recipient_participant_id="15550001117")),
        statuses(status(sent.wamid, "read", at=3, **group, recipient_participant_id=PERSON)),
    )

    ours = await small.row(messages)
    assert (ours.status, ours.error) == (Status.DELIVERED, None)
    told = await small.rows(events, events.c.name == "meta.group_message_status")
    assert {it.data["status"] for it in told} == {"failed", "read"}


async def test_what_is_sent_to_a_group_is_in_the_groups_chat(small: Small):
    await small.hears(received(message("wamid.a", group_id=GROUP)))

    with pytest.raises(Refused):  # there is no such group in the sandbox; the message is kept with its reason
        await small.send(
            {"recipient_type": "group", "to": GROUP, "type": "text", "text": {"body": "hello all"}}
        )

    chat = await small.row(chats)
    assert (chat.group_id, chat.contact_id, chat.unread) == (GROUP, None, 1)
    theirs, ours = await small.rows(messages)
    assert ours.chat_id == theirs.chat_id == chat.id
    assert (ours.contact_id, ours.context) == (None, {"group_id": GROUP})


def past(*said: tuple[str, str, int, str], person: str = PERSON) -> dict[str, Any]:
    """A chunk of history: who wrote, the id, when, and how far it had come."""
    told = [
        {"from": sender, "id": wamid, "timestamp": str(second(at)), "type": "text", "text": {"body": wamid}}
        | ({"to": person} if sender == OURS else {})
        | {"history_context": {"status": word}}
        for sender, wamid, at, word in said
    ]
    chunk = {"metadata": {"phase": 0, "chunk_order": 1, "progress": 50}}
    return webhook({"history": [chunk | {"threads": [{"id": person, "messages": told}]}]}, field="history")


async def test_history_is_kept_with_its_times_and_statuses_and_startles_nobody(small: Small):
    body = past(
        (PERSON, "wamid.1", -90_000, "READ"),
        (OURS, "wamid.2", -80_000, "READ"),
        (OURS, "wamid.3", -1, "ERROR"),
    )

    await hear(small, body)
    await small.fold_again()
    await work(small)

    said = await small.rows(messages)
    assert [(it.wamid, it.direction, it.at) for it in said] == [
        ("wamid.1", "INBOUND", second(-90_000) * 1000),
        ("wamid.2", "OUTBOUND", second(-80_000) * 1000),
        ("wamid.3", "OUTBOUND", second(-1) * 1000),
    ]
    assert [it.status for it in said] == [Status.DELIVERED, Status.READ, Status.FAILED]
    chat = await small.row(chats)
    assert (chat.unread, chat.last_inbound_at) == (0, second(-90_000) * 1000), "the window is long closed"
    assert not await small.rows(leads)
    names = {it.name for it in await small.rows(events, events.c.team_id == small.ada.id)}
    assert {"message.imported", "contact.imported"} <= names
    assert not names & {"message.received", "contact.created"}

    await hear(small, received(message("wamid.4")))

    (lead,) = await small.rows(leads)
    assert lead.contact_id == (await small.row(people)).id, "who writes after all gets a lead"


async def test_the_files_of_history_come_later_or_earlier(small: Small):
    placeholder = {"from": PERSON, "id": "wamid.i", "timestamp": str(second(1)), "type": "media_placeholder"}
    thread = webhook({"history": [{"threads": [{"id": PERSON, "messages": [placeholder]}]}]}, field="history")
    image = {"id": "800", "mime_type": "image/jpeg", "caption": "the roof"}
    file = webhook({"messages": [placeholder | {"type": "image", "image": image}]}, field="history")
    seen = []
    for order in ((thread, file), (file, thread)):
        for body in order:
            await hear(small, body)
        seen.append(await small.row(messages))
        await forget(small)

    for it in seen:
        assert (it.data_type, it.text, it.attachments[0]["mediaId"]) == ("image", "the roof", "800")


async def test_a_body_with_thousands_of_messages_is_folded_in_small_units(small: Small):
    body = past(*((PERSON, f"wamid.{n}", n, "READ") for n in range(450)))

    await hear(small, body)

    assert len(await small.rows(messages)) == 450
    assert not await small.rows(jobs)


async def test_an_address_book_names_people_and_a_wish_about_marketing_is_kept(small: Small):
    book = [
        {"type": "contact", "action": "add", "metadata": {"timestamp": str(second(5))}}
        | {"contact": {"full_name": "Ada Lovelace", "first_name": "Ada", "phone_number": f"+{PERSON}"}}
    ]
    wish = {"wa_id": PERSON, "category": "marketing_messages"}
    stop, resume = (
        {**wish, "value": word, "timestamp": second(at)} for word, at in (("stop", 7), ("resume", 6))
    )
    await hear(
        small,
        webhook({"user_preferences": [stop]}, field="user_preferences"),
        webhook({"state_sync": book}, field="smb_app_state_sync"),
        webhook({"user_preferences": [resume]}, field="user_preferences"),
    )

    person = await small.row(people)
    assert (person.name, person.marketing) == ("Ada Lovelace", "stop"), "the latest word counts"
    assert not await small.rows(leads)
    (event,) = await small.rows(events, events.c.name.startswith("contact.marketing"))
    assert (event.name, event.subject_id) == ("contact.marketing_stopped", person.id)


async def test_a_person_who_changes_number_or_id_stays_one_person_with_one_history_in_any_order(small: Small):
    body = {"body": "changed", "type": "user_changed_number", "wa_id": NEW_PHONE}
    said = [
        received(message("wamid.old", at=1)),
        received(message("wamid.new", at=5, phone=NEW_PHONE)),
        received(message("wamid.sys", at=3, type="system", system=body)),
        webhook(
            {"wa_id": NEW_PHONE, "user_id": {"previous": BSUID, "current": NEW_BSUID}}, field="user_id_update"
        ),
        received(message("wamid.id", at=7, phone=None, bsuid=NEW_BSUID)),
    ]
    seen = set()
    for seed in range(4):
        random.Random(seed).shuffle(said)
        for it in said:
            await hear(small, it)

        person = await small.row(people)
        assert len(await small.rows(contact_identities)) == 4
        assert {it.contact_id for it in await small.rows(messages)} == {person.id}
        assert len({it.chat_id for it in await small.rows(messages)}) == 1
        every = await small.rows(leads)
        assert {it.contact_id for it in every} == {person.id}, "a lead names who is there"
        assert person.process_id in {it.id for it in every}
        seen.add(json.dumps(await known(small.res.db), sort_keys=True))
        await forget(small)

    assert len(seen) == 1


async def test_folding_an_old_message_again_opens_no_chat_beside_a_closed_one(small: Small):
    await small.hears(received(message("wamid.1"), contacts=[contact("Ada")]))
    await small.execute(text("UPDATE chat SET status = 'CLOSED'"))

    await small.fold_again()

    assert (await small.row(chats)).status == "CLOSED"


async def forget(small: Small) -> None:
    for table in (
        "inbound_event",
        "event",
        "media",
        "contact",
        "contact_identity",
        "chat",
        "parked_status",
        "message",
        "process",
    ):
        await small.execute(text(f"DELETE FROM {table}"))
