"""What Meta's webhooks say of accounts and numbers, by aspect. No I/O.

Source: the fields' own pages, and cloud-api behaviour as of November 2026: limits come as TIER_… or as a number.
"""

from dataclasses import dataclass, field
from typing import Any

from samvad.whatsapp.webhooks import milliseconds, objects

Json = dict[str, Any]

QUALITY, NAME = "phone_number_quality_update", "phone_number_name_update"
UPDATE, REVIEW, CAPABILITY = "account_update", "account_review_update", "business_capability_update"
ALERTS, SECURITY = "account_alerts", "security"
FIELDS = (QUALITY, NAME, UPDATE, REVIEW, CAPABILITY, ALERTS, SECURITY)
OF_A_NUMBER = (QUALITY, NAME, SECURITY)

LOSING = ("PARTNER_REMOVED", "PARTNER_APP_UNINSTALLED", "ACCOUNT_DELETED", "ACCOUNT_OFFBOARDED")
REGAINING = ("PARTNER_ADDED", "PARTNER_APP_INSTALLED", "ACCOUNT_RECONNECTED")
HARMLESS = (
    "AD_ACCOUNT_LINKED",
    "AUTH_INTL_PRICE_ELIGIBILITY_UPDATE",
    "BUSINESS_PRIMARY_LOCATION_COUNTRY_UPDATE",
    "MM_LITE_TERMS_SIGNED",
    "PARTNER_CLIENT_CERTIFICATION_STATUS_UPDATE",
    "VOLUME_BASED_PRICING_TIER_UPDATE",
)
"""They change nothing that we show."""

TIERS = {50: "TIER_50", 250: "TIER_250", 1_000: "TIER_1K", 2_000: "TIER_2K", 10_000: "TIER_10K"}
TIERS |= {100_000: "TIER_100K", -1: "TIER_UNLIMITED"}
MOST_RESTRICTIONS = 50
LONGEST_WORD = 200


@dataclass(slots=True)
class Told:
    """The words of one webhook: of the number it names, of all numbers of the account, of the account itself."""

    number: Json = field(default_factory=dict)
    numbers: Json = field(default_factory=dict)
    account: Json = field(default_factory=dict)
    unclear: bool = False
    """Something changed, and only asking Meta tells what it is now."""


def told(field: str, value: Json) -> Told:
    match field:
        case "phone_number_quality_update":
            return _quality(value)
        case "phone_number_name_update":
            decision = _upper(value.get("decision"))
            if decision is None:
                return Told(unclear=True)
            requested, reason = (
                _word(value.get(name)) for name in ("requested_verified_name", "rejection_reason")
            )
            said = {"decision": decision, "requested": requested, "reason": reason}
            return Told(number={"name": said}, unclear=decision != "APPROVED")
        case "account_review_update":
            decision = _upper(value.get("decision"))
            return Told(account={"review": decision} if decision else {}, unclear=decision is None)
        case "business_capability_update":
            tier = _tier(value)
            return Told(numbers={"tier": tier} if tier else {}, unclear=tier is None)
        case "account_update":
            return _update(value)
    return Told()


def waba_of(field: str, value: Json, entry_id: str) -> str:
    """News of partners stands under their portfolio's id, and names the WABA inside."""
    info = value.get("waba_info") if field == UPDATE else None
    named = info.get("waba_id") if isinstance(info, dict) else None
    return named if isinstance(named, str) and named else entry_id


def _quality(value: Json) -> Told:
    event, tier = _upper(value.get("event")), _tier(value)
    current = _tier_word(value.get("current_limit"))
    it = Told(
        numbers={"tier": tier} if tier else {}, number={"tier": current} if current and not tier else {}
    )
    match event:
        case "FLAGGED":
            it.number["quality"] = "RED"
        case "UNFLAGGED":  # no longer RED: whether GREEN or YELLOW is not said
            it.number["quality"] = None
            it.unclear = True
        case "THROUGHPUT_UPGRADE":
            it.number["throughput"] = "HIGH"
        case "UPGRADE" | "DOWNGRADE":
            it.unclear = not (tier or current)
        case _:
            it.unclear = True
    return it


def _update(value: Json) -> Told:
    event = _upper(value.get("event")) or ""
    if event == "ACCOUNT_RESTRICTION":
        found = [_restriction(it) for it in objects(value.get("restriction_info"))[:MOST_RESTRICTIONS]]
        return Told(account={"restrictions": [it for it in found if it["type"]]})
    if event == "DISABLED_UPDATE":
        ban = value.get("ban_info")
        state = _upper(ban.get("waba_ban_state")) if isinstance(ban, dict) else None
        return Told(account={"ban": state} if state else {}, unclear=state in (None, "REINSTATE"))
    if event == "ACCOUNT_VIOLATION":
        violation = value.get("violation_info")
        kind = _word(violation.get("violation_type")) if isinstance(violation, dict) else None
        return Told(account={"violation": kind} if kind else {})
    if event in LOSING:
        return Told(account={"connection": event})
    if event in REGAINING:
        return Told(account={"connection": None}, unclear=True)
    return Told(unclear=event not in HARMLESS)


def _restriction(it: Json) -> Json:
    return {"type": _word(it.get("restriction_type")), "expiresAt": milliseconds(it.get("expiration"))}


def _tier(value: Json) -> str | None:
    """Of the portfolio, and so of each number of the account."""
    for name in ("max_daily_conversations_per_business", "max_daily_conversation_per_phone"):
        if (tier := _tier_word(value.get(name))) is not None:
            return tier
    return None


def _tier_word(given: object) -> str | None:
    if isinstance(given, str) and given.lstrip("-").isdigit() and len(given) < 10:
        given = int(given)
    if isinstance(given, int):
        return TIERS.get(given)
    word = _upper(given)
    return word if word and word.startswith("TIER_") else None


def _word(given: object) -> str | None:
    return given[:LONGEST_WORD] if isinstance(given, str) and given else None


def _upper(given: object) -> str | None:
    word = _word(given)
    return word.upper() if word else None
