"""The same bodies are one state: in any order, in batches of any size, any number of times, with members missing.

Run it long with SAMVAD_FOLD_EXAMPLES=2000.
"""

import json
import os
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from samvad.domain.chats.tables import chats
from samvad.domain.contacts.tables import contact_identities, contacts
from samvad.domain.events.tables import events
from samvad.domain.inbound import queries as inbound
from samvad.domain.inbound.queries import Body
from samvad.domain.inbound.tables import inbound_events
from samvad.domain.media.model import MEDIA
from samvad.domain.media.tables import media
from samvad.domain.messages.tables import messages, parked_statuses
from samvad.domain.processes.tables import processes
from samvad.domain.templates import queries as templates
from samvad.domain.templates.knowledge import Known
from samvad.domain.templates.tables import templates as template_rows
from samvad.domain.webhooks import queries as webhooks
from samvad.domain.webhooks.tables import deliveries, webhook_events
from samvad.ingress.fold import Reading, fold
from samvad.jobs import queue
from samvad.jobs.tables import jobs
from samvad.storage import Tx, every_team
from samvad.storage.sqlite import SqliteDatabase
from samvad.whatsapp.webhooks import message_ids
from tests.domain.meta import contact, echoed, message, received, second, status, statuses, webhook
from tests.domain.quick import START, Small
from tests.harness import PERSON
from tests.ingress.state import known
from tests.ingress.test_recorded import changed, places, values_of
from tests.whatsapp.shared import recorded_webhooks

