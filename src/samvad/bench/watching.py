"""Looking at processes and the machine once a second while a load lasts."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from samvad.bench.process import Child

EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Look:
    """What had been used up to a moment, and the memory held at it."""

    at_s: float
    server_cpu_s: float
    server_rss_mb: float | None
    own_cpu_s: float
    machine_cpu_s: float | None
    """Of all processes on all cores; None where there is no /proc."""


@contextlib.asynccontextmanager
async def watching(server: Child) -> AsyncIterator[list[Look]]:
    """Looks, from the first moment to the last; the list grows meanwhile."""
    looks = [look(server)]

    async def watch() -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            looks.append(look(server))

    task = asyncio.create_task(watch())
    try:
        yield looks
    finally:
        task.cancel()
        looks.append(look(server))


def look(server: Child) -> Look:
    used = server.usage()
    return Look(time.perf_counter(), used.cpu_s, used.rss_mb, time.process_time(), machine_cpu_s())


def machine_cpu_s() -> float | None:
    """Processor seconds that were not idle, since the machine was started."""
    try:
        fields = Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]
    except OSError:
        return None
    user, nice, system, _idle, _wait, irq, softirq, steal = map(int, fields)
    return (user + nice + system + irq + softirq + steal) / float(os.sysconf("SC_CLK_TCK"))


def load_average() -> float | None:
    """Of the last minute."""
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None
