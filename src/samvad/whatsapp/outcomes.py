"""What an answer of the Cloud API means: the end of a send as a value, everything else as JSON or an error."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from samvad.kit import errors as kit
from samvad.whatsapp import errors
from samvad.whatsapp.errors import Refusal
from samvad.whatsapp.exchange import Answer, NotSent, Unknown

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Accepted:
    """Meta took the message; `wa_id` is the recipient as WhatsApp knows it, which may differ from `to`."""

    wamid: str
    wa_id: str | None
    answer: Json = field(repr=False)

    @property
    def bsuid(self) -> str | None:
        """The recipient's business-scoped user id, where Meta told it."""
        return _text_at(self.answer, "contacts", "user_id")

    @property
    def message_status(self) -> str | None:
        """`accepted`, `held_for_quality_assessment` or `paused`; Meta says it of templates only."""
        return _text_at(self.answer, "messages", "message_status")


@dataclass(frozen=True, slots=True)
class Done:
    """Meta did what was asked, and there is no message to name."""

    answer: Json


@dataclass(frozen=True, slots=True)
class Refused:
    """Meta said no."""

    refusal: Refusal


Outcome = Accepted | Done | Refused | NotSent | Unknown


def outcome(answer: Answer) -> Outcome:
    """What the answer to a send means."""
    if 200 <= answer.status < 300:
        said = _decoded(answer)
        if said is None:
            return Unknown(f"the Cloud API answered {answer.status} with a body that could not be understood")
        if (wamid := _text_at(said, "messages", "id")) is not None:
            return Accepted(wamid, _text_at(said, "contacts", "wa_id"), said)
        if said.get("success") is True:
            return Done(said)
        if not isinstance(said.get("error"), dict):
            return Unknown(f"the Cloud API answered {answer.status} without a message id")
    refusal = errors.from_response(answer.status, answer.body, answer.waits)
    if refusal.code == errors.NO_CODE and _tells_nothing(answer.status):
        return Unknown(refusal.text)
    return Refused(refusal)


def _tells_nothing(status: int) -> bool:
    """A 5xx or a timeout from something on the way: whether Meta saw the request nobody knows."""
    return status >= 500 or status == 408


def change(answer: "Answer | NotSent | Unknown") -> Json:
    """The answer to a request that changes something, or the error that says how much is known."""
    match answer:
        case NotSent(reason):
            raise kit.Unreachable(f"The Cloud API could not be reached: {reason}.")
        case Unknown(reason):
            raise kit.Ambiguous(f"The Cloud API did not answer, so it may or may not have acted: {reason}.")
        case Answer():
            return answer_or_raise(answer, changes=True)


def answer_or_raise(answer: Answer, *, changes: bool) -> Json:
    said = _decoded(answer)
    if 200 <= answer.status < 300 and said is not None and not isinstance(said.get("error"), dict):
        return said
    refusal = errors.from_response(answer.status, answer.body, answer.waits)
    certain = answer.status >= 300 and not _tells_nothing(answer.status)
    if refusal.code != errors.NO_CODE or certain:
        raise kit.Refused(
            refusal.text, status=refusal.status, error=refusal.error, retry_after_ms=refusal.wait_ms
        )
    what = "more than it should" if answer.cut_off else "something that could not be understood"
    if changes:
        raise kit.Ambiguous(
            f"The Cloud API answered {answer.status} with {what}; it may or may not have acted."
        )
    raise kit.Unreachable(f"The Cloud API answered {answer.status} with {what}. Try again later.")


def _decoded(answer: Answer) -> Json | None:
    if answer.cut_off:
        return None
    try:
        said = msgspec.json.decode(answer.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _text_at(answer: Json, name: str, member: str) -> str | None:
    """A string member of the first item of a list, if all three are there."""
    items = answer.get(name)
    first = items[0] if isinstance(items, list) and items else None
    found = first.get(member) if isinstance(first, dict) else None
    return found if isinstance(found, str) and found else None