EXAMPLES = int(os.environ.get("SAMVAD_FOLD_EXAMPLES", "25"))
ON_POSTGRESQL = max(EXAMPLES // 4, 6)

BSUID, NEW_BSUID, OURS = "US.13491208655302741918", "US.99999999999999999999", "15550002222"
OTHER, NEW_PHONE, GROUP = "15550001117", "15550001118", "Y2FwaV9ncm91cDoxNzA1NTU1MDEzOToxMjAZD"

TABLES = (
    *(inbound_events, contacts, contact_identities, chats, parked_statuses, messages, processes, events),
    *(jobs, media, deliveries, webhook_events, template_rows),
)

HERE = ("processes.open_leads", "processes.follow_merge", "ingress.fold_past")
"""The jobs that need no network."""


def own_ids(bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages and files with ids of their own, numbers under one account: examples share them, Meta does not."""
    seen: set[str] = set()
    account_of: dict[str, str] = {}
    kept = []
    for n, body in enumerate(bodies):
        said = [
            it
            for value in values_of(body)
            for key in ("messages", "message_echoes")
            for it in value.get(key) or ()
        ]
        ids = {it["id"] for it in said} | {
            it[kind]["id"] for it in said for kind in MEDIA if "id" in it.get(kind, {})
        }
        raw = json.dumps(body)
        for it in ids & seen:
            raw = raw.replace(json.dumps(it), json.dumps(f"{it}#{n}"))
        seen |= ids
        own = json.loads(raw)
        for entry in own["entry"]:
            for change in entry.get("changes", ()):
                value = change.get("value")
                number = value.get("metadata", {}).get("phone_number_id") if isinstance(value, dict) else None
                if number:
                    entry["id"] = account_of.setdefault(number, entry["id"])
        kept.append(own)
    return kept


def edit(wamid: str, target: str, words: str, at: int) -> dict[str, Any]:
    said = {"original_message_id": target, "message": {"type": "text", "text": {"body": words}}}
    return message(wamid, at=at, type="edit", edit=said)


def past(*told: dict[str, Any], messages: bool = False) -> dict[str, Any]:
    whole = list(told)
    value = (
        {"messages": whole} if messages else {"history": [{"threads": [{"id": PERSON, "messages": whole}]}]}
    )
    return webhook(value, field="history")


def old(wamid: str, word: str, *, ours: bool = False, at: int = 1, **content: Any) -> dict[str, Any]:
    """A message of history."""
    said = message(wamid, phone=OURS if ours else PERSON, at=at, **content)
    return said | ({"to": PERSON} if ours else {}) | {"history_context": {"status": word}}


def ours(wamid: str, at: int = 1, **more: Any) -> dict[str, Any]:
    return {**message(wamid, at=at, **more), "from": OURS, "to": PERSON}


ADA = [contact("Ada", bsuid=BSUID)]
IMAGE = {"id": "800", "mime_type": "image/jpeg", "caption": "the roof"}
QUARREL = [
    # One person under a phone, an id, a new phone and a new id; and which of them are one, said late or early.
    received(message("wamid.a", at=1), contacts=[contact("Old Name")]),
    received(
        message("wamid.b", phone=None, bsuid=BSUID, at=3), contacts=[contact("Id", phone=None, bsuid=BSUID)]
    ),
    received(message("wamid.c", bsuid=BSUID, at=2), contacts=ADA),
    received(message("wamid.d", phone=NEW_PHONE, at=9)),
    received(
        message(
            "wamid.e",
            at=5,
            type="system",
            system={"type": "user_changed_number", "wa_id": NEW_PHONE, "body": "x"},
        )
    ),
    webhook({"wa_id": PERSON, "user_id": {"previous": BSUID, "current": NEW_BSUID}}, field="user_id_update"),
    # What is said about messages, before and after them; from the right side and from the wrong one.
    received(message("wamid.f", at=6, context={"id": "wamid.a"})),
    received(message("wamid.g", at=7, type="reaction", reaction={"message_id": "wamid.o", "emoji": "👍"})),
    received(edit("wamid.h", "wamid.a", "first", 8)),
    received(edit("wamid.i", "wamid.a", "second", 9)),
    received(message("wamid.j", at=9, type="revoke", revoke={"original_message_id": "wamid.a"})),
    received(edit("wamid.k", "wamid.o", "never", 9)),
    echoed(ours("wamid.o", at=4)),
    # Statuses of an echo and of a stranger; two failures with two reasons.
    statuses(status("wamid.o", "read", at=8), status("wamid.o", "delivered", at=7)),
    statuses(status("wamid.o", "played", at=6)),
    statuses(status("wamid.o", "failed", at=9, errors=[{"code": 131026, "title": "later"}])),
    statuses(status("wamid.o", "failed", at=5, errors=[{"code": 131047, "title": "earlier"}])),
    statuses(status("wamid.x", "sent", at=2)),
    statuses(status("wamid.x", "failed", at=9, errors=[{"code": 131026, "title": "later"}])),
    statuses(status("wamid.x", "failed", at=5, errors=[{"code": 131047, "title": "earlier"}])),
    # History of what is also heard of as it happens, its files, and a message that was edited before its file came.
    past(
        old("wamid.a", "READ", at=1), old("wamid.o", "SENT", ours=True, at=4), old("wamid.p", "READ", at=-9)
    ),
    past(old("wamid.q", "READ", at=-5, type="media_placeholder")),
    past(old("wamid.q", "READ", at=-5, type="image", image=IMAGE), messages=True),
    received(message("wamid.q", at=-5, type="image", image=IMAGE)),
    past(old("wamid.r", "READ", at=-4, type="media_placeholder")),
    past(old("wamid.r", "READ", at=-4, type="image", image=IMAGE | {"id": "801"}), messages=True),
    received(edit("wamid.s", "wamid.r", "a better caption", 2)),
    # A group and its people, who write alone as well.
    received(message("wamid.t", phone=OTHER, group_id=GROUP, at=3), message("wamid.u", phone=OTHER, at=4)),
    statuses(status("wamid.o", "read", at=3, recipient_type="group", recipient_id=GROUP)),
    *(
        webhook(
            {"event": word, "message_template_id": 77, "reason": reason},
            field="message_template_status_update",
            number=None,
        )
        for word, reason in (("APPROVED", "NONE"), ("REJECTED", "INVALID_FORMAT"))
    ),
    # Wishes, an address book, a call, and something nobody knows yet.
    webhook(
        {"user_preferences": [{"wa_id": PERSON, "value": "stop", "timestamp": second(7)}]},
        field="user_preferences",
    ),
    webhook(
        {"user_preferences": [{"user_id": BSUID, "value": "resume", "timestamp": second(6)}]},
        field="user_preferences",
    ),
    webhook(
        {
            "state_sync": [
                {"type": "contact", "action": "add", "metadata": {"timestamp": str(second(4))}}
                | {"contact": {"full_name": "From The Book", "phone_number": f"+{OTHER}"}}
            ]
        },
        field="smb_app_state_sync",
    ),
    webhook({"calls": [{"id": "wacid.1", "event": "connect", "from": PERSON}]}, field="calls"),
    webhook({"anything": [1]}, field="a_field_of_next_year"),
]
RECORDED = own_ids([body for _, body in recorded_webhooks()])

_examples: Counter[int] = Counter()


@st.composite
def some_bodies(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Some bodies of all that we have; of the recorded ones some without a few of their members.

    Ours say the same of one message twice: without a member they would contradict each other.
    """
    chosen = draw(st.lists(st.sampled_from(QUARREL), min_size=2, max_size=12, unique_by=id))
    for body in draw(st.lists(st.sampled_from(RECORDED), max_size=6, unique_by=id)) if RECORDED else []:
        drop = draw(missing(body, 2)) if draw(st.booleans()) else []
        chosen.append(changed(body, drop, []))
    return chosen


def missing(body: dict[str, Any], most: int) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    """Some of the places below a value without which it still says something."""
    optional = [
        it for it in places(body) if it[4:5] == ("value",) and it[5:] and it[-1] not in ("id", "status")
    ]
    return st.lists(st.sampled_from(optional), max_size=most) if optional else st.just([])


@settings(
    max_examples=EXAMPLES,
    suppress_health_check=list(HealthCheck),
    phases=[it for it in Phase if it is not Phase.shrink],  # which takes minutes; what differs is shown
    print_blob=False,
)
@given(bodies=some_bodies(), data=st.data())
async def test_the_same_bodies_are_one_state(small: Small, bodies: list[dict[str, Any]], data: st.DataObject):
    _examples[id(small)] += 1
    if not isinstance(small.res.db, SqliteDatabase) and _examples[id(small)] > ON_POSTGRESQL:
        return
    rounds = data.draw(st.lists(st.permutations(bodies), min_size=1, max_size=2))
    batch, pause = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 20))

    await begin(small)
    await hear(small, bodies, batch=200)
    expected = await known(small.res.db)
    assert not [it for it in await small.rows(inbound_events) if it.folded_at is None]
    await begin(small)
    for some in rounds:
        for start in range(0, len(some), pause):
            await hear(small, some[start : start + pause], batch=batch)
        await small.res.db.write(inbound.fold_again)
        await hear(small, [], batch=batch)
    found = await known(small.res.db)

    assert differences(expected, found) == []


