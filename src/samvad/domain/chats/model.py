"""The session window, as a pure rule. No I/O."""

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
