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
    at: int = 0  # when this was said
    imported: bool = False  # said by an address book or by history: nobody spoke with us here
    marketing: str | None = None  # stop or resume: the person's own word on marketing messages


class Contact(NamedTuple):
    """A person we know."""

    id: str
    name: str | None
    username: str | None
    process_id: str | None
    named_at: int | None = None
    username_at: int | None = None
    is_imported: bool = False
    marketing: str | None = None
    marketing_at: int | None = None

    def after(self, said: "Person | Contact") -> "Contact":
        """The same contact, knowing more: the latest name counts, in whichever order they are heard."""
        if isinstance(said, Person):
            named_at, username_at, marketing_at, imported = said.at, said.at, said.at, said.imported
        else:
            named_at, username_at = said.named_at or 0, said.username_at or 0
            marketing_at, imported = said.marketing_at or 0, said.is_imported
        contact = self
        if contact.is_imported and not imported:
            contact = contact._replace(is_imported=False)
        if said.marketing and (marketing_at, said.marketing) > (self.marketing_at or 0, self.marketing or ""):
            contact = contact._replace(marketing=said.marketing, marketing_at=marketing_at)
        if said.name and (named_at, said.name) > (self.named_at or 0, self.name or ""):
            contact = contact._replace(name=said.name, named_at=named_at)
        if said.username and (username_at, said.username) > (self.username_at or 0, self.username or ""):
            contact = contact._replace(username=said.username, username_at=username_at)
        return contact


class Merge(NamedTuple):
    """Two contacts that turned out to be one person: `gone` is now `kept`."""

    team_id: str
    kept: str
    gone: str


def identity_of(recipient: str) -> Identity:
    """A recipient as the API takes it: digits are a phone, `US.1349…` is a BSUID."""
    return Identity("phone" if recipient.isdigit() else "bsuid", recipient)


LONGEST_SEARCHED = 200  # characters of a name that its index holds


def searched(name: str | None) -> str | None:
    """A name as it is looked for: without capitals, and not longer than an index takes."""
    return name.casefold()[:LONGEST_SEARCHED] if name else None
