"""What does not fit between a template and the values a caller gives, in words. No I/O.

Everything Meta would refuse for its shape is said here, before Meta is asked.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from urllib.parse import urlsplit

from samvad.domain.templates.model import NAMED, POSITIONAL, Template
from samvad.domain.templates.values import MAX_VALUE_CHARS, TemplateValues
from samvad.domain.templates.words import braced, in_words, plural, shown

MAX_BODY_CHARS = 1_024  # with its values; a body that stands alone may be as long as a value
MAX_HEADER_CHARS = 60
MAX_CODE_CHARS = 15  # a one-time code; longer ones do not fit Meta's copy button
MAX_COUPON_CHARS = 20
MAX_URL_CHARS = 2_000
MAX_PAYLOAD_CHARS = 256

META_FORMAT_CALL = (
    "POST /v1/ext/plugin/whatsapp/{pluginId}/api/{whatsappApiVersion}/{whatsappPhoneNumberId}/messages"
)

# Kinds of part that want a whole object of Meta's, and so Meta's own format.
NEEDS_META_FORMAT = {
    "ORDER_DETAILS": "an order",
    "ORDER_STATUS": "an order",
    "BOOKING_CONFIRMATION": "a booking",
    "REMINDER": "a reminder",
}

MEDIA_FIELDS = {"IMAGE": "imageUrl", "VIDEO": "videoUrl", "DOCUMENT": "documentUrl", "GIF": "videoUrl"}

_BLANK_OR_CONTROL = re.compile(r"[\s\x00-\x1f\x7f]")
_UNSENDABLE_BLANKS = re.compile(r"[\r\n\t]| {5,}")


def problems(template: Template, values: TemplateValues) -> list[str]:
    """Everything that keeps these values from filling this template, the most useful sentence first."""
    given = values = with_numbered_buttons(template, values)
    code_problems: list[str] = []
    if template.takes_code:
        codes = codes_in(template, values)
        code_problems = _code_problems(template, codes)
        # With a stand-in for a bad code, one mistake is one problem and not one per place the code goes to.
        values = with_code(template, values, "0" if code_problems else codes[0])
    values = with_coupon(template, values)

    places = _places(template, values)
    return [
        *_beyond_variables(template),
        *code_problems,
        *(problem for place in places for problem in place.missing()),
        *(problem for place in places for problem in place.unfit()),
        *_missing_header(template, values),
        *_missing_parts(template, values),
        *_too_long(template, values),
        *_surplus_header(template, values),
        *(problem for place in _places(template, given) for problem in place.unknown()),
        *_bad_payloads(template, values),
        *_surplus_parts(template, given),
        *_card_problems(template, values),
    ]


# What the values mean, before they are held against the template


def with_numbered_buttons(template: Template, values: TemplateValues) -> TemplateValues:
    """The same values, with each button that is named by its text under its number.

    Quick replies have no number, for they want nothing: a value under their text is the payload that comes
    back when somebody taps them. It stays under `#` and the button's place among all.
    """
    numbers = {button.name for button in template.button_variables}
    by_place = {button.index: button.name for button in template.button_variables}
    by_text: dict[str, str] = {}
    for place, (kind, button) in enumerate(zip(template.button_kinds, template.buttons, strict=True)):
        name = by_place.get(place) or (f"#{place}" if kind == "QUICK_REPLY" else "")
        if name:
            by_text.setdefault(_spelling(str(button.get("text") or "")), name)
    renamed = {
        name if name in numbers else by_text.get(_spelling(name), name): value
        for name, value in values.buttons.items()
        if value.strip() or name in numbers or _spelling(name) not in by_text
    }
    return values if renamed == values.buttons else replace(values, buttons=renamed)


def with_coupon(template: Template, values: TemplateValues) -> TemplateValues:
    """The same values, with `couponCode` behind the button that copies it, unless buttonMapping fills that."""
    names = [it.name for it in template.button_variables if it.sub_type == "copy_code"]
    if values.coupon_code is None or not names:
        return values
    codes = {name: values.coupon_code for name in names if not values.buttons.get(name, "").strip()}
    return replace(values, buttons={**values.buttons, **codes})


def payloads_in(template: Template, values: TemplateValues) -> dict[int, str]:
    """The payloads given for quick replies, by the button's place."""
    places = {f"#{nth}": nth for nth, kind in enumerate(template.button_kinds) if kind == "QUICK_REPLY"}
    return {places[name]: value for name, value in values.buttons.items() if name in places and value.strip()}


