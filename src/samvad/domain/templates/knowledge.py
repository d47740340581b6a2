"""What is known of a template: Meta's list, and on top of it what webhooks said since. No I/O.

Webhooks come late, twice and in any order, so each thing that can change remembers Meta's time of the
newest word on it. The newest word wins, of two in the same second the greater one, and every order ends
alike. A list that was asked for later than a webhook was written is the truth again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import msgspec

from samvad.domain.templates.model import Json, Template

SECOND_MS = 1_000  # Meta's webhooks tell the second; what happened in it may have been at its end

OWN_KEYS = frozenset(
    (
        *("id", "name", "language", "status", "rejected_reason", "components", "parameter_format"),
        *("category", "sub_category", "previous_category", "correct_category"),
    )
)
"""What of Meta's list has a column of its own; the rest is kept as details."""

STATUS_FIELD, QUALITY_FIELD = "message_template_status_update", "message_template_quality_update"
COMPONENTS_FIELD = "message_template_components_update"
CATEGORY_FIELD, CORRECTION_FIELD = "template_category_update", "template_correct_category_detection"
FIELDS = (STATUS_FIELD, QUALITY_FIELD, COMPONENTS_FIELD, CATEGORY_FIELD, CORRECTION_FIELD)

WARNINGS = ("FLAGGED", "UNARCHIVED")
"""Events that are no status: the template stays what it is, or only Meta's list knows what it becomes."""

_STATUS_ORDER = ("PENDING", "IN_APPEAL", "APPROVED")
_LAST = ("PENDING_DELETION", "DELETED")
_encode = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class Known:
    """A template as we know it. `heard` is Meta's time, by aspect, of the newest webhook applied to it."""

    template: Template
    rejected_reason: str | None = None
    sub_category: str | None = None
    previous_category: str | None = None
    correct_category: str | None = None
    quality: str | None = None
    quality_at: int | None = None
    details: Json = field(default_factory=dict)
    heard: Mapping[str, int] = field(default_factory=dict)
    created_at: int = 0
    updated_at: int = 0
    synced_at: int = 0

    @classmethod
    def from_meta(cls, item: Json, *, waba_id: str, asked_at: int) -> "Known":
        """Read an item of Meta's template list, which was asked for at that moment."""
        score = item.get("quality_score")
        score = score if isinstance(score, dict) else {}
        return cls(
            template=Template.from_meta(item, waba_id=waba_id),
            rejected_reason=_reason(item.get("rejected_reason")),
            sub_category=_text(item.get("sub_category")),
            previous_category=_upper(item.get("previous_category")),
            correct_category=_upper(item.get("correct_category")),
            quality=_upper(score.get("score")),
            quality_at=_millis(score.get("date")),
            details={key: value for key, value in item.items() if key not in OWN_KEYS},
            created_at=asked_at,
            updated_at=asked_at,
            synced_at=asked_at,
        )

    def same_as(self, other: "Known") -> bool:
        """Whether both say the same of the template, whenever they were heard."""
        clocks = {"created_at": 0, "updated_at": 0, "synced_at": 0, "heard": {}}
        return replace(self, **clocks) == replace(other, **clocks)  # type: ignore[arg-type]


class Word(NamedTuple):
    """One thing a webhook says: the aspect of the template, and what it is now."""

    aspect: str
    value: Any


def after_news(known: Known, field: str, value: Json, *, at: int) -> Known:
    """The same template, knowing what this webhook of Meta's says; itself, where it says nothing new."""
    at = at + SECOND_MS - 1 if at % SECOND_MS == 0 else at
    after = known
    for word in _words(field, value):
        since = max(known.heard.get(word.aspect, 0), known.synced_at)
        before = _value_of(after, word.aspect)
        if at > since or (at == since and _rank(word.value) > _rank(before)):
            after = _with(after, word, at)
    return after


def after_list(known: Known | None, listed: Known) -> Known:
    """What the list says, except where a webhook was written after the list was asked for."""
    if known is None:
        return listed
    if known.synced_at > listed.synced_at:
        return known  # another reading, begun later, was quicker
    later = {
        aspect: at for aspect, at in known.heard.items() if at - SECOND_MS >= listed.synced_at
    }  # in doubt the list is right
    merged = replace(listed, created_at=known.created_at, updated_at=known.updated_at)
    if listed.quality is None:  # a list may leave it out; none of ours is forgotten for that
        merged = replace(merged, quality=known.quality, quality_at=known.quality_at)
    for aspect, at in later.items():
        merged = _with(merged, Word(aspect, _value_of(known, aspect)), at)
    return merged if merged.same_as(known) else replace(merged, updated_at=listed.synced_at)


def changes(before: Known | None, after: Known) -> Iterator[tuple[str, Json]]:
    """The events that lie between the two: their names and what they tell."""
    it, was = after.template, before.template if before else None
    if was is None or was.status != it.status:
        reason = {"reason": after.rejected_reason} if after.rejected_reason else {}
        yield "template.status_changed", {"was": was.status if was else None, "is": it.status, **reason}
    if before is None or was is None:
        return
    if before.quality != after.quality:
        yield "template.quality_changed", {"was": before.quality, "is": after.quality}
    if was.category != it.category or before.correct_category != after.correct_category:
        to_come = {"toBecome": after.correct_category} if after.correct_category else {}
        yield "template.category_changed", {"was": was.category, "is": it.category, **to_come}
    if list(was.components) != list(it.components):
        yield "template.components_changed", {}


