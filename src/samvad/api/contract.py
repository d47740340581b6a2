"""The contract, served as it was written."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from samvad.api.call import Call
from samvad.asgi.replies import Reply, json_reply

FILE = Path(__file__).resolve().parents[3] / "contract" / "openapi.yaml"


@cache
def document() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return found


async def show_contract(call: Call) -> Reply:
    return json_reply(document())
