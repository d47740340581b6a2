"""Plugins, from the command line: what is connected, how it stands, and taking a WABA out."""

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from samvad.cli import app
from samvad.cli.accounts import DataDir, Team, columns, moment, show
from samvad.cli.webhooks import as_team

if TYPE_CHECKING:
    from samvad.domain.context import Context

commands = typer.Typer(help="Plugins: what is connected, and how it stands with Meta.", no_args_is_help=True)
app.add_typer(commands, name="plugins")


@commands.command("list")
def list_plugins(data: DataDir = None, team: Team = None) -> None:
    """Every plugin with its WABAs and numbers."""
    from samvad.api import wire
    from samvad.domain.waba import plugins

    table = columns("id", "name", "active", "WABA", "connection", "numbers", "token invalid since")
    for it in as_team(plugins.list_all, data, team):
        own = (it.plugin.id, it.plugin.name, "yes" if it.plugin.is_active else "no")
        nothing = {"id": "", "chakraStatus": "nothing connected"}
        for account in [wire.business_account(row) for row in it.accounts] or [nothing]:
            numbers = [row for row in it.numbers if row.waba_id == account["id"]]
            cells = (
                account["id"],
                account["chakraStatus"],
                ", ".join(row.display_phone_number or row.id for row in numbers),
                moment(it.token_invalid_at),
            )
            table.add_row(own[0], *(escape(str(cell)) for cell in (*own[1:], *cells)))
    show(table)


@commands.command("show")
def show_plugin(plugin_id: str, data: DataDir = None, team: Team = None) -> None:
    """One plugin as the API shows it, as JSON; no secret is in it."""
    from samvad.api import wire
    from samvad.domain.waba import plugins

    it = as_team(lambda ctx: plugins.get(ctx, plugin_id), data, team)
    typer.echo(json.dumps(wire.plugin(it), indent=2))


@commands.command("disconnect")
def disconnect(
    plugin_id: str,
    waba_id: str,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data: DataDir = None,
    team: Team = None,
) -> None:
    """Take a WABA and its numbers out of a plugin; what was said stays. A running server tells Meta."""
    from samvad.domain.waba import plugins

    async def work(ctx: "Context") -> None:
        await plugins.disconnect(ctx, plugin_id, waba_id)

    if not yes:
        typer.confirm(
            f"Nothing can be sent or received for WABA {waba_id} afterwards. Disconnect?", abort=True
        )
    as_team(work, data, team)
    typer.echo(f"WABA {waba_id} is disconnected.")
