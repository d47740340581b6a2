"""The history a business phone brings along (coexistence); a value in, frozen values out, no I/O.

`history[]` holds threads, each named by the person and full of messages of both sides; their files come
later, under the same ids, as `messages[]` of the same field. Where the person declined, there are errors.
"""

from collections.abc import Iterator
from typing import NamedTuple

from samvad.whatsapp.webhooks import Json, digits, objects, word


class Past(NamedTuple):
    """One message of history, as Meta wrote it: with whom, from which side, and how far it had come."""

    person: str | None
    outbound: bool
    status: str | None  # Meta's word, in small letters
    raw: Json


def read(value: Json) -> Iterator[Past]:
    """Every message of a `history` value, in its order; what is no message with an id is left out."""
    about = value.get("metadata")
    ours = digits(about.get("display_phone_number")) if isinstance(about, dict) else None
    for chunk in objects(value.get("history")):
        for thread in objects(chunk.get("threads")):
            person = digits(thread.get("id"))
            for message in objects(thread.get("messages")):
                yield from _past(message, person, ours)
    for message in objects(value.get("messages")):
        yield from _past(message, None, ours)


def _past(message: Json, person: str | None, ours: str | None) -> Iterator[Past]:
    if word(message.get("id")) is None:
        return
    sender, recipient = digits(message.get("from")), digits(message.get("to"))
    if sender is not None and sender == person:
        outbound = False
    elif ours is not None and sender is not None:
        outbound = sender == ours
    else:
        outbound = recipient is not None and recipient != ours
    context = message.get("history_context")
    status = word(context.get("status")) if isinstance(context, dict) else None
    whom = person or (recipient if outbound else sender)
    yield Past(whom, outbound, status.lower() if status else None, message)
