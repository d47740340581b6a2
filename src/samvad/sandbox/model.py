"""Who lives in the sandbox: businesses with their numbers, and the messages on people's phones."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class PhoneNumber:
    """A business phone number: `id` is Meta's phone number id, `display` its digits with country code."""

    id: str
    display: str
    verified_name: str


@dataclass(frozen=True, kw_only=True)
class Business:
    """A WhatsApp Business Account with the token and the secret of the app that uses it."""

    waba_id: str
    name: str
    access_token: str
    app_secret: str
    phone_numbers: tuple[PhoneNumber, ...]
    templates: tuple[Mapping[str, Any], ...] = ()


@dataclass(slots=True)
class Message:
    """A message as the phone shows it.

    Mutable, unlike our other data: three timers share it, and each must see what the others already told.
    `contact` and `tail` are the JSON a status webhook repeats, made once when the message is accepted.
    """

    wamid: str
    number_id: str
    digits: str
    kind: str
    payload: Json
    at: float
    from_business: bool
    status: str = ""
    contact: str = ""
    tail: str = ""
    pricing: str = ""
    pricing_sent: str = ""  # where `sent` tells more than `delivered`
    told: set[str] = field(default_factory=set)
    error: Json | None = None
    media_id: str | None = None
    group: bool = False
    participants: tuple[Any, ...] = ()  # of a group: statuses.Participant
