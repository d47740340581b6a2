"""Interactive messages: what Meta accepts in each kind."""

from collections.abc import Callable
from typing import Any

from samvad.sandbox import checks
from samvad.sandbox.checks import MediaExists
from samvad.sandbox.errors import GraphError, parameter, parameter_is_required
from samvad.sandbox.model import Json

_MEMBERS = ("type", "header", "body", "footer", "action")
_MEDIA_HEADERS = ("image", "video", "document")


def check(value: Any, exists: MediaExists) -> None:
    """Refuse an interactive object as Meta would."""
    content = checks.members(value, "interactive", _MEMBERS, ("type",))
    kind = content["type"]
    rule = _RULES.get(kind) if isinstance(kind, str) else None
    if rule is None:
        raise GraphError(131009, f"Invalid interactive type. Allowed types: {', '.join(sorted(_RULES))}")
    rule(content, exists)


def _action(content: Json, known: tuple[str, ...], required: tuple[str, ...] = (), name: str = "") -> Json:
    if content.get("action") is None:
        raise parameter_is_required("interactive['action']")
    action = checks.members(content["action"], "interactive['action']", known, required)
    if name and action["name"] != name:
        raise GraphError(131009, f"Invalid action name. Expected: {name}")
    return action


def _frame(content: Json, exists: MediaExists, *, body: int, headers: tuple[str, ...] = ()) -> None:
    """Header, body and footer, which most kinds share; `body` is the longest text allowed."""
    if content.get("body") is None:
        raise parameter_is_required("interactive['body']")
    checks.members(content["body"], "interactive['body']", ("text",))
    checks.text(content["body"].get("text"), "interactive['body']['text']", body)
    if content.get("footer") is not None:
        footer = checks.members(content["footer"], "interactive['footer']", ("text",))
        checks.text(footer.get("text"), "interactive['footer']['text']", 60)
    if content.get("header") is not None:
        _header(content["header"], "interactive['header']", exists, headers)


def _header(value: Any, path: str, exists: MediaExists, allowed: tuple[str, ...]) -> None:
    header = checks.members(value, path, ("type", "text", "sub_text", *_MEDIA_HEADERS), ("type",))
    kind = header["type"]
    if kind not in allowed:
        raise GraphError(131009, f"Invalid header type. Allowed types: {', '.join(allowed) or 'none'}")
    if kind == "text":
        checks.text(header.get("text"), f"{path}['text']", 60)
    else:
        if header.get(kind) is None:
            raise parameter_is_required(f"{path}['{kind}']")
        checks.media(header[kind], f"{path}['{kind}']", ("filename",), exists)


def _unique(values: list[str], what: str) -> None:
    if len(set(values)) != len(values):
        raise GraphError(131009, f"Duplicate {what} are not allowed")


def _buttons(content: Json, exists: MediaExists) -> None:
    _frame(content, exists, body=1024, headers=("text", *_MEDIA_HEADERS))
    buttons = _action(content, ("buttons",)).get("buttons")
    if not isinstance(buttons, list):
        raise parameter_is_required("interactive['action']['buttons']")
    if not 1 <= len(buttons) <= 3:
        raise GraphError(131009, "Invalid buttons count. Min allowed buttons: 1, Max allowed buttons: 3")
    replies = []
    for at, button in enumerate(buttons):
        path = f"interactive['action']['buttons'][{at}]"
        checks.members(button, path, ("type", "reply"), ("type", "reply"))
        if button["type"] != "reply":
            raise parameter(f"{path}['type']", "must be one of {REPLY}.")
        replies.append(_reply(button["reply"], f"{path}['reply']"))
    _unique([reply["id"] for reply in replies], "button ids")
    _unique([reply["title"] for reply in replies], "button titles")


def _reply(value: Any, path: str) -> Json:
    reply = checks.members(value, path, ("id", "title"))
    checks.text(reply.get("id"), f"{path}['id']", 256)
    checks.text(reply.get("title"), f"{path}['title']", 20)
    return reply


