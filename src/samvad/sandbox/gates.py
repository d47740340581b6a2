"""Refusals of a send that come from other areas: who is blocked, who is in a group, who may be asked to call."""

from samvad.sandbox import blocklist
from samvad.sandbox.errors import GraphError
from samvad.sandbox.model import Json
from samvad.sandbox.world import Number, World


def check(world: World, number: Number, payload: Json, digits: str) -> None:
    """Refuse what Meta would refuse of a message that is well formed."""
    if blocklist.is_blocked(world, number, digits):
        raise GraphError(130403, "The recipient is blocked by this number.")
