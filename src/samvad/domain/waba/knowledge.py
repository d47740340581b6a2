"""What is known of accounts and numbers: Meta's last reading, and on top of it what webhooks said since. No I/O.

Webhooks come late, twice and in any order, so each thing that can change (an aspect) remembers Meta's time of
the newest word on it. The newest word wins, of two in the same second the greater one, and every order ends
alike. A reading that was asked for later is the truth again, for the aspects it speaks of.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

Json = dict[str, Any]
Known = Mapping[str, Json]
"""By aspect `{"at": …, "told": …, "value": …}`: Meta's time, ours, and what it is. Without a value, a reading that
was asked for in that very second has told it since."""

SECOND_MS = 1_000  # Meta's webhooks tell the second; what happened in it may have been at its end

READ = frozenset(("quality", "tier", "throughput", "name", "review", "connection", "gone"))
"""Aspects that a reading tells, or proves; the others only another webhook changes."""

INVALID = "token"  # since when the token of an account with its own is called invalid; not a word of webhooks

CONNECTED, DISCONNECTED, DISCOVERED = "CONNECTED", "DISCONNECTED", "DISCOVERED"
QUALITIES = ("GREEN", "YELLOW", "RED")
_encode = msgspec.json.Encoder(order="sorted").encode


class NumberState(NamedTuple):
    """A number as we show it; what Meta has not told is None."""

    verified_name: str | None
    name_status: str | None
    name_decision: Json | None
    quality: str
    tier: str | None
    throughput: str | None
    status: str | None
    gone_at: int | None


class AccountState(NamedTuple):
    """An account as we show it; `lost_by` is the event of Meta's that ended the connection."""

    name: str | None
    lost_by: str | None
    review: str | None
    ban: str | None
    violation: str | None
    restrictions: list[Json]


def number_state(details: Json, verified_name: str | None, known: Known | None) -> NumberState:
    known = known or {}
    level = details.get("throughput")
    read_tier = details.get("whatsapp_business_manager_messaging_limit") or details.get(
        "messaging_limit_tier"
    )
    decision = _value(known, "name", None)
    name_status = details.get("name_status")
    if decision is not None and decision["decision"] == "APPROVED":
        verified_name, name_status = decision["requested"] or verified_name, "APPROVED"
    elif decision is not None and decision["requested"] == verified_name:
        name_status = "DECLINED" if decision["decision"] == "REJECTED" else "PENDING_REVIEW"
    quality = _value(known, "quality", details.get("quality_rating"))
    return NumberState(
        verified_name,
        name_status,
        decision,
        quality if quality in QUALITIES else "UNKNOWN",
        _value(known, "tier", read_tier),
        _value(known, "throughput", level.get("level") if isinstance(level, dict) else None),
        details.get("status"),
        known["gone"]["at"] if _value(known, "gone", None) else None,
    )


def account_state(details: Json, name: str | None, known: Known | None) -> AccountState:
    known = known or {}
    return AccountState(
        name,
        _value(known, "connection", None),
        _value(known, "review", details.get("account_review_status")),
        _value(known, "ban", None),
        _value(known, "violation", None),
        _value(known, "restrictions", []),
    )


def after_news(known: Known | None, words: Json, *, at: int, told_at: int, read_at: int) -> Known:
    """The same, knowing these words by aspect too, which we heard at `told_at`; itself, where they are not new."""
    at = _end_of_second(at)
    known = known or {}
    after = dict(known)
    for aspect, value in words.items():
        heard = known.get(aspect, {"at": 0})
        since = max(heard["at"], read_at if aspect in READ else 0)
        tie = at == since == heard["at"] and "value" in heard and _encode(value) > _encode(heard["value"])
        if at > since or tie:
            after[aspect] = {"at": at, "told": told_at, "value": value}
    return known if after == known else after


def contradicts(known: Known | None, words: Json, *, at: int) -> bool:
    """Whether something else was heard or read of the very same second: nobody but Meta knows which came last."""
    heard = {aspect: (known or {}).get(aspect, {}) for aspect in words}
    return any(
        it.get("at") == _end_of_second(at) and it.get("value", it) != words[aspect]
        for aspect, it in heard.items()
    )


def after_reading(known: Known | None, *, asked_at: int, gone: bool = False) -> Known | None:
    """What of it still counts beside a reading that was asked for then: what we heard while Meta was answering."""
    after: dict[str, Json] = {}
    for aspect, heard in (known or {}).items():
        later = heard["at"] > asked_at and heard.get("told", 0) > asked_at
        if aspect not in READ or later or (gone and aspect == "gone"):
            after[aspect] = heard
        elif heard["at"] > asked_at:
            after[aspect] = {"at": heard["at"]}
    if gone and "value" not in after.get("gone", {}):
        after["gone"] = {"at": asked_at, "value": True}
    return after or None


def without_token(known: Known | None) -> Known | None:
    """The same, when the token was replaced by one that works."""
    return {aspect: heard for aspect, heard in (known or {}).items() if aspect != INVALID} or None


def number_changes(before: NumberState, after: NumberState) -> Iterator[tuple[str, Json]]:
    """The events that lie between the two: their names and what they tell."""
    for name, was, now in (
        ("number.quality_changed", before.quality, after.quality),
        ("number.tier_changed", before.tier, after.tier),
        ("number.throughput_changed", before.throughput, after.throughput),
        ("number.name_changed", before.verified_name, after.verified_name),
        ("number.status_changed", before.status, after.status),
    ):
        if was != now:
            yield name, {"was": was, "is": now}
    if after.name_decision and before.name_decision != after.name_decision:
        yield "number.name_decided", after.name_decision
    if (before.gone_at is None) != (after.gone_at is None):
        yield "number.gone" if after.gone_at is not None else "number.back", {}


_BAN_EVENTS = {
    "DISABLE": "account.disabled",
    "SCHEDULE_FOR_DISABLE": "account.disabling_scheduled",
    "REINSTATE": "account.reinstated",
}


def account_changes(before: AccountState, after: AccountState) -> Iterator[tuple[str, Json]]:
    """The events that lie between the two: their names and what they tell."""
    if before.restrictions != after.restrictions:
        name = "account.restricted" if after.restrictions else "account.unrestricted"
        yield name, {"was": before.restrictions, "is": after.restrictions}
    if before.lost_by != after.lost_by:
        name = "account.lost" if after.lost_by else "account.regained"
        yield name, {"was": _connection(before), "is": _connection(after), "by": after.lost_by}
    for name, was, now in (
        (_BAN_EVENTS.get(after.ban or "", "account.ban_changed"), before.ban, after.ban),
        ("account.violated", before.violation, after.violation),
        ("account.reviewed", before.review, after.review),
        ("account.name_changed", before.name, after.name),
    ):
        if was != now:
            yield name, {"was": was, "is": now}


def connection_of(details: Json, lost: object) -> str:
    """The word clients read as `chakraStatus`; DISCOVERED is what a webhook mentioned and nobody connected."""
    if details.get("discovered"):
        return DISCOVERED
    return DISCONNECTED if lost else CONNECTED


def _end_of_second(at: int) -> int:
    return at + SECOND_MS - 1 if at % SECOND_MS == 0 else at


def _connection(it: AccountState) -> str:
    return DISCONNECTED if it.lost_by else CONNECTED


def _value(known: Known, aspect: str, otherwise: Any) -> Any:
    return known.get(aspect, {}).get("value", otherwise)
