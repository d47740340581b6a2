"""What a template wants of a sender, one entry for each value, for whoever draws a form of it. No I/O."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from samvad.domain.templates.checking import MEDIA_FIELDS
from samvad.domain.templates.model import Json, Template
from samvad.domain.templates.words import kind_of


@dataclass(frozen=True, slots=True)
class Variable:
    """One value: `field` is its key in the call, `name` its word there if that is a mapping.

    `part` is body, header, button or offer; `index` the button's place, `card` the card's, both from 0.
    """

    part: str
    field: str
    kind: str = "text"
    name: str | None = None
    label: str | None = None
    index: int | None = None
    card: int | None = None
    example: str | None = None
    required: bool = True


def wanted(template: Template, *, card: int | None = None) -> Iterator[Variable]:
    """Every value the template takes, in the order a reader meets them."""
    place = template.place
    yield from _header(template, card)
    if template.takes_code:
        yield Variable("body", "otpCode", "code", example="123456")
    else:
        examples = _examples(template, "BODY", "body_text")
        for name in template.body_variables:
            yield Variable("body", f"{place}mapping", name=name, card=card, example=examples.get(name))
    if template.is_offer:
        required = template.offer_ends
        yield Variable("offer", f"{place}offerExpiresAt", "moment", card=card, required=required)
    yield from _buttons(template, card)
    for nth, one in enumerate(template.cards):
        yield from wanted(one, card=nth)


def _header(template: Template, card: int | None) -> Iterator[Variable]:
    place, kind = template.place, template.header_format
    examples = _examples(template, "HEADER", "header_text")
    for name in template.header_variables:
        yield Variable("header", f"{place}headerMapping", name=name, card=card, example=examples.get(name))
    if kind in MEDIA_FIELDS:
        yield Variable("header", f"{place}{MEDIA_FIELDS[kind]}", kind.lower(), card=card)
    if kind == "DOCUMENT":
        yield Variable("header", f"{place}filename", card=card, required=False)
    if kind == "LOCATION":
        for key in ("locationLatitude", "locationLongitude"):
            yield Variable("header", f"{place}{key}", "degrees", card=card)
        for key in ("locationName", "locationAddress"):
            yield Variable("header", f"{place}{key}", card=card, required=False)
    if kind == "PRODUCT":
        yield Variable("header", f"{place}productRetailerId", "product", card=card)
        yield Variable("header", f"{place}catalogId", "catalog", card=card, required=False)


def _buttons(template: Template, card: int | None) -> Iterator[Variable]:
    place = template.place
    names = {button.index: button for button in template.button_variables}
    for index, (kind, button) in enumerate(zip(template.button_kinds, template.buttons, strict=True)):
        label = str(button.get("text") or "") or None
        variable = names.get(index)
        if variable is not None and not template.takes_code:
            sort = "coupon" if variable.sub_type == "copy_code" else "text"
            example = _button_example(button, variable.sub_type)
            yield Variable(
                "button", f"{place}buttonMapping", sort, variable.name, label, index, card, example
            )
        if kind == "QUICK_REPLY":
            yield Variable(
                "button", f"{place}buttonMapping", "payload", label, label, index, card, required=False
            )
        for key, sort, required in _ACTIONS.get(kind, ()):
            yield Variable("button", f"{place}{key}", sort, None, label, index, card, required=required)


_ACTIONS: dict[str, tuple[tuple[str, str, bool], ...]] = {
    "CATALOG": (("thumbnailProductRetailerId", "product", False),),
    "MPM": (("thumbnailProductRetailerId", "product", True), ("sections", "sections", True)),
    "FLOW": (("flowToken", "text", False), ("flowActionData", "object", False)),
}


def _examples(template: Template, kind: str, key: str) -> dict[str, str]:
    """The examples its author gave at Meta, by the variable's name."""
    component: Json = next((it for it in template.components if kind_of(it) == kind), {})
    example = component.get("example")
    if not isinstance(example, dict):
        return {}
    named = example.get(f"{key}_named_params")
    if isinstance(named, list):
        return {
            str(it.get("param_name")): str(it.get("example"))
            for it in named
            if isinstance(it, dict) and it.get("example") is not None
        }
    listed: Any = example.get(key)
    while isinstance(listed, list) and listed and isinstance(listed[0], list):
        listed = listed[0]
    if not isinstance(listed, list):
        return {}
    names = template.body_variables if kind == "BODY" else template.header_variables
    return {name: str(value) for name, value in zip(names, listed, strict=False)}


def _button_example(button: Json, sub_type: str) -> str | None:
    """For a link Meta keeps the whole address, or only what goes in the place of the variable."""
    example = button.get("example")
    example = example[0] if isinstance(example, list) and example else example
    if not isinstance(example, str):
        return None
    if sub_type == "url":
        before = str(button.get("url") or "").split("{{", 1)[0]
        return example.removeprefix(before) or None
    return example