async def test_all_that_we_have_is_one_state_forwards_backwards_and_in_small_batches(small: Small):
    everything = [*RECORDED, *QUARREL]
    states = []
    for bodies, batch in (
        (everything, 200),
        (everything[::-1], 200),
        (everything[::2] + everything[1::2], 7),
    ):
        await begin(small)
        await hear(small, bodies, batch=batch)
        await small.res.db.write(inbound.fold_again)
        await hear(small, [], batch=batch)
        states.append(await known(small.res.db))

    assert [differences(states[0], it) for it in states[1:]] == [[], []]


@settings(max_examples=EXAMPLES * 8, print_blob=False)
@given(body=st.sampled_from(RECORDED + QUARREL), data=st.data())
def test_no_missing_member_loses_an_id_or_is_a_problem(body: dict[str, Any], data: st.DataObject):
    damaged = changed(body, data.draw(missing(body, 3)), [])

    before, after = read(body), read(damaged)

    assert not after.marks() or not after.marks()[0].problem or before.marks()[0].problem
    raw = json.dumps(damaged).encode()
    kept = {it.wamid for it in after.arrivals} | {it.wamid for it in after.news} | in_values(after)
    assert set(message_ids(raw)) <= kept


def differences(expected: dict[str, list[Any]], found: dict[str, list[Any]]) -> list[str]:
    """What is in one and not in the other."""
    one, other = (
        {f"{what}: {it!r}" for what, rows in state.items() for it in rows} for state in (expected, found)
    )
    return [f"- {it}" for it in sorted(one - other)] + [f"+ {it}" for it in sorted(other - one)]


def read(body: dict[str, Any]) -> Reading:
    reading = Reading()
    reading.read(1, "team", "plugin", json.dumps(body).encode(), received_at=START)
    return reading


def in_values(reading: Reading) -> set[Any]:
    """Ids within what is kept whole: history, calls, statuses of one participant."""
    found: set[Any] = set()
    waiting: list[Any] = [it.value for it in reading.account_news]
    while waiting:
        it = waiting.pop()
        if isinstance(it, dict):
            found |= {it["id"]} if isinstance(it.get("id"), str) else set()
            waiting += it.values()
        elif isinstance(it, list):
            waiting += it
    return found


async def begin(small: Small) -> None:
    """As before the first webhook: a template of ours, and endpoints that want to hear everything."""

    def unit(tx: Tx) -> None:
        for table in TABLES:
            tx.execute(every_team.delete(table))
        item = {"id": "77", "name": "order", "language": "en", "status": "PENDING", "category": "UTILITY"}
        mine = Known.from_meta(item | {"components": []}, waba_id=small.ada.business.waba_id, asked_at=1)
        templates.put(tx, [(small.ada.id, mine)])

    await small.res.db.write(unit)
    wanted = ("message", "smb_message_echo", "status", "message_echo", "deliveryStatus")
    for format, names in (("meta", ()), ("chakra", wanted)):
        await small.res.db.team(small.ada.id).write(
            webhooks.set_endpoint,
            plugin_id=small.ada.plugin_id,
            format=format,
            url="https://example.com",
            at=0,
            events=names,
        )


async def hear(small: Small, bodies: list[dict[str, Any]], *, batch: int) -> None:
    kept = [Body(small.ada.id, small.ada.plugin_id, json.dumps(it).encode(), START) for it in bodies]
    if kept:
        await small.res.db.write(inbound.keep, kept)
    while (await small.res.db.write(fold, limit=batch, at=small.clock())).bodies:
        await work(small)
    await work(small)


async def work(small: Small) -> None:
    while claimed := await small.res.db.write(queue.claim, now=small.clock(), limit=100, only=HERE):
        for job in claimed:
            await small.app._handlers()[job.name](job)
            await small.res.db.write(queue.finish, job)
