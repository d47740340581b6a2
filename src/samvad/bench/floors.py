"""What this machine can do at all, measured in the same run as the product."""

import asyncio
import hmac
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from samvad.bench.load import closed_loop
from samvad.bench.options import Options
from samvad.bench.process import Child

SLICE_S = 1.0  # at most, of each of the two cheap floors
FSYNC_BYTES = 4096
BODIES = 1_000  # of the load, which the bare application gets again and again


@dataclass(frozen=True, slots=True)
class Floors:
    """Each is a rate a second, on one core."""

    bare_asgi_per_s: float
    """A bare ASGI application on uvicorn, with the same generator, connections and bodies: the mean of one
    slice before the load and one after it, since a shared machine changes its mind."""

    bare_asgi_before_per_s: float
    bare_asgi_after_per_s: float

    fsync_per_s: float
    """Appends of 4 KiB, each flushed to the disk of the data folder."""

    hmac_and_json_per_s: float
    """Verifying the signature of one body and decoding its JSON, in a loop."""


@dataclass(frozen=True, slots=True)
class Cheap:
    """The floors that need no server."""

    fsync_per_s: float
    hmac_and_json_per_s: float


class Floor:
    """The floors around one load, measured with some of its requests: `before` it, and `after` it."""

    def __init__(self, folder: Path, echo: Child, requests: Sequence[bytes], options: Options) -> None:
        self._folder = folder
        self._echo = echo
        self._requests = requests[:BODIES]
        self._options = options

    async def before(self) -> None:
        body = self._requests[0].partition(b"\r\n\r\n")[2]
        self._cheap = await asyncio.to_thread(cheap, self._folder, body, seconds=self._options.floor_s)
        self._bare_before = await self._bare()

    async def after(self) -> Floors:
        return floors(self._bare_before, await self._bare(), self._cheap)

    async def _bare(self) -> float:
        callers, seconds = self._options.callers, self._options.floor_s
        return await bare_asgi_rate(self._echo, self._requests, callers=callers, seconds=seconds)


def cheap(folder: Path, body: bytes, *, seconds: float) -> Cheap:
    seconds = min(SLICE_S, seconds)
    return Cheap(fsync_rate(folder, seconds=seconds), hmac_and_json_rate(body, seconds=seconds))


def fsync_rate(folder: Path, *, seconds: float) -> float:
    file = folder / "fsync.floor"
    block = b"\0" * FSYNC_BYTES
    done = 0
    with file.open("wb", buffering=0) as out:
        began = time.perf_counter()
        while (elapsed := time.perf_counter() - began) < seconds:
            out.write(block)
            os.fsync(out.fileno())
            done += 1
    file.unlink()
    return done / elapsed


def hmac_and_json_rate(body: bytes, *, seconds: float) -> float:
    secret, decode = b"app-secret", msgspec.json.Decoder().decode
    expected = hmac.digest(secret, body, "sha256").hex()
    done = 0
    began = time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds:
        for _ in range(100):
            assert hmac.compare_digest(hmac.digest(secret, body, "sha256").hex(), expected)
            decode(body)
        done += 100
    return done / elapsed


async def bare_asgi_rate(echo: Child, requests: Sequence[bytes], *, callers: int, seconds: float) -> float:
    """Requests a second of the bare application."""
    loaded = await closed_loop(echo.port, requests, callers=callers, seconds=seconds, round_and_round=True)
    return loaded.per_s


def floors(before: float, after: float, cheap: Cheap) -> Floors:
    return Floors((before + after) / 2, before, after, cheap.fsync_per_s, cheap.hmac_and_json_per_s)