def _list(content: Json, exists: MediaExists) -> None:
    _frame(content, exists, body=4096, headers=("text",))
    action = _action(content, ("button", "sections", "name"))
    checks.text(action.get("button"), "interactive['action']['button']", 20)
    sections = action.get("sections")
    if not isinstance(sections, list):
        raise parameter_is_required("interactive['action']['sections']")
    if not 1 <= len(sections) <= 10:
        raise GraphError(131009, "Invalid sections count. Min allowed sections: 1, Max allowed sections: 10")
    ids = []
    for at, section in enumerate(sections):
        path = f"interactive['action']['sections'][{at}]"
        checks.members(section, path, ("title", "rows"), ("rows",))
        if len(sections) > 1 or section.get("title") is not None:
            checks.text(section.get("title"), f"{path}['title']", 24)
        if not isinstance(section["rows"], list) or not section["rows"]:
            raise GraphError(131009, "Invalid rows count. Min allowed rows: 1, Max allowed rows: 10")
        ids += [_row(row, f"{path}['rows'][{n}]") for n, row in enumerate(section["rows"])]
    if len(ids) > 10:
        raise GraphError(131009, "Total row count exceed max allowed count: 10")
    _unique(ids, "row ids")


def _row(value: Any, path: str) -> str:
    row = checks.members(value, path, ("id", "title", "description"))
    checks.text(row.get("title"), f"{path}['title']", 24)
    checks.optional_text(row.get("description"), f"{path}['description']", 72)
    return checks.text(row.get("id"), f"{path}['id']", 200)


def _url_parameters(action: Json, path: str) -> None:
    parameters = checks.members(action["parameters"], path, ("display_text", "url"))
    checks.text(parameters.get("display_text"), f"{path}['display_text']", 20)
    checks.link(parameters.get("url"), f"{path}['url']")


def _cta_url(content: Json, exists: MediaExists) -> None:
    _frame(content, exists, body=1024, headers=("text", *_MEDIA_HEADERS))
    action = _action(content, ("name", "parameters"), ("name", "parameters"), "cta_url")
    _url_parameters(action, "interactive['action']['parameters']")


def _flow(content: Json, exists: MediaExists) -> None:
    _frame(content, exists, body=1024, headers=("text", *_MEDIA_HEADERS))
    action = _action(content, ("name", "parameters"), ("name", "parameters"), "flow")
    path = "interactive['action']['parameters']"
    known = (
        "flow_message_version",
        "flow_id",
        "flow_name",
        "flow_cta",
        "mode",
        "flow_token",
        "flow_action",
        "flow_action_payload",
    )
    flow = checks.members(action["parameters"], path, known, ("flow_message_version",))
    if flow.get("flow_id") is None and flow.get("flow_name") is None:
        raise parameter_is_required(f"{path}['flow_id']")
    checks.text(flow.get("flow_cta"), f"{path}['flow_cta']", 30)
    if flow.get("mode", "published") not in ("draft", "published"):
        raise parameter(f"{path}['mode']", "must be one of {DRAFT, PUBLISHED}.")
    if flow.get("flow_action", "navigate") not in ("navigate", "data_exchange"):
        raise parameter(f"{path}['flow_action']", "must be one of {NAVIGATE, DATA_EXCHANGE}.")


def _product(content: Json, exists: MediaExists) -> None:
    if content.get("header") is not None:
        raise GraphError(131009, "A header is not allowed for type product")
    if content.get("body") is not None:
        _frame(content, exists, body=1024)
    _action(content, ("catalog_id", "product_retailer_id"), ("catalog_id", "product_retailer_id"))


def _product_list(content: Json, exists: MediaExists) -> None:
    if content.get("header") is None:
        raise parameter_is_required("interactive['header']")
    _frame(content, exists, body=1024, headers=("text",))
    action = _action(content, ("catalog_id", "sections", "product_retailer_id"), ("catalog_id", "sections"))
    sections = checks.items(action["sections"], "sections", 1, 10)
    total = 0
    for at, section in enumerate(sections):
        path = f"interactive['action']['sections'][{at}]"
        checks.members(section, path, ("title", "product_items"), ("product_items",))
        if len(sections) > 1:
            checks.text(section.get("title"), f"{path}['title']", 24)
        for n, item in enumerate(checks.items(section["product_items"], "product_items", 1, 30)):
            at_item = f"{path}['product_items'][{n}]"
            checks.members(item, at_item, ("product_retailer_id",), ("product_retailer_id",))
            total += 1
    if total > 30:
        raise GraphError(131009, "Total product items count exceed max allowed count: 30")


