"""Which template a caller means, what it wants, and the exact message that comes of it.

No I/O: everything Meta would refuse for its shape is said here, in words, before Meta is asked.
"""

import difflib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from samvad.kit.errors import BadRequest, NotFound

Json = dict[str, Any]

MAX_VARIABLES = 100  # entries in one mapping; a body of 1,024 characters cannot hold more
MAX_VALUE_CHARS = 32_768  # Meta's own bound for a body parameter, its most generous one
MAX_CODE_CHARS = 15  # a one-time code; longer ones do not fit Meta's copy button
MAX_COUPON_CHARS = 20
MAX_URL_CHARS = 2_000
MAX_FILENAME_CHARS = 240  # phones store the file under this name; most file systems stop at 255 bytes
MAX_SHOWN_CHARS = 64  # how much of a caller's own word an error repeats

META_FORMAT_CALL = (
    "POST /v1/ext/plugin/whatsapp/{pluginId}/api/{whatsappApiVersion}/{whatsappPhoneNumberId}/messages"
)

ENTRY_EXAMPLE = '{"schemaPropertyName": "1", "schemaPropertyValue": "…"}'

# Kinds of component, header and button that want more than named texts.
NEEDS_META_FORMAT = {
    "CAROUSEL": "values for every card",
    "LIMITED_TIME_OFFER": "the time at which the offer ends",
    "PRODUCT": "a product of your catalog",
    "GIF": "a GIF, which has no field here",
    "MPM": "sections of products",
    "SPM": "a product of your catalog",
    "ORDER_DETAILS": "an order",
    "ORDER_STATUS": "an order",
    "BOOKING_CONFIRMATION": "a booking",
    "REMINDER": "a reminder",
}

# Meta refuses the whole send with 131009 unless these buttons are named, though they want no parameter.
BARE_BUTTONS = {"FLOW": "flow", "CATALOG": "catalog"}

MEDIA_FIELDS = {"IMAGE": "imageUrl", "VIDEO": "videoUrl", "DOCUMENT": "documentUrl"}

# Meta writes this body itself, in the template's language; the English one stands in if it was not listed.
CODE_BODY = "*{{1}}* is your verification code."
CODE_ADVICE = " For your security, do not share this code."

_POSITIONAL = re.compile(r"\{\{\s*([0-9]+)\s*\}\}")
_NAMED = re.compile(r"\{\{\s*([a-z0-9_]+)\s*\}\}")
_BLANK_OR_CONTROL = re.compile(r"[\s\x00-\x1f\x7f]")
_UNSENDABLE_BLANKS = re.compile(r"[\r\n\t]| {5,}")


@dataclass(frozen=True, slots=True)
class ButtonVariable:
    """A button that wants a value: `name` is its word in buttonMapping, `index` its place among all."""

    name: str
    index: int
    label: str
    sub_type: Literal["url", "copy_code"]


