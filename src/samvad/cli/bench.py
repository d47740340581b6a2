"""The product under load, beside the floors of this machine."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from samvad.cli import app
from samvad.kit.errors import BadRequest

if TYPE_CHECKING:
    from samvad.bench.chaos import Proof
    from samvad.bench.goal import Goal
    from samvad.bench.listing import Listed
    from samvad.bench.options import Options
    from samvad.bench.processes import Scaled
    from samvad.bench.receivers import Comparison
    from samvad.bench.result import Result
    from samvad.bench.rig import Tell
    from samvad.bench.soak import Soak

    AnyResult = TypeVar("AnyResult", Result, Proof, Comparison, Scaled, Listed, Goal, Soak)

CALLERS = 64
FEWEST, MOST = 16, 512  # connections of an open loop: what is due waits for one, and the wait counts

bench = typer.Typer(
    help="Load on loopback against a server and a sandbox of its own; afterwards all of it is gone.",
    no_args_is_help=True,
)
app.add_typer(bench, name="bench")

Callers = Annotated[
    int | None, typer.Option(help="Connections that each wait for their answer before they ask again.")
]
Rate = Annotated[float | None, typer.Option(help="Requests a second by the clock, answered or not.")]
Database = Annotated[
    str | None,
    typer.Option(help="A PostgreSQL server, postgresql://…; the bench makes a database there and drops it."),
]
Data = Annotated[
    Path | None, typer.Option(help="A folder whose disk is measured; a temporary folder is made in it.")
]
Json = Annotated[str | None, typer.Option("--json", help="Write the result as JSON to a file; - for stdout.")]
Html = Annotated[Path | None, typer.Option(help="Write the result as one page, plots and all.")]
Sends = Annotated[
    float, typer.Option(help="Sends a second; with each three statuses, and an inbound message to five.")
]
Kill = Annotated[
    float | None, typer.Option(help="Kill the server so many seconds into the load, and start it again.")
]


@bench.command("ingest")
def ingest(
    seconds: float = 10.0,
    callers: Callers = None,
    rate: Rate = None,
    database: Database = None,
    data: Data = None,
    json: Json = None,
    kill_after: Kill = None,
) -> None:
    """Post Meta's webhooks: one inbound text to three statuses. By default 64 callers, as fast as they can."""
    from samvad.bench import ingest as ingesting
    from samvad.bench import report

    options = _options(seconds, callers, rate, database, data, kill_after)
    _run(lambda tell: ingesting.run(options, tell), report.show, json)


@bench.command("send")
def send(
    seconds: float = 20.0,
    callers: Callers = None,
    rate: Rate = None,
    database: Database = None,
    data: Data = None,
    json: Json = None,
    kill_after: Kill = None,
) -> None:
    """Send messages, and take three status webhooks for each. By default 500 a second, by the clock."""
    from samvad.bench import report
    from samvad.bench import send as sending

    if rate is None and callers is None:
        rate = 500.0
    options = _options(seconds, callers, rate, database, data, kill_after)
    _run(lambda tell: sending.run(options, tell), report.show, json)


@bench.command("chaos")
def chaos(
    messages: int = 10_000,
    seed: int = 1,
    kill_every: Annotated[
        float,
        typer.Option(help="In the third run, kill -9 the server every so many seconds; 0: no such run."),
    ] = 5.0,
    database: Database = None,
    data: Data = None,
    json: Json = None,
) -> None:
    """Prove that nothing is lost or doubled: calm, in chaos, and killed, a script ends in the same state."""
    from samvad.bench import chaos as proving
    from samvad.bench import report
    from samvad.bench.rig import Place

    options = proving.Options(
        messages, seed, kill_every, place=Place(data.absolute() if data else None, database)
    )
    _run(lambda tell: proving.prove(options, tell), report.show_proof, json)


@bench.command("receivers")
def receivers(
    seconds: float = 10.0,
    rate: Annotated[
        float, typer.Option(help="Meta's webhooks a second, in each of the three phases.")
    ] = 100.0,
    database: Database = None,
    data: Data = None,
    json: Json = None,
) -> None:
    """Measure how much later a healthy receiver hears while others hang or answer 500: p99 at most twice."""
    from samvad.bench import receivers as comparing
    from samvad.bench import report

    options = _options(seconds, None, rate, database, data, None)
    _run(lambda tell: comparing.run(options, tell), report.show_comparison, json)


@bench.command("processes")
def processes(
    processes: Annotated[int, typer.Option(help="How many leads there are in the end.")] = 1_000_000,
    small: Annotated[int, typer.Option(help="How many there are the first time it is measured.")] = 10_000,
    bulk: Annotated[int, typer.Option(help="How many are updated in one call.")] = 10_000,
    database: Database = None,
    data: Data = None,
    json: Json = None,
) -> None:
    """Ask for leads among ten thousand and among a million: at most 3 times as long. Then update many."""
    from samvad.bench import processes as scaling
    from samvad.bench import report
    from samvad.bench.rig import Place

    options = scaling.Options(
        processes, small, bulk, place=Place(data.absolute() if data else None, database)
    )
    _run(lambda tell: scaling.run(options, tell), report.show_scaled, json)


