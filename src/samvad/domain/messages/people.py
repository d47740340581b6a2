"""What Meta says of people apart from their messages: names, wishes, new numbers and new ids."""

from collections.abc import Sequence

from samvad.domain.contacts import queries as contacts
from samvad.domain.contacts.model import Person
from samvad.domain.messages import merging
from samvad.storage import Tx


def learn(tx: Tx, people: Sequence[Person], *, at: int) -> None:
    """Know these people better; two that prove to be one keep both their histories."""
    if people:
        _, merges = contacts.meet(tx, people, at=at)
        merging.move_history(tx, merges, at=at)
