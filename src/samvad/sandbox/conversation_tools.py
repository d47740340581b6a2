"""Small things around a number: conversation starters, short links, its shop, its username."""

import re
from dataclasses import dataclass, field
from typing import Any

from samvad.sandbox import checks
from samvad.sandbox.errors import GraphError, parameter, unknown_object
from samvad.sandbox.identity import stable_id
from samvad.sandbox.model import Json
from samvad.sandbox.news import tell_of_account
from samvad.sandbox.nodes import Call, NumberCalls, page
from samvad.sandbox.world import Number, World

MAX_PROMPTS, MAX_PROMPT = 4, 80
MAX_COMMANDS, MAX_COMMAND, MAX_HINT = 30, 32, 256
MAX_PREFILLED = 140
IMAGES = ("PNG", "SVG")
_COMMAND = re.compile(r"\w+")
_USERNAME = re.compile(r"(?=.*[a-z])(?!www\.)[a-z0-9_][a-z0-9._]{1,33}[a-z0-9_]")


@dataclass
class Tools:
    """All of it by phone number id; short links by their code."""

    automation: dict[str, Json] = field(default_factory=dict)
    links: dict[str, dict[str, Json]] = field(default_factory=dict)
    commerce: dict[str, Json] = field(default_factory=dict)
    usernames: dict[str, str] = field(default_factory=dict)


async def read_automation(call: Call, number: Number) -> Json:
    """GET /{phone-number-id}/conversational_automation."""
    return automation_of(call.world, number)


def automation_of(world: World, number: Number) -> Json:
    """Prompts and commands of a number, as far as it has some."""
    return {**world.area(Tools).automation.get(number.id, {}), "id": number.id}


async def change_automation(call: Call, number: Number) -> Json:
    """POST /{phone-number-id}/conversational_automation: prompts and commands, each list as a whole."""
    given = await call.parameters()
    known = ("messaging_product", "enable_welcome_message", "prompts", "commands")
    checks.members(given, "conversational_automation", known)
    if given.get("prompts") is not None:
        for at, prompt in enumerate(checks.items(given["prompts"], "prompts", 0, MAX_PROMPTS)):
            checks.text(prompt, f"prompts[{at}]", MAX_PROMPT)
    if given.get("commands") is not None:
        for at, command in enumerate(checks.items(given["commands"], "commands", 0, MAX_COMMANDS)):
            members = ("command_name", "command_description")
            checks.members(command, f"commands[{at}]", members, members)
            name = checks.text(command["command_name"], f"commands[{at}]['command_name']", MAX_COMMAND)
            if not _COMMAND.fullmatch(name):
                raise parameter(f"commands[{at}]['command_name']", "must be one word.")
            checks.text(command["command_description"], f"commands[{at}]['command_description']", MAX_HINT)
    automation = call.world.area(Tools).automation.setdefault(number.id, {})
    automation.update({key: given[key] for key in ("prompts", "commands") if key in given})
    return {"success": True}


async def list_links(call: Call, number: Number) -> Json:
    """GET /{phone-number-id}/message_qrdls."""
    links = call.world.area(Tools).links.get(number.id, {})
    image = _image_format(call.query.get("fields", ""))
    chosen = [(code, _shown(link, image)) for code, link in links.items()]
    if call.query.get("code"):
        chosen = [one for one in chosen if one[0] == call.query["code"]]
    return page(call, chosen)


async def read_link(call: Call, number: Number) -> Json:
    """GET /{phone-number-id}/message_qrdls/{code}."""
    link = call.world.area(Tools).links.get(number.id, {}).get(call.leaf)
    image = _image_format(call.query.get("fields", ""))
    return {"data": [] if link is None else [_shown(link, image)]}


async def save_link(call: Call, number: Number) -> Json:
    """POST /{phone-number-id}/message_qrdls: a new short link, or with `code` a new text for an old one."""
    given = await call.parameters()
    text = checks.text(given.get("prefilled_message"), "prefilled_message", MAX_PREFILLED)
    image = given.get("generate_qr_image")
    if image is not None and image not in IMAGES:
        raise parameter("generate_qr_image", "must be one of {PNG, SVG}.")
    links = call.world.area(Tools).links.setdefault(number.id, {})
    code = given.get("code")
    if code is None:
        code = stable_id("link", call.world.identities.object_id())[:13] + "1"
        links[code] = {"code": code, "creation_time": int(call.world.clock())}
    elif code not in links:
        raise unknown_object("POST", str(code))
    links[code] |= {"prefilled_message": text, "deep_link_url": f"https://wa.me/message/{code}"}
    return _shown(links[code], image or "")


