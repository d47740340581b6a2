"""Who may call, and what their keys look like. No I/O."""

import hashlib
import secrets
import string
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key as it is shown once: only its hash is kept."""

    id: str
    token: str


def new_token() -> str:
    return "".join(secrets.choice(_alphabet) for _ in range(TOKEN_LENGTH))


def hash_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
