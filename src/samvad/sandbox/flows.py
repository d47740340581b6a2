"""Flows of an account: drafts that are written, published, and put away."""

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import UploadFile

from samvad.sandbox import checks
from samvad.sandbox.errors import GraphError, parameter, parameter_is_required
from samvad.sandbox.model import Json
from samvad.sandbox.news import tell_of_account
from samvad.sandbox.nodes import AccountCalls, Call, page, pick
from samvad.sandbox.world import Account, World

CATEGORIES = (
    "SIGN_UP",
    "SIGN_IN",
    "APPOINTMENT_BOOKING",
    "LEAD_GENERATION",
    "CONTACT_US",
    "CUSTOMER_SUPPORT",
    "SURVEY",
    "OTHER",
)
FLOW_FIELDS = ("name", "status", "categories", "validation_errors")
MAX_NAME, MAX_FLOW_JSON = 200, 10 * 1024 * 1024
_SCREEN = re.compile(r"[A-Za-z_]+")


@dataclass(slots=True, eq=False)
class Flow:
    """One flow; `source` is its Flow JSON as it was sent, "" before there is any."""

    id: str
    account: Account
    name: str
    categories: list[str]
    endpoint_uri: str | None = None
    source: str = ""
    errors: list[Json] = field(default_factory=list)
    status: str = "DRAFT"


@dataclass
class Flows:
    by_id: dict[str, Flow] = field(default_factory=dict)

    def of_account(self, account: Account, flow_id: str) -> Flow | None:
        flow = self.by_id.get(flow_id)
        return flow if flow is not None and flow.account is account else None


async def create(call: Call, account: Account) -> Json:
    """POST /{waba}/flows, perhaps with its JSON, a copy of another, and published at once."""
    given = await call.parameters()
    flows = call.world.area(Flows)
    name = _name(flows, account, given.get("name"), None)
    flow = Flow(call.world.identities.object_id(), account, name, _categories(given.get("categories")))
    flow.endpoint_uri = _endpoint(given.get("endpoint_uri"))
    if (other := given.get("clone_flow_id")) is not None:
        original = flows.of_account(account, str(other))
        if original is None:
            raise parameter("clone_flow_id", "is no flow of this account.")
        flow.source, flow.errors = original.source, original.errors
    if (source := given.get("flow_json")) is not None:
        flow.source = checks.text(source, "flow_json", MAX_FLOW_JSON)
        flow.errors = _errors(flow.source)
    flows.by_id[flow.id] = flow
    answer: Json = {"id": flow.id, "success": True}
    if flow.source:
        answer["validation_errors"] = flow.errors
    if given.get("publish") in (True, "true") and flow.source and not flow.errors:
        _turn(call.world, flow, "PUBLISHED")
    return answer


async def list_flows(call: Call, account: Account) -> Json:
    """GET /{waba}/flows."""
    mine = [flow for flow in call.world.area(Flows).by_id.values() if flow.account is account]
    return page(call, [(flow.id, _shown(call, flow)) for flow in mine])


async def read(call: Call, flow: Flow) -> Json:
    """GET /{flow}?fields=."""
    return _shown(call, flow)


async def change(call: Call, flow: Flow) -> Json:
    """POST /{flow}: name, categories, endpoint; the endpoint of a published flow stays."""
    given = await call.parameters()
    checks.members(given, "flow", ("name", "categories", "endpoint_uri", "application_id"))
    if flow.status == "DEPRECATED":
        raise GraphError(139001, "A deprecated flow cannot be changed.")
    if "name" in given:
        flow.name = _name(call.world.area(Flows), flow.account, given["name"], flow)
    if "categories" in given:
        flow.categories = _categories(given["categories"])
    if "endpoint_uri" in given:
        flow.endpoint_uri = _endpoint(given["endpoint_uri"])
    return {"success": True}


async def list_assets(call: Call, flow: Flow) -> Json:
    """GET /{flow}/assets: the Flow JSON."""
    if not flow.source:
        return {"data": []}
    url = f"{call.world.base_url}/{flow.id}/flow_json"
    return page(call, [(flow.id, {"name": "flow.json", "asset_type": "FLOW_JSON", "download_url": url})])


async def upload_asset(call: Call, flow: Flow) -> Json:
    """POST /{flow}/assets, multipart: a new Flow JSON, kept even with errors, which are answered."""
    form = await call.form()
    try:
        if form.get("asset_type") != "FLOW_JSON":
            raise parameter("asset_type", "must be one of {FLOW_JSON}.")
        if form.get("name") != "flow.json":
            raise parameter("name", "must be flow.json.")
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise parameter_is_required("file")
        data = await file.read()
    finally:
        await form.close()
    if flow.status not in ("DRAFT", "PUBLISHED"):
        raise GraphError(139001, f"A flow that is {flow.status} cannot be updated.")
    if len(data) > MAX_FLOW_JSON:
        raise parameter("file", "must be at most 10 MB.")
    flow.source = data.decode(errors="replace")
    flow.errors = _errors(flow.source)
    if flow.status == "PUBLISHED":
        _turn(call.world, flow, "DRAFT")
    return {"success": True, "validation_errors": flow.errors}


async def read_source(call: Call, flow: Flow) -> Json:
    """GET the download URL of the asset."""
    return checks.decode_object(flow.source.encode())


