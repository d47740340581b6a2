"""The part of the control API in which one plays Meta: its reviewers, its quality ratings, its webhooks."""

from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from samvad.sandbox import news, ratings, review, template_rules, tokens
from samvad.sandbox.control_input import BadRequest, choice, json_body, typed
from samvad.sandbox.model import Json
from samvad.sandbox.ratings import DECISIONS, QUALITIES, THROUGHPUTS, TIERS
from samvad.sandbox.standing import Standing
from samvad.sandbox.templates import Template
from samvad.sandbox.world import Account, Number

if TYPE_CHECKING:
    from samvad.sandbox.sandbox import Sandbox

INDEX: Json = {
    "GET /templates?waba_id=": "the templates of an account with their status",
    "POST /templates/{id or name}": "review, quality, category: {status?, reason?, rejection_info?, other_info?, "
    "quality?, category?, correct_category?, waba_id?, language?}; each change is told by webhook",
    "POST /numbers/{phone_number_id}": "{quality_rating?, messaging_limit?, throughput?, name?: {decision, "
    "requested_verified_name?, rejection_reason?}, fields?: {any field of the number}}; what Meta tells is told",
    "POST /accounts/{waba_id}": "{review?, update?: {event, …}, alert?: {alert_type, …}, capability?: {…}, "
    "subscribed?, fields?: {any field of the account}}",
    "POST /tokens": "{waba_id?, expires_at?, revoked?, scopes?}",
    "POST /media/{id}/expire": "{id?: true}: the download URLs of a file are void, or the file itself is gone",
    "POST /webhooks": "any webhook, signed: {field, value, waba_id?, phone_number_id?}",
}


async def list_templates(sandbox: "Sandbox", request: Request) -> Json:
    account = _account(sandbox, request.query_params.get("waba_id"))
    return {
        "templates": [
            {"id": one.id, "name": one.name, "language": one.language, "status": one.status}
            for one in account.templates.values()
        ]
    }


async def change_template(sandbox: "Sandbox", request: Request) -> Json:
    given = await json_body(
        request,
        "status",
        "reason",
        "rejection_info",
        "other_info",
        "quality",
        "category",
        "correct_category",
        "waba_id",
        "language",
    )
    status = choice(given, "status", review.STATUSES)
    reason = choice(given, "reason", review.REASONS) or ("INVALID_FORMAT" if status == "REJECTED" else "NONE")
    quality = choice(given, "quality", review.QUALITIES)
    category = choice(given, "category", template_rules.CATEGORIES)
    correct = choice(given, "correct_category", template_rules.CATEGORIES)
    rejection, other = (typed(given, name, dict, {}) or None for name in ("rejection_info", "other_info"))
    account, template = _template(sandbox, request.path_params["name"], given)
    world = sandbox.world
    if status is not None:
        template = review.change_status(
            world, account, template, status, reason=reason, rejection=rejection, other=other
        )
    if quality is not None:
        template = review.change_quality(world, account, template, quality)
    if category is not None:
        template = review.change_category(world, account, template, category)
    if correct is not None:
        template = review.announce_category(world, account, template, correct)
    return dict(template.raw)


async def change_number(sandbox: "Sandbox", request: Request) -> Json:
    given = await json_body(request, "quality_rating", "messaging_limit", "throughput", "name", "fields")
    number = sandbox.world.numbers.get(request.path_params["id"])
    if number is None:
        raise LookupError(f"there is no phone_number_id {request.path_params['id']}")
    rating = choice(given, "quality_rating", QUALITIES)
    limit = choice(given, "messaging_limit", TIERS)
    throughput = choice(given, "throughput", THROUGHPUTS)
    name = typed(given, "name", dict, {})
    decision = choice(name, "decision", DECISIONS)
    if name and decision is None:
        raise BadRequest(f"name.decision must be one of {', '.join(DECISIONS)}")
    world = sandbox.world
    world.area(Standing).of_number(number).update(typed(given, "fields", dict, {}))
    if rating is not None:
        ratings.rate(world, number, rating)
    if limit is not None:
        ratings.set_limit(world, number, limit)
    if throughput is not None:
        ratings.set_throughput(world, number, throughput)
    if decision is not None:
        ratings.decide_name(world, number, decision, name)
    return {"id": number.id, **world.area(Standing).of_number(number)}


