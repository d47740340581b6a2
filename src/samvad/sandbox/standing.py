"""How an account and its numbers stand with Meta, where that is not as usual."""

from dataclasses import dataclass, field

from samvad.sandbox.errors import GraphError
from samvad.sandbox.model import Json
from samvad.sandbox.world import Account, Number, World


@dataclass
class Standing:
    """Fields of numbers and accounts that differ from those of a healthy one, and what Graph never shows."""

    numbers: dict[str, Json] = field(default_factory=dict)
    accounts: dict[str, Json] = field(default_factory=dict)
    pins: dict[str, str] = field(default_factory=dict)
    registrations: dict[str, list[float]] = field(default_factory=dict)
    left_at: dict[str, float] = field(default_factory=dict)

    def of_number(self, number: Number) -> Json:
        return self.numbers.setdefault(number.id, {})

    def of_account(self, account: Account) -> Json:
        return self.accounts.setdefault(account.waba_id, {})


def check(world: World, number: Number) -> None:
    """Refuse a send of a number or an account that may not send."""
    standing = world.area(Standing)
    if standing.accounts.get(number.account.waba_id, {}).get("status", "ACTIVE") in ("DISABLED", "BANNED"):
        raise GraphError(131031, "Business Account locked")
    status = standing.numbers.get(number.id, {}).get("status", "CONNECTED")
    if status in ("DISCONNECTED", "PENDING", "UNVERIFIED"):
        raise GraphError(133010, "The phone number is not registered on the WhatsApp Business Platform.")
    if status in ("BANNED", "RESTRICTED"):
        raise GraphError(131031, f"The phone number is {status.lower()}.")
