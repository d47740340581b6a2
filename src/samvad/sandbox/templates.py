"""A business's message templates: what a send must bring, and what the phone then shows."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from samvad.sandbox import checks
from samvad.sandbox.checks import MediaExists
from samvad.sandbox.errors import GraphError, parameter, parameter_is_required
from samvad.sandbox.identity import stable_id
from samvad.sandbox.model import Json

_VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_UNPRINTABLE = re.compile(r"[\n\t]| {5,}")
MAX_BODY, MAX_BODY_ALONE, MAX_HEADER = 1024, 32_768, 60
MAX_COUPON, MAX_ONE_TIME_PASSWORD, MAX_URL = 20, 15, 2_000
MEDIA_HEADERS = ("IMAGE", "VIDEO", "DOCUMENT", "GIF")

_BUTTON_SUB_TYPES = {
    "QUICK_REPLY": ("quick_reply",),
    "URL": ("url",),
    "COPY_CODE": ("copy_code",),
    "OTP": ("url", "copy_code"),
    "FLOW": ("flow",),
    "CATALOG": ("catalog",),
    "MPM": ("mpm",),
    "SPM": ("spm",),
    "VOICE_CALL": ("voice_call",),
    "ORDER_DETAILS": ("order_details",),
    "PHONE_NUMBER": ("phone_number",),
}
_PARAMETER_MEMBERS = (
    "type",
    "parameter_name",
    "text",
    "currency",
    "date_time",
    "image",
    "video",
    "document",
    "location",
    "product",
    "payload",
    "coupon_code",
    "action",
    "ttl_minutes",
    "limited_time_offer",
)


@dataclass(frozen=True, slots=True)
class Button:
    kind: str
    text: str
    needs_parameter: bool
    one_time_password: bool


@dataclass(frozen=True, slots=True)
class Part:
    """Header, body and buttons of a template or of one of its carousel cards, read once."""

    header: str | None
    header_text: str
    header_variables: tuple[str, ...]
    header_length: int  # without its variables
    body_text: str
    body_variables: tuple[str, ...]
    body_length: int
    footer: str | None
    buttons: tuple[Button, ...]
    offer: bool
    cards: tuple["Part", ...]

    @property
    def takes_media(self) -> bool:
        return self.header in MEDIA_HEADERS or bool(self.cards)


@dataclass(frozen=True, slots=True)
class Template:
    """A template as Graph lists it (`raw`), and what sending it takes (`part`)."""

    id: str
    name: str
    language: str
    status: str
    category: str
    named: bool
    raw: Json
    part: Part


def read_template(waba_id: str, given: Mapping[str, Any]) -> Template:
    """A template from Meta's template object; id, status and format may be missing there."""
    name, language = given["name"], given["language"]
    raw: Json = {
        "name": name,
        "parameter_format": given.get("parameter_format", "POSITIONAL"),
        "components": given.get("components", []),
        "language": language,
        "status": given.get("status", "APPROVED"),
        "category": given.get("category", "UTILITY"),
        "id": str(given.get("id") or stable_id("template", waba_id, name, language)),
    }
    raw |= {key: value for key, value in given.items() if key not in raw}
    return Template(
        id=raw["id"],
        name=name,
        language=language,
        status=raw["status"],
        category=raw["category"],
        named=raw["parameter_format"] == "NAMED",
        raw=raw,
        part=_read_part(raw["components"]),
    )


def check(value: Any, templates: Mapping[tuple[str, str], Template], exists: MediaExists) -> Template:
    """The template a send means; refuses what does not fit it, as Meta would."""
    sent = checks.members(
        value, "template", ("name", "language", "components", "namespace"), ("name", "language")
    )
    name = checks.text(sent["name"], "template['name']", 512)
    language = checks.members(sent["language"], "template['language']", ("code", "policy"), ("code",))
    code = checks.text(language["code"], "template['language']['code']", 20)
    template = templates.get((name, code))
    if template is None:
        raise GraphError(132001, f"template name ({name}) does not exist in {code}")
    if template.status == "PAUSED":
        raise GraphError(
            132015, "Template is paused due to low quality so it cannot be sent in a template message."
        )
    if template.status == "DISABLED":
        raise GraphError(132016, "Template has been paused too many times and is now permanently disabled.")
    if template.status != "APPROVED":
        raise GraphError(132001, f"template name ({name}) does not exist in {code}")
    _check_part(template.part, sent.get("components"), "template['components']", template.named, exists)
    return template


def render(template: Template, sent: Mapping[str, Any]) -> Json:
    """What the phone shows: texts with their values, and the buttons."""
    return _render_part(template.part, sent.get("components") or [])


