"""Graph calls that make, change and remove templates."""

from collections.abc import Awaitable, Callable
from typing import Any

from samvad.sandbox import review, template_rules
from samvad.sandbox.errors import GraphError, invalid, parameter, parameter_is_required, unknown_object
from samvad.sandbox.model import Json
from samvad.sandbox.nodes import Call
from samvad.sandbox.templates import Template, read_template
from samvad.sandbox.uploads import Uploads
from samvad.sandbox.world import Account

HOUR_S, DAY_S = 3600, 24 * 3600
MONTH_S = 30 * DAY_S
EDITABLE = ("APPROVED", "REJECTED", "PAUSED")
EDITS_PER_MONTH, EDITS_PER_DAY = 10, 1
MAX_DELETED, MAX_LANGUAGES = 100, 100


async def create(call: Call, account: Account) -> Json:
    """POST /{waba}/message_templates."""
    given = await call.parameters()
    if given.get("library_template_name") is not None:
        raise GraphError(100, message="(#100) The sandbox has no template library; give components instead.")
    definition = template_rules.definition(given, call.world.area(Uploads).type_behind)
    template = review.submit(call.world, account, _add(call, account, definition))
    return {"id": template.id, "status": template.status, "category": template.category}


async def edit(call: Call, template: Template) -> Json:
    """POST /{template-id}: new components, category or time to live; back to review."""
    world, account = call.world, _owner(call, template)
    given = await call.parameters()
    if template.status not in EDITABLE:
        raise invalid(
            "Template cannot be edited",
            f"Only {', '.join(EDITABLE)} templates are edited: {template.status}.",
        )
    category = str(given.get("category") or template.category).upper()
    if category not in template_rules.CATEGORIES:
        raise parameter("category", f"must be one of {{{', '.join(template_rules.CATEGORIES)}}}.")
    if template.status == "APPROVED" and category != template.category:
        raise invalid("Template cannot be edited", "The category of an approved template cannot be changed.")
    changes: Json = {"category": category, **template_rules.time_to_live(given, category)}
    if given.get("components") is not None:
        given.setdefault("parameter_format", template.raw["parameter_format"])
        changes |= template_rules.content(given, category, world.area(Uploads).type_behind)
    elif len(changes) == 1 and category == template.category:
        raise parameter_is_required("components")
    _count_edit(call, account, template)
    changed = review.replaced(account, template, **changes, status="PENDING", rejected_reason="NONE")
    if "components" in changes:
        review.tell_components(world, account, changed)
    review.submit(world, account, changed)
    return {"success": True, "id": template.id, "name": template.name, "category": category}


async def unpause(call: Call, template: Template) -> Json:
    """POST /{template-id}/unpause."""
    if template.status != "PAUSED":
        return {"success": False, "reason": "The template is not paused."}
    review.change_status(
        call.world,
        _owner(call, template),
        template,
        "APPROVED",
        other={"title": "UNPAUSE", "description": "Your template is unpaused."},
    )
    return {"success": True}


async def delete(call: Call, account: Account) -> Json:
    """DELETE /{waba}/message_templates by `name`, by `hsm_id` and `name`, or by `hsm_ids`."""
    given = await call.parameters()
    name, one, many = given.get("name"), given.get("hsm_id"), given.get("hsm_ids")
    if many is not None:
        ids = _ids(many)
        chosen = [account.templates_by_id[each] for each in ids if each in account.templates_by_id]
        if len(chosen) < len(ids):
            raise unknown_object("delete", next(each for each in ids if each not in account.templates_by_id))
    elif not name:
        raise parameter_is_required("name")
    else:
        chosen = [each for each in account.templates.values() if each.name == name]
        if one is not None:
            chosen = [each for each in chosen if each.id == str(one)]
        if not chosen:
            raise invalid(
                "Message template not found", "The template does not exist, or is deleted already.", 2593002
            )
    if any(template.status == "DISABLED" for template in chosen):
        raise invalid("Message template cannot be deleted", "Disabled templates cannot be deleted.")
    for template in chosen:
        if template.status == "APPROVED":
            account.names_in_use[template.name, template.language] = call.world.clock() + MONTH_S
        account.drop_template(template)
    return {"success": True}


