"""Meta's identifiers, invented: message ids, user ids, object ids, trace ids."""

import base64
import hashlib
import random
from binascii import b2a_base64
from collections.abc import Callable

_SENT, _RECEIVED = 0x11, 0x12
_SERIAL_BITS = 48
_COUNTRIES = {"1": "US", "44": "GB", "49": "DE", "52": "MX", "55": "BR", "91": "IN"}


class Identities:
    """Makes identifiers; random by seed, and never the same again after a restart.

    The serial starts at the clock, because a client's database outlives the sandbox: a restarted sandbox that
    repeated its message ids would look like Meta delivering old messages again.
    """

    def __init__(self, seed: int, clock: Callable[[], float]) -> None:
        self._random = random.Random(seed)
        self._serial = int(clock() * 65_536)

    def wamid(self, digits: str, *, received: bool) -> str:
        """A message id in the layout of Meta's own: phone, direction and a hexadecimal part."""
        self._serial += 1
        noise = self._random.getrandbits(24)
        mark = f"{noise:06X}{self._serial & (1 << _SERIAL_BITS) - 1:012X}"
        if received:
            mark = "3A" + mark
        phone = digits.encode()
        raw = b"\x1c\x18%c%b\x15\x02\x00%c\x18%c%b\x00" % (
            len(phone),
            phone,
            _RECEIVED if received else _SENT,
            len(mark),
            mark.encode(),
        )
        return "wamid." + b2a_base64(raw, newline=False).decode()

    def object_id(self) -> str:
        """A number of 16 digits, as media ids are."""
        self._serial += 1
        return str(10**15 + self._serial % (9 * 10**15))

    def trace(self) -> str:
        """The `fbtrace_id` of an answer."""
        return "A" + base64.urlsafe_b64encode(self._random.randbytes(18)).decode()[:22]


def user_id(waba_id: str, digits: str) -> str:
    """The business-scoped user id (BSUID) of a person: stable, and different for every business."""
    number = int.from_bytes(hashlib.sha256(f"{waba_id}:{digits}".encode()).digest()[:8])
    country = next((_COUNTRIES[digits[:n]] for n in (2, 1) if digits[:n] in _COUNTRIES), "US")
    return f"{country}.{10**19 + number % (9 * 10**19)}"


def usual_wa_id(digits: str) -> str:
    """The WhatsApp id of a phone number, which in Brazil and Mexico may differ from what people dial.

    Brazil: outside the area codes 11 to 28, accounts are known without the ninth digit of a mobile number.
    Mexico: with a 1 after the country code.
    """
    if digits.startswith("55") and len(digits) == 13 and digits[4] == "9" and int(digits[2:4]) > 28:
        return digits[:4] + digits[5:]
    if digits.startswith("52") and len(digits) == 12:
        return "521" + digits[2:]
    return digits


def stable_id(*parts: str) -> str:
    """A 16-digit id that is the same in every run, for things that are configuration, such as templates."""
    return str(10**15 + int.from_bytes(hashlib.sha256("\n".join(parts).encode()).digest()[:8]) % (9 * 10**15))
