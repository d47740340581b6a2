"""`python -m samvad.sandbox --port 9090 --config businesses.json` runs the sandbox alone."""

import argparse
from pathlib import Path
from typing import Any

import msgspec
import uvicorn

from samvad.sandbox import Business, Sandbox, Settings


class Config(msgspec.Struct, forbid_unknown_fields=True):
    """The configuration file: the businesses, and perhaps settings and a seed."""

    businesses: list[Business]
    settings: dict[str, Any] = {}
    seed: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m samvad.sandbox", description="Run the sandbox alone.")
    parser.add_argument("--port", type=int, default=9090)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--config", type=Path, required=True, help="JSON file with the businesses")
    options = parser.parse_args()
    try:
        config = msgspec.json.decode(options.config.read_bytes(), type=Config)
        settings = Settings().changed(config.settings)
    except (OSError, ValueError) as error:
        parser.error(f"{options.config}: {error}")
    sandbox = Sandbox(*config.businesses, settings=settings, seed=config.seed)
    uvicorn.run(
        sandbox.app,
        host=options.host,
        port=options.port,
        access_log=False,
        proxy_headers=False,
        log_level="warning",
        timeout_graceful_shutdown=2,
    )


if __name__ == "__main__":
    main()