def _read_part(components: Iterable[Mapping[str, Any]]) -> Part:
    header, header_text, body_text = None, "", ""
    footer: str | None = None
    offer = False
    buttons: tuple[Button, ...] = ()
    cards: tuple[Part, ...] = ()
    for component in components:
        match str(component.get("type", "")).upper():
            case "HEADER":
                header = str(component.get("format", "TEXT")).upper()
                header_text = component.get("text", "")
            case "BODY":
                body_text = component.get("text", "")
            case "FOOTER":
                footer = component.get("text")
            case "BUTTONS":
                buttons = tuple(_read_button(button) for button in component.get("buttons", ()))
            case "LIMITED_TIME_OFFER":
                offer = True
            case "CAROUSEL":
                cards = tuple(_read_part(card.get("components", ())) for card in component.get("cards", ()))
    return Part(
        header=header,
        header_text=header_text,
        header_variables=_variables(header_text),
        header_length=len(_VARIABLE.sub("", header_text)),
        body_text=body_text,
        body_variables=_variables(body_text),
        body_length=len(_VARIABLE.sub("", body_text)),
        footer=footer,
        buttons=buttons,
        offer=offer,
        cards=cards,
    )


def _read_button(button: Mapping[str, Any]) -> Button:
    kind = str(button.get("type", "")).upper()
    url = str(button.get("url", ""))
    # An authentication template is made with an OTP button, and Graph then lists it as a URL button.
    password = kind == "OTP" or (kind == "URL" and "otp_type=" in url)
    needed = password or kind in ("COPY_CODE", "MPM") or (kind == "URL" and "{{" in url)
    return Button(kind, str(button.get("text", "")), needed, password)


def _variables(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_VARIABLE.findall(text)))


def _check_part(part: Part, components: Any, path: str, named: bool, exists: MediaExists) -> None:
    header: list[Json] | None = None
    body: list[Json] = []
    offered = False
    cards: list[Any] | None = None
    buttons: dict[int, list[Json]] = {}
    if components is None:
        components = ()
    elif not isinstance(components, list):
        raise parameter(path, "must be an array.")
    for at, component in enumerate(components):
        here = f"{path}[{at}]"
        checks.members(component, here, ("type", "sub_type", "index", "parameters", "cards"), ("type",))
        kind = component["type"].lower() if isinstance(component["type"], str) else None
        if kind == "carousel":
            cards = checks.items(component.get("cards"), "cards", 1, 10)
            continue
        parameters = _parameters(component.get("parameters"), f"{here}['parameters']")
        if kind == "header":
            header = parameters
        elif kind == "body":
            body = parameters
        elif kind == "limited_time_offer":
            offered = bool(parameters)
        elif kind == "button":
            index = _button_index(component, here)
            _check_button(part, index, component.get("sub_type"), parameters)
            buttons[index] = parameters
        else:
            raise parameter(
                f"{here}['type']", "must be one of {HEADER, BODY, BUTTON, CAROUSEL, LIMITED_TIME_OFFER}."
            )
    _check_header(part, header, named, exists)
    length = part.body_length + _check_texts("body", part.body_variables, body, named)
    if length > (
        MAX_BODY_ALONE if part.header is None and not part.buttons and not part.footer else MAX_BODY
    ):
        raise GraphError(132005, "Translated text too long for component: body")
    for index, button in enumerate(part.buttons):
        if button.needs_parameter and not buttons.get(index):
            raise GraphError(
                131008, f"buttons: Button at index {index} of type {_title(button)} requires a parameter"
            )
    if part.offer and not offered:
        raise GraphError(131008, "limited_time_offer: Parameter expiration_time_ms is required")
    _check_cards(part, cards, path, named, exists)


def _parameters(value: Any, path: str) -> list[Json]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise parameter(path, "must be an array.")
    for at, element in enumerate(value):
        checks.members(element, f"{path}[{at}]", _PARAMETER_MEMBERS, ("type",))
    return value


def _button_index(component: Json, path: str) -> int:
    index = component.get("index")
    if index is None:
        raise parameter_is_required(f"{path}['index']")
    if isinstance(index, bool) or not re.fullmatch(r"\d{1,2}", str(index)):
        raise parameter(f"{path}['index']", "must be an integer.")
    return int(index)


def _check_button(part: Part, index: int, sub_type: Any, parameters: list[Json]) -> None:
    if index >= len(part.buttons):
        raise GraphError(132018, f"buttons: Button at index {index} does not exist in the template")
    button = part.buttons[index]
    if not isinstance(sub_type, str) or sub_type.lower() not in _BUTTON_SUB_TYPES.get(button.kind, ()):
        raise GraphError(
            132018,
            f"buttons: Button at index {index} is of type {_title(button)} and not of sub type {sub_type}",
        )
    if button.kind == "URL" and parameters and not button.needs_parameter:
        raise GraphError(132018, f"buttons: Button at index {index} of type Url does not require parameters")
    for given in parameters:
        if given["type"] == "coupon_code":
            _bounded(given.get("coupon_code"), MAX_COUPON, index, "coupon code")
        elif given["type"] == "text":
            limit = MAX_ONE_TIME_PASSWORD if button.one_time_password else MAX_URL
            _bounded(given.get("text"), limit, index, "text")
        elif given["type"] == "payload":
            _bounded(given.get("payload"), 256, index, "payload")


