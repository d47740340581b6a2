"""Recorded webhooks and Meta's own examples: all are taken, and no id in them is lost.

They are third parties' and lie beside the repository; without them these tests skip.
"""

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from samvad.domain.inbound.tables import inbound_events
from samvad.domain.messages.tables import messages, parked_statuses
from samvad.ingress.fold import Reading
from samvad.whatsapp.webhooks import message_ids
from tests.domain.meta import contact, echoed, message, received, status, statuses, webhook
from tests.domain.quick import START, Small
from tests.whatsapp.shared import recorded_webhooks

RECORDED = list(recorded_webhooks())
OURS = [
    received(
        message(bsuid="US.1", context={"id": "wamid.q", "from": "1"}), contacts=[contact("A", bsuid="US.1")]
    ),
    received(
        message(type="order", order={"catalog_id": "1", "product_items": [{"quantity": 1}], "text": "x"})
    ),
    received(
        message(type="image", image={"id": "1", "mime_type": "image/jpeg", "caption": "c"}, referral={"a": 1})
    ),
    received(message(type="reaction", reaction={"message_id": "wamid.q", "emoji": "x"})),
    echoed(
        {
            "id": "wamid.e",
            "to": "15550001111",
            "timestamp": "1795000006",
            "type": "text",
            "text": {"body": "x"},
        }
    ),
    statuses(status("wamid.s", "failed", errors=[{"code": 1, "title": "t", "error_data": {"details": "d"}}])),
    webhook(
        {"event": "APPROVED", "message_template_id": 1}, field="message_template_status_update", number=None
    ),
]

needs_recordings = pytest.mark.skipif(not RECORDED, reason="no recorded webhooks lie beside the repository")


@needs_recordings
async def test_every_recorded_webhook_is_accepted_stored_and_loses_no_id(small: Small):
    for name, body in RECORDED:
        reply = await small.deliver(body)
        assert reply.status_code == 200, name
    await small.fold()

    stored = {it.wamid for it in await small.rows(messages)} | {
        it.wamid for it in await small.rows(parked_statuses)
    }
    events = {bytes(it.body): it for it in await small.rows(inbound_events)}
    for name, body in RECORDED:
        raw = json.dumps(body).encode()
        row = events[raw]
        assert "could not be folded" not in (row.problem or ""), name
        lost = [it for it in message_ids(raw) if it not in stored]
        assert not lost or row.kept_fields or row.problem, f"{name} lost {lost}"


def values_of(body: Any) -> list[dict[str, Any]]:
    return [
        change["value"]
        for entry in body["entry"]
        for change in entry.get("changes", ())
        if isinstance(change.get("value"), dict)
    ]


def places(thing: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every member and item of a body, by its path."""
    steps = thing.items() if isinstance(thing, dict) else enumerate(thing) if isinstance(thing, list) else ()
    return [path for step, inner in steps for path in ((*at, step), *places(inner, (*at, step)))]


def changed(body: Any, drop: list[tuple[Any, ...]], wrong: list[tuple[tuple[Any, ...], Any]]) -> Any:
    copy = json.loads(json.dumps(body))
    for path, value in [*((path, None) for path in drop), *wrong]:
        holder = copy
        try:
            for step in path[:-1]:
                holder = holder[step]
            if path in drop:
                del holder[path[-1]]
            else:
                holder[path[-1]] = deepcopy(value)  # another wrong value may be put into it
        except (KeyError, IndexError, TypeError):
            continue  # it went with something above it
    return copy


WRONG: st.SearchStrategy[Any] = st.sampled_from(
    [None, 0, -1, 2**70, 1.5, True, "", "x", "\x00", "é" * 40, [], [None], {}, {"a": {}}, [[1]]]
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A webhook that lacks any of its fields, and has others of a wrong type."""
    body = draw(st.sampled_from([body for _, body in RECORDED] + OURS))
    every = places(body)
    drop = draw(st.lists(st.sampled_from(every), max_size=3))
    wrong = draw(st.lists(st.tuples(st.sampled_from(every), WRONG), max_size=2))
    return json.dumps(changed(body, drop, wrong)).encode()


@settings(
    max_examples=60,
    suppress_health_check=[*HealthCheck],
    print_blob=False,
)
@given(body=damaged())
async def test_any_field_may_be_missing_or_of_a_wrong_type(small: Small, body: bytes):
    reply = await small.deliver(body)
    assert reply.status_code == 200

    await small.fold()

    newest = (await small.rows(inbound_events))[-1]
    assert "could not be folded" not in (newest.problem or ""), (newest.problem, body)


@settings(max_examples=300, print_blob=False)
@given(body=damaged())
def test_reading_a_damaged_webhook_never_raises(body: bytes):
    reading = Reading()

    reading.read(1, "team", "plugin", body, received_at=START)

    reading.keep_to_own_numbers({})
    reading.marks()
