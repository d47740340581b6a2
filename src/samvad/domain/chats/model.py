"""A chat as it is listed, and the session window as a pure rule. No I/O."""

from dataclasses import dataclass, replace

WINDOW_MS = 24 * 60 * 60 * 1000  # Meta's customer service window, from the person's last message


def window_closes_at(last_inbound_at: int | None) -> int | None:
    """When free-form messages stop being delivered; None when the person never wrote.

    The window is shown and never enforced here: clients of this API count on Meta's own verdict
    (131047, by status), and on a call that opens the window without our hearing of it.
    """
    return None if last_inbound_at is None else last_inbound_at + WINDOW_MS


def window_is_open(last_inbound_at: int | None, *, now: int) -> bool:
    closes_at = window_closes_at(last_inbound_at)
    return closes_at is not None and now < closes_at


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which chats somebody asks for: `order` is a name of the contract, `search` digits or part of a name."""

    order: str
    descending: bool
    limit: int
    skip: int
    search: str | None = None
    status: str | None = None


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat with whom it is. `handle` is the phone, the BSUID or the group's id; a group has no contact.

    `assigned_to` is the user who answers, `belongs_to` a pod. Of one that is masked only this is shown: that it
    is there, at which number, open or closed, and with which handle.
    """

    id: str
    team_id: str
    plugin_id: str
    phone_number_id: str
    display_phone_number: str | None
    contact_id: str | None
    contact_name: str | None
    group_id: str | None
    handle: str | None
    marketing: str | None
    process_id: str | None
    status: str
    unread: int
    last_message_at: int
    last_inbound_at: int | None
    created_at: int
    updated_at: int
    assigned_to: str | None = None
    belongs_to: str | None = None
    is_masked: bool = False

    def masked(self) -> "Chat":
        return replace(
            self,
            contact_id=None,
            contact_name=None,
            marketing=None,
            process_id=None,
            unread=0,
            last_message_at=self.created_at,
            last_inbound_at=None,
            updated_at=self.created_at,
            assigned_to=None,
            belongs_to=None,
            is_masked=True,
        )

    @property
    def window_closes_at(self) -> int | None:
        """When the session window closes; a group has none."""
        return None if self.group_id else window_closes_at(self.last_inbound_at)
