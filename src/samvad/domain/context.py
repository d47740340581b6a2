"""Who acts, for which team, with which resources."""

from dataclasses import dataclass, field
from typing import Any

from argon2 import PasswordHasher

from samvad.kit.clock import Clock
from samvad.kit.errors import Forbidden
from samvad.kit.once import Once
from samvad.kit.sealing import Seal
from samvad.realtime.bell import Bell
from samvad.storage import Database, Lane, TeamDatabase
from samvad.storage.blobs import Blobs
from samvad.whatsapp.cloud_api import CloudApi


@dataclass(frozen=True, slots=True)
class Bells:
    """Who is woken by what: each is rung after the commit that made the work."""

    inbound: Bell
    deliveries: Bell
    jobs: Bell
    media: Bell = field(default_factory=Bell)
    bulk: Bell = field(default_factory=Bell)
    plugins: Bell = field(default_factory=Bell)
    """Rung when a plugin or what is connected to it changed: forget what was remembered of it."""


@dataclass(frozen=True, slots=True)
class Resources:
    """The parts of one running process, made once by samvad.app.

    The lanes carry orders and outcomes of `messages` and bodies of `inbound`; they are typed
    where they are used, since this module lies below those features.
    """

    db: Database
    cloud: CloudApi
    seal: Seal
    clock: Clock
    blobs: Blobs
    bells: Bells
    sends: Lane[Any, Any]
    outcomes: Lane[Any, Any]
    inbound: Lane[Any, Any]
    public_url: str
    allow_private_webhooks: bool
    send_patience_s: float = 0.0
    passwords: PasswordHasher = field(default_factory=PasswordHasher)
    """Makes and checks hashes of passwords, at argon2's own cost unless a test says otherwise."""

    downloads: Once[tuple[str, str], Any] = field(default_factory=Once)
    """Files of WhatsApp on their way to us, by team and media id."""


@dataclass(frozen=True, slots=True)
class Context:
    """One caller at work. Every operation takes one first."""

    team_id: str
    user_id: str
    key_id: str | None
    role_type: str
    resources: Resources
    role_id: str = ""

    @property
    def db(self) -> TeamDatabase:
        """The database, seeing this team's rows only."""
        return self.resources.db.team(self.team_id)

    def now(self) -> int:
        return self.resources.clock()

    def must_manage(self, what: str) -> None:
        """Raises Forbidden for roles that only take part in conversations."""
        if self.role_type not in ("ADMIN", "MANAGER"):
            raise Forbidden(f"{what} needs a role of type ADMIN or MANAGER; this key has {self.role_type}.")
