"""Who may call, and what their keys look like. No I/O."""

import hashlib
import secrets
import string
from dataclasses import dataclass, field
from typing import Any

ROLE_TYPES = ("ADMIN", "MANAGER", "USER")
TOKEN_LENGTH = 64  # characters of 62: some 380 bits, so a plain hash of it is safe at rest

_alphabet = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever holds a key: their team, user and role."""

    team_id: str
    user_id: str
    key_id: str
    role_type: str
    rate_limit: int | None = None
    """Requests a second, where this key has its own limit; 0 is none."""
    role_id: str = ""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key as it is shown once: only its hash is kept."""

    id: str
    token: str


CLOSED_CHATS = ("NEW", "REOPEN")


@dataclass(frozen=True, slots=True)
class TeamSettings:
    """What a team may choose.

    `closed_chats`: what the next message makes of a closed chat, a NEW one beside it, or REOPEN it. `opens_leads`:
    whether a conversation with somebody new opens a lead. `ignores_unknown`: whether attributes that are not
    declared are left out of what is written, instead of refused. `country` (two letters) is where phone numbers
    without a country code are from; `time_zone` (IANA) is that of dates and times without an offset.
    """

    closed_chats: str = "NEW"
    opens_leads: bool = True
    ignores_unknown: bool = False
    country: str | None = None
    time_zone: str = "UTC"

    @staticmethod
    def of(kept: dict[str, Any]) -> "TeamSettings":
        wanted = kept.get("closed_chats")
        return TeamSettings(
            closed_chats=wanted if wanted in CLOSED_CHATS else "NEW",
            opens_leads=kept.get("opens_leads", True),
            ignores_unknown=kept.get("ignores_unknown", False),
            country=kept.get("country"),
            time_zone=kept.get("time_zone", "UTC"),
        )


@dataclass(frozen=True, slots=True)
class WebhookSecrets:
    """What a team's webhooks are signed with; during a rotation, also with what takes over at `takes_over_at`."""

    current: str = field(repr=False)
    upcoming: str | None = field(default=None, repr=False)
    takes_over_at: int | None = None

    @property
    def signing(self) -> tuple[str, ...]:
        """The current one first: a receiver that knows one signature only knows that one."""
        return (self.current,) if self.upcoming is None else (self.current, self.upcoming)


def new_token() -> str:
    return "".join(secrets.choice(_alphabet) for _ in range(TOKEN_LENGTH))


def hash_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
