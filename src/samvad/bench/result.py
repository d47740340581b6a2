"""What a run has found, as data; shown by `report`, and written as JSON."""

import os
import platform
import sys
from dataclasses import dataclass, field

from samvad.bench.floors import Floors
from samvad.bench.load import Latency, Loaded
from samvad.bench.options import Options
from samvad.bench.process import Usage
from samvad.bench.rig import Place
from samvad.bench.verify import Verdict


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it was measured."""

    cores: int | None = field(default_factory=os.cpu_count)
    python: str = field(default_factory=platform.python_version)
    system: str = sys.platform


@dataclass(frozen=True, slots=True)
class Load:
    """What was asked, and what was answered."""

    seconds: float
    """From the first request to the last answer."""

    acknowledged: int
    acknowledged_per_s: float
    refused: dict[int, int]
    """Answers other than 200, by status."""

    unanswered: int
    posted_again: int
    not_begun: int
    latency: Latency
    generator_cores: float
    """Processor seconds a second that the generator took; of a machine with few cores it takes its share."""


@dataclass(frozen=True, slots=True)
class Server:
    """What the server process used; a PostgreSQL server's part is not in it."""

    cores_during_load: float
    cpu_us_per_acknowledged: float
    """Processor microseconds of everything an acknowledged request causes, later work included."""

    sandbox_cores: float | None
    """What Meta's double took beside it, of the same machine."""

    rss_mb: float | None
    stopped_in_order: bool


@dataclass(frozen=True, slots=True)
class Result:
    """One run of one bench."""

    bench: str
    database: str
    loop: str
    """`closed` (callers wait for answers) or `open` (requests leave by the clock)."""

    callers: int
    rate: float | None
    killed: bool
    machine: Machine
    floors: Floors
    load: Load
    server: Server
    verdict: Verdict
    settled: bool
    """Whether everything kept was folded, and every webhook delivered, before the server was stopped."""

    catch_up_s: float
    """From the end of the load until nothing waited any more."""

    sustained_per_s: float
    """Acknowledged, divided by load and catch-up together: what can go on for ever."""

    share_of_floor: float
    """The sustained rate as a part of the bare application's."""

    status_webhooks: Latency | None = None
    """Of the sandbox's own deliveries, while the load lasted (send only)."""

    status_webhooks_acknowledged: int = 0
    sandbox_accepted: int = 0
    """Sends the sandbox said yes to."""

    sandbox_wamids: int = 0
    """Distinct messages on its phones."""

    problems: tuple[str, ...] = ()
    """Whatever else does not fit together, in sentences."""

    @property
    def holds(self) -> bool:
        """Nothing acknowledged was lost, nothing was doubled, and the books agree."""
        return self.verdict.holds and not self.problems


def load_of(loaded: Loaded) -> Load:
    return Load(
        seconds=round(loaded.elapsed_s, 3),
        acknowledged=len(loaded.acknowledged),
        acknowledged_per_s=round(loaded.per_s, 1),
        refused=dict(loaded.refused),
        unanswered=len(loaded.unanswered),
        posted_again=loaded.posted_again,
        not_begun=loaded.not_begun,
        latency=loaded.latency,
        generator_cores=round(loaded.own_cpu_s / loaded.elapsed_s, 3),
    )


@dataclass(frozen=True, slots=True)
class Usages:
    """What the server had used before the load, after it, and once nothing waited; and the sandbox."""

    before: Usage
    after_load: Usage
    after_all: Usage
    sandbox_before: Usage
    sandbox_after_load: Usage


def server_of(loaded: Loaded, used: Usages, *, stopped_in_order: bool) -> Server:
    spent_s = used.after_all.cpu_s - used.before.cpu_s
    sandbox_s = used.sandbox_after_load.cpu_s - used.sandbox_before.cpu_s
    return Server(
        cores_during_load=round((used.after_load.cpu_s - used.before.cpu_s) / loaded.elapsed_s, 3),
        cpu_us_per_acknowledged=round(spent_s / max(1, len(loaded.acknowledged)) * 1e6, 1),
        sandbox_cores=None if used.before.rss_mb is None else round(sandbox_s / loaded.elapsed_s, 3),
        rss_mb=used.after_all.rss_mb,
        stopped_in_order=stopped_in_order,
    )


@dataclass(frozen=True, slots=True)
class Ended:
    """A load that is over, the server still running."""

    loaded: Loaded
    catch_up_s: float
    settled: bool
    used: Usages


def result_of(
    bench: str,
    options: Options,
    ended: Ended,
    *,
    floors: Floors,
    verdict: Verdict,
    stopped_in_order: bool,
    problems: tuple[str, ...],
) -> Result:
    """What every bench says; `send` has more to tell."""
    loaded = ended.loaded
    sustained = len(loaded.acknowledged) / (loaded.elapsed_s + ended.catch_up_s)
    return Result(
        bench=bench,
        database=database_of(options.place),
        loop="open" if options.rate else "closed",
        callers=options.callers,
        rate=options.rate,
        killed=options.kill_after_s is not None,
        machine=Machine(),
        floors=floors,
        load=load_of(loaded),
        server=server_of(loaded, ended.used, stopped_in_order=stopped_in_order),
        verdict=verdict,
        settled=ended.settled,
        catch_up_s=round(ended.catch_up_s, 3),
        sustained_per_s=round(sustained, 1),
        share_of_floor=round(sustained / floors.bare_asgi_per_s, 4),
        problems=problems,
    )


def database_of(place: Place) -> str:
    return "postgresql" if place.postgres else "sqlite"
