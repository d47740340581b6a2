"""Who may see what: rules of access to procedures, tasks and entities."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from samvad.cli import app
from samvad.cli.accounts import DataDir, Team, columns, show

if TYPE_CHECKING:
    from samvad.domain.context import Resources

access = typer.Typer(
    help="Who sees which rows. Without rules: administrators and managers all, others their own and their reportees'.",
    no_args_is_help=True,
)
app.add_typer(access, name="access")


@access.command("list")
def list_rules(data: DataDir = None, team: Team = None) -> None:
    """The rules of a team, by what they are about."""
    from samvad.cli.running import once
    from samvad.domain.accounts import operations as accounts
    from samvad.domain.accounts import rules

    async def work(res: "Resources") -> None:
        table = columns("id", "resource", "its id", "part", "scope", "whose", "access")
        for it in await rules.list_access_rules(res, await accounts.team_named(res, team)):
            cells = (it.id, it.resource, it.resource_short_id or it.resource_id, it.sub_resource or "")
            table.add_row(*map(escape, (*cells, it.scope, it.scope_id or "", it.access_mode)))
        show(table)

    once(work, data_dir=data)


@access.command("set")
def set_rule(
    resource: Annotated[str, typer.Argument(help="procedure, statetask or entity.")],
    name: Annotated[str, typer.Argument(help="Which one: lead; a task with its procedure, like lead/call.")],
    mode: Annotated[
        str,
        typer.Argument(
            help="all, match-pod, own-and-reportees, assigned-to, view-only, partial or none.",
        ),
    ],
    part: Annotated[
        str | None, typer.Option(help="A part of it only: `chat` of `lead` is the chats.")
    ] = None,
    scope: Annotated[
        str, typer.Option(help="all, team, roleType, role or user; the narrowest that fits decides.")
    ] = "team",
    whose: Annotated[
        str | None, typer.Option(help="The role type, the role's name or the username; with such a scope.")
    ] = None,
    data: DataDir = None,
    team: Team = None,
) -> None:
    """Say who has which access to what; the rule there is for the same is changed. Prints its id."""
    from samvad.cli.running import once
    from samvad.domain.accounts import operations as accounts
    from samvad.domain.accounts import rules
    from samvad.domain.processes import ruling

    async def work(res: "Resources") -> str:
        team_id = await accounts.team_named(res, team)
        thing = await ruling.thing(res, team_id, resource, name)
        return await rules.set_access_rule(
            res,
            team_id,
            resource=resource,
            resource_id=thing.id,
            resource_short_id=thing.short_id,
            access_mode=mode,
            sub_resource=part,
            scope=scope,
            scope_id=whose,
        )

    typer.echo(once(work, data_dir=data))


@access.command("remove")
def remove_rule(rule_id: str, data: DataDir = None, team: Team = None) -> None:
    """Take a rule away."""
    from samvad.cli.running import once
    from samvad.domain.accounts import operations as accounts
    from samvad.domain.accounts import rules

    async def work(res: "Resources") -> None:
        await rules.remove_access_rule(res, await accounts.team_named(res, team), rule_id)

    once(work, data_dir=data)