@bench.command("list")
def list_messages(
    messages: Annotated[int, typer.Option(help="How many messages there are in the end.")] = 10_000_000,
    small: Annotated[int, typer.Option(help="Among how few the same is asked beside it.")] = 10_000,
    database: Database = None,
    data: Data = None,
    json: Json = None,
) -> None:
    """Ask for a page of a conversation among ten thousand and ten million messages: at most 3 times as long."""
    from samvad.bench import listing, report
    from samvad.bench.rig import Place

    options = listing.Options(messages, small, place=Place(data.absolute() if data else None, database))
    _run(lambda tell: listing.run(options, tell), report.show_listed, json)


@bench.command("goal")
def goal(
    sends: Sends = 1_000.0,
    seconds: float = 30.0,
    database: Database = None,
    data: Data = None,
    json: Json = None,
    html: Html = None,
    step: Annotated[
        bool,
        typer.Option(
            "--step", help="Go on with 25 % more until a rate is not held; report the last that was."
        ),
    ] = False,
) -> None:
    """Send, tell and receive at the rate of Meta's upper tier, all by the clock, and lose nothing."""
    from samvad.bench import goal as reaching
    from samvad.bench import report
    from samvad.bench.goal_page import page
    from samvad.bench.rig import Place

    plan = reaching.Plan(sends, seconds, step, place=Place(data.absolute() if data else None, database))

    def keep(found: "Goal") -> None:
        if html is not None:
            html.write_text(page(found), encoding="utf-8")

    _run(lambda tell: reaching.run(plan, tell), report.show_goal, json, keep)


@bench.command("soak")
def soak(
    minutes: float = 30.0,
    sends: Sends = 50.0,
    database: Database = None,
    data: Data = None,
    json: Json = None,
    html: Html = None,
) -> None:
    """Keep a moderate load for long, and judge what grew: memory, files, queues. Nothing may that must not."""
    from samvad.bench import report
    from samvad.bench import soak as soaking
    from samvad.bench.rig import Place
    from samvad.bench.soak_page import page

    plan = soaking.Plan(minutes, sends, place=Place(data.absolute() if data else None, database))

    def keep(found: "Soak") -> None:
        if html is not None:
            html.write_text(page(found), encoding="utf-8")

    _run(lambda tell: soaking.run(plan, tell), report.show_soak, json, keep)


def _options(
    seconds: float,
    callers: int | None,
    rate: float | None,
    database: str | None,
    data: Path | None,
    kill_after: float | None,
) -> "Options":
    from samvad.bench.options import Options
    from samvad.bench.rig import Place

    if callers is not None and rate is not None:
        raise BadRequest("--callers wait for answers and --rate does not; give one of them.")
    connections = callers if callers is not None else CALLERS
    if rate is not None:  # a second's requests at once; more would rest so long that the server hangs up
        connections = min(MOST, max(FEWEST, round(rate)))
    place = Place(data.absolute() if data else None, database)
    return Options(seconds, connections, rate, kill_after_s=kill_after, place=place)


def _run(
    bench: "Callable[[Tell], Awaitable[AnyResult]]",
    show: "Callable[[AnyResult, Console], None]",
    json: str | None,
    keep: "Callable[[AnyResult], None]" = lambda found: None,
) -> None:
    from samvad.bench import report
    from samvad.cli.running import configure_logs

    configure_logs("console")
    with _progress() as tell:
        result = _finish(_until_done(bench(tell)))
    keep(result)
    if json is not None:
        written = report.as_json(result).decode() + "\n"
        if json == "-":
            typer.echo(written, nl=False)
        else:
            Path(json).write_text(written, encoding="utf-8")
    if json != "-":
        terminal = Console()
        show(result, terminal if terminal.is_terminal else Console(width=report.WIDTH))
    if not result.holds:
        raise typer.Exit(1)


async def _until_done(work: "Awaitable[AnyResult]") -> "AnyResult":
    """Also when we are asked to end, the processes we started are ended first."""
    this = asyncio.current_task()
    assert this is not None
    with contextlib.suppress(NotImplementedError):  # not offered on every platform
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    return await work


def _finish(work: "Coroutine[Any, Any, AnyResult]") -> "AnyResult":
    """On the loop the server runs on too, where there is one for this platform."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


@contextlib.contextmanager
def _progress() -> Any:
    """What happens, on stderr; drawn only when something is told, since drawing takes processor time too."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as progress:
        task = progress.add_task("", total=None)

        def tell(what: str, part: float | None) -> None:
            progress.update(
                task, description=what, total=None if part is None else 1.0, completed=part or 0.0
            )
            progress.refresh()

        yield tell
