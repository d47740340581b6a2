"""From a template and values to the exact message Meta wants, and the words the person will read. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from samvad.domain.templates import checking
from samvad.domain.templates.checking import MEDIA_FIELDS, payloads_in, problems, rendered
from samvad.domain.templates.model import ButtonVariable, Json, Template
from samvad.domain.templates.values import TemplateValues
from samvad.kit.errors import BadRequest

MAX_FILENAME_CHARS = 240  # phones store the file under this name; most file systems stop at 255 bytes

# Meta refuses the whole send with 131009 unless these buttons are named, though they want no parameter.
NAMED_BUTTONS = {"FLOW": "flow", "CATALOG": "catalog", "MPM": "mpm"}


@dataclass(frozen=True, slots=True)
class Filled:
    """A template with its values in place: `payload` is Meta's whole `template` object."""

    payload: Json
    text: str
    header_text: str | None


def fill(template: Template, values: TemplateValues) -> Filled:
    """Put the values where the template wants them; BadRequest names everything that does not fit."""
    found = problems(template, values)
    if found:
        raise BadRequest(*found)

    values = _placed(template, values)
    return Filled(
        payload={
            "name": template.name,
            "language": {"code": template.language, "policy": "deterministic"},
            "components": _components(template, values),
        },
        text=rendered(template, template.body_text, values.body),
        header_text=None
        if template.header_text is None
        else rendered(template, template.header_text, values.header),
    )


def named_in(content: Any) -> tuple[str, str] | None:
    """The name and language of a `template` object in Meta's format."""
    language = content.get("language") if isinstance(content, dict) else None
    if not isinstance(language, dict):
        return None
    name, code = content.get("name"), language.get("code")
    return (name, code) if isinstance(name, str) and isinstance(code, str) else None


def text_of(template: Template, content: Json) -> str | None:
    """The body of a template that somebody filled in Meta's format; None if its values do not fill it."""
    given = content.get("components")
    components = [it for it in given if isinstance(it, dict)] if isinstance(given, list) else []
    body = next((it for it in components if str(it.get("type")).lower() == "body"), {})
    parameters = body.get("parameters")
    listed = [it for it in parameters if isinstance(it, dict)] if isinstance(parameters, list) else []
    texts = [_text_in(it) for it in listed]
    names = [it.get("parameter_name") for it in listed] if template.parameter_format == "NAMED" else None
    values = dict(zip(names or template.body_variables, texts, strict=False))
    filled = {str(name): text for name, text in values.items() if text is not None}
    if len(texts) != len(template.body_variables) or set(filled) != set(template.body_variables):
        return None
    return rendered(template, template.body_text, filled)


def _text_in(parameter: Json) -> str | None:
    """A text, or what Meta shows in place of an amount or a date where it cannot format them."""
    kind = parameter.get("type")
    detail = parameter.get(kind) if kind in ("currency", "date_time") else None
    said = detail.get("fallback_value") if isinstance(detail, dict) else parameter.get("text")
    return said if isinstance(said, str) else None


def _placed(template: Template, values: TemplateValues) -> TemplateValues:
    """The values, each at the place it goes to."""
    values = checking.with_numbered_buttons(template, values)
    if template.takes_code:
        values = checking.with_code(template, values, checking.codes_in(template, values)[0])
    return checking.with_coupon(template, values)


def _components(template: Template, values: TemplateValues) -> list[Json]:
    return [
        *_header_component(template, values),
        *_body_component(template, values),
        *_offer_component(template, values),
        *_button_components(template, values),
        *_carousel_component(template, values),
    ]


def _header_component(template: Template, values: TemplateValues) -> list[Json]:
    kind = template.header_format
    if kind in MEDIA_FIELDS:
        medium: Json = {"link": values.media_url(kind)}
        if kind == "DOCUMENT" and (filename := _filename(values)):
            medium["filename"] = filename
        sent_as = "video" if kind == "GIF" else kind.lower()  # a GIF is a short film in MP4
        return [{"type": "header", "parameters": [{"type": sent_as, sent_as: medium}]}]
    if kind == "PRODUCT":
        told = {"product_retailer_id": values.product_retailer_id, "catalog_id": values.catalog_id}
        product = {key: value for key, value in told.items() if value}
        return [{"type": "header", "parameters": [{"type": "product", "product": product}]}]
    if kind == "LOCATION":
        return [{"type": "header", "parameters": [{"type": "location", "location": _location(values)}]}]
    return _text_component(template, "header", template.header_variables, values.header)


