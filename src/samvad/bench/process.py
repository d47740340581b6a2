"""The processes a bench starts: each on a loopback port of its own, ended by its process id and no other way."""

import asyncio
import atexit
import contextlib
import os
import secrets
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from samvad.kit.errors import SamvadError

UP_WITHIN_S = 120.0  # a machine that is busy with other things may take long
DOWN_WITHIN_S = 50.0  # longer than the server may take to drain
LOOK_EVERY_S = 0.02
PORTS = range(10_240, 32_768)
LOG_TAIL = 2000  # characters of a child's log that a failure shows


class DidNotStart(SamvadError):
    """A process of the bench did not come up; the sentence ends with its last words."""

    status = 500


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used up to a moment."""

    cpu_s: float
    rss_mb: float | None


@dataclass(frozen=True, slots=True)
class Holds:
    """What a process holds open at a moment; None where there is no /proc."""

    descriptors: int | None
    threads: int | None


class Child:
    """`python -m module --port …`, started and ended by us."""

    def __init__(
        self, name: str, module: str, *arguments: str, log: Path, environ: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.port = free_port()
        self._command = (sys.executable, "-m", module, *arguments, "--port", str(self.port))
        self._environ = {**without_settings(), **(environ or {})}
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._used_before = 0.0  # by incarnations that were killed

    async def start(self) -> None:
        """Returns once it accepts connections; raises DidNotStart."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                env=self._environ,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            async with asyncio.timeout(UP_WITHIN_S):
                while not await accepts(self.port):
                    if self._process.returncode is not None:
                        raise TimeoutError
                    await asyncio.sleep(LOOK_EVERY_S)
        except TimeoutError:
            await self.kill()
            words = self._log.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL:]
            raise DidNotStart(f"The {self.name} did not start. Its last words: {words}") from None

    async def stop(self) -> bool:
        """Ask it to end; returns whether it did so by itself and in order."""
        process = self._process
        if process is None or process.returncode is not None:
            return process is not None and process.returncode in (0, -signal.SIGTERM)
        process.terminate()
        try:
            async with asyncio.timeout(DOWN_WITHIN_S):
                return await process.wait() in (0, -signal.SIGTERM)  # uvicorn repeats the signal at its end
        except TimeoutError:
            await self.kill()
            return False

    async def kill(self) -> None:
        """SIGKILL: no goodbye, nothing flushed."""
        process = self._process
        if process is not None and process.returncode is None:
            self._used_before = self.usage().cpu_s
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def usage(self) -> Usage:
        """Processor seconds over all its incarnations, and the memory it holds now.

        Where there is no /proc, the processor seconds are those of every child that has ended so far.
        """
        try:
            assert self._process is not None
            proc = Path(f"/proc/{self._process.pid}")
            fields = (proc / "stat").read_text().rpartition(")")[2].split()
            cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            held = int((proc / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            return Usage(self._used_before + cpu_s, round(held / 2**20, 1))
        except (OSError, IndexError):
            spent = os.times()
            return Usage(spent.children_user + spent.children_system, None)

    def holds(self) -> Holds:
        try:
            assert self._process is not None
            proc = Path(f"/proc/{self._process.pid}")
            return Holds(len(list((proc / "fd").iterdir())), len(list((proc / "task").iterdir())))
        except OSError:
            return Holds(None, None)


def free_port() -> int:
    """A loopback port for a server that is yet to start; nobody else who asks here is given it while we run.

    Not one of those that the system gives to whoever listens on port 0 or goes out (from 32768 on): such a one may
    be taken before our server starts, by one that then passes for it.
    """
    while True:
        port = secrets.choice(PORTS)
        claim = socket.socket(
            socket.AF_INET, socket.SOCK_DGRAM
        )  # in nobody's way, and seen by other processes
        try:
            claim.bind(("127.0.0.1", port))
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            continue
        atexit.register(claim.close)
        return port


def without_settings() -> dict[str, str]:
    """Our environment without the operator's own settings: a bench never touches their installation."""
    return {key: value for key, value in os.environ.items() if not key.startswith("SAMVAD_")}


async def accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
