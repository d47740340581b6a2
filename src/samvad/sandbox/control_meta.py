"""The part of the control API in which one plays Meta: its reviewers, its quality ratings, its webhooks."""

from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from samvad.sandbox import news, review, template_rules
from samvad.sandbox.control_input import BadRequest, choice, json_body, typed
from samvad.sandbox.model import Json
from samvad.sandbox.templates import Template
from samvad.sandbox.world import Account, Number

if TYPE_CHECKING:
    from samvad.sandbox.sandbox import Sandbox

INDEX: Json = {
    "GET /templates?waba_id=": "the templates of an account with their status",
    "POST /templates/{id or name}": "review, quality, category: {status?, reason?, rejection_info?, other_info?, "
    "quality?, category?, correct_category?, waba_id?, language?}; each change is told by webhook",
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