def codes_in(template: Template, values: TemplateValues) -> list[str]:
    """The different one-time codes given: one, if the caller did it right, however often it was repeated."""
    said = [
        values.otp_code,
        *(values.body.get(name) for name in template.body_variables[:1]),
        *(values.buttons.get(button.name) for button in template.button_variables),
    ]
    return list(dict.fromkeys(code.strip() for code in said if code and code.strip()))


def with_code(template: Template, values: TemplateValues, code: str) -> TemplateValues:
    """The same values, with the one-time code in each place it goes to."""
    return replace(
        values,
        body={**values.body, **dict.fromkeys(template.body_variables[:1], code)},
        buttons={**values.buttons, **{button.name: code for button in template.button_variables}},
    )


def rendered(template: Template, text: str, values: Mapping[str, str]) -> str:
    """The text as its reader sees it; what a value contains is never looked at again."""
    pattern = NAMED if template.parameter_format == "NAMED" else POSITIONAL
    return pattern.sub(lambda placeholder: values.get(placeholder[1], placeholder[0]), text)


# What does not fit


@dataclass(frozen=True, slots=True)
class _Place:
    """One of the three parts that take variables, and what was given for it."""

    template: str
    word: Literal["body", "header", "button"]
    mapping: str
    wanted: tuple[str, ...]
    given: Mapping[str, str]
    labels: Mapping[str, str] = field(default_factory=dict)
    max_chars: Mapping[str, int] = field(default_factory=dict)

    def missing(self) -> Iterator[str]:
        absent = [name for name in self.wanted if name not in self.given]
        if absent:
            entry = f'{{"schemaPropertyName": "{absent[0]}", "schemaPropertyValue": "…"}}'
            how = entry if len(absent) == 1 else f"an entry like {entry} for each of them"
            yield f"(#132000) {self.template} needs {self._spoken(absent)}; add {how} to {self.mapping}"

    def unfit(self) -> Iterator[str]:
        for name in self.wanted:
            fault = name in self.given and _fault(self.given[name], self.max_chars.get(name, MAX_VALUE_CHARS))
            if fault:
                yield f"{fault[0]} {self.template}: {self._spoken([name])} {fault[1]}"

    def unknown(self) -> Iterator[str]:
        # A blank surplus entry is a row that a form left empty; nothing would have been sent for it.
        surplus = [name for name, value in self.given.items() if name not in self.wanted and value.strip()]
        if surplus:
            known = f"only {self._spoken(self.wanted)}" if self.wanted else "and needs none"
            names = in_words([braced(shown(name)) for name in surplus])
            them = "it" if len(surplus) == 1 else "them"
            no_such = f"has no {self.word} {plural('variable', surplus)} {names}"
            yield f"(#132000) {self.template} {no_such}, {known}; remove {them} from {self.mapping}"

    def _spoken(self, names: Sequence[str]) -> str:
        labelled = [
            f"{braced(name)} (the button “{self.labels[name]}”)" if self.labels.get(name) else braced(name)
            for name in names
        ]
        return f"the {self.word} {plural('variable', names)} {in_words(labelled)}"


def _places(template: Template, values: TemplateValues) -> tuple[_Place, _Place, _Place]:
    buttons = template.button_variables
    payload_names = {f"#{nth}" for nth in payloads_in(template, values)}
    return (
        _Place(template.name, "body", f"{template.place}mapping", template.body_variables, values.body),
        _Place(
            template.name,
            "header",
            f"{template.place}headerMapping",
            template.header_variables,
            values.header,
        ),
        _Place(
            template.name,
            "button",
            f"{template.place}buttonMapping",
            tuple(button.name for button in buttons),
            {name: it for name, it in values.buttons.items() if name not in payload_names},
            labels={button.name: button.label for button in buttons},
            max_chars={
                button.name: MAX_COUPON_CHARS if button.sub_type == "copy_code" else MAX_URL_CHARS
                for button in buttons
            },
        ),
    )


def _beyond_variables(template: Template) -> Iterator[str]:
    for kind in dict.fromkeys(template.kinds):
        if kind in NEEDS_META_FORMAT:
            yield (
                f"{template.name} has a part of the kind {kind}, which wants {NEEDS_META_FORMAT[kind]}; "
                f"send it in Meta's own format, through {META_FORMAT_CALL}"
            )


