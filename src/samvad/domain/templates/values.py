"""What a caller gives for one template message, read from the words of the call. No I/O."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from samvad.domain.templates.words import as_text, braced, shown, type_word
from samvad.kit.errors import BadRequest

Json = dict[str, Any]

MAX_VARIABLES = 100  # entries in one mapping; a body of 1,024 characters cannot hold more
MAX_VALUE_CHARS = 32_768  # Meta's own bound for a body parameter, its most generous one
MAX_CARDS = 10
MAX_SECTIONS = 10
MAX_PRODUCTS = 30  # over all sections
MAX_SECTION_TITLE_CHARS = 24
FAR_FUTURE_MS = 253_402_300_800_000  # the year 10000: what is later was no moment in milliseconds

ENTRY_EXAMPLE = '{"schemaPropertyName": "1", "schemaPropertyValue": "…"}'
SECTION_EXAMPLE = '{"title": "…", "productRetailerIds": ["…"]}'


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
    coupon_code: str | None = None
    offer_expires_at: int | None = None
    product_retailer_id: str | None = None
    catalog_id: str | None = None
    thumbnail_product_retailer_id: str | None = None
    sections: tuple[Json, ...] = ()
    flow_token: str | None = None
    flow_action_data: Json | None = None
    cards: tuple["TemplateValues", ...] = ()

    @classmethod
    def from_wire(cls, body: Mapping[str, Any]) -> "TemplateValues":
        """Read the body of a template send; BadRequest names every field of the wrong type at once."""
        problems: list[str] = []
        values = _read_values(body, "", problems)
        values = replace(values, cards=_read_cards(body, problems))
        if problems:
            raise BadRequest(*problems)
        return values

    def media_url(self, header_format: str) -> str:
        """The link given for one kind of media header; "" if none is."""
        links = {
            "IMAGE": self.image_url,
            "VIDEO": self.video_url,
            "GIF": self.video_url,
            "DOCUMENT": self.document_url,
        }
        return (links.get(header_format) or "").strip()


# Reading the call


def _read_values(body: Mapping[str, Any], place: str, problems: list[str]) -> TemplateValues:
    """The values of a template or, from `place` `cards[0].` on, of one of its cards."""

    def text(key: str) -> str | None:
        return _read_text(body, key, problems, place)

    return TemplateValues(
        body=_read_mapping(body, "mapping", problems, place),
        header=_read_mapping(body, "headerMapping", problems, place),
        buttons=_read_mapping(body, "buttonMapping", problems, place),
        image_url=text("imageUrl"),
        video_url=text("videoUrl"),
        document_url=text("documentUrl"),
        filename=text("filename"),
        latitude=_read_number(body, "locationLatitude", problems, place),
        longitude=_read_number(body, "locationLongitude", problems, place),
        location_name=text("locationName"),
        location_address=text("locationAddress"),
        otp_code=text("otpCode"),
        coupon_code=text("couponCode"),
        offer_expires_at=_read_moment(body, "offerExpiresAt", problems, place),
        product_retailer_id=text("productRetailerId"),
        catalog_id=text("catalogId"),
        thumbnail_product_retailer_id=text("thumbnailProductRetailerId"),
        sections=_read_sections(body, problems, place),
        flow_token=text("flowToken"),
        flow_action_data=_read_object(body, "flowActionData", problems, place),
    )


def _read_cards(body: Mapping[str, Any], problems: list[str]) -> tuple[TemplateValues, ...]:
    given = body.get("cards")
    if given is None or given == "":
        return ()
    if not isinstance(given, list):
        problems.append(f"cards must be a list of objects, one for each card, not {type_word(given)}")
        return ()
    if len(given) > MAX_CARDS:
        problems.append(f"cards has {len(given):,} entries; {MAX_CARDS} is the most")
        return ()
    cards = []
    for nth, card in enumerate(given):
        if isinstance(card, dict):
            cards.append(_read_values(card, f"cards[{nth}].", problems))
        else:
            problems.append(f"cards[{nth}] must be an object, not {type_word(card)}")
    return tuple(cards)


def _read_sections(body: Mapping[str, Any], problems: list[str], place: str) -> tuple[Json, ...]:
    """Sections of products as Meta wants them; Meta's own `product_items` reads too."""
    given = body.get("sections")
    if given is None or given == "":
        return ()
    if not isinstance(given, list) or not all(isinstance(it, dict) for it in given):
        problems.append(f"{place}sections must be a list of {SECTION_EXAMPLE}")
        return ()
    if len(given) > MAX_SECTIONS:
        problems.append(f"{place}sections has {len(given):,} entries; {MAX_SECTIONS} is the most")
        return ()
    sections = [_read_section(it, f"{place}sections[{nth}]", problems) for nth, it in enumerate(given)]
    products = sum(len(it["product_items"]) for it in sections)
    if products > MAX_PRODUCTS:
        problems.append(f"{place}sections name {products:,} products; {MAX_PRODUCTS} is the most")
    if len(sections) > 1 and not all("title" in it for it in sections):
        problems.append(f"{place}sections need a title each where there are several")
    return tuple(sections)


