"""Webhooks about accounts and numbers reach our rows at once, those of their own team only, each event once."""

import itertools
from typing import Any

import pytest

from samvad.domain.events.tables import events
from samvad.domain.waba import queries
from samvad.domain.waba.tables import business_accounts, phone_numbers
from samvad.jobs.queue import Job
from samvad.jobs.tables import jobs
from samvad.storage import every_team
from tests.domain.meta import message, received, second
from tests.domain.quick import START, Small
from tests.harness import BUSINESS, OTHER_BUSINESS

OURS, SISTER = BUSINESS.phone_numbers
DISPLAY = {"display_phone_number": OURS.display}


def about(field: str, *, at: int, waba: str = BUSINESS.waba_id, **value: Any) -> dict[str, Any]:
    """A webhook as Meta writes those of accounts: its time in the entry, in seconds from the tests' start."""
    entry = {"id": waba, "time": second(at), "changes": [{"field": field, "value": value}]}
    return {"object": "whatsapp_business_account", "entry": [entry]}


def quality(event: str, *, at: int, **more: Any) -> dict[str, Any]:
    return about("phone_number_quality_update", at=at, event=event, **(DISPLAY | more))


async def known(small: Small) -> list[Any]:
    rows = (*await small.rows(business_accounts), *await small.rows(phone_numbers))
    return [(row.id, row.known) for row in rows]


async def told(small: Small, prefix: str = "") -> list[tuple[str, str]]:
    rows = await small.rows(events)
    kept = ("number.", "account.") if not prefix else (prefix,)
    left_out = ("number.connected",)
    return [
        (row.name, row.subject_id) for row in rows if row.name.startswith(kept) and row.name not in left_out
    ]


async def refreshed(small: Small, args: dict[str, Any]) -> None:
    await small.app._handlers()["waba.refresh"](Job(small.ada.id, "waba.refresh", args))


NEWS = (
    quality("FLAGGED", at=10),
    quality("UPGRADE", at=11, max_daily_conversations_per_business="TIER_10K"),
    about("account_update", at=12, event="PARTNER_REMOVED"),
    about(
        "phone_number_name_update", at=13, decision="APPROVED", requested_verified_name="Ada & Co", **DISPLAY
    ),
)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::5])
async def test_every_order_ends_alike_and_a_repetition_tells_nothing(small: Small, order: tuple[int, ...]):
    for which in order:
        await small.hears(NEWS[which])
    first, happened = await known(small), await told(small)
    await small.fold_again()
    for which in reversed(order):
        await small.hears(NEWS[which])

    assert await known(small) == first
    assert await told(small) == happened
    assert sorted(happened) == sorted(
        [
            ("account.lost", BUSINESS.waba_id),
            ("number.quality_changed", OURS.id),
            ("number.name_changed", OURS.id),
            ("number.name_decided", OURS.id),
            ("number.tier_changed", OURS.id),
            ("number.tier_changed", SISTER.id),  # the limit is of the portfolio
        ]
    )


async def test_a_webhook_signed_for_one_team_never_changes_anothers_number(small: Small):
    before = await known(small)
    theirs = {"display_phone_number": OTHER_BUSINESS.phone_numbers[0].display}
    other = OTHER_BUSINESS.waba_id
    forged = (
        quality("FLAGGED", at=10, **theirs),  # under our account: a number that is none of it
        about("phone_number_quality_update", at=10, waba=other, event="FLAGGED", **theirs),
        about("account_update", at=11, waba=other, event="ACCOUNT_DELETED"),
        about("account_update", at=11, waba="1", event="PARTNER_REMOVED", waba_info={"waba_id": other}),
        about("business_capability_update", at=12, waba=other, max_daily_conversations_per_business=250),
        about("account_alerts", at=12, waba=other, entity_type="WABA", alert_info={"alert_type": "X"}),
        about("security", at=12, waba=other, event="PIN_CHANGED", **theirs),
    )

    await small.hears(*forged)

    assert await known(small) == before
    assert await told(small) == []
    asked = {row.args["wabaId"] for row in await small.rows(jobs) if row.name == "waba.refresh"}
    assert asked <= {BUSINESS.waba_id}


async def test_alerts_and_security_are_told_once_each(small: Small):
    alert = {"alert_type": "OBA_APPROVED", "alert_severity": "INFORMATIONAL"}
    await small.hears(
        about("account_alerts", at=1, entity_type="WABA", entity_id=BUSINESS.waba_id, alert_info=alert),
        about("security", at=2, event="PIN_CHANGED", requester="77", **DISPLAY),
    )
    await small.fold_again()

    assert await told(small) == [("account.alerted", BUSINESS.waba_id), ("number.security", OURS.id)]
    (alerted,) = await small.rows(events, events.c.name == "account.alerted")
    assert alerted.data["alert_info"] == alert


async def test_what_a_webhook_leaves_open_is_asked_of_meta_once(small: Small):
    await small.hears(quality("UNFLAGGED", at=1), quality("UNFLAGGED", at=2), quality("ONBOARDING", at=3))

    (job,) = [row for row in await small.rows(jobs) if row.name == "waba.refresh"]
    assert job.args["wabaId"] == BUSINESS.waba_id
    row = await small.row(phone_numbers, phone_numbers.c.id == OURS.id)
    assert row.known["quality"]["value"] is None
    small.clock.now = START + 60_000
    await refreshed(small, job.args)

    row = await small.row(phone_numbers, phone_numbers.c.id == OURS.id)
    assert (row.known, row.details["quality_rating"]) == (None, "GREEN")
    was = [row.data for row in await small.rows(events, events.c.name == "number.quality_changed")]
    assert was == [{"was": "GREEN", "is": "UNKNOWN"}, {"was": "UNKNOWN", "is": "GREEN"}]


async def test_a_number_that_begins_to_speak_is_read_from_meta(small: Small):
    await small.execute(every_team.delete(phone_numbers).where(phone_numbers.c.id == SISTER.id))
    await small.hears(received(message(), number=SISTER.id))

    row = await small.row(phone_numbers, phone_numbers.c.id == SISTER.id)
    assert row.details == {"discovered": True}
    (job,) = [row for row in await small.rows(jobs) if row.name == "waba.refresh"]
    small.clock.now = START + 60_000
    await refreshed(small, job.args)

    row = await small.row(phone_numbers, phone_numbers.c.id == SISTER.id)
    assert (row.verified_name, row.details["quality_rating"]) == (SISTER.verified_name, "GREEN")
    assert ("number.added", SISTER.id) in await told(small)
    assert await small.res.db.read(queries.invalid_tokens, limit=5) == []
