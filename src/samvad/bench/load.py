"""The generator: HTTP/1.1 over raw connections, several times cheaper than any server it is aimed at.

It understands only the replies of servers we started ourselves: a status and a Content-Length. A request under way
is an index into what is to be asked: bytes made before the clock starts, or made as they go out.
"""

import asyncio
import contextlib
import gc
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

CONNECT_AGAIN_S = 0.05
ANSWER_WITHIN_S = 45.0  # past the server's own time-out for what stands behind it
TICK_S = 0.002  # how finely an open loop is scheduled; late sends are measured from when they were due

Progress = Callable[[float], None]
"""Is told, now and then, which part of the load is over: from 0 to 1."""


class Requests(Protocol):
    """Whole requests, each by its number; asked for one again, it is the same bytes."""

    def __getitem__(self, index: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles over every answered request, in milliseconds."""

    count: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


@dataclass(slots=True)
class Loaded:
    """What came of a load."""

    elapsed_s: float
    """From the first request to the last answer."""

    own_cpu_s: float
    """Processor seconds of this process meanwhile: the generator's price."""

    acknowledged: list[int]
    """Indices of the requests answered with 200, in the order of the answers."""

    refused: Counter[int]
    """How many were answered with each other status."""

    unanswered: list[int]
    """Indices of the requests whose connection was lost, or whose answer did not come in time."""

    posted_again: int
    """How often a request was repeated because its connection was lost."""

    not_begun: int
    """Requests that were due and found no connection before the end."""

    latencies_s: "array[float]" = field(repr=False)
    answers: dict[int, bytes] = field(repr=False)
    """The body of each 200, by index, where they are kept."""

    acknowledged_at_s: "array[float]" = field(default_factory=lambda: array("d"), repr=False)
    """When each 200 was read, by `time.perf_counter`, in the order of `acknowledged`."""

    @property
    def latency(self) -> Latency:
        return percentiles(self.latencies_s)

    @property
    def per_s(self) -> float:
        """Acknowledged requests a second."""
        return len(self.acknowledged) / self.elapsed_s if self.elapsed_s else 0.0


def percentiles(seconds: Sequence[float]) -> Latency:
    """Nearest-rank percentiles; all zero when there is nothing."""
    ranked = sorted(seconds) or [0.0]

    def at(part: float) -> float:
        return round(ranked[min(len(ranked) - 1, int(len(ranked) * part))] * 1000, 3)

    return Latency(len(seconds), at(0.5), at(0.9), at(0.99), at(1.0))


def post(target: str, body: bytes, *headers: str) -> bytes:
    """A whole POST request as bytes, for a connection that stays open."""
    lines = (
        f"POST {target} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *headers,
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def closed_loop(
    port: int,
    requests: Sequence[bytes],
    *,
    callers: int,
    seconds: float | None = None,
    round_and_round: bool = False,
    again: bool = False,
    keep: bool = False,
    progress: Progress | None = None,
) -> Loaded:
    """Each caller asks, waits for the answer, and asks the next; ends with the time or with the requests.

    `round_and_round` begins at the first request again; `again` repeats what lost its connection, as Meta
    does; `keep` keeps the answers.
    """
    generator = Generator(port, requests, again=again, keep=keep)
    lasts = seconds if seconds is not None else ANSWER_WITHIN_S
    more = _until(lasts, len(requests), round_and_round=round_and_round)
    return await generator.run(callers, lasts, more=more, progress=progress)


async def open_loop(
    port: int,
    requests: Sequence[bytes],
    *,
    rate: float,
    connections: int,
    seconds: float,
    again: bool = False,
    keep: bool = False,
    progress: Progress | None = None,
) -> Loaded:
    """Requests leave by the clock whether or not earlier ones were answered; each is due at its moment.

    Latency counts from that moment, so that a server that stalls is not excused by a caller that waited.
    """
    generator = Generator(port, requests, again=again, keep=keep)
    total = min(len(requests), round(rate * seconds))

    async def schedule() -> None:
        began, given = time.perf_counter(), 0
        while given < total:
            due = min(total, int((time.perf_counter() - began) * rate) + 1)
            for index in range(given, due):
                generator.give(index, began + index / rate)
            given = due
            await asyncio.sleep(TICK_S)

    return await generator.run(connections, seconds, schedule=schedule, progress=progress)


def _until(lasts_s: float, count: int, *, round_and_round: bool) -> Iterator[int]:
    """Indices, for so long from the first one on."""
    clock = time.perf_counter
    ends = clock() + lasts_s
    while True:
        for index in range(count):
            if clock() >= ends:
                return
            yield index
        if not round_and_round:
            return


class Generator:
    """Connections, the requests that wait for one, and what came of those that had one."""

    def __init__(self, port: int, requests: Requests, *, again: bool, keep: bool) -> None:
        self.requests = requests
        self._port = port
        self._again = again
        self._keep = keep
        self._more: Iterator[int] = iter(())
        self._idle: deque[_Connection] = deque()
        self._open: set[_Connection] = set()
        self._waiting: deque[tuple[int, float]] = deque()
        self._connecting: set[asyncio.Task[None]] = set()
        self._closing = False
        self._under_way = 0
        self._scheduling = True
        self._exhausted = True
        self._quiet = asyncio.Event()
        self.done = Loaded(0.0, 0.0, [], Counter(), [], 0, 0, array("d"), {})

    async def run(
        self,
        connections: int,
        lasts_s: float,
        *,
        more: Iterator[int] | None = None,
        schedule: Callable[[], Coroutine[Any, Any, None]] | None = None,
        progress: Progress | None = None,
    ) -> Loaded:
        """Take requests from `more` as connections become free, or have them given by `schedule`."""
        for _ in range(connections):
            self._connect()
        async with asyncio.timeout(ANSWER_WITHIN_S):
            await asyncio.gather(*self._connecting)
        gc.collect()
        gc.freeze()
        gc.disable()  # a collection of a hundred thousand bodies would be the generator's own hiccup
        began, cpu = time.perf_counter(), time.process_time()
        showing = asyncio.create_task(_show(progress, began, lasts_s)) if progress else None
        try:
            async with asyncio.timeout(lasts_s + ANSWER_WITHIN_S):
                await self._work(more, schedule)
        except TimeoutError:
            pass  # whoever was not answered by now is unanswered
        finally:
            self.done.elapsed_s = time.perf_counter() - began
            self.done.own_cpu_s = time.process_time() - cpu
            gc.enable()
            gc.unfreeze()
            if showing:
                showing.cancel()
            await self._close()
        return self.done

    async def _work(
        self, more: Iterator[int] | None, schedule: Callable[[], Coroutine[Any, Any, None]] | None
    ) -> None:
        self._more, self._exhausted = more or iter(()), more is None
        for _ in range(len(self._idle)):
            self.free(self._idle.popleft())
        if schedule is not None:
            await schedule()
        self._scheduling = False
        self._finish_if_quiet()
        await self._quiet.wait()

    def give(self, index: int, since: float) -> None:
        """A request is due; it goes out on the connection that has rested longest, or waits for one."""
        if self._idle:
            self._under_way += 1
            self._idle.popleft().ask(index, since)
        else:
            self._waiting.append((index, since))

    def free(self, connection: "_Connection") -> None:
        """This connection has nothing to do."""
        if self._waiting:
            self._under_way += 1
            connection.ask(*self._waiting.popleft())
            return
        index = next(self._more, None)
        if index is None:
            self._exhausted = True
            self._idle.append(connection)
            self._finish_if_quiet()
        else:
            self._under_way += 1
            connection.ask(index, time.perf_counter())

    def answered(self, connection: "_Connection", status: int, body: bytes) -> None:
        self._under_way -= 1
        done = self.done
        if status == 200:
            now = time.perf_counter()
            done.latencies_s.append(now - connection.since)
            done.acknowledged_at_s.append(now)
            done.acknowledged.append(connection.index)
            if self._keep:
                done.answers[connection.index] = body
        else:
            done.refused[status] += 1
        self.free(connection)

    def opened(self, connection: "_Connection") -> None:
        self._open.add(connection)
        if self._closing:
            connection.close()
        else:
            self.free(connection)

    def lost(self, connection: "_Connection", *, was_asking: bool) -> None:
        """A connection is gone, and with it perhaps an answer."""
        self._open.discard(connection)
        if was_asking:
            self._under_way -= 1
            if self._again and not self._closing:
                self.done.posted_again += 1
                self._waiting.append((connection.index, connection.since))
            else:
                self.done.unanswered.append(connection.index)
        else:
            with contextlib.suppress(ValueError):
                self._idle.remove(connection)
        if not self._closing:
            self._connect()
            self._finish_if_quiet()

    def _finish_if_quiet(self) -> None:
        if self._exhausted and not (self._scheduling or self._under_way or self._waiting):
            self._quiet.set()

    def _connect(self) -> None:
        task = asyncio.get_running_loop().create_task(self._connected())
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connected(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._closing:
            try:
                await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._port)
                return
            except OSError:
                await asyncio.sleep(CONNECT_AGAIN_S)

    async def _close(self) -> None:
        self._closing = True
        for connection in tuple(self._open):
            connection.close()
        for task in self._connecting:
            task.cancel()
        while self._open:
            await asyncio.sleep(0.001)
        self.done.not_begun = len(self._waiting)


class _Connection(asyncio.Protocol):
    """One connection with at most one request under way."""

    __slots__ = ("_asking", "_generator", "_got", "_transport", "index", "since")

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._asking = False
        self._got = b""
        self._transport: asyncio.Transport | None = None
        self.index = 0
        self.since = 0.0

    def ask(self, index: int, since: float) -> None:
        assert self._transport is not None, "a connection is free only once it stands"
        self.index, self.since, self._asking = index, since, True
        self._transport.write(self._generator.requests[index])

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._generator.opened(self)

    def data_received(self, data: bytes) -> None:
        got = self._got + data if self._got else data
        reply = read_reply(got)
        if reply is None:
            self._got = got
            return
        self._got = b""
        self._asking = False
        self._generator.answered(self, *reply)

    def connection_lost(self, error: Exception | None) -> None:
        asking, self._asking = self._asking, False
        self._generator.lost(self, was_asking=asking)


def read_reply(got: bytes) -> tuple[int, bytes] | None:
    """The status and body of one whole reply; None while some of it is missing.

    Raises ValueError for a reply without Content-Length: none of our servers sends one.
    """
    end = got.find(b"\r\n\r\n")
    if end < 0:
        return None
    at = got.find(b"content-length:", 0, end)
    if at < 0:
        at = got.lower().find(b"content-length:", 0, end)
        if at < 0:
            raise ValueError(f"a reply without Content-Length: {got[:80]!r}")
    line_ends = got.find(b"\r\n", at)
    length = int(got[at + 15 : line_ends])
    if len(got) < end + 4 + length:
        return None
    return int(got[9:12]), got[end + 4 : end + 4 + length]


async def _show(progress: Progress, began: float, seconds: float) -> None:
    while True:
        progress(min(1.0, (time.perf_counter() - began) / seconds))
        await asyncio.sleep(0.5)