def _fault(value: str, max_chars: int) -> tuple[str, str] | None:
    """Why Meta would refuse this text for a variable, as its code and the rest of the sentence."""
    if not value.strip():
        return (
            "(#131008)",
            "is empty, which Meta refuses; give it a text, or a default where it may be unknown",
        )
    if _UNSENDABLE_BLANKS.search(value):
        return (
            "(#132018)",
            "cannot have new-line/tab characters or more than 4 consecutive spaces; write it on one line",
        )
    if len(value) > max_chars:
        return "(#132018)", f"is longer than {max_chars:,} characters; shorten it"
    return None


def _code_problems(template: Template, codes: Sequence[str]) -> list[str]:
    """What is wrong with the code, which no sentence repeats: errors are logged, and it opens an account."""
    if not codes:
        name = next(iter(template.body_variables), "1")
        what = f"the body variable {braced(name)}, its one-time code"
        return [f"(#132000) {template.name} needs {what}; send it as otpCode, or under that name in mapping"]
    if len(codes) > 1:
        places = "otpCode, mapping and buttonMapping"
        return [f"{template.name} carries one code, but {places} give different ones; send only otpCode"]
    fault = _fault(codes[0], MAX_CODE_CHARS)
    return [f"{fault[0]} {template.name}: the one-time code (otpCode) {fault[1]}"] if fault else []


def _missing_header(template: Template, values: TemplateValues) -> Iterator[str]:
    kind = template.header_format
    if kind in MEDIA_FIELDS:
        url, key = values.media_url(kind), f"{template.place}{MEDIA_FIELDS[kind]}"
        if not url:
            yield f"(#132012) {template.name} has a header of the kind {kind}; send {key}, a public http(s) link to it"
        elif fault := _url_fault(url):
            yield f"(#131009) {template.name}: {key} {fault}"
    if kind == "LOCATION":
        yield from _coordinate_problem(template, "locationLatitude", values.latitude, 90)
        yield from _coordinate_problem(template, "locationLongitude", values.longitude, 180)
    if kind == "PRODUCT" and not values.product_retailer_id:
        how = f"send {template.place}productRetailerId, and catalogId if Meta knows several"
        yield f"(#132012) {template.name} has a header of the kind PRODUCT; {how}"


def _coordinate_problem(template: Template, key: str, degrees: float | None, bound: int) -> Iterator[str]:
    key = template.place + key
    if degrees is None:
        yield f"(#132012) {template.name} has a header of the kind LOCATION; send {key}, in degrees"
    elif not -bound <= degrees <= bound:
        yield f"(#131009) {template.name}: {key} must be between -{bound} and {bound} degrees"


def _url_fault(url: str) -> str | None:
    if len(url) > MAX_URL_CHARS:
        return f"is longer than {MAX_URL_CHARS:,} characters; use a shorter link"
    if _BLANK_OR_CONTROL.search(url):
        return "has a blank or a control character in it; write blanks as %20"
    try:
        parts = urlsplit(url)
    except ValueError:  # brackets that hold no address
        return "is not a link; it must look like https://example.com/file"
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        return "must be a public http(s) link, such as https://example.com/file"
    return None


def _surplus_header(template: Template, values: TemplateValues) -> Iterator[str]:
    kind = template.header_format
    has = f"its header is of the kind {kind}" if kind else "it has no header"
    for other, key in list(MEDIA_FIELDS.items())[:3]:
        if key != MEDIA_FIELDS.get(kind) and values.media_url(other):
            key = template.place + key
            yield f"(#132012) {template.name} takes no {key}: {has}; remove {key}"
    # Some clients send 0/0 with every message, whether or not there is a place in it.
    if kind != "LOCATION" and (values.latitude or values.longitude):
        keys = f"{template.place}locationLatitude and {template.place}locationLongitude"
        yield f"(#132012) {template.name} takes no location: {has}; remove {keys}"


def _missing_parts(template: Template, values: TemplateValues) -> Iterator[str]:
    if template.offer_ends and values.offer_expires_at is None:
        how = f"send {template.place}offerExpiresAt, its end in milliseconds since 1970"
        yield f"(#131008) {template.name} has a limited-time offer; {how}"
    if "MPM" in template.button_kinds:
        for key, given in (
            ("thumbnailProductRetailerId", values.thumbnail_product_retailer_id),
            ("sections", values.sections),
        ):
            if not given:
                yield f"(#131008) {template.name} has a button that shows products; send {template.place}{key}"


