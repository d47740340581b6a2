"""Where third-party recordings lie beside the repository; tests read them there and skip without them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SHARED = Path(__file__).resolve().parents[3] / "shared"
FIXTURES = SHARED / "fixtures"


def recorded_webhooks() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every recorded webhook body with a name; none when the recordings are absent."""
    for path in sorted(FIXTURES.glob("pywa/updates/*.json")):
        for name, body in json.loads(path.read_text("utf-8")).items():
            yield f"{path.stem}/{name}", body
    for path in sorted(FIXTURES.glob("facebook-openapi-v23/whatsapp-webhooks/*.json")):
        yield path.stem, json.loads(path.read_text("utf-8"))