def _bounded(value: Any, limit: int, index: int, what: str) -> None:
    if not isinstance(value, str) or not value:
        raise GraphError(131008, f"buttons: Button at index {index} is missing its {what}")
    if len(value) > limit:
        raise GraphError(
            132018, f"buttons: Button at index {index}: {what} is longer than {limit} characters"
        )


def _title(button: Button) -> str:
    return "".join(word.capitalize() for word in button.kind.split("_"))


def _check_header(part: Part, given: list[Json] | None, named: bool, exists: MediaExists) -> None:
    if part.header is None or part.header == "TEXT":
        length = _check_texts("header", part.header_variables, given or [], named)
        if part.header_variables and part.header_length + length > MAX_HEADER:
            raise GraphError(132005, "Translated text too long for component: header")
        return
    kind = given[0]["type"] if given else None
    received = kind.upper() if isinstance(kind, str) else "UNKNOWN"
    expected = "VIDEO" if part.header == "GIF" else part.header
    if received != expected:
        raise GraphError(132012, f"header: Format mismatch, expected {part.header}, received {received}")
    assert given
    value = given[0].get(received.lower())
    if value is None:
        raise GraphError(131008, f"Parameter of type {received.lower()} is missing {received.lower()} value")
    if part.header in MEDIA_HEADERS:
        checks.media(value, f"template header['{received.lower()}']", ("filename",), exists)


def _check_texts(where: str, variables: tuple[str, ...], given: list[Json], named: bool) -> int:
    """The length the values add to the text."""
    if len(given) != len(variables):
        raise GraphError(
            132000,
            f"{where}: number of localizable_params ({len(given)}) does not match the expected number of "
            f"params ({len(variables)})",
        )
    length = 0
    names = set()
    for value in given:
        length += len(_value(value, where))
        if named:
            if not isinstance(value.get("parameter_name"), str) or not value["parameter_name"]:
                raise GraphError(100, "Parameter name is missing or empty")
            names.add(value["parameter_name"])
    if named and names != set(variables):
        strange = ", ".join(sorted(names - set(variables))) or "a repeated name"
        raise GraphError(132012, f"{where}: Parameter name does not match the template: {strange}")
    return length


def _value(given: Json, where: str) -> str:
    kind = given["type"]
    if kind == "text":
        value = given.get("text")
        if not isinstance(value, str) or not value:
            raise GraphError(131008, "Parameter of type text is missing text value")
        if _UNPRINTABLE.search(value):
            raise GraphError(
                132018, "Param text cannot have new-line/tab characters or more than 4 consecutive spaces"
            )
        return value
    if kind in ("currency", "date_time"):
        detail = given.get(kind)
        if not isinstance(detail, dict) or not isinstance(detail.get("fallback_value"), str):
            raise GraphError(131008, f"Parameter of type {kind} is missing fallback_value")
        fallback: str = detail["fallback_value"]
        return fallback
    raise GraphError(132012, f"{where}: Format mismatch, expected TEXT, received {str(kind).upper()}")


def _check_cards(part: Part, cards: list[Any] | None, path: str, named: bool, exists: MediaExists) -> None:
    if len(cards or ()) != len(part.cards):
        raise GraphError(
            132012,
            f"carousel: Format mismatch, expected {len(part.cards)} cards, received {len(cards or ())}",
        )
    for at, (card, expected) in enumerate(zip(cards or (), part.cards, strict=True)):
        here = f"{path}['cards'][{at}]"
        checks.members(card, here, ("card_index", "components"), ("card_index",))
        _check_part(expected, card.get("components"), f"{here}['components']", named, exists)


def _render_part(part: Part, components: Iterable[Json]) -> Json:
    by_kind: dict[str, Json] = {str(component["type"]).lower(): component for component in components}
    shown: Json = {}
    if part.header == "TEXT":
        header = by_kind.get("header", {}).get("parameters") or []
        shown["header"] = {"type": "text", "text": _fill(part.header_text, part.header_variables, header)}
    elif part.header is not None:
        shown["header"] = (by_kind.get("header", {}).get("parameters") or [{}])[0]
    shown["body"] = _fill(
        part.body_text, part.body_variables, by_kind.get("body", {}).get("parameters") or []
    )
    if part.footer:
        shown["footer"] = part.footer
    if part.buttons:
        shown["buttons"] = [{"type": button.kind, "text": button.text} for button in part.buttons]
    if part.cards:
        cards = by_kind.get("carousel", {}).get("cards") or []
        shown["cards"] = [
            _render_part(expected, card.get("components") or [])
            for expected, card in zip(part.cards, cards, strict=False)
        ]
    return shown


def _fill(text: str, variables: tuple[str, ...], given: list[Json]) -> str:
    values = {}
    for variable, value in zip(variables, given, strict=False):
        values[value.get("parameter_name") or variable] = _value(value, "body")
    return _VARIABLE.sub(lambda match: values.get(match[1], match[0]), text)