@dataclass(frozen=True, slots=True)
class Template:
    """One language of a message template, as Meta lists it."""

    id: str
    name: str
    language: str
    status: str
    category: str
    parameter_format: Literal["POSITIONAL", "NAMED"]
    components: Sequence[Json]
    waba_id: str

    @classmethod
    def from_meta(cls, item: Json, *, waba_id: str) -> "Template":
        """Read an item of Meta's template list, in whatever case its words are and whichever are missing."""
        listed = item.get("components")
        components = tuple(c for c in listed if isinstance(c, dict)) if isinstance(listed, list) else ()
        return cls(
            id=_word(item, "id"),
            name=_word(item, "name"),
            language=_word(item, "language"),
            status=_word(item, "status").upper() or "UNKNOWN",
            category=_word(item, "category").upper(),
            parameter_format=_format_of(item, components),
            components=components,
            waba_id=waba_id,
        )

    @property
    def body_variables(self) -> tuple[str, ...]:
        """The names `mapping` must give, in the order Meta wants them."""
        return self._variables(self.body_text)

    @property
    def header_variables(self) -> tuple[str, ...]:
        """The names `headerMapping` must give, in the order Meta wants them."""
        return self._variables(self.header_text or "")

    @property
    def button_variables(self) -> tuple[ButtonVariable, ...]:
        """The buttons `buttonMapping` must fill; "1" is the first that wants a value, wherever it stands."""
        wanting = [
            (index, button, sub_type)
            for index, button in enumerate(self.buttons)
            if (sub_type := self._value_kind(button))
        ]
        return tuple(
            ButtonVariable(name=str(nth), index=index, label=_word(button, "text"), sub_type=sub_type)
            for nth, (index, button, sub_type) in enumerate(wanting, start=1)
        )

    @property
    def takes_code(self) -> bool:
        """Whether it carries a one-time code: the same word in the body and behind the button."""
        return self.is_authentication and bool(self.body_variables or self.button_variables)

    @property
    def is_authentication(self) -> bool:
        """Whether Meta treats it as one, by its category or, where that was not listed, by its button."""
        return self.category == "AUTHENTICATION" or any(_kind(button) == "OTP" for button in self.buttons)

    @property
    def body_text(self) -> str:
        """The body with its placeholders; "" if there is none."""
        body = self._component("BODY")
        text = _word(body, "text")
        if text or not self.is_authentication:
            return text
        return CODE_BODY + (CODE_ADVICE if body.get("add_security_recommendation") else "")

    @property
    def header_text(self) -> str | None:
        """The text header with its placeholders; None if the header is of another kind or absent."""
        return _word(self._component("HEADER"), "text") if self.header_format == "TEXT" else None

    @property
    def header_format(self) -> str:
        """TEXT, IMAGE, VIDEO, DOCUMENT, LOCATION, … in capitals; "" without a header."""
        header = self._component("HEADER")
        return _word(header, "format").upper() or ("TEXT" if _word(header, "text") else "")

    @property
    def buttons(self) -> tuple[Json, ...]:
        """The buttons in Meta's order, which is the order their indexes count in."""
        listed = self._component("BUTTONS").get("buttons")
        return tuple(b for b in listed if isinstance(b, dict)) if isinstance(listed, list) else ()

    @property
    def kinds(self) -> tuple[str, ...]:
        """Every kind of part it has, except an offer without an end: that one wants nothing of a sender."""
        parts = [_kind(component) for component in self.components if not _is_endless_offer(component)]
        return (*parts, self.header_format, *(_kind(button) for button in self.buttons))

    def _component(self, kind: str) -> Json:
        return next((component for component in self.components if _kind(component) == kind), {})

    def _variables(self, text: str) -> tuple[str, ...]:
        if self.parameter_format == "NAMED":
            return tuple(dict.fromkeys(_NAMED.findall(text)))
        # The n-th parameter becomes {{n}}, wherever in the sentence {{n}} stands.
        return tuple(sorted(set(_POSITIONAL.findall(text)), key=int))

    def _value_kind(self, button: Json) -> Literal["url", "copy_code"] | None:
        match _kind(button):
            case "OTP":
                return "url"
            case "URL" if _NAMED.search(_word(button, "url")):
                return "url"
            case "COPY_CODE":
                # A code to type in travels as the end of a URL; only coupons have a parameter of their own.
                return "url" if self.is_authentication else "copy_code"
            case _:
                return None


