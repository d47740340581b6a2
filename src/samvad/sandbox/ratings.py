"""What Meta thinks of a number and of an account, and the webhooks in which it says so."""

from samvad.sandbox.model import Json
from samvad.sandbox.news import tell_of_account
from samvad.sandbox.standing import Standing
from samvad.sandbox.world import Account, Number, World

QUALITIES = ("GREEN", "YELLOW", "RED", "UNKNOWN")
TIERS = ("TIER_50", "TIER_250", "TIER_2K", "TIER_10K", "TIER_100K", "TIER_UNLIMITED")
THROUGHPUTS = ("STANDARD", "HIGH", "NOT_APPLICABLE")
DECISIONS = ("APPROVED", "REJECTED", "DEFERRED", "PENDING")


def rate(world: World, number: Number, rating: str) -> None:
    """Rate a number. Meta has a webhook for what becomes RED and for what was RED, and none for the rest."""
    fields = world.area(Standing).of_number(number)
    before = fields.get("quality_rating", "GREEN")
    fields.update(quality_rating=rating, quality_score={"score": rating})
    if "RED" in (before, rating) and before != rating:
        _tell_quality(world, number, "FLAGGED" if rating == "RED" else "UNFLAGGED")


def set_limit(world: World, number: Number, tier: str) -> None:
    """Give the portfolio of a number another messaging limit."""
    fields = world.area(Standing).of_number(number)
    before = fields.get("whatsapp_business_manager_messaging_limit", "TIER_UNLIMITED")
    for sibling in number.account.numbers:  # the limit is of the portfolio, and so of each of its numbers
        world.area(Standing).of_number(sibling).update(
            whatsapp_business_manager_messaging_limit=tier, messaging_limit_tier=tier
        )
    if before != tier:
        _tell_quality(world, number, "UPGRADE" if TIERS.index(tier) > TIERS.index(before) else "DOWNGRADE")
        capability: Json = {"max_daily_conversations_per_business": tier}
        capability[
            "max_phone_numbers_per_business" if tier == "TIER_250" else "max_phone_numbers_per_waba"
        ] = 25
        tell_of_account(world, number.account, "business_capability_update", capability)


def set_throughput(world: World, number: Number, level: str) -> None:
    """Give a number another throughput; only a higher one is told."""
    world.area(Standing).of_number(number)["throughput"] = {"level": level}
    if level == "HIGH":
        _tell_quality(world, number, "THROUGHPUT_UPGRADE")


def decide_name(world: World, number: Number, decision: str, given: Json) -> None:
    """Decide about the name a number asked for, or about the one that is given."""
    fields = world.area(Standing).of_number(number)
    usual = fields.get("new_display_name") or number.number.verified_name
    name = given.get("requested_verified_name") or usual
    if decision == "APPROVED":
        fields.update(verified_name=name, name_status="APPROVED", new_name_status="NONE")
    else:
        fields["new_name_status"] = {"REJECTED": "DECLINED"}.get(decision, "PENDING_REVIEW")
    value = {
        "display_phone_number": number.display,
        "decision": decision,
        "requested_verified_name": name,
        "rejection_reason": given.get("rejection_reason"),
    }
    tell_of_account(world, number.account, "phone_number_name_update", value)


def update_account(world: World, account: Account, update: Json) -> None:
    """Tell of an account update; one that bans or frees the account changes its status too."""
    ban = update.get("ban_info")
    if update["event"] == "DISABLED_UPDATE" and isinstance(ban, dict):
        banned = ban.get("waba_ban_state") == "DISABLE"
        world.area(Standing).of_account(account)["status"] = "DISABLED" if banned else "ACTIVE"
    tell_of_account(world, account, "account_update", update)


def _tell_quality(world: World, number: Number, event: str) -> None:
    fields = world.area(Standing).of_number(number)
    value = {
        "display_phone_number": number.display,
        "event": event,
        "max_daily_conversations_per_business": fields.get(
            "whatsapp_business_manager_messaging_limit", "TIER_UNLIMITED"
        ),
    }
    tell_of_account(world, number.account, "phone_number_quality_update", value)