async def upsert(call: Call, account: Account) -> Json:
    """POST /{waba}/upsert_message_templates: one authentication template in many languages."""
    given = await call.parameters()
    languages = given.pop("languages", None)
    if not isinstance(languages, list) or not 1 <= len(languages) <= MAX_LANGUAGES:
        raise parameter("languages", f"must be an array of 1 to {MAX_LANGUAGES} languages.")
    if str(given.get("category", "")).upper() != "AUTHENTICATION":
        raise parameter("category", "must be AUTHENTICATION.")
    definitions = [
        template_rules.definition({**given, "language": language}, call.world.area(Uploads).type_behind)
        for language in languages
    ]
    answered = []
    for definition in definitions:
        known = account.templates.get((definition["name"], definition["language"]))
        template = (
            review.replaced(account, known, **definition, status="PENDING")
            if known is not None
            else _add(call, account, definition)
        )
        template = review.submit(call.world, account, template)
        answered.append({"id": template.id, "status": template.status, "language": template.language})
    return {"data": answered}


ACCOUNT_CALLS: dict[tuple[str, str], Callable[[Call, Account], Awaitable[Json]]] = {
    ("POST", "message_templates"): create,
    ("DELETE", "message_templates"): delete,
    ("POST", "upsert_message_templates"): upsert,
}
TEMPLATE_CALLS: dict[tuple[str, str], Callable[[Call, Template], Awaitable[Json]]] = {
    ("POST", ""): edit,
    ("POST", "unpause"): unpause,
}


def _add(call: Call, account: Account, definition: Json) -> Template:
    """A new template, within the limits of its account."""
    world, settings = call.world, call.world.settings
    now, key = world.clock(), (definition["name"], definition["language"])
    account.creations[:] = [at for at in account.creations if at > now - HOUR_S]
    if len(account.creations) >= settings.template_creations_per_hour:
        raise GraphError(
            80007, f"At most {settings.template_creations_per_hour} templates are created in an hour."
        )
    if key in account.templates:
        raise invalid(
            "Content in this language already exists",
            f"There is already {key[1]} content for this template. You can create a new template and try again.",
            2388024,
        )
    if account.names_in_use.get(key, 0) > now:
        raise invalid(
            "Message template language is being deleted",
            f"New {key[1]} content cannot be added while the existing {key[1]} content is being deleted. "
            "Try again in 4 weeks or create a new template.",
            2388023,
        )
    if len(account.templates) >= settings.templates_per_account:
        raise invalid(
            "Message template limit exceeded",
            f"An account has at most {settings.templates_per_account} templates.",
            2388019,
        )
    account.creations.append(now)
    fresh = {**definition, "id": world.identities.object_id(), "status": "PENDING"}
    template = read_template(account.waba_id, fresh)
    account.keep_template(template)
    return template


def _count_edit(call: Call, account: Account, template: Template) -> None:
    now = call.world.clock()
    edits = account.edits.setdefault(template.id, [])
    edits[:] = [at for at in edits if at > now - MONTH_S]
    if template.status == "APPROVED":
        today = sum(at > now - DAY_S for at in edits)
        if today >= EDITS_PER_DAY or len(edits) >= EDITS_PER_MONTH:
            raise invalid(
                "Template edited too often",
                "An approved template can be edited once in 24 hours and 10 times in 30 days.",
            )
    edits.append(now)


def _owner(call: Call, template: Template) -> Account:
    return next(account for account in call.accounts if template.id in account.templates_by_id)


def _ids(given: Any) -> list[str]:
    ids = given if isinstance(given, list) else str(given).strip("[]").split(",")
    ids = [str(one).strip(' "') for one in ids if str(one).strip(' "')]
    if not 1 <= len(ids) <= MAX_DELETED:
        raise parameter("hsm_ids", f"must be 1 to {MAX_DELETED} template ids.")
    return ids