def _named(name: str, *, parameters: tuple[str, ...] | None = None, body: int = 1024) -> "_Rule":
    """A kind whose action is only a name, with or without free-form parameters that must hold these."""

    def rule(content: Json, exists: MediaExists) -> None:
        _frame(content, exists, body=body, headers=("text", *_MEDIA_HEADERS))
        required = ("name",) if parameters is None else ("name", "parameters")
        action = _action(content, ("name", "parameters"), required, name)
        given = action.get("parameters")
        if given is not None and not isinstance(given, dict):
            raise parameter("interactive['action']['parameters']", "must be a JSON object.")
        for key in parameters or ():
            if given is None or given.get(key) is None:
                raise parameter_is_required(f"interactive['action']['parameters']['{key}']")

    return rule


def _carousel(content: Json, exists: MediaExists) -> None:
    for part in ("header", "footer"):
        if content.get(part) is not None:
            raise GraphError(131009, f"A {part} is not allowed for type carousel")
    _frame(content, exists, body=1024)
    cards = _action(content, ("cards",), ("cards",))["cards"]
    shapes = set()
    for at, card in enumerate(checks.items(cards, "cards", 2, 10)):
        path = f"interactive['action']['cards'][{at}]"
        shapes.add(_card(card, path, exists))
    if len(shapes) > 1:
        raise GraphError(131009, "All cards must have the same header type and the same kinds of buttons")


def _card(value: Any, path: str, exists: MediaExists) -> tuple[Any, ...]:
    """The shape of a card, which all its neighbours must share."""
    card = checks.members(
        value, path, ("card_index", "type", "header", "body", "action"), ("card_index", "type", "action")
    )
    if card["type"] == "product":
        known = ("product_retailer_id", "catalog_id")
        checks.members(card["action"], f"{path}['action']", known, known)
        return ("product",)
    if card["type"] != "cta_url":
        raise parameter(f"{path}['type']", "must be one of {CTA_URL, PRODUCT}.")
    if card.get("header") is None:
        raise parameter_is_required(f"{path}['header']")
    _header(card["header"], f"{path}['header']", exists, ("image", "video"))
    if card.get("body") is not None:
        checks.members(card["body"], f"{path}['body']", ("text",))
        checks.text(card["body"].get("text"), f"{path}['body']['text']", 160)
    action = checks.members(card["action"], f"{path}['action']", ("name", "parameters", "buttons"))
    if action.get("buttons") is None:
        for key in ("name", "parameters"):
            if action.get(key) is None:
                raise parameter_is_required(f"{path}['action']['{key}']")
        _url_parameters(action, f"{path}['action']['parameters']")
        return (card["header"]["type"], "cta_url")
    buttons = checks.items(action["buttons"], "buttons", 1, 2)
    for n, button in enumerate(buttons):
        at = f"{path}['action']['buttons'][{n}]"
        checks.members(button, at, ("type", "quick_reply"), ("type", "quick_reply"))
        _reply(button["quick_reply"], f"{at}['quick_reply']")
    return (card["header"]["type"], "quick_reply", len(buttons))


_Rule = Callable[[Json, MediaExists], None]

_RULES: dict[str, _Rule] = {
    "button": _buttons,
    "list": _list,
    "cta_url": _cta_url,
    "flow": _flow,
    "product": _product,
    "product_list": _product_list,
    "catalog_message": _named("catalog_message"),
    "location_request_message": _named("send_location"),
    "address_message": _named("address_message", parameters=("country",)),
    "carousel": _carousel,
    "call_permission_request": _named("call_permission_request"),
    "voice_call": _named("voice_call"),
    "request_contact_info": _named("request_contact_info"),
    "order_details": _named(
        "review_and_pay", parameters=("reference_id", "type", "currency", "total_amount")
    ),
    "order_status": _named("review_order", parameters=("reference_id", "order")),
}
