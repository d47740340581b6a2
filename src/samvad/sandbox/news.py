"""Webhooks of every field but `messages`: about a number, with its metadata, or about a whole account."""

from typing import Any

from samvad.sandbox.model import Json
from samvad.sandbox.statuses import wire_json
from samvad.sandbox.world import Account, Number, World


def tell_of_number(
    world: World, number: Number, field: str, value: Json, about: tuple[str, ...] = ()
) -> None:
    """Post a value that begins with the number's metadata; `about` are the ids a replay may ask for."""
    body = f'{number.head}{wire_json(value)[1:-1]}}},"field":"{field}"}}]}}]}}'
    world.deliveries.carry(world.callback(number), body.encode(), number.account.secret, about)


def tell_of_account(
    world: World, account: Account, field: str, value: Any, *, by_way_of: Number | None = None
) -> None:
    """Post a value without metadata, in an entry that has a time, as all but the message fields do.

    `by_way_of` a number it goes where that number's webhooks go.
    """
    entry = {
        "id": account.waba_id,
        "time": int(world.clock()),
        "changes": [{"value": value, "field": field}],
    }
    body = wire_json({"object": "whatsapp_business_account", "entry": [entry]})
    url = world.callback(by_way_of) if by_way_of else world.account_callback(account)
    world.deliveries.carry(url, body.encode(), account.secret, ())
