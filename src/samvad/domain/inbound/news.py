"""What Meta says of an account, in the event log: every webhook field, once, as `meta.<field>`."""

from collections.abc import Iterator, Sequence
from typing import Any

from samvad.domain.events.log import Event, record
from samvad.domain.inbound.model import AccountNews
from samvad.storage import Tx
from samvad.storage.columns import dump_json

LARGEST = 16_384  # characters of a value in the log; the whole of a larger one stays in its inbound event
LONGEST_NAME = 100


def log(tx: Tx, heard: Sequence[AccountNews], *, at: int) -> None:
    """Record each as an event of the number it is about, else of its account; folded again, it is there."""
    record(tx, [event for it in heard for event in _events(it)], at=at)


def _events(it: AccountNews) -> Iterator[Event]:
    subject, name = it.phone_number_id or it.waba_id, f"meta.{it.field}"[:LONGEST_NAME]
    origin = f"{it.event_id}/{it.place}"
    calls = [one for key in ("calls", "statuses") for one in _objects(it.value.get(key))]
    if it.field != "calls" or not calls:
        yield Event(it.team_id, name, subject, data=_bounded(it, it.value), origin=origin)
        return
    for n, call in enumerate(calls):  # a call is told of in several webhooks: its id is what they share
        about = {"phone_number_id": it.phone_number_id, **call}
        called = call.get("id")
        whose = called if isinstance(called, str) and called else subject
        yield Event(it.team_id, name, whose, data=_bounded(it, about), origin=f"{origin}/{n}")


def _bounded(it: AccountNews, value: dict[str, Any]) -> dict[str, Any]:
    size = len(dump_json(value))
    if size <= LARGEST:
        return value
    return {"truncated": True, "characters": size, "inboundEvent": it.event_id, "members": sorted(value)[:50]}


def _objects(given: Any) -> list[dict[str, Any]]:
    return [it for it in given if isinstance(it, dict)] if isinstance(given, list) else []
