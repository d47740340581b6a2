"""Chance of our own, for pauses that should not all end at once.

Not the one of the `random` module, which whoever seeds it, a test for instance, wants for themselves.
"""

import random

chance = random.Random()
