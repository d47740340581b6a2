"""What Meta demands of a template before it takes it: the rules checked while the call waits.

A definition goes in as it was sent, in any case of letters; out comes the template object as Graph lists it.
"""

import re
from collections.abc import Callable
from typing import Any

from samvad.sandbox import checks, template_buttons
from samvad.sandbox.errors import GraphError, invalid, parameter, parameter_is_required
from samvad.sandbox.model import Json

HandleType = Callable[[str], str | None]
"""The MIME type of the upload behind a handle; None when there is no such upload."""

MAX_NAME, MAX_HEADER, MAX_FOOTER = 512, 60, 60
MAX_BODY, MAX_OFFER_BODY, MAX_CARD_BODY, MAX_OFFER = 1024, 600, 160, 16
MIN_CARDS, MAX_CARDS, MAX_CARD_BUTTONS = 2, 10, 2
MIN_CODE_MINUTES, MAX_CODE_MINUTES = 1, 90
CATEGORIES = ("AUTHENTICATION", "MARKETING", "UTILITY")
FORMATS = ("POSITIONAL", "NAMED")
ENDLESS = -1  # as a time to live: thirty days
TIMES_TO_LIVE_S = {
    "AUTHENTICATION": (30, 900),
    "UTILITY": (30, 43_200),
    "MARKETING": (43_200, 2_592_000),
}
MEDIA_TYPES = {"IMAGE": "image/", "VIDEO": "video/", "GIF": "video/", "DOCUMENT": "application/"}
HEADER_FORMATS = ("TEXT", *MEDIA_TYPES, "LOCATION", "PRODUCT")
COMPONENTS = (
    "HEADER",
    "BODY",
    "FOOTER",
    "BUTTONS",
    "CAROUSEL",
    "LIMITED_TIME_OFFER",
    "CALL_PERMISSION_REQUEST",
)
LANGUAGES = """
    af sq ar ar_EG ar_AE ar_LB ar_MA ar_QA ar_SA az be_BY bn bg ca zh_CN zh_HK zh_TW hr cs da prs_AF nl en en_GB en_US
    en_AE en_AU en_CA en_GH en_IE en_IN en_JM en_MY en_NZ en_QA en_SG en_UG en_ZA et fil fi fr fr_BE fr_CA fr_CH fr_CI
    fr_MA ka de de_AT de_CH el gu ha he hi hu id ga it ja kn kk rw_RW ko ky_KG lo lv lt mk ms ml mr nb ps_AF fa pl
    pt_BR pt_PT pa ro ru sr si_LK sk sl es es_AR es_CL es_CO es_CR es_DO es_EC es_HN es_MX es_PA es_PE es_ES es_UY sw
    sv ta te th tr uk ur uz vi zu
""".split()  # noqa: SIM905 — a list with a hundred pairs of quotes is no list to read

_NAME = re.compile(r"[a-z0-9_]+")
_BRACES = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_VARIABLE_NAME = re.compile(r"[a-z][a-z0-9_]*")
_EDGE_VARIABLE = re.compile(r"\A\s*\{\{.*?\}\}|\{\{[^{}]*\}\}\s*\Z")
_CROWDED = re.compile(r"\n{3,}|\t| {5,}")
_EMOJI = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\ufe0f\u20e3]")
_WORD = re.compile(r"\w+")


