"""A message template, what it wants of a sender, and which one a caller means.

No I/O. `values` reads what a caller gives, `checking` says what does not fit, `filling` makes Meta's payload.
"""

import difflib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from samvad.domain.templates.words import in_words, kind_of, shown, word_of
from samvad.kit.errors import BadRequest, NotFound

Json = dict[str, Any]

MAX_NAME_CHARS = 512  # Meta's bound for a template's name

# Meta writes this body itself, in the template's language; the English one stands in if it was not listed.
CODE_BODY = "*{{1}}* is your verification code."
CODE_ADVICE = " For your security, do not share this code."

POSITIONAL = re.compile(r"\{\{\s*([0-9]+)\s*\}\}")
NAMED = re.compile(r"\{\{\s*([a-z0-9_]+)\s*\}\}")


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
    place: str = ""
    """Where its values stand in the call: "" for the template itself, `cards[0].` for its first card."""

    @classmethod
    def from_meta(cls, item: Json, *, waba_id: str) -> "Template":
        """Read an item of Meta's template list, in whatever case its words are and whichever are missing."""
        components = _components(item.get("components"))
        return cls(
            id=word_of(item, "id"),
            name=word_of(item, "name"),
            language=word_of(item, "language"),
            status=word_of(item, "status").upper() or "UNKNOWN",
            category=word_of(item, "category").upper(),
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
            ButtonVariable(name=str(nth), index=index, label=word_of(button, "text"), sub_type=sub_type)
            for nth, (index, button, sub_type) in enumerate(wanting, start=1)
        )

    @property
    def takes_code(self) -> bool:
        """Whether it carries a one-time code: the same word in the body and behind the button."""
        return self.is_authentication and bool(self.body_variables or self.button_variables)

    @property
    def is_authentication(self) -> bool:
        """Whether Meta treats it as one, by its category or, where that was not listed, by its button."""
        return self.category == "AUTHENTICATION" or any(kind_of(button) == "OTP" for button in self.buttons)

    @property
    def body_text(self) -> str:
        """The body with its placeholders; "" if there is none."""
        body = self._component("BODY")
        text = word_of(body, "text")
        if text or not self.is_authentication:
            return text
        return CODE_BODY + (CODE_ADVICE if body.get("add_security_recommendation") else "")

    @property
    def header_text(self) -> str | None:
        """The text header with its placeholders; None if the header is of another kind or absent."""
        return word_of(self._component("HEADER"), "text") if self.header_format == "TEXT" else None

    @property
    def header_format(self) -> str:
        """TEXT, IMAGE, VIDEO, DOCUMENT, LOCATION, … in capitals; "" without a header."""
        header = self._component("HEADER")
        return word_of(header, "format").upper() or ("TEXT" if word_of(header, "text") else "")

    @property
    def buttons(self) -> tuple[Json, ...]:
        """The buttons in Meta's order, which is the order their indexes count in."""
        return _components(self._component("BUTTONS").get("buttons"))

    @property
    def cards(self) -> tuple["Template", ...]:
        """The cards of its carousel, each a small template of its own."""
        cards = self._component("CAROUSEL").get("cards")
        found = [it for it in cards if isinstance(it, dict)] if isinstance(cards, list) else []
        return tuple(
            replace(
                self,
                name=f"{self.name}, card {nth + 1}",
                components=_components(card.get("components")),
                place=f"cards[{nth}].",
            )
            for nth, card in enumerate(found)
        )

    @property
    def is_offer(self) -> bool:
        """Whether it shows a limited-time offer."""
        return bool(self._component("LIMITED_TIME_OFFER"))

    @property
    def offer_ends(self) -> bool:
        """Whether the offer counts down to an end, which each send must tell."""
        offer = self._component("LIMITED_TIME_OFFER").get("limited_time_offer")
        return isinstance(offer, dict) and bool(offer.get("has_expiration"))

    @property
    def button_kinds(self) -> tuple[str, ...]:
        """What each button is, in capitals."""
        return tuple(kind_of(button) for button in self.buttons)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Every kind of part it has."""
        return (
            *(kind_of(component) for component in self.components),
            self.header_format,
            *self.button_kinds,
        )

    def _component(self, kind: str) -> Json:
        return next((component for component in self.components if kind_of(component) == kind), {})

    def _variables(self, text: str) -> tuple[str, ...]:
        if self.parameter_format == "NAMED":
            return tuple(dict.fromkeys(NAMED.findall(text)))
        # The n-th parameter becomes {{n}}, wherever in the sentence {{n}} stands.
        return tuple(sorted(set(POSITIONAL.findall(text)), key=int))

    def _value_kind(self, button: Json) -> Literal["url", "copy_code"] | None:
        match kind_of(button):
            case "OTP":
                return "url"
            case "URL" if NAMED.search(word_of(button, "url")):
                return "url"
            case "COPY_CODE":
                # A code to type in travels as the end of a URL; only coupons have a parameter of their own.
                return "url" if self.is_authentication else "copy_code"
            case _:
                return None


def choose(
    candidates: Sequence[Template], *, name: str, language: str | None, others: Sequence[str] = ()
) -> Template:
    """The one approved template that is meant; NotFound or BadRequest says why not, and what there is.

    `others` are names of the account's further templates, among which a misspelt one may be found.
    """
    named = [template for template in candidates if template.name == name]
    if not named:
        raise NotFound(_no_such_name({*others, *(it.name for it in candidates)}, name))

    if language:
        spoken = [template for template in named if _language_key(template) == _language_key(language)]
        if not spoken:
            raise NotFound(f"(#132001) {name} does not exist in {shown(language)}; {_languages(named)}")
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


def _no_such_name(there_are: Collection[str], name: str) -> str:
    told = f"(#132001) There is no template named {shown(name) or 'nothing at all'}"
    names = sorted(there_are)
    near = difflib.get_close_matches(name[:MAX_NAME_CHARS].strip().lower(), names, n=1, cutoff=0.6)
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
    return f"it exists in {in_words(list(dict.fromkeys(listed)))}"


# Reading what Meta wrote


def _format_of(item: Json, components: Sequence[Json]) -> Literal["POSITIONAL", "NAMED"]:
    """The stated format or, from a list that did not ask for it, the one the placeholders show."""
    stated = word_of(item, "parameter_format").upper()
    texts = [
        word_of(component, "text") for component in components if kind_of(component) in ("HEADER", "BODY")
    ]
    names = [name for text in texts for name in NAMED.findall(text)]
    if stated == "NAMED" or (not stated and any(not name.isdecimal() for name in names)):
        return "NAMED"
    return "POSITIONAL"


def _components(given: Any) -> tuple[Json, ...]:
    return tuple(it for it in given if isinstance(it, dict)) if isinstance(given, list) else ()


def _language_key(language: Template | str) -> str:
    code = language.language if isinstance(language, Template) else language
    return code.strip().replace("-", "_").lower()
