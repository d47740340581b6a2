"""Graph calls about accounts, their phone numbers and their templates."""

from collections.abc import Awaitable, Callable

from samvad.sandbox.conversation_tools import automation_of
from samvad.sandbox.identity import stable_id
from samvad.sandbox.model import Json
from samvad.sandbox.nodes import Call, page, pick
from samvad.sandbox.standing import Standing
from samvad.sandbox.templates import Template
from samvad.sandbox.world import Account, Number

TEMPLATE_FIELDS = ("name", "parameter_format", "components", "language", "status", "category")
NUMBER_FIELDS = (
    "verified_name",
    "code_verification_status",
    "display_phone_number",
    "quality_rating",
    "platform_type",
    "throughput",
    "webhook_configuration",
)
ACCOUNT_FIELDS = ("name", "timezone_id", "message_template_namespace")
ONBOARDED = "2026-01-15T09:00:00+0000"


async def read_account(call: Call, account: Account) -> Json:
    """GET /{waba}."""
    return pick(_account(call, account), call.query.get("fields"), ACCOUNT_FIELDS, "WhatsAppBusinessAccount")


async def list_numbers(call: Call, account: Account) -> Json:
    """GET /{waba}/phone_numbers."""
    wanted = call.query.get("fields")
    return page(call, [(number.id, _number_fields(call, number, wanted)) for number in account.numbers])


async def read_number(call: Call, number: Number) -> Json:
    """GET /{phone-number-id}."""
    return _number_fields(call, number, call.query.get("fields"))


async def list_templates(call: Call, account: Account) -> Json:
    """GET /{waba}/message_templates, with Graph's filters."""
    query = call.query

    def matches(template: Template) -> bool:
        score = template.raw.get("quality_score", {}).get("score", "UNKNOWN")
        values = {**template.raw, "quality_score": score}
        for field in ("status", "language", "category", "quality_score"):
            if query.get(field) and str(values[field]).lower() not in _any_of(query[field]):
                return False
        if query.get("name") and query["name"] != template.name:
            return False
        anywhere = query.get("name_or_content", "").lower()
        return not anywhere or anywhere in template.name or anywhere in template.part.body_text.lower()

    wanted = query.get("fields")
    found = [one for one in account.templates.values() if matches(one)]
    answer = page(call, [(template.id, _template_fields(template, wanted)) for template in found])
    if query.get("summary"):
        whole: Json = {
            "total_count": len(found),
            "message_template_count": len(account.templates),
            "message_template_limit": call.world.settings.templates_per_account,
            "are_translations_complete": True,
        }
        names = [name.strip() for name in query["summary"].split(",")]
        answer["summary"] = {name: whole[name] for name in names if name in whole}
    return answer


async def read_template(call: Call, template: Template) -> Json:
    """GET /{template-id}."""
    return _template_fields(template, call.query.get("fields"))


ACCOUNT_CALLS: dict[tuple[str, str], Callable[[Call, Account], Awaitable[Json]]] = {
    ("GET", ""): read_account,
    ("GET", "phone_numbers"): list_numbers,
    ("GET", "message_templates"): list_templates,
}
NUMBER_CALLS: dict[tuple[str, str], Callable[[Call, Number], Awaitable[Json]]] = {("GET", ""): read_number}
TEMPLATE_CALLS: dict[tuple[str, str], Callable[[Call, Template], Awaitable[Json]]] = {
    ("GET", ""): read_template,
}


def _any_of(given: str) -> list[str]:
    """The values of a filter in lower case: one, several with commas, or a JSON array of them."""
    return [one.strip(' []"').lower() for one in given.split(",")]