def _read_section(given: Json, where: str, problems: list[str]) -> Json:
    ids = given.get("productRetailerIds")
    if ids is None and isinstance(given.get("product_items"), list):
        ids = [
            it.get("product_retailer_id") if isinstance(it, dict) else None for it in given["product_items"]
        ]
    texts = [as_text(it) for it in ids] if isinstance(ids, list) else []
    if not texts or not all(it and it.strip() for it in texts):
        problems.append(f"{where} must look like {SECTION_EXAMPLE}")
    title = _read_text(given, "title", problems, f"{where}.")
    if title is not None and len(title) > MAX_SECTION_TITLE_CHARS:
        problems.append(f"{where}.title is longer than {MAX_SECTION_TITLE_CHARS} characters; shorten it")
    items = [{"product_retailer_id": it} for it in texts]
    return {"title": title, "product_items": items} if title else {"product_items": items}


def _read_object(body: Mapping[str, Any], key: str, problems: list[str], place: str) -> Json | None:
    value = body.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, dict):
        problems.append(f"{place}{key} must be an object, not {type_word(value)}")
        return None
    return value


def _read_moment(body: Mapping[str, Any], key: str, problems: list[str], place: str) -> int | None:
    """A moment in milliseconds since the epoch, also as a string of digits; 0 is absent."""
    value = body.get(key)
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 20:
        value = int(value)
    if value is None or value == "" or (value == 0 and not isinstance(value, bool)):
        return None
    if type(value) is not int or not 0 < value < FAR_FUTURE_MS:
        problems.append(f"{place}{key} must be a moment in milliseconds since 1970, such as 1798761600000")
        return None
    return value


def _read_mapping(body: Mapping[str, Any], key: str, problems: list[str], place: str) -> dict[str, str]:
    """A list of {schemaPropertyName, schemaPropertyValue}; one of them alone, or {name: value}, reads too."""
    listed = body.get(key)
    key = place + key
    if listed is None or listed == "":
        return {}
    if isinstance(listed, dict) and "schemaPropertyName" in listed:
        listed = [listed]
    elif isinstance(listed, dict):
        listed = [{"schemaPropertyName": name, "schemaPropertyValue": listed[name]} for name in listed]
    if not isinstance(listed, list):
        problems.append(f"{key} must be a list of {ENTRY_EXAMPLE}, not {type_word(listed)}")
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
            problems.append(f"{key} gives {braced(shown(name))} more than once; give it once")
        values[name] = value
    return values


def _read_entry(entry: Any, where: str, problems: list[str]) -> tuple[str, str] | None:
    """One variable's name, freed of its braces, and its value; None for an empty row or a mistake."""
    if not isinstance(entry, dict):
        problems.append(f"{where} must be {ENTRY_EXAMPLE}, not {type_word(entry)}")
        return None

    words: dict[str, str] = {}
    for key in ("schemaPropertyName", "schemaPropertyValue"):
        word = "" if entry.get(key) is None else as_text(entry[key])
        if word is None:
            problems.append(f"{where}.{key} must be a string, not {type_word(entry[key])}")
            return None
        words[key] = word
    name, value = words["schemaPropertyName"].strip().strip("{}").strip(), words["schemaPropertyValue"]

    if name and "schemaPropertyValue" not in entry:
        problems.append(f"{where} has no schemaPropertyValue for {braced(shown(name))}; add it")
        return None
    if not name and value.strip():
        problems.append(f'{where} has no schemaPropertyName; for the placeholder {{{{1}}}} it is "1"')
        return None
    return (name, value) if name else None


def _read_text(body: Mapping[str, Any], key: str, problems: list[str], place: str) -> str | None:
    value = body.get(key)
    if value is None:
        return None
    text = as_text(value)
    if text is None:
        problems.append(f"{place}{key} must be a string, not {type_word(value)}")
    elif len(text) > MAX_VALUE_CHARS:
        problems.append(f"{place}{key} is longer than {MAX_VALUE_CHARS:,} characters")
    return (text or "").strip() or None


def _read_number(body: Mapping[str, Any], key: str, problems: list[str], place: str) -> float | None:
    value = body.get(key)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        problems.append(f"{place}{key} must be a number of degrees, not {type_word(value)}")
        return None
    return number