@dataclass(frozen=True, slots=True)
class TemplateValues:
    """What a caller gives for one message. Only a variable can be given and blank; else blank is absent."""

    body: Mapping[str, str] = field(default_factory=dict)
    header: Mapping[str, str] = field(default_factory=dict)
    buttons: Mapping[str, str] = field(default_factory=dict)
    image_url: str | None = None
    video_url: str | None = None
    document_url: str | None = None
    filename: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    location_name: str | None = None
    location_address: str | None = None
    otp_code: str | None = None

    @classmethod
    def from_wire(cls, body: Mapping[str, Any]) -> "TemplateValues":
        """Read the body of a template send; BadRequest names every field of the wrong type at once."""
        problems: list[str] = []
        values = cls(
            body=_read_mapping(body, "mapping", problems),
            header=_read_mapping(body, "headerMapping", problems),
            buttons=_read_mapping(body, "buttonMapping", problems),
            image_url=_read_text(body, "imageUrl", problems),
            video_url=_read_text(body, "videoUrl", problems),
            document_url=_read_text(body, "documentUrl", problems),
            filename=_read_text(body, "filename", problems),
            latitude=_read_number(body, "locationLatitude", problems),
            longitude=_read_number(body, "locationLongitude", problems),
            location_name=_read_text(body, "locationName", problems),
            location_address=_read_text(body, "locationAddress", problems),
            otp_code=_read_text(body, "otpCode", problems),
        )
        if problems:
            raise BadRequest(*problems)
        return values

    def media_url(self, header_format: str) -> str:
        """The link given for one kind of media header; "" if none is."""
        links = {"IMAGE": self.image_url, "VIDEO": self.video_url, "DOCUMENT": self.document_url}
        return (links.get(header_format) or "").strip()


@dataclass(frozen=True, slots=True)
class Filled:
    """A template with its values in place: `payload` is Meta's whole `template` object."""

    payload: Json
    text: str
    header_text: str | None


def choose(candidates: Sequence[Template], *, name: str, language: str | None) -> Template:
    """The one approved template that is meant; NotFound or BadRequest says why not, and what there is."""
    named = [template for template in candidates if template.name == name]
    if not named:
        raise NotFound(_no_such_name(candidates, name))

    if language:
        spoken = [template for template in named if _language_key(template) == _language_key(language)]
        if not spoken:
            raise NotFound(f"(#132001) {name} does not exist in {_shown(language)}; {_languages(named)}")
    else:
        spoken = named

    approved = [template for template in spoken if template.status == "APPROVED"]
    contenders = approved or spoken
    if len({_language_key(template) for template in contenders}) > 1:
        how = f'"language": "{contenders[0].language}"'
        raise BadRequest(f"Say which language of {name} is meant, such as {how}; {_languages(named)}")
    if not approved:
        raise BadRequest(_not_sendable(contenders[0]))
    return approved[0]


def fill(template: Template, values: TemplateValues) -> Filled:
    """Put the values where the template wants them; BadRequest names everything that does not fit."""
    found = problems(template, values)
    if found:
        raise BadRequest(*found)

    if template.takes_code:
        values = _with_code(template, values, _codes(template, values)[0])
    return Filled(
        payload={
            "name": template.name,
            "language": {"code": template.language, "policy": "deterministic"},
            "components": [
                *_header_component(template, values),
                *_body_component(template, values),
                *_button_components(template, values),
            ],
        },
        text=_rendered(template, template.body_text, values.body),
        header_text=None
        if template.header_text is None
        else _rendered(template, template.header_text, values.header),
    )


def problems(template: Template, values: TemplateValues) -> list[str]:
    """Everything that keeps these values from filling this template, the most useful sentence first."""
    given = values
    code_problems: list[str] = []
    if template.takes_code:
        codes = _codes(template, values)
        code_problems = _code_problems(template, codes)
        # With a stand-in for a bad code, one mistake is one problem and not one per place the code goes to.
        values = _with_code(template, values, "0" if code_problems else codes[0])

    places = _places(template, values)
    return [
        *_beyond_variables(template),
        *code_problems,
        *(problem for place in places for problem in place.missing()),
        *(problem for place in places for problem in place.unfit()),
        *_missing_header(template, values),
        *_surplus_header(template, values),
        *(problem for place in _places(template, given) for problem in place.unknown()),
        *_surplus_code(template, given),
    ]