def _account(call: Call, account: Account) -> Json:
    whole = {
        "id": account.waba_id,
        "name": account.business.name,
        "timezone_id": "1",
        "message_template_namespace": stable_id("namespace", account.waba_id),
        "currency": "USD",
        "country": "US",
        "last_onboarded_time": ONBOARDED,
        "marketing_messages_onboarding_status": None,
        "disable_marketing_messages_on_cloud_api": False,
        "subscribed_apps": None,
        "status": "ACTIVE",
        "account_review_status": "APPROVED",
        "business_verification_status": "verified",
        "ownership_type": "SELF",
        "is_enabled_for_insights": True,
        "marketing_messages_lite_api_status": "INELIGIBLE",
        "on_behalf_of_business_info": None,
        "owner_business_info": {
            "name": account.business.name,
            "id": stable_id("portfolio", account.waba_id),
        },
        "health_status": _health(account.waba_id, "WABA"),
    }
    return whole | call.world.area(Standing).accounts.get(account.waba_id, {})


def _number_fields(call: Call, number: Number, wanted: str | None) -> Json:
    settings = call.world.settings
    webhook = {
        "phone_number": number.callback,
        "whatsapp_business_account": number.account.callback,
        "application": settings.webhook_url,
    }
    whole: Json = {
        "id": number.id,
        "verified_name": number.number.verified_name,
        "display_phone_number": _pretty(number.display),
        "quality_rating": "GREEN",
        "quality_score": {"score": "GREEN"},
        "code_verification_status": "VERIFIED",
        "platform_type": "CLOUD_API",
        "throughput": {"level": "HIGH" if not 0 < settings.throughput_per_s < 1_000 else "STANDARD"},
        "status": "CONNECTED",
        "name_status": "APPROVED",
        "new_name_status": "NONE",
        "account_mode": "LIVE",
        "is_official_business_account": False,
        "is_pin_enabled": True,
        "is_on_biz_app": False,
        "is_preverified_number": False,
        "host_platform": None,
        "certificate": None,
        "new_certificate": None,
        "search_visibility": "VISIBLE",
        "eligibility_for_api_business_global_search": "NON_ELIGIBLE_UNDEFINED_COUNTRY",
        "country_code": None,
        "country_dial_code": None,
        "conversational_automation": automation_of(call.world, number),
        "last_onboarded_time": ONBOARDED,
        "messaging_limit_tier": "TIER_UNLIMITED",
        "whatsapp_business_manager_messaging_limit": "TIER_UNLIMITED",
        "webhook_configuration": {key: value for key, value in webhook.items() if value},
        "health_status": _health(number.id, "PHONE_NUMBER"),
    }
    whole |= call.world.area(Standing).numbers.get(number.id, {})
    return pick(whole, wanted, NUMBER_FIELDS, "WhatsAppBusinessPhoneNumber")


def _template_fields(template: Template, wanted: str | None) -> Json:
    extra: Json = {
        "previous_category": None,
        "sub_category": None,
        "correct_category": None,
        "rejected_reason": "NONE",
        "quality_score": {"score": "UNKNOWN", "date": 0},
        "cta_url_link_tracking_opted_out": False,
        "message_send_ttl_seconds": None,
        "library_template_name": None,
        "rejection_info": None,
        "degrees_of_freedom_spec": None,
        "is_primary_device_delivery_only": None,
    }
    whole = {**extra, **template.raw}
    given = tuple(
        key
        for key in template.raw
        if key not in TEMPLATE_FIELDS and key in ("previous_category", "sub_category")
    )
    return pick(whole, wanted, (*TEMPLATE_FIELDS, *given), "WhatsAppMessageTemplate")


def _health(node: str, kind: str) -> Json:
    entity = {"entity_type": kind, "id": node, "can_send_message": "AVAILABLE"}
    return {"can_send_message": "AVAILABLE", "entities": [entity]}


def _pretty(digits: str) -> str:
    """The number as Graph shows it to people."""
    if digits.startswith("1") and len(digits) == 11:
        return f"+1 {digits[1:4]}-{digits[4:7]}-{digits[7:]}"
    return f"+{digits[:2]} {digits[2:7]} {digits[7:]}".rstrip()
