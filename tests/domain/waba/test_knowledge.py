"""What webhooks say of numbers and accounts, in any order and any number of times: one state at the end."""

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from samvad.domain.waba.knowledge import (
    account_changes,
    account_state,
    after_news,
    after_reading,
    contradicts,
    number_changes,
    number_state,
)
from samvad.domain.waba.told import told, waba_of

Json = dict[str, Any]

READ_AT = 1_795_000_000_500
SECOND = 1_000
DETAILS: Json = {
    "quality_rating": "GREEN",
    "whatsapp_business_manager_messaging_limit": "TIER_2K",
    "throughput": {"level": "STANDARD"},
    "name_status": "APPROVED",
    "status": "CONNECTED",
}
OURS = {"display_phone_number": "15550002222"}

NEWS: list[tuple[str, Json]] = [
    *(("phone_number_quality_update", {**OURS, "event": event}) for event in ("FLAGGED", "UNFLAGGED")),
    ("phone_number_quality_update", {**OURS, "event": "THROUGHPUT_UPGRADE", "current_limit": "TIER_1K"}),
    ("phone_number_quality_update", {"event": "UPGRADE", "max_daily_conversations_per_business": 10_000}),
    ("phone_number_quality_update", {"event": "DOWNGRADE", "max_daily_conversations_per_business": "250"}),
    ("business_capability_update", {"max_daily_conversations_per_business": "TIER_UNLIMITED"}),
    ("business_capability_update", {"max_daily_conversation_per_phone": -1}),
    *(
        ("phone_number_name_update", {**OURS, "decision": decision, "requested_verified_name": name})
        for decision in ("APPROVED", "REJECTED")
        for name in ("Ada", "Ada & Co")
    ),
    *(("account_review_update", {"decision": decision}) for decision in ("APPROVED", "REJECTED")),
    *(("account_update", {"event": it}) for it in ("PARTNER_REMOVED", "PARTNER_ADDED", "ACCOUNT_DELETED")),
    *(
        ("account_update", {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": it}})
        for it in ("SCHEDULE_FOR_DISABLE", "DISABLE", "REINSTATE")
    ),
    ("account_update", {"event": "ACCOUNT_VIOLATION", "violation_info": {"violation_type": "ADULT"}}),
    (
        "account_update",
        {
            "event": "ACCOUNT_RESTRICTION",
            "restriction_info": [{"restriction_type": "X", "expiration": 1_795_000_000}],
        },
    ),
    ("account_update", {"event": "ACCOUNT_RESTRICTION", "restriction_info": []}),
]


def after(heard: list[tuple[int, int]], *, read_at: int = READ_AT) -> tuple[Any, Any]:
    """What is known after these: each an index of NEWS and the second, from the reading on, it was written in."""
    number: Any = None
    account: Any = None
    for which, second in heard:
        said = told(*NEWS[which])
        at = READ_AT - 500 + second * SECOND
        number = after_news(number, said.numbers | said.number, at=at, told_at=READ_AT, read_at=read_at)
        account = after_news(account, said.account, at=at, told_at=READ_AT, read_at=read_at)
    return number, account


heard = st.lists(st.tuples(st.integers(0, len(NEWS) - 1), st.integers(-2, 4)), max_size=12)


@given(heard, st.randoms())
def test_every_order_and_every_repetition_ends_alike(news: list[tuple[int, int]], chance: random.Random):
    again = news + [chance.choice(news) for _ in range(3) if news]
    chance.shuffle(again)

    assert after(again) == after(news)


@given(heard, st.integers(0, 3))
def test_after_a_reading_the_same_news_again_change_nothing(news: list[tuple[int, int]], second: int):
    asked_at = READ_AT + second * SECOND
    number, account = (after_reading(it, asked_at=asked_at) for it in after(news))

    for which, written in news:
        said = told(*NEWS[which])
        at = READ_AT - 500 + written * SECOND
        assert shown(
            after_news(number, said.numbers | said.number, at=at, told_at=READ_AT, read_at=asked_at)
        ) == shown(number)
        again = after_news(account, said.account, at=at, told_at=READ_AT, read_at=asked_at)
        assert account_state({}, None, again) == account_state({}, None, account)


def shown(known: Any) -> Any:
    return number_state(DETAILS, "Ada", known)


def test_each_word_changes_what_it_speaks_of_and_tells_was_and_is():
    def events(*which: int) -> list[tuple[str, Json]]:
        number, account = after([(it, 1) for it in which])
        return [
            *number_changes(shown(None), shown(number)),
            *account_changes(account_state({}, None, None), account_state({}, None, account)),
        ]

    assert events(0) == [("number.quality_changed", {"was": "GREEN", "is": "RED"})]
    assert events(1) == [("number.quality_changed", {"was": "GREEN", "is": "UNKNOWN"})]
    assert events(2) == [
        ("number.tier_changed", {"was": "TIER_2K", "is": "TIER_1K"}),
        ("number.throughput_changed", {"was": "STANDARD", "is": "HIGH"}),
    ]
    assert events(3) == [("number.tier_changed", {"was": "TIER_2K", "is": "TIER_10K"})]
    assert events(4) == [("number.tier_changed", {"was": "TIER_2K", "is": "TIER_250"})]
    assert events(5) == events(6) == [("number.tier_changed", {"was": "TIER_2K", "is": "TIER_UNLIMITED"})]
    assert [name for name, _ in events(8)] == ["number.name_changed", "number.name_decided"]
    assert shown(after([(9, 1)])[0]).name_status == "DECLINED"
    assert [name for name, _ in events(10)] == ["number.name_decided"]
    assert shown(after([(10, 1)])[0]).name_status == "APPROVED", "the old name stays what it is"
    assert events(13) == [
        ("account.lost", {"was": "CONNECTED", "is": "DISCONNECTED", "by": "PARTNER_REMOVED"})
    ]
    assert [name for it in (16, 17, 18, 19) for name, _ in events(it)] == [
        "account.disabling_scheduled",
        "account.disabled",
        "account.reinstated",
        "account.violated",
    ]
    ((name, data),) = events(20)
    assert (name, data["is"]) == ("account.restricted", [{"type": "X", "expiresAt": 1_795_000_000_000}])


def test_a_ban_outlives_a_reading_and_a_lost_connection_does_not():
    _, account = after([(17, 1), (13, 1), (20, 1)])

    left = account_state({}, None, after_reading(account, asked_at=READ_AT + 10 * SECOND))

    assert (left.ban, left.lost_by, len(left.restrictions)) == ("DISABLE", None, 1)


def test_what_is_heard_while_meta_answers_is_later_than_the_answer():
    news = {"quality": "RED"}
    known = after_news(None, news, at=READ_AT - 500, told_at=READ_AT + 20, read_at=READ_AT - SECOND)

    assert shown(after_reading(known, asked_at=READ_AT + 10)).quality == "RED"
    assert shown(after_reading(known, asked_at=READ_AT + 30)).quality == "GREEN"
    read = after_reading(known, asked_at=READ_AT + 30)
    assert contradicts(read, news, at=READ_AT - 500), "of that very second: Meta is asked again"
    assert not contradicts(read, news, at=READ_AT + 500)


def test_partners_news_names_the_account_inside():
    assert waba_of("account_update", {"waba_info": {"waba_id": "7001"}}, "portfolio") == "7001"
    assert waba_of("account_update", {"waba_info": "x"}, "7001") == "7001"


MEMBERS = ["event", "decision", "ban_info", "restriction_info", "waba_info", "restriction_type", "expiration"]
MEMBERS += ["max_daily_conversations_per_business", "current_limit", "requested_verified_name"]
anything = st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | st.sampled_from(["ACCOUNT_RESTRICTION", "FLAGGED"]),
    lambda it: st.lists(it, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), it, max_size=4),
    max_leaves=8,
)


@given(anything)
def test_whatever_stands_in_a_value_nothing_breaks(value: Any):
    value = value if isinstance(value, dict) else {"event": value, "decision": value, "ban_info": value}
    for field in ("account_update", "phone_number_quality_update", "phone_number_name_update"):
        said = told(field, value)
        shown(after_news(None, said.number | said.numbers, at=READ_AT, told_at=READ_AT, read_at=0))
        account_state({}, None, after_news(None, said.account, at=READ_AT, told_at=READ_AT, read_at=0))
        waba_of(field, value, "1")
