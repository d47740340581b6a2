"""The sandbox as a program of its own."""

import asyncio
import json
import os
import sys
from pathlib import Path

import httpx

from samvad import sandbox
from samvad.bench.process import free_port
from tests.harness import PATIENCE_S, asking

SOURCES = Path(sandbox.__file__).parents[2]


async def test_it_runs_alone_from_a_file_of_businesses(tmp_path: Path) -> None:
    business = {
        "waba_id": "1",
        "name": "Shop",
        "access_token": "t",
        "app_secret": "s",
        "phone_numbers": [{"id": "2", "display": "14155550100", "verified_name": "Shop"}],
    }
    config = tmp_path / "businesses.json"
    config.write_text(json.dumps({"businesses": [business], "settings": {"auto_read": False}, "seed": 3}))
    port = free_port()

    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "samvad.sandbox", "--port", str(port), "--config", str(config)),
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
    )
    try:
        async with asking(f"http://127.0.0.1:{port}") as client:
            settings = await _settings(client)
            number = await client.get("/v25.0/2", headers={"authorization": "Bearer t"})
    finally:
        process.terminate()
        await process.wait()

    assert settings["auto_read"] is False
    assert number.json()["verified_name"] == "Shop"


async def test_a_broken_file_is_told_and_not_traced(tmp_path: Path) -> None:
    config = tmp_path / "businesses.json"
    config.write_text('{"businesses": [{"waba_id": 1}]}')

    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "samvad.sandbox", "--config", str(config)),
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
        stderr=asyncio.subprocess.PIPE,
    )
    _, told = await process.communicate()

    assert process.returncode == 2
    assert b"waba_id" in told
    assert b"Traceback" not in told


async def _settings(client: httpx.AsyncClient) -> dict[str, object]:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                settings: dict[str, object] = (await client.get("/settings")).json()
            except httpx.TransportError:
                await asyncio.sleep(0.05)
            else:
                return settings
