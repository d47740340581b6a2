"""A Cloud API of our own: virtual phones, a clock, and trouble on demand.

It is a stranger to the rest of the house: it knows Meta's wire and imports nothing of ours.
"""

from samvad.sandbox.inbound import BadRequest
from samvad.sandbox.model import Business, PhoneNumber
from samvad.sandbox.sandbox import Sandbox
from samvad.sandbox.settings import Delays, InvalidSettings, Retry, Settings

__all__ = [
    "BadRequest",
    "Business",
    "Delays",
    "InvalidSettings",
    "PhoneNumber",
    "Retry",
    "Sandbox",
    "Settings",
]
