"""Who plays in the demo: two businesses, the people who write to them, and what is remembered of a run."""

import secrets
from pathlib import Path

import msgspec

from samvad.sandbox import Business, PhoneNumber

SEED_PHONE = "919901258433"
"""The number of the vendor's page `List previous messages for a phone number`."""

TO = "15551230001"
"""Somebody who wrote just now, so that anything may be sent to them."""

PHOTOGRAPHER = "15551230002"
"""Somebody who sends an image at every start; the sandbox forgets its files when it stops."""

TEMPLATE_PLAIN = ("hello_world", "en_US")
TEMPLATE_WITH_VARIABLE = ("order_update", "en_US")


class Secrets(msgspec.Struct):
    """What the sandbox's Meta shares with one business; made at the first start."""

    access_token: str
    app_secret: str


class Memory(msgspec.Struct):
    """What the demo remembers from one start to the next, in its data folder."""

    secrets: dict[str, Secrets]
    tokens: dict[str, str] = {}
    """Our API keys by team. A real installation shows a key once; a demo shows it at every start."""
    has_conversation: bool = False


ADA = "Ada's Kitchen"
BABBAGE = "Babbage Engines"

_NUMBERS = {
    ADA: ("700600500400300", "100200300400500", "15550002222"),
    BABBAGE: ("700600500400301", "100200300400501", "15550003333"),
}


def businesses(memory: Memory) -> dict[str, Business]:
    """The two businesses as Meta knows them, by the name of their team."""
    return {
        team: Business(
            waba_id=waba_id,
            name=team,
            access_token=memory.secrets[team].access_token,
            app_secret=memory.secrets[team].app_secret,
            phone_numbers=(PhoneNumber(id=number_id, display=digits, verified_name=team),),
        )
        for team, (waba_id, number_id, digits) in _NUMBERS.items()
    }


def remembered(folder: Path) -> Memory:
    """The demo's memory; a new one at the first start."""
    file = _file(folder)
    if file.exists():
        return msgspec.json.decode(file.read_bytes(), type=Memory)
    memory = Memory(
        {team: Secrets(f"EAA{secrets.token_hex(40)}", secrets.token_hex(16)) for team in _NUMBERS}
    )
    remember(folder, memory)
    return memory


def remember(folder: Path, memory: Memory) -> None:
    """Written aside and moved into place, readable by its owner only."""
    folder.mkdir(parents=True, exist_ok=True)
    file = _file(folder)
    aside = file.with_suffix(".new")
    aside.touch(mode=0o600)
    aside.write_bytes(msgspec.json.format(msgspec.json.encode(memory)))
    aside.replace(file)


def _file(folder: Path) -> Path:
    return folder / "demo.json"