async def change_account(sandbox: "Sandbox", request: Request) -> Json:
    given = await json_body(request, "review", "update", "alert", "capability", "subscribed", "fields")
    account, world = _account(sandbox, request.path_params["waba_id"]), sandbox.world
    review_decision = choice(given, "review", DECISIONS)
    update, alert = typed(given, "update", dict, {}), typed(given, "alert", dict, {})
    if update and not isinstance(update.get("event"), str):
        raise BadRequest("update.event must be of type str")
    fields = world.area(Standing).of_account(account)
    fields.update(typed(given, "fields", dict, {}))
    if "subscribed" in given:
        account.subscribed = typed(given, "subscribed", bool, None)
    if review_decision is not None:
        fields["account_review_status"] = review_decision
        news.tell_of_account(world, account, "account_review_update", {"decision": review_decision})
    if update:
        ratings.update_account(world, account, update)
    if alert:
        value = {"entity_type": "WABA", "entity_id": account.waba_id, "alert_info": alert}
        news.tell_of_account(world, account, "account_alerts", value)
    if capability := typed(given, "capability", dict, {}):
        news.tell_of_account(world, account, "business_capability_update", capability)
    return {"waba_id": account.waba_id, "subscribed": account.subscribed, **fields}


async def change_token(sandbox: "Sandbox", request: Request) -> Json:
    given = await json_body(request, "waba_id", "expires_at", "revoked", "scopes")
    account, world = _account(sandbox, given.get("waba_id")), sandbox.world
    scopes = typed(given, "scopes", list, list(tokens.SCOPES))
    if not all(isinstance(scope, str) for scope in scopes):
        raise BadRequest("scopes must be names")
    token = tokens.Token(
        tuple(scopes), typed(given, "expires_at", int, 0), typed(given, "revoked", bool, False)
    )
    tokens.change(world, account.business.access_token, token)
    return {"waba_id": account.waba_id, "expires_at": token.expires_at, "scopes": list(token.scopes)}


async def expire_media(sandbox: "Sandbox", request: Request) -> Json:
    given = await json_body(request, "id")
    media, media_id = sandbox.world.media, request.path_params["id"]
    if media.find(media_id) is None:
        raise LookupError(f"there is no file {media_id}")
    if typed(given, "id", bool, False):
        media.remove(media_id)
    else:
        media.expire_urls(media_id)
    return {"expired": media_id}


async def post_webhook(sandbox: "Sandbox", request: Request) -> Json:
    given = await json_body(request, "field", "value", "waba_id", "phone_number_id")
    field = typed(given, "field", str, None)
    if "value" not in given:
        raise BadRequest("value is required")
    number: Number | None = None
    if given.get("phone_number_id") is not None:
        number = sandbox.world.numbers.get(typed(given, "phone_number_id", str, None))
        if number is None:
            raise LookupError(f"there is no phone_number_id {given['phone_number_id']}")
    account = number.account if number else _account(sandbox, given.get("waba_id"))
    news.tell_of_account(sandbox.world, account, field, given["value"], by_way_of=number)
    return {"posted": True}


TABLE: tuple[tuple[str, str, Any], ...] = (
    ("GET", "/templates", list_templates),
    ("POST", "/templates/{name}", change_template),
    ("POST", "/numbers/{id}", change_number),
    ("POST", "/accounts/{waba_id}", change_account),
    ("POST", "/tokens", change_token),
    ("POST", "/media/{id}/expire", expire_media),
    ("POST", "/webhooks", post_webhook),
)


def _account(sandbox: "Sandbox", waba_id: Any) -> Account:
    """The account with this id, or the first of all."""
    accounts = sandbox.world.accounts
    if waba_id is None:
        return next(iter(accounts.values()))
    if waba_id not in accounts:
        raise LookupError(f"there is no waba_id {waba_id}")
    return accounts[waba_id]


def _template(sandbox: "Sandbox", name: str, given: Json) -> tuple[Account, Template]:
    """The template with this id or name, in the account and the language if they are said."""
    chosen = (
        [_account(sandbox, given["waba_id"])] if given.get("waba_id") else sandbox.world.accounts.values()
    )
    language = given.get("language")
    for account in chosen:
        for template in account.templates.values():
            if name in (template.id, template.name) and language in (None, template.language):
                return account, template
    raise LookupError(f"there is no template {name}")
