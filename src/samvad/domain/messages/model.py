"""What a message is and how it may change. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

import msgspec

from samvad.domain.contacts.model import Identity
from samvad.domain.media.model import MEDIA


class Status(IntEnum):
    """What we know of an outbound message. Knowledge only grows: a status is the greatest heard.

    FAILED lies below DELIVERED, since a message that arrived has arrived whatever else is said;
    so every order in which Meta's words reach us ends in the same state.
    """

    SENDING = 0
    SENT = 1
    FAILED = 2
    DELIVERED = 3
    READ = 4


HEARD = {
    "sent": Status.SENT,
    "delivered": Status.DELIVERED,
    "read": Status.READ,
    "played": Status.READ,  # a voice message that was listened to
    "failed": Status.FAILED,
}
"""Meta's words for a status, and what each tells us. Other words are kept with their raw event."""


_encode = msgspec.json.Encoder(order="sorted").encode


class News(NamedTuple):
    """What Meta says became of one of our messages."""

    team_id: str
    wamid: str | None  # None where Meta's answer was a refusal: there is no such message at Meta
    status: Status
    at: int
    error: dict[str, Any] | None = None
    message_id: str | None = None  # ours, where the status brought it back
    imported: bool = False  # of history: it moves the message, and is told to nobody
    request_id: str | None = None  # of the send that this is the answer to


class Progress(NamedTuple):
    """How far one of our messages has come, and since when."""

    id: str
    team_id: str
    wamid: str | None
    status: Status
    error: dict[str, Any] | None = None
    sent_at: int | None = None
    delivered_at: int | None = None
    read_at: int | None = None
    failed_at: int | None = None

    def after(self, news: News) -> "Progress":
        """The same message, knowing more; of each step the earliest moment counts."""
        field = _MOMENT[news.status]
        known: int | None = getattr(self, field)
        changes: dict[str, Any] = {} if known is not None and known <= news.at else {field: news.at}
        if news.status > self.status:
            changes["status"] = news.status
        if news.error is not None and self._is_better_reason(news):
            changes["error"] = news.error
        if self.wamid is None and news.wamid is not None:
            changes["wamid"] = news.wamid
        return self._replace(**changes) if changes else self

    def _is_better_reason(self, news: News) -> bool:
        """Of two failures the earlier one's reason counts; of one second's, any fixed choice will do."""
        if self.error is None or self.failed_at is None or news.status is not Status.FAILED:
            return self.error is None or (news.status is Status.FAILED and self.failed_at is None)
        return (news.at, _encode(news.error)) < (self.failed_at, _encode(self.error))

    def heard(self, status: Status) -> bool:
        return getattr(self, _MOMENT[status]) is not None


_MOMENT = {
    Status.SENT: "sent_at",
    Status.DELIVERED: "delivered_at",
    Status.READ: "read_at",
    Status.FAILED: "failed_at",
}


@dataclass(frozen=True, slots=True)
class Promise:
    """An Idempotency-Key and what it was first used for."""

    key: str
    request_sha256: str


@dataclass(frozen=True, slots=True)
class Order:
    """A message somebody asked us to send, in full, before Meta hears of it."""

    id: str
    team_id: str
    plugin_id: str
    phone_number_id: str
    recipient: Identity | None  # None for a group, and where it cannot be told
    data_type: str
    body: dict[str, Any]
    text: str | None
    at: int
    user_id: str
    context: dict[str, Any] | None = None
    source: dict[str, Any] | None = None
    replies_to_wamid: str | None = None
    group_id: str | None = None
    promise: Promise | None = None
    request_id: str | None = None  # of the HTTP request that asked for it


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it is listed: everything the contract shows of it."""

    id: str
    team_id: str
    plugin_id: str
    phone_number_id: str
    chat_id: str | None
    contact_id: str | None
    process_id: str | None
    wamid: str | None
    direction: str
    peer: str | None
    data_type: str
    body: dict[str, Any]
    text: str | None
    attachments: list[dict[str, Any]] | None
    status: Status
    error: dict[str, Any] | None
    context: dict[str, Any] | None
    source: dict[str, Any] | None
    user_id: str | None
    in_reply_to: str | None
    at: int
    created_at: int
    updated_at: int


class Amendment(NamedTuple):
    """What somebody did to a message after it was said: another text, or taking it back."""

    wamid: str
    data_type: str  # edit, revoke
    text: str | None
    at: int


def amended(
    text: str | None, context: dict[str, Any] | None, said: Sequence[Amendment]
) -> tuple[str | None, dict[str, Any] | None]:
    """A message's text and context after all its amendments, in whichever order they came.

    The latest edit is the text; the first text stays in `context.edited.originalText`, and the body is
    never touched. A message taken back keeps its text, and says so in `context.revoked`.
    """
    changed = dict(context or {})
    edited = changed.pop("edited", None)
    changed.pop("revoked", None)
    if isinstance(edited, dict) and "originalText" in edited:
        text = edited["originalText"]
    edits = [it for it in said if it.data_type == "edit"]
    if edits:
        last = max(edits, key=lambda it: (it.at, it.wamid))
        changed["edited"] = {"at": last.at, "text": last.text, "originalText": text}
        text = last.text
    revokes = [it.at for it in said if it.data_type == "revoke"]
    if revokes:
        changed["revoked"] = {"at": min(revokes)}
    return text, changed if changed or context is not None else None


TEST_PREFIX = "TEST."  # of the ids of messages in the test chat
AMENDING = ("edit", "revoke")
PLACEHOLDER = "media_placeholder"
"""What history has in place of a file, until Meta sends it under the same id."""


def attachments_of(data_type: str, content: Any) -> list[dict[str, Any]] | None:
    """What a media message carries; None when it carries none."""
    if data_type not in MEDIA or not isinstance(content, dict) or not content:
        return None
    return [
        {
            "mediaId": content.get("id"),
            "mimeType": content.get("mime_type"),
            "filename": content.get("filename"),
            "caption": content.get("caption"),
            # Meta's own url needs Meta's token and lives five minutes; a surface names ours instead.
            "url": content.get("link"),
        }
    ]


def text_of(data_type: str, content: Any) -> str | None:
    """The words of an outbound message a person would read; None for media without caption."""
    if not isinstance(content, dict):
        return None
    match data_type:
        case "text":
            said = content.get("body")
        case "reaction":
            said = content.get("emoji")
        case "interactive":
            body = content.get("body")
            said = body.get("text") if isinstance(body, dict) else None
        case "location":
            said = content.get("name") or content.get("address")
        case _:
            said = content.get("caption")
    return said if isinstance(said, str) else None


def sort_second(at: int) -> int:
    """Meta counts in seconds: within one, the order of arrival decides."""
    return at // 1000
