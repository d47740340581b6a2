"""What Meta says of an account rather than of a message. No I/O."""

from typing import Any, NamedTuple


class AccountNews(NamedTuple):
    """One change of a webhook that is neither a message nor a status, as Meta wrote it."""

    event_id: int  # the inbound event that brought it
    place: int  # which of that event's changes it is: with the id, its name
    team_id: str
    plugin_id: str
    waba_id: str
    phone_number_id: str | None
    field: str
    at: int
    value: dict[str, Any]