def definition(given: Json, handle_type: HandleType) -> Json:
    """A new template, checked: name, language, category, format, components and what else was set."""
    name = given.get("name")
    if name is None:
        raise parameter_is_required("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > MAX_NAME:
        raise invalid(
            "Invalid template name",
            f"A template name has up to {MAX_NAME} lowercase letters, digits and underscores.",
        )
    language = given.get("language")
    if language is None:
        raise parameter_is_required("language")
    if language not in LANGUAGES:
        raise parameter("language", f"must be one of {{{', '.join(LANGUAGES)}}}.")
    category = _one_of(given, "category", CATEGORIES)
    return {
        "name": name,
        "language": language,
        "category": category,
        **content(given, category, handle_type),
        **time_to_live(given, category),
    }


def content(given: Json, category: str, handle_type: HandleType) -> Json:
    """The format of the variables and the components, checked against each other."""
    named = _one_of(given, "parameter_format", FORMATS, "POSITIONAL") == "NAMED"
    if given.get("components") is None:
        raise parameter_is_required("components")
    components = Reading(category, named, handle_type).components(given["components"])
    return {"parameter_format": "NAMED" if named else "POSITIONAL", "components": components}


def time_to_live(given: Json, category: str) -> Json:
    """The time to live, if one is set and the category allows it."""
    seconds = given.get("message_send_ttl_seconds")
    if seconds is None:
        return {}
    least, most = TIMES_TO_LIVE_S[category]
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        raise parameter("message_send_ttl_seconds", "must be an integer.")
    if seconds != ENDLESS and not least <= seconds <= most:
        raise parameter("message_send_ttl_seconds", f"must be from {least} to {most} for {category}, or -1.")
    return {"message_send_ttl_seconds": seconds}


def stands_side_by_side(components: list[Json]) -> bool:
    """Whether a body has two variables with nothing between them, which review does not let pass."""
    bodies = [one for one in components if one["type"] == "BODY"]
    return any(re.search(r"\}\}\s*\{\{", one.get("text", "")) for one in bodies)


class Reading:
    """Reads the components of one template."""

    def __init__(self, category: str, named: bool, handle_type: HandleType) -> None:
        self._category = category
        self._named = named
        self._handle_type = handle_type

    def components(self, given: Any, path: str = "components") -> list[Json]:
        by_type = self._by_type(given, path)
        offer = "LIMITED_TIME_OFFER" in by_type
        if "BODY" not in by_type:
            raise _missing("BODY", "text")
        if offer and ("FOOTER" in by_type or self._category != "MARKETING"):
            raise invalid("Invalid limited-time offer", "An offer is a marketing template without a footer.")
        if self._category == "AUTHENTICATION":
            return self._password_template(by_type, path)
        read = []
        for kind, component in by_type.items():
            match kind:
                case "HEADER":
                    read.append(self._header(component, path))
                case "BODY":
                    read.append(self._body(component, path, MAX_OFFER_BODY if offer else MAX_BODY))
                case "FOOTER":
                    read.append(self._footer(component, path))
                case "BUTTONS":
                    read.append(template_buttons.read(component, path, self._category))
                case "LIMITED_TIME_OFFER":
                    read.append(self._offer(component, path))
                case "CAROUSEL":
                    read.append(self._carousel(component, path))
                case _:
                    read.append({"type": kind})
        if offer:
            template_buttons.check_offer(by_type.get("BUTTONS"))
        return read

    def _by_type(self, given: Any, path: str, known: tuple[str, ...] = COMPONENTS) -> dict[str, Json]:
        """The components under the upper-case names of their types."""
        if not isinstance(given, list) or not given:
            raise parameter(path, "must be a non-empty array.")
        by_type: dict[str, Json] = {}
        for at, component in enumerate(given):
            here = f"{path}[{at}]"
            if not isinstance(component, dict):
                raise parameter(here, "must be a JSON object.")
            kind = str(component.get("type", "")).upper()
            if kind not in known:
                raise parameter(f"{here}['type']", f"must be one of {{{', '.join(known)}}}.")
            if kind in by_type:
                raise invalid("Invalid components", f"A template has at most one component of type {kind}.")
            by_type[kind] = component
        return by_type

    def _header(self, given: Json, path: str) -> Json:
        checks.members(given, f"{path} HEADER", ("type", "format", "text", "example"))
        kind = str(given.get("format", "TEXT")).upper()
        if kind not in HEADER_FORMATS:
            raise parameter("components['format']", f"must be one of {{{', '.join(HEADER_FORMATS)}}}.")
        read: Json = {"type": "HEADER", "format": kind}
        if kind in MEDIA_TYPES:
            return read | {"example": self._media_example(given.get("example"), kind)}
        if kind != "TEXT":
            return read
        text = _text(given, "HEADER", MAX_HEADER)
        if "\n" in text or "*" in text or _EMOJI.search(text):
            raise _ill_formed_header("A header has no line breaks, asterisks, formatting or emoji.")
        variables = self._variables(text, "HEADER", 2388047)
        if len(variables) > 1:
            raise _ill_formed_header("A header has at most one variable.")
        return read | {"text": text} | self._example(given, "HEADER", "header_text", variables)

    def _media_example(self, example: Any, kind: str) -> Json:
        handles = example.get("header_handle") if isinstance(example, dict) else None
        if not isinstance(handles, list) or not handles or not isinstance(handles[0], str):
            raise invalid(
                "Missing sample parameter for the header type",
                f"Templates with a header of type {kind} need a sample, and none was given.",
                2388273,
            )
        found = self._handle_type(handles[0])
        if found is None or not (found.startswith(MEDIA_TYPES[kind]) or kind == "DOCUMENT"):
            raise invalid(
                "The uploaded media handle is invalid",
                f"Upload a sample of type {kind} with the resumable upload API and give its handle.",
                2494102,
            )
        return {"header_handle": handles[:1]}

    def _body(self, given: Json, path: str, limit: int) -> Json:
        checks.members(given, f"{path} BODY", ("type", "text", "example"))
        text = _text(given, "BODY", limit)
        if _CROWDED.search(text):
            raise invalid(
                "Message body format is incorrect",
                "A body has no tabs, no more than two line breaks and no more than four blanks in a row.",
                2388072,
            )
        variables = self._variables(text, "BODY", 2388072)
        if variables and _EDGE_VARIABLE.search(text):
            raise invalid(
                "Leading or trailing parameters not allowed",
                "Variables cannot be at the start or the end of the template.",
                2388299,
            )
        if len(_WORD.findall(_BRACES.sub(" ", text))) < 2 * len(variables) + 1:
            raise invalid(
                "Too many parameters for the text length",
                "This template has too many variables for its length. Reduce the number of variables or "
                "increase the message length.",
                2388293,
            )
        return {"type": "BODY", "text": text} | self._example(given, "BODY", "body_text", variables)

    def _footer(self, given: Json, path: str) -> Json:
        checks.members(given, f"{path} FOOTER", ("type", "text"))
        text = _text(given, "FOOTER", MAX_FOOTER)
        if "{{" in text or "\n" in text or _EMOJI.search(text):
            raise invalid(
                "Message footer format is incorrect",
                "A footer has no variables, line breaks or emoji.",
                2388073,
            )
        return {"type": "FOOTER", "text": text}

    def _offer(self, given: Json, path: str) -> Json:
        checks.members(given, f"{path} LIMITED_TIME_OFFER", ("type", "limited_time_offer"))
        offer = checks.members(
            given.get("limited_time_offer"), "limited_time_offer", ("text", "has_expiration"), ("text",)
        )
        _text(offer, "LIMITED_TIME_OFFER", MAX_OFFER)
        checks.flag(offer.get("has_expiration"), "limited_time_offer['has_expiration']")
        return {"type": "LIMITED_TIME_OFFER", "limited_time_offer": offer}

    def _carousel(self, given: Json, path: str) -> Json:
        checks.members(given, f"{path} CAROUSEL", ("type", "cards"), ("cards",))
        cards = []
        for at, card in enumerate(checks.items(given["cards"], "cards", MIN_CARDS, MAX_CARDS)):
            here = f"cards[{at}]['components']"
            checks.members(card, f"cards[{at}]", ("components",), ("components",))
            parts = self._by_type(card["components"], here, ("HEADER", "BODY", "BUTTONS"))
            if "HEADER" not in parts or "BUTTONS" not in parts:
                raise _missing("CAROUSEL", "HEADER" if "HEADER" not in parts else "BUTTONS")
            header = self._header(parts["HEADER"], here)
            if header["format"] not in ("IMAGE", "VIDEO", "PRODUCT"):
                raise parameter(here, "must have a header of format IMAGE, VIDEO or PRODUCT.")
            read = [header]
            if "BODY" in parts:
                read.append(self._body(parts["BODY"], here, MAX_CARD_BODY))
            read.append(template_buttons.read(parts["BUTTONS"], here, self._category, MAX_CARD_BUTTONS))
            cards.append({"components": read})
        if len({_shape(card["components"]) for card in cards}) > 1:
            raise invalid("Invalid carousel", "All cards have the same components and kinds of buttons.")
        return {"type": "CAROUSEL", "cards": cards}

    def _password_template(self, by_type: dict[str, Json], path: str) -> list[Json]:
        """An authentication template: Meta writes its text, the business only switches parts of it on."""
        if strange := [kind for kind in by_type if kind not in ("BODY", "FOOTER", "BUTTONS")]:
            raise parameter(path, f"cannot have {', '.join(strange)} in an authentication template.")
        body = checks.members(
            by_type["BODY"], f"{path} BODY", ("type", "text", "add_security_recommendation", "example")
        )
        if body.get("text") is not None:
            raise invalid(
                "Message body format is incorrect",
                "The body of an authentication template is preset and cannot be changed.",
                2388072,
            )
        checks.flag(body.get("add_security_recommendation"), "add_security_recommendation")
        warned = body.get("add_security_recommendation") in (True, "true")
        words = "*{{1}}* is your verification code."
        if warned:
            words += " For your security, do not share this code."
        read: list[Json] = [
            {
                "type": "BODY",
                "text": words,
                "add_security_recommendation": warned,
                "example": {"body_text": [["123456"]]},
            }
        ]
        if "FOOTER" in by_type:
            footer = checks.members(by_type["FOOTER"], f"{path} FOOTER", ("type", "code_expiration_minutes"))
            minutes = footer.get("code_expiration_minutes")
            if (
                isinstance(minutes, bool)
                or not isinstance(minutes, int)
                or not MIN_CODE_MINUTES <= minutes <= MAX_CODE_MINUTES
            ):
                raise parameter("code_expiration_minutes", "must be a number from 1 to 90.")
            footer_text = f"This code expires in {minutes} minutes."
            read.append({"type": "FOOTER", "text": footer_text, "code_expiration_minutes": minutes})
        return [*read, template_buttons.read_password_button(by_type.get("BUTTONS"), path)]

    def _variables(self, text: str, where: str, subcode: int) -> list[str]:
        """The variables of a text in the order they appear, each once."""
        found = list(dict.fromkeys(_BRACES.findall(text)))
        if self._named:
            fits = all(_VARIABLE_NAME.fullmatch(one) for one in found)
            advice = "Named variables have lowercase letters, digits and underscores: {{first_name}}."
        else:
            fits = sorted(found) == sorted(str(number) for number in range(1, len(found) + 1))
            advice = "Variables are numbers in double braces and count up from one: {{1}}, {{2}}."
        rest = _BRACES.sub("", text)
        if not fits or "{{" in rest or "}}" in rest:
            raise invalid(f"Message {where.lower()} format is incorrect", advice, subcode)
        return found

    def _example(self, given: Json, where: str, member: str, variables: list[str]) -> Json:
        """The examples of the variables, as they are listed; none are needed for no variables."""
        if not variables:
            return {}
        example = given.get("example")
        example = example if isinstance(example, dict) else {}
        if self._named:
            named = example.get(f"{member}_named_params")
            named = named if isinstance(named, list) else []
            told = {
                one.get("param_name")
                for one in named
                if isinstance(one, dict) and isinstance(one.get("example"), str) and one["example"]
            }
            if not told >= set(variables):
                raise _missing(where, "example")
            return {"example": {f"{member}_named_params": named}}
        values = example.get(member)
        if where == "BODY" and isinstance(values, list) and values and isinstance(values[0], list):
            values = values[0]
        if (
            not isinstance(values, list)
            or len(values) != len(variables)
            or not all(isinstance(one, str) and one for one in values)
        ):
            raise _missing(where, "example")
        return {"example": {member: [values] if where == "BODY" else values}}


def _one_of(given: Json, name: str, known: tuple[str, ...], usual: str | None = None) -> str:
    value = given.get(name, usual)
    if value is None:
        raise parameter_is_required(name)
    if not isinstance(value, str) or value.upper() not in known:
        raise parameter(name, f"must be one of {{{', '.join(known)}}}.")
    return value.upper()


def _text(given: Json, where: str, limit: int) -> str:
    text = given.get("text")
    if not isinstance(text, str) or not text.strip():
        raise _missing(where, "text")
    if len(text) > limit:
        raise invalid(
            "Character limit exceeded",
            f"The text of the {where.lower()} has {len(text)} characters, and {limit} are allowed.",
            2388040,
        )
    return text


def _shape(components: list[Json]) -> tuple[Any, ...]:
    return tuple(
        (one["type"], one.get("format"), *(button["type"] for button in one.get("buttons", ())))
        for one in components
    )


def _missing(where: str, field: str) -> GraphError:
    return invalid(
        'Message template "components" param is missing expected field(s)',
        f"component of type {where} is missing expected field(s) ({field})",
        2388043,
    )


def _ill_formed_header(advice: str) -> GraphError:
    return invalid("Message header format is incorrect", advice, 2388047)