# What webhooks say


def _words(field: str, value: Json) -> Iterator[Word]:
    match field:
        case "message_template_status_update":
            event = _upper(value.get("event"))
            if event and event not in WARNINGS:
                yield Word("status", "APPROVED" if event == "REINSTATED" else event)
                yield Word("rejected_reason", _why(value))
        case "message_template_quality_update":
            if (score := _upper(value.get("new_quality_score"))) is not None:
                yield Word("quality", score)
        case "template_category_update" | "template_correct_category_detection":
            yield from _category(value)
        case "message_template_components_update":
            yield from _parts(value)


def _category(value: Json) -> Iterator[Word]:
    """Done: previous and new. To come: the correct one beside `new_category`, which is still today's."""
    is_now = _upper(value.get("new_category")) or _upper(value.get("category"))
    was, correct = _upper(value.get("previous_category")), _upper(value.get("correct_category"))
    if is_now:
        yield Word("category", is_now)
        yield Word("correct_category", correct if correct != is_now else None)
    elif correct:
        yield Word("correct_category", correct)
    if was:
        yield Word("previous_category", was)


def _parts(value: Json) -> Iterator[Word]:
    for part, key in (("HEADER", "title"), ("BODY", "element"), ("FOOTER", "footer")):
        text = value.get(f"message_template_{key}")
        if isinstance(text, str):
            yield Word(part, text)
    buttons = value.get("message_template_buttons")
    if isinstance(buttons, list):
        yield Word("BUTTONS", [_button(it) for it in buttons if isinstance(it, dict)])


def _button(told: Json) -> Json:
    prefix = "message_template_button_"
    return {key.removeprefix(prefix): value for key, value in told.items() if key.startswith(prefix)}


def _why(value: Json) -> str | None:
    """The reason of a rejection; of a pause its sentence, which is all that Meta gives."""
    reason = _reason(value.get("reason"))
    if reason:
        return reason
    other = value.get("other_info")
    return _text(other.get("description") or other.get("title")) if isinstance(other, dict) else None


# One aspect of a template, read and written


def _value_of(known: Known, aspect: str) -> Any:
    match aspect:
        case "status":
            return known.template.status
        case "category":
            return known.template.category
        case "HEADER" | "BODY" | "FOOTER":
            return _component(known.template.components, aspect).get("text")
        case "BUTTONS":
            buttons = _component(known.template.components, aspect).get("buttons")
            return buttons if isinstance(buttons, list) else []
        case _:
            return getattr(known, aspect)


def _with(known: Known, word: Word, at: int) -> Known:
    heard = {**known.heard, word.aspect: at}
    match word.aspect:
        case "status" | "category":
            changed = replace(known.template, **{word.aspect: word.value})
            return replace(known, template=changed, heard=heard)
        case "HEADER" | "BODY" | "FOOTER" | "BUTTONS":
            components = _with_part(known.template.components, word.aspect, word.value)
            return replace(known, template=replace(known.template, components=components), heard=heard)
        case "quality":
            return replace(known, quality=word.value, quality_at=at, heard=heard)
        case aspect:
            return replace(known, **{aspect: word.value}, heard=heard)


def _with_part(components: Sequence[Json], kind: str, value: Any) -> tuple[Json, ...]:
    """The components with one of them changed; a header that is no text stays, for it has no title."""
    key = "buttons" if kind == "BUTTONS" else "text"
    changed: list[Json] = []
    found = False
    for component in components:
        if str(component.get("type", "")).upper() != kind:
            changed.append(component)
            continue
        found = True
        if kind == "BUTTONS":
            value = _merged_buttons(component.get("buttons"), value)
        changed.append({**component, key: value} if kind != "HEADER" or _is_text(component) else component)
    if not found and value:
        made: Json = {"type": kind, key: value}
        changed.append(made | {"format": "TEXT"} if kind == "HEADER" else made)
    return tuple(changed)


def _merged_buttons(known: Any, told: list[Json]) -> list[Json]:
    """Webhooks tell only type, text, address and phone of a button: of one of the same kind the rest stays."""
    before = [it for it in known if isinstance(it, dict)] if isinstance(known, list) else []
    kinds = [str(it.get("type", "")).upper() for it in before]
    if kinds != [str(it.get("type", "")).upper() for it in told]:
        return told
    return [{**old, **new} for old, new in zip(before, told, strict=True)]


def _is_text(header: Json) -> bool:
    return str(header.get("format") or "TEXT").upper() == "TEXT"


def _component(components: Sequence[Json], kind: str) -> Json:
    return next((it for it in components if str(it.get("type", "")).upper() == kind), {})


def _rank(value: Any) -> tuple[int, bytes]:
    """Which of two words of one second counts; any fixed order will do, a refusal after an approval is best."""
    place = 3
    if value is None:
        place = -1
    elif value in _LAST:
        place = 4
    elif value in _STATUS_ORDER:
        place = _STATUS_ORDER.index(value)
    return place, _encode(value)


# Meta's spellings


def _text(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def _upper(value: Any) -> str | None:
    text = _text(value)
    return text.upper() if text else None


def _reason(value: Any) -> str | None:
    reason = _text(value)
    return None if reason is None or reason.upper() == "NONE" else reason


def _millis(value: Any) -> int | None:
    return value * SECOND_MS if type(value) is int and value > 0 else None
