"""People and what they are known by. No I/O."""

from typing import Literal, NamedTuple

Kind = Literal["phone", "bsuid"]


class Identity(NamedTuple):
    """One thing a person is known by: a phone number (digits), or Meta's business-scoped user id."""

    kind: Kind
    value: str


class Person(NamedTuple):
    """Somebody as a webhook or an order names them: at least one identity, perhaps a name."""

    team_id: str
    identities: tuple[Identity, ...]
    name: str | None = None
    username: str | None = None


class Contact(NamedTuple):
    """A person we know."""

    id: str
    name: str | None
    username: str | None
    process_id: str | None


class Merge(NamedTuple):
    """Two contacts that turned out to be one person: `gone` is now `kept`."""

    team_id: str
    kept: str
    gone: str


def identity_of(recipient: str) -> Identity:
    """A recipient as the API takes it: digits are a phone, `US.1349…` is a BSUID."""
    return Identity("phone" if recipient.isdigit() else "bsuid", recipient)