def _too_long(template: Template, values: TemplateValues) -> Iterator[str]:
    body = len(rendered(template, template.body_text, values.body))
    alone = not (template.header_format or template.buttons or "FOOTER" in template.kinds)
    most = MAX_VALUE_CHARS if alone else MAX_BODY_CHARS
    if body > most and values.body:
        yield (
            f"(#132005) {template.name}: with these values its body has {body:,} characters, and {most:,} is "
            f"the most; shorten what {template.place}mapping gives"
        )
    header = len(rendered(template, template.header_text or "", values.header))
    if header > MAX_HEADER_CHARS and template.header_variables:
        yield (
            f"(#132005) {template.name}: with its value the header has {header:,} characters, and "
            f"{MAX_HEADER_CHARS} is the most; shorten what {template.place}headerMapping gives"
        )


def _bad_payloads(template: Template, values: TemplateValues) -> Iterator[str]:
    for place, payload in payloads_in(template, values).items():
        if len(payload) > MAX_PAYLOAD_CHARS:
            button = template.buttons[place].get("text")
            yield (
                f"(#132018) {template.name}: the payload of the button “{button}” is longer than "
                f"{MAX_PAYLOAD_CHARS} characters; shorten it in {template.place}buttonMapping"
            )


def _surplus_parts(template: Template, values: TemplateValues) -> Iterator[str]:
    kinds = template.kinds
    codes = [it for it in template.button_variables if it.sub_type == "copy_code"]
    if not template.takes_code and (values.otp_code or "").strip():
        yield f"(#132000) {template.name} carries no one-time code; remove otpCode, or put it into mapping"
    taken: tuple[tuple[str, Any, bool, str], ...] = (
        ("couponCode", values.coupon_code, bool(codes), "carries no coupon code"),
        ("offerExpiresAt", values.offer_expires_at, template.is_offer, "has no limited-time offer"),
        ("productRetailerId", values.product_retailer_id, "PRODUCT" in kinds, "has no header with a product"),
        ("catalogId", values.catalog_id, "PRODUCT" in kinds, "has no header with a product"),
        (
            "thumbnailProductRetailerId",
            values.thumbnail_product_retailer_id,
            bool({"CATALOG", "MPM"} & set(kinds)),
            "has no button that shows products",
        ),
        ("sections", values.sections, "MPM" in kinds, "has no button that shows sections of products"),
        ("flowToken", values.flow_token, "FLOW" in kinds, "opens no flow"),
        ("flowActionData", values.flow_action_data, "FLOW" in kinds, "opens no flow"),
    )
    for key, given, takes, why in taken:
        if given and not takes:
            yield f"(#132000) {template.name} {why}; remove {template.place}{key}"
    other = next((values.buttons[it.name] for it in codes if values.buttons.get(it.name, "").strip()), None)
    if values.coupon_code and other is not None and other != values.coupon_code:
        yield f"{template.name} carries one coupon code, but couponCode and buttonMapping differ; send one"


def _card_problems(template: Template, values: TemplateValues) -> Iterator[str]:
    cards = template.cards
    if not cards:
        if values.cards:
            yield f"(#132000) {template.name} is no carousel; remove cards"
        return
    if len(values.cards) != len(cards):
        wanting = (
            f"{template.name} has {len(cards)} {plural('card', cards)}, but cards gives {len(values.cards)}"
        )
        yield f"(#132012) {wanting}; send one object for each card, such as {_card_example(cards[0])}"
        return
    for card, given in zip(cards, values.cards, strict=True):
        yield from problems(card, given)


def _card_example(card: Template) -> str:
    wanted = [MEDIA_FIELDS[card.header_format]] if card.header_format in MEDIA_FIELDS else []
    wanted += ["productRetailerId"] if card.header_format == "PRODUCT" else []
    wanted += ["mapping"] if card.body_variables else []
    wanted += ["buttonMapping"] if card.button_variables else []
    return "{" + ", ".join(f'"{key}": …' for key in wanted) + "}"


def _spelling(label: str) -> str:
    return " ".join(label.split()).casefold()