async def publish(call: Call, flow: Flow) -> Json:
    """POST /{flow}/publish: a draft without errors."""
    if flow.status != "DRAFT":
        raise GraphError(139002, f"A flow that is {flow.status} cannot be published.")
    if not flow.source or flow.errors:
        raise GraphError(139002, "The flow has no JSON, or its JSON has errors.")
    _turn(call.world, flow, "PUBLISHED")
    return {"success": True}


async def deprecate(call: Call, flow: Flow) -> Json:
    """POST /{flow}/deprecate: a published flow, for good."""
    if flow.status not in ("PUBLISHED", "THROTTLED", "BLOCKED"):
        raise GraphError(139003, f"A flow that is {flow.status} cannot be deprecated.")
    _turn(call.world, flow, "DEPRECATED")
    return {"success": True}


async def delete(call: Call, flow: Flow) -> Json:
    """DELETE /{flow}: drafts only."""
    if flow.status != "DRAFT":
        raise GraphError(139004, f"A flow that is {flow.status} cannot be deleted.")
    del call.world.area(Flows).by_id[flow.id]
    return {"success": True}


ACCOUNT_CALLS: AccountCalls = {("POST", "flows"): create, ("GET", "flows"): list_flows}
FLOW_CALLS: dict[tuple[str, str], Callable[[Call, Flow], Awaitable[Json]]] = {
    ("GET", ""): read,
    ("POST", ""): change,
    ("DELETE", ""): delete,
    ("GET", "assets"): list_assets,
    ("POST", "assets"): upload_asset,
    ("GET", "flow_json"): read_source,
    ("POST", "publish"): publish,
    ("POST", "deprecate"): deprecate,
}


def _turn(world: World, flow: Flow, status: str) -> None:
    """Change the status, and tell."""
    before, flow.status = flow.status, status
    value = {
        "event": "FLOW_STATUS_CHANGE",
        "message": f"Flow {flow.name} changed status from {before} to {status}",
        "flow_id": flow.id,
        "old_status": before,
        "new_status": status,
    }
    tell_of_account(world, flow.account, "flows", value)


def _shown(call: Call, flow: Flow) -> Json:
    source = _decoded(flow.source) or {}
    preview = f"https://business.facebook.com/wa/manage/flows/{flow.id}/preview/"
    whole: Json = {
        "id": flow.id,
        "name": flow.name,
        "status": flow.status,
        "categories": flow.categories,
        "validation_errors": flow.errors,
        "json_version": source.get("version"),
        "data_api_version": source.get("data_api_version"),
        "endpoint_uri": flow.endpoint_uri,
        "preview": {"preview_url": preview, "expires_at": "2099-01-01T00:00:00+0000"},
        "whatsapp_business_account": {"id": flow.account.waba_id, "name": flow.account.business.name},
        "health_status": {
            "can_send_message": "AVAILABLE",
            "entities": [{"entity_type": "FLOW", "id": flow.id, "can_send_message": "AVAILABLE"}],
        },
    }
    return pick(whole, call.query.get("fields"), FLOW_FIELDS, "WhatsAppFlow")


def _name(flows: Flows, account: Account, given: Any, own: Flow | None) -> str:
    name = checks.text(given, "name", MAX_NAME)
    if any(one.name == name and one.account is account and one is not own for one in flows.by_id.values()):
        raise parameter("name", "is the name of another flow of this account.")
    return name


def _categories(given: Any) -> list[str]:
    if isinstance(given, str):
        given = _decoded(given, list)
    chosen = checks.items(given, "categories", 1, len(CATEGORIES))
    for one in chosen:
        if one not in CATEGORIES:
            raise parameter("categories", f"must be among {{{', '.join(CATEGORIES)}}}.")
    return chosen


def _endpoint(given: Any) -> str | None:
    return None if given in (None, "") else checks.link(given, "endpoint_uri")


def _decoded(source: str, kind: type[Any] = dict) -> Any:
    try:
        value = json.loads(source)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, kind) else None


def _errors(source: str) -> list[Json]:
    """The first rules of Flow JSON: an object with a version and screens, each with an id and a layout."""
    flow = _decoded(source)
    if flow is None:
        return [_error("INVALID_JSON", "JSON_SCHEMA_ERROR", "The flow is not a JSON object.")]
    errors = [
        _error(
            "MISSING_REQUIRED_PROPERTY", "JSON_SCHEMA_ERROR", f'The property "{name}" is missing at "$root".'
        )
        for name in ("version", "screens")
        if not flow.get(name)
    ]
    screens = flow.get("screens") if isinstance(flow.get("screens"), list) else []
    for at, screen in enumerate(screens):
        for name in ("id", "layout"):
            if not isinstance(screen, dict) or not screen.get(name):
                where = f'The property "{name}" is missing at "$root/screens/{at}".'
                errors.append(_error("MISSING_REQUIRED_PROPERTY", "JSON_SCHEMA_ERROR", where))
        if isinstance(screen, dict) and not _SCREEN.fullmatch(str(screen.get("id", "A"))):
            where = f'A screen id has letters and underscores only, at "$root/screens/{at}".'
            errors.append(_error("INVALID_PROPERTY_VALUE", "FLOW_JSON_ERROR", where))
    return errors


def _error(error: str, kind: str, message: str) -> Json:
    place = {"line_start": 1, "line_end": 1, "column_start": 1, "column_end": 1}
    return {"error": error, "error_type": kind, "message": message, **place}