def _body_component(template: Template, values: TemplateValues) -> list[Json]:
    return _text_component(template, "body", template.body_variables, values.body)


def _text_component(
    template: Template, part: str, names: Sequence[str], values: Mapping[str, str]
) -> list[Json]:
    parameters: list[Json] = [{"type": "text", "text": values[name]} for name in names]
    if template.parameter_format == "NAMED":
        parameters = [
            {**parameter, "parameter_name": name} for name, parameter in zip(names, parameters, strict=True)
        ]
    return [{"type": part, "parameters": parameters}] if parameters else []


def _offer_component(template: Template, values: TemplateValues) -> list[Json]:
    if not template.is_offer or values.offer_expires_at is None:
        return []
    offer = {"expiration_time_ms": values.offer_expires_at}
    parameter = {"type": "limited_time_offer", "limited_time_offer": offer}
    return [{"type": "limited_time_offer", "parameters": [parameter]}]


def _carousel_component(template: Template, values: TemplateValues) -> list[Json]:
    cards = [
        {"card_index": nth, "components": _components(card, _placed(card, given))}
        for nth, (card, given) in enumerate(zip(template.cards, values.cards, strict=True))
    ]
    return [{"type": "carousel", "cards": cards}] if cards else []


def _button_components(template: Template, values: TemplateValues) -> list[Json]:
    wanting = {button.index: button for button in template.button_variables}
    payloads = payloads_in(template, values)
    components: list[Json] = []
    for index, kind in enumerate(template.button_kinds):
        if (variable := wanting.get(index)) is not None:
            parameter = _button_parameter(variable, values.buttons[variable.name])
            components.append({**_button(variable.sub_type, index), "parameters": [parameter]})
        elif index in payloads:
            payload = {"type": "payload", "payload": payloads[index]}
            components.append({**_button("quick_reply", index), "parameters": [payload]})
        elif (sub_type := NAMED_BUTTONS.get(kind)) is not None:
            action = _action(kind, values)
            parameters = {"parameters": [{"type": "action", "action": action}]} if action else {}
            components.append({**_button(sub_type, index), **parameters})
    return components


def _action(kind: str, values: TemplateValues) -> Json:
    """What a button that opens something is told; nothing, where Meta's defaults will do."""
    told: Json = {"thumbnail_product_retailer_id": values.thumbnail_product_retailer_id}
    if kind == "FLOW":
        told = {"flow_token": values.flow_token, "flow_action_data": values.flow_action_data}
    if kind == "MPM":
        told["sections"] = list(values.sections)
    return {key: value for key, value in told.items() if value}


def _button(sub_type: str, index: int) -> Json:
    return {"type": "button", "sub_type": sub_type, "index": str(index)}


def _button_parameter(variable: ButtonVariable, value: str) -> Json:
    match variable.sub_type:
        case "url":
            return {"type": "text", "text": value}
        case "copy_code":
            return {"type": "coupon_code", "coupon_code": value}


def _location(values: TemplateValues) -> Json:
    told = {"name": values.location_name, "address": values.location_address}
    return {
        "latitude": values.latitude,
        "longitude": values.longitude,
        **{key: text for key, text in told.items() if text},
    }


def _filename(values: TemplateValues) -> str:
    """The given name, else the last segment of the link as people read it."""
    if values.filename and values.filename.strip():
        return values.filename.strip()[:MAX_FILENAME_CHARS]
    segment = unquote(urlsplit(values.media_url("DOCUMENT")).path.rsplit("/", 1)[-1])
    printable = "".join(letter for letter in segment if letter.isprintable())
    return printable.rsplit("/", 1)[-1].strip()[-MAX_FILENAME_CHARS:]  # the end, which has the extension