# What does not fit, in words


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
            names = _and([_braced(_shown(name)) for name in surplus])
            them = "it" if len(surplus) == 1 else "them"
            no_such = f"has no {self.word} {_plural('variable', surplus)} {names}"
            yield f"(#132000) {self.template} {no_such}, {known}; remove {them} from {self.mapping}"

    def _spoken(self, names: Sequence[str]) -> str:
        labelled = [
            f"{_braced(name)} (the button “{self.labels[name]}”)" if self.labels.get(name) else _braced(name)
            for name in names
        ]
        return f"the {self.word} {_plural('variable', names)} {_and(labelled)}"


def _places(template: Template, values: TemplateValues) -> tuple[_Place, _Place, _Place]:
    buttons = template.button_variables
    return (
        _Place(template.name, "body", "mapping", template.body_variables, values.body),
        _Place(template.name, "header", "headerMapping", template.header_variables, values.header),
        _Place(
            template.name,
            "button",
            "buttonMapping",
            tuple(button.name for button in buttons),
            values.buttons,
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


def _codes(template: Template, values: TemplateValues) -> list[str]:
    """The different one-time codes given: one, if the caller did it right, however often it was repeated."""
    said = [
        values.otp_code,
        *(values.body.get(name) for name in template.body_variables[:1]),
        *(values.buttons.get(button.name) for button in template.button_variables),
    ]
    return list(dict.fromkeys(code.strip() for code in said if code and code.strip()))


def _code_problems(template: Template, codes: Sequence[str]) -> list[str]:
    """What is wrong with the code, which no sentence repeats: errors are logged, and it opens an account."""
    if not codes:
        name = next(iter(template.body_variables), "1")
        what = f"the body variable {_braced(name)}, its one-time code"
        return [f"(#132000) {template.name} needs {what}; send it as otpCode, or under that name in mapping"]
    if len(codes) > 1:
        places = "otpCode, mapping and buttonMapping"
        return [f"{template.name} carries one code, but {places} give different ones; send only otpCode"]
    fault = _fault(codes[0], MAX_CODE_CHARS)
    return [f"{fault[0]} {template.name}: the one-time code (otpCode) {fault[1]}"] if fault else []


def _with_code(template: Template, values: TemplateValues, code: str) -> TemplateValues:
    """The same values, with the one-time code in each place it goes to."""
    return replace(
        values,
        body={**values.body, **dict.fromkeys(template.body_variables[:1], code)},
        buttons={**values.buttons, **{button.name: code for button in template.button_variables}},
    )


def _surplus_code(template: Template, values: TemplateValues) -> Iterator[str]:
    if not template.takes_code and (values.otp_code or "").strip():
        yield f"(#132000) {template.name} carries no one-time code; remove otpCode, or put it into mapping"


def _missing_header(template: Template, values: TemplateValues) -> Iterator[str]:
    kind = template.header_format
    if kind in MEDIA_FIELDS:
        url = values.media_url(kind)
        if not url:
            how = f"send {MEDIA_FIELDS[kind]}, a public http(s) link to it"
            yield f"(#132012) {template.name} has a header of the kind {kind}; {how}"
        elif fault := _url_fault(url):
            yield f"(#131009) {template.name}: {MEDIA_FIELDS[kind]} {fault}"
    if kind == "LOCATION":
        yield from _coordinate_problem(template, "locationLatitude", values.latitude, 90)
        yield from _coordinate_problem(template, "locationLongitude", values.longitude, 180)


def _coordinate_problem(template: Template, key: str, degrees: float | None, bound: int) -> Iterator[str]:
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
    for other, key in MEDIA_FIELDS.items():
        if other != kind and values.media_url(other):
            yield f"(#132012) {template.name} takes no {key}: {has}; remove {key}"
    # Some clients send 0/0 with every message, whether or not there is a place in it.
    if kind != "LOCATION" and (values.latitude or values.longitude):
        keys = "locationLatitude and locationLongitude"
        yield f"(#132012) {template.name} takes no location: {has}; remove {keys}"


def _no_such_name(candidates: Sequence[Template], name: str) -> str:
    told = f"(#132001) There is no template named {_shown(name) or 'nothing at all'}"
    names = sorted({template.name for template in candidates})
    near = difflib.get_close_matches(name[:MAX_VALUE_CHARS].strip().lower(), names, n=1, cutoff=0.6)
    if near:
        return f"{told}; did you mean {near[0]}?"
    if not names:
        return f"{told}, nor any other; create one at Meta and wait for its approval"
    return f"{told}; check templateName against the list of templates"


def _not_sendable(template: Template) -> str:
    code = {"PAUSED": 132015, "DISABLED": 132016}.get(template.status, 132001)
    advice = {
        "PAUSED": "Meta paused it for low quality and resumes it later; use another one meanwhile",
        "DISABLED": "Meta disabled it for good; use another one",
        "PENDING": "wait for Meta's review, mostly minutes",
        "IN_APPEAL": "wait for Meta's decision",
        "REJECTED": "change it and submit it again, or use another one",
    }.get(template.status, "use one that is APPROVED")
    return f"(#{code}) {template.name} in {template.language} is {template.status}, not APPROVED; {advice}"


def _languages(templates: Sequence[Template]) -> str:
    listed = [
        template.language if template.status == "APPROVED" else f"{template.language} ({template.status})"
        for template in sorted(templates, key=lambda template: template.language)
    ]
    return f"it exists in {_and(list(dict.fromkeys(listed)))}"


# The parts of Meta's payload


def _header_component(template: Template, values: TemplateValues) -> list[Json]:
    kind = template.header_format
    if kind in MEDIA_FIELDS:
        medium: Json = {"link": values.media_url(kind)}
        if kind == "DOCUMENT" and (filename := _filename(values)):
            medium["filename"] = filename
        return [{"type": "header", "parameters": [{"type": kind.lower(), kind.lower(): medium}]}]
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


def _button_components(template: Template, values: TemplateValues) -> list[Json]:
    wanting = {button.index: button for button in template.button_variables}
    components: list[Json] = []
    for index, button in enumerate(template.buttons):
        if (variable := wanting.get(index)) is not None:
            parameter = _button_parameter(variable, values.buttons[variable.name])
            components.append({**_button(variable.sub_type, index), "parameters": [parameter]})
        elif (sub_type := BARE_BUTTONS.get(_kind(button))) is not None:
            components.append(_button(sub_type, index))
    return components


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


def _rendered(template: Template, text: str, values: Mapping[str, str]) -> str:
    """The text as its reader sees it; what a value contains is never looked at again."""
    pattern = _NAMED if template.parameter_format == "NAMED" else _POSITIONAL
    return pattern.sub(lambda placeholder: values[placeholder[1]], text)


# Reading what Meta and callers wrote


def _word(item: Mapping[str, Any], key: str) -> str:
    value = item.get(key)
    return "" if value is None else str(value)


def _kind(part: Mapping[str, Any]) -> str:
    return _word(part, "type").upper()


def _format_of(item: Json, components: Sequence[Json]) -> Literal["POSITIONAL", "NAMED"]:
    """The stated format or, from a list that did not ask for it, the one the placeholders show."""
    stated = _word(item, "parameter_format").upper()
    texts = [_word(component, "text") for component in components if _kind(component) in ("HEADER", "BODY")]
    names = [name for text in texts for name in _NAMED.findall(text)]
    if stated == "NAMED" or (not stated and any(not name.isdecimal() for name in names)):
        return "NAMED"
    return "POSITIONAL"


def _is_endless_offer(component: Json) -> bool:
    offer = component.get("limited_time_offer")
    ends = isinstance(offer, dict) and offer.get("has_expiration")
    return _kind(component) == "LIMITED_TIME_OFFER" and not ends


def _language_key(language: Template | str) -> str:
    code = language.language if isinstance(language, Template) else language
    return code.strip().replace("-", "_").lower()


def _read_mapping(body: Mapping[str, Any], key: str, problems: list[str]) -> dict[str, str]:
    """A list of {schemaPropertyName, schemaPropertyValue}; one of them alone, or {name: value}, reads too."""
    listed = body.get(key)
    if listed is None or listed == "":
        return {}
    if isinstance(listed, dict) and "schemaPropertyName" in listed:
        listed = [listed]
    elif isinstance(listed, dict):
        listed = [{"schemaPropertyName": name, "schemaPropertyValue": listed[name]} for name in listed]
    if not isinstance(listed, list):
        problems.append(f"{key} must be a list of {ENTRY_EXAMPLE}, not {_type_word(listed)}")
        return {}
    if len(listed) > MAX_VARIABLES:
        problems.append(f"{key} has {len(listed):,} entries; {MAX_VARIABLES} is the most")
        return {}

    values: dict[str, str] = {}
    for position, entry in enumerate(listed):
        read = _read_entry(entry, f"{key}[{position}]", problems)
        if read is None:
            continue
        name, value = read
        if name in values:
            problems.append(f"{key} gives {_braced(_shown(name))} more than once; give it once")
        values[name] = value
    return values


def _read_entry(entry: Any, where: str, problems: list[str]) -> tuple[str, str] | None:
    """One variable's name, freed of its braces, and its value; None for an empty row or a mistake."""
    if not isinstance(entry, dict):
        problems.append(f"{where} must be {ENTRY_EXAMPLE}, not {_type_word(entry)}")
        return None

    words: dict[str, str] = {}
    for key in ("schemaPropertyName", "schemaPropertyValue"):
        word = "" if entry.get(key) is None else _as_text(entry[key])
        if word is None:
            problems.append(f"{where}.{key} must be a string, not {_type_word(entry[key])}")
            return None
        words[key] = word
    name, value = words["schemaPropertyName"].strip().strip("{}").strip(), words["schemaPropertyValue"]

    if name and "schemaPropertyValue" not in entry:
        problems.append(f"{where} has no schemaPropertyValue for {_braced(_shown(name))}; add it")
        return None
    if not name and value.strip():
        problems.append(f'{where} has no schemaPropertyName; for the placeholder {{{{1}}}} it is "1"')
        return None
    return (name, value) if name else None


def _read_text(body: Mapping[str, Any], key: str, problems: list[str]) -> str | None:
    value = body.get(key)
    if value is None:
        return None
    text = _as_text(value)
    if text is None:
        problems.append(f"{key} must be a string, not {_type_word(value)}")
    elif len(text) > MAX_VALUE_CHARS:
        problems.append(f"{key} is longer than {MAX_VALUE_CHARS:,} characters")
    return (text or "").strip() or None


def _read_number(body: Mapping[str, Any], key: str, problems: list[str]) -> float | None:
    value = body.get(key)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        problems.append(f"{key} must be a number of degrees, not {_type_word(value)}")
        return None
    return number


def _as_text(value: Any) -> str | None:
    """A string, or a number as people write it; None for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return format(Decimal(value), "f")  # unlike str(), without an error for thousands of digits
    if isinstance(value, float) and math.isfinite(value):
        return format(Decimal(repr(value)), "f")  # 0.00001, where str() says 1e-05
    return None


def _type_word(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "infinite or NaN"
    words = {bool: "true or false", str: "a text", list: "a list", dict: "an object"}
    return words.get(type(value), "a number")


def _braced(name: str) -> str:
    return f"{{{{{name}}}}}"


def _shown(word: str) -> str:
    word = word.strip()
    return word if len(word) <= MAX_SHOWN_CHARS else f"{word[:MAX_SHOWN_CHARS]}…"


def _plural(noun: str, things: Sequence[object]) -> str:
    return noun if len(things) == 1 else f"{noun}s"


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
