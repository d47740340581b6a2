"""The doctor."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from samvad.cli import app
from samvad.cli.accounts import DataDir
from samvad.kit.errors import SamvadError

if TYPE_CHECKING:
    from samvad.domain.context import Resources
    from samvad.domain.doctor.model import Finding

MARKS = {"fine": ("✓", "green"), "fault": ("✗", "red"), "skipped": ("–", "yellow")}
COULD_NOT_RUN = 2


@app.command()
def doctor(
    plugin: Annotated[str | None, typer.Option(help="Only this plugin.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data: DataDir = None,
) -> None:
    """Look for what stops messages: token, scopes, subscription, callback, signature, clock, number, disk.

    Exit code 0: all is fine; 1: something is not; 2: it could not be looked at.
    """
    from samvad.cli.running import once, read_settings
    from samvad.domain.doctor import operations
    from samvad.domain.doctor.disk import Place

    try:
        it = read_settings(data_dir=data)
        place = Place(it.database_url, it.data_dir, it.blob_url, it.backup_dir, it.backup_max_age_h)

        async def work(res: "Resources") -> "list[Finding]":
            return await operations.examine_all(res, place, plugin_id=plugin)

        findings = once(work, data_dir=data)
    except (SamvadError, OSError) as error:
        typer.echo(str(error.args[0] if isinstance(error, SamvadError) else error), err=True)
        raise typer.Exit(COULD_NOT_RUN) from None
    bad = [it for it in findings if it.state == "fault"]
    if as_json:
        typer.echo(json.dumps({"fine": not bad, "findings": [asdict(it) for it in findings]}, indent=2))
    else:
        show(findings)
    if bad:
        raise typer.Exit(1)


def show(findings: "list[Finding]") -> None:
    """A line for each finding, and below a fault what mends it."""
    console = Console(soft_wrap=True, highlight=False)
    plugin = ""
    for it in findings:
        if (it.plugin_id or "") != plugin:
            plugin = it.plugin_id or ""
            console.print(Text(f"Plugin {plugin}" if plugin else "This machine"))
        mark, colour = MARKS[it.state]
        console.print(Text.assemble((f"{mark} ", colour), f"{it.check:<13}", it.words))
        if it.fix:
            console.print(Text(f"  fix: {it.fix}", style="bold"))
