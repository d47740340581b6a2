"""What one can change about the sandbox while it runs."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=86_400_000)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=604_800)]
Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]
PhoneDigits = Annotated[str, msgspec.Meta(pattern=r"^\d{5,15}$")]
CallbackUrl = Annotated[str, msgspec.Meta(pattern=r"^https?://", max_length=2_000)]


class InvalidSettings(ValueError):
    """A setting that does not exist or has a value of another type; the text names it."""


class Delays(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a webhook leaves, counted from the moment the message was accepted."""

    sent_ms: Milliseconds = 30
    delivered_ms: Milliseconds = 120
    read_ms: Milliseconds = 300
    played_ms: Milliseconds = 400
    inbound_ms: Milliseconds = 0


class Retry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an undelivered webhook is tried again: at once, then after `first_s`, doubling up to `max_s`."""

    first_s: Seconds = 0.5
    max_s: Seconds = 60


class Review(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How Meta decides about a new or edited template: after a while, or at once with no delay.

    Without a verdict a template stays PENDING until the control API decides.
    """

    delay_ms: Milliseconds = 1_000
    verdict: Literal["APPROVED", "REJECTED"] | None = "APPROVED"
    reason: str = "INVALID_FORMAT"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every switch of the sandbox; the defaults behave like a healthy day at Meta.

    `duplicates`: the whole part is the number of extra copies of every webhook, the fraction the chance of
    one more. `drop`: the chance that the first attempt of a webhook gets lost on its way. `shuffle`: statuses
    leave in any order. `drop_attempts`: how many attempts of a chosen one get lost. `jitter_ms`: every webhook,
    and every copy of one, waits a time of its own up to this, so that they overtake each other.
    `rewrite_wa_ids`: people in Brazil and Mexico are known by another number than was dialled, as at Meta.
    `takes_calls`: what phones do when the business calls; `by_hand` waits for the control API.
    `reply_delay_ms`: the answer to a send lags behind its webhooks. `graph_calls_per_hour`: of one account; 0 is no
    limit.
    """

    delays: Delays = Delays()
    retry: Retry = Retry()
    review: Review = Review()
    template_creations_per_hour: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 100
    graph_calls_per_hour: Annotated[int, msgspec.Meta(ge=0, le=10_000_000)] = 0
    media_url_lives_s: Seconds = 300
    upload_lives_s: Annotated[float, msgspec.Meta(ge=0, le=31_536_000)] = 30 * 86_400
    inbound_media_lives_s: Annotated[float, msgspec.Meta(ge=0, le=31_536_000)] = 7 * 86_400
    templates_per_account: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 6_000
    auto_read: bool = True
    duplicates: Annotated[float, msgspec.Meta(ge=0, le=100)] = 0
    shuffle: bool = False
    drop: Probability = 0
    drop_attempts: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    jitter_ms: Milliseconds = 0
    reply_delay_ms: Milliseconds = 0
    statuses_per_webhook: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 1
    throughput_per_s: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    pair_rate: bool = False
    rewrite_wa_ids: bool = True
    takes_calls: Literal["by_hand", "accept", "reject"] = "by_hand"
    webhook_url: CallbackUrl | None = None
    allowed_recipients: tuple[PhoneDigits, ...] = ()
    not_on_whatsapp: tuple[PhoneDigits, ...] = ()

    def changed(self, partial: Mapping[str, Any]) -> "Settings":
        """The same settings with some replaced; raises InvalidSettings."""
        merged = msgspec.to_builtins(self)
        for name, value in partial.items():
            inner = merged.get(name)
            merged[name] = (
                {**inner, **value} if isinstance(inner, dict) and isinstance(value, dict) else value
            )
        try:
            return msgspec.convert(merged, Settings)
        except msgspec.ValidationError as error:
            raise InvalidSettings(str(error)) from None
