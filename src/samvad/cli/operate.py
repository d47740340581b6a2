"""Looking after an installation: migrations, replay, audit."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from samvad.cli import app
from samvad.cli.accounts import DataDir

if TYPE_CHECKING:
    from samvad.domain.context import Resources

LAST_EVENT = 2**63 - 1  # what a database numbers with


@app.command()
def migrate(data: DataDir = None) -> None:
    """Bring the database to today's schema (starting the server does this too)."""
    from samvad.cli.running import once
    from samvad.storage import schema

    async def work(res: "Resources") -> None:
        return None

    once(work, data_dir=data)
    typer.echo(f"The schema is at revision {schema.newest()}.")


@app.command()
def replay(
    event: Annotated[
        list[int] | None, typer.Option(min=1, max=LAST_EVENT, help="An inbound event's id; may be repeated.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Everything received since, like 2026-01-31T12:00.")
    ] = None,
    problems: Annotated[bool, typer.Option(help="Only what was not understood in full.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Everything ever received.")] = False,
    data: DataDir = None,
) -> None:
    """Interpret received webhooks once more; a running server does it at once. Nothing is doubled by it."""
    from samvad.cli.running import once
    from samvad.domain.inbound import queries as inbound

    if not (event or since or problems or everything):
        raise typer.BadParameter("Say what to replay: --event, --since, --problems or --all.")
    try:
        moment = datetime.fromisoformat(since) if since else None
    except ValueError:
        raise typer.BadParameter(f"--since must be like 2026-01-31T12:00, in UTC; got {since!r}.") from None
    if moment is not None and moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since_ms = round(moment.timestamp() * 1000) if moment else None

    async def work(res: "Resources") -> int:
        return await res.db.write(
            inbound.fold_again, since=since_ms, event_ids=event or (), only_problems=problems
        )

    typer.echo(f"{once(work, data_dir=data)} inbound events will be interpreted again.")


@app.command()
def audit(data: DataDir = None) -> None:
    """Print, as JSON, what is there and what is open: ambiguous sends, problems, jobs that gave up."""
    from samvad.cli.running import once
    from samvad.domain import audit as audits

    async def work(res: "Resources") -> dict[str, Any]:
        return await res.db.read(audits.audit, now=res.clock())

    typer.echo(json.dumps(once(work, data_dir=data), indent=2))
