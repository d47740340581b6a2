"""What Meta decides about a template after it was taken: review, quality, category; each is told by webhook."""

from functools import partial
from typing import Any

from samvad.sandbox import news
from samvad.sandbox.model import Json
from samvad.sandbox.template_rules import stands_side_by_side
from samvad.sandbox.templates import Template, read_template
from samvad.sandbox.world import Account, World

STATUSES = (
    "PENDING",
    "APPROVED",
    "REJECTED",
    "PAUSED",
    "DISABLED",
    "IN_APPEAL",
    "PENDING_DELETION",
    "FLAGGED",
    "LIMIT_EXCEEDED",
    "LOCKED",
    "REINSTATED",
    "ARCHIVED",
    "UNARCHIVED",
)
EVENTS_ONLY = {"FLAGGED": "APPROVED", "REINSTATED": "APPROVED", "UNARCHIVED": "APPROVED"}
"""Statuses that are told and after which the template has another one."""
REASONS = (
    "ABUSIVE_CONTENT",
    "CATEGORY_NOT_AVAILABLE",
    "INCORRECT_CATEGORY",
    "INVALID_FORMAT",
    "NONE",
    "PROMOTIONAL",
    "SCAM",
    "TAG_CONTENT_MISMATCH",
)
QUALITIES = ("GREEN", "YELLOW", "RED", "UNKNOWN")
MONTH_S = 30 * 24 * 3600
SIDE_BY_SIDE: Json = {
    "reason": "Your template has parameters placed next to each other without text or punctuation between them.",
    "recommendation": "Put descriptive text between the parameters.",
}


def submit(world: World, account: Account, template: Template) -> Template:
    """Begin the review of a template; one without delay is over at once."""
    settings = world.settings.review
    if settings.verdict is None:
        return template
    if not settings.delay_ms:
        _decide(world, account, template.id)
        return account.templates_by_id[template.id]
    world.timeline.after(settings.delay_ms / 1000, partial(_decide, world, account, template.id))
    return template


def change_status(
    world: World,
    account: Account,
    template: Template,
    status: str,
    *,
    reason: str = "NONE",
    rejection: Json | None = None,
    other: Json | None = None,
) -> Template:
    """Give a template another status and tell it."""
    becomes = EVENTS_ONLY.get(status, status)
    changed = replaced(account, template, status=becomes, rejected_reason=reason, rejection_info=rejection)
    value: Json = {"event": status, **_names(template), "reason": reason}
    value["message_template_category"] = template.category
    if status in ("DISABLED", "FLAGGED"):
        value["disable_info"] = {"disable_date": int(world.clock())}
    if other is None and status == "PAUSED":
        other = {
            "title": "FIRST_PAUSE",
            "description": "Your template is paused for 3 hours: its quality is low.",
        }
    if other is not None:
        value["other_info"] = other
    if rejection is not None:
        value["rejection_info"] = rejection
    news.tell_of_account(world, account, "message_template_status_update", value)
    return changed


def change_quality(world: World, account: Account, template: Template, score: str) -> Template:
    """Give a template another quality and tell it."""
    before = template.raw.get("quality_score", {}).get("score", "UNKNOWN")
    quality = {"score": score, "date": int(world.clock())}
    value = {"previous_quality_score": before, "new_quality_score": score, **_names(template)}
    changed = replaced(account, template, quality_score=quality)
    news.tell_of_account(world, account, "message_template_quality_update", value)
    return changed


def change_category(world: World, account: Account, template: Template, category: str) -> Template:
    """Put a template into another category and tell it."""
    value = {**_names(template), "previous_category": template.category, "new_category": category}
    changed = replaced(
        account, template, category=category, previous_category=template.category, correct_category=None
    )
    news.tell_of_account(world, account, "template_category_update", value)
    return changed


def announce_category(world: World, account: Account, template: Template, category: str) -> Template:
    """Tell that a template will be in another category next month; it is not there yet."""
    value = {
        **_names(template),
        "correct_category": category,
        "new_category": template.category,
        "category_update_timestamp": int(world.clock()) + MONTH_S,
    }
    changed = replaced(account, template, correct_category=category)
    news.tell_of_account(world, account, "template_category_update", value)
    return changed


def tell_components(world: World, account: Account, template: Template) -> None:
    """Tell that the text of a template was changed."""
    part = template.part
    value = {**_names(template), "message_template_element": part.body_text}
    if part.header_text:
        value["message_template_title"] = part.header_text
    if part.footer:
        value["message_template_footer"] = part.footer
    if buttons := [button for one in template.raw["components"] for button in one.get("buttons", ())]:
        value["message_template_buttons"] = [_button(button) for button in buttons]
    news.tell_of_account(world, account, "message_template_components_update", value)


def replaced(account: Account, template: Template, **changes: Any) -> Template:
    """The same template with some of its fields changed, kept by its account."""
    changed = read_template(account.waba_id, template.raw | changes)
    account.keep_template(changed)
    return changed


def _decide(world: World, account: Account, template_id: str) -> None:
    template = account.templates_by_id.get(template_id)
    if template is None or template.status != "PENDING":
        return  # deleted, or decided by hand meanwhile
    settings = world.settings.review
    if settings.verdict == "APPROVED" and stands_side_by_side(template.raw["components"]):
        change_status(world, account, template, "REJECTED", reason="INVALID_FORMAT", rejection=SIDE_BY_SIDE)
    elif settings.verdict == "APPROVED":
        change_status(world, account, template, "APPROVED")
    elif settings.verdict == "REJECTED":
        change_status(world, account, template, "REJECTED", reason=settings.reason)


def _names(template: Template) -> Json:
    return {
        "message_template_id": int(template.id) if template.id.isdecimal() else template.id,
        "message_template_name": template.name,
        "message_template_language": template.language,
    }


def _button(button: Json) -> Json:
    told = {
        "message_template_button_type": button["type"],
        "message_template_button_text": button.get("text", ""),
    }
    for member in ("url", "phone_number"):
        if member in button:
            told[f"message_template_button_{member}"] = button[member]
    return told