async def delete_link(call: Call, number: Number) -> Json:
    """DELETE /{phone-number-id}/message_qrdls/{code}."""
    if call.world.area(Tools).links.get(number.id, {}).pop(call.leaf, None) is None:
        raise unknown_object("DELETE", call.leaf)
    return {"success": True}


async def read_commerce(call: Call, number: Number) -> Json:
    """GET /{phone-number-id}/whatsapp_commerce_settings."""
    usual = {"is_cart_enabled": True, "is_catalog_visible": False}
    settings = usual | call.world.area(Tools).commerce.get(number.id, {})
    return {"data": [{"id": stable_id("commerce", number.id), **settings}]}


async def change_commerce(call: Call, number: Number) -> Json:
    """POST /{phone-number-id}/whatsapp_commerce_settings; the switches come in the query or the body."""
    given = await call.parameters()
    names = ("is_cart_enabled", "is_catalog_visible")
    changed = {name: given[name] for name in names if given.get(name) is not None}
    if not changed:
        raise GraphError(100, message="(#100) At least one commerce setting must be specified")
    for name, value in changed.items():
        checks.flag(value, name)
    settings = call.world.area(Tools).commerce.setdefault(number.id, {})
    settings.update({name: value in (True, "true") for name, value in changed.items()})
    return {"success": True}


async def read_username(call: Call, number: Number) -> Json:
    """GET /{phone-number-id}/username; nothing when there is none."""
    username = call.world.area(Tools).usernames.get(number.id)
    return {} if username is None else {"username": username, "status": "approved"}


async def adopt_username(call: Call, number: Number) -> Json:
    """POST /{phone-number-id}/username: 3 to 35 small letters, digits, dots, underscores; one letter at least."""
    given = await call.parameters()
    username = checks.text(given.get("username"), "username", 35)
    if not _USERNAME.fullmatch(username) or ".." in username or username.endswith((".com", ".net", ".org")):
        raise parameter("username", "is not a valid username.")
    usernames = call.world.area(Tools).usernames
    if any(name == username and holder != number.id for holder, name in usernames.items()):
        raise GraphError(147001, "The username is not available.")
    usernames[number.id] = username
    _tell_username(call, number, username, "approved")
    return {"status": "approved"}


async def drop_username(call: Call, number: Number) -> Json:
    """DELETE /{phone-number-id}/username."""
    username = call.world.area(Tools).usernames.pop(number.id, None)
    if username is not None:
        _tell_username(call, number, username, "deleted")
    return {"success": True}


async def suggest_usernames(call: Call, number: Number) -> Json:
    """GET /{phone-number-id}/username_suggestions: made of the verified name."""
    plain = re.sub(r"[^a-z0-9]+", "_", number.number.verified_name.lower()).strip("_")[:30] or "business"
    return {"data": [{"username_suggestions": [plain, f"{plain}.official"]}]}


async def read_official(call: Call, number: Number) -> Json:
    """GET /{phone-number-id}/official_business_account: nobody here has the blue mark."""
    return {"id": number.id, "oba_status": "NOT_STARTED"}


NUMBER_CALLS: NumberCalls = {
    ("GET", "conversational_automation"): read_automation,
    ("POST", "conversational_automation"): change_automation,
    ("GET", "message_qrdls"): list_links,
    ("POST", "message_qrdls"): save_link,
    ("GET", "message_qrdls/*"): read_link,
    ("DELETE", "message_qrdls/*"): delete_link,
    ("GET", "whatsapp_commerce_settings"): read_commerce,
    ("POST", "whatsapp_commerce_settings"): change_commerce,
    ("GET", "username"): read_username,
    ("POST", "username"): adopt_username,
    ("DELETE", "username"): drop_username,
    ("GET", "username_suggestions"): suggest_usernames,
    ("GET", "official_business_account"): read_official,
}


def _shown(link: Json, image: str) -> Json:
    shown = {key: link[key] for key in ("code", "prefilled_message", "deep_link_url")}
    if image:
        shown["qr_image_url"] = f"https://scontent.xx.fbcdn.net/qr/{link['code']}.{image.lower()}"
    return shown


def _image_format(fields: str) -> str:
    """Graph's way to ask for the picture: fields=qr_image_url.format(SVG)."""
    found = re.search(r"qr_image_url(?:\.format\((\w+)\))?", fields)
    return "" if found is None else (found[1] or "PNG").upper()


def _tell_username(call: Call, number: Number, username: str, status: str) -> None:
    value: Any = {"display_phone_number": number.display, "username": username, "status": status}
    tell_of_account(call.world, number.account, "business_username_updates", value)
