"""Roles and pods: what the people of a team may do, and in which groups they work."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from samvad.cli import app
from samvad.cli.accounts import DataDir, Team, Who, columns, show

if TYPE_CHECKING:
    from samvad.domain.context import Resources

role = typer.Typer(help="Roles: each has a type, which says what it may.", no_args_is_help=True)
pod = typer.Typer(help="Pods: groups of users, to which chats and work may belong.", no_args_is_help=True)
app.add_typer(role, name="role")
app.add_typer(pod, name="pod")

Pod = Annotated[str, typer.Argument(help="A pod's name or id.")]


@role.command("create")
def create_role(
    name: str,
    role_type: Annotated[str, typer.Option("--type", help="ADMIN, MANAGER or USER.")] = "USER",
    data: DataDir = None,
    team: Team = None,
) -> None:
    """A new role; prints the id."""
    from samvad.cli.running import once
    from samvad.domain.accounts import operations as accounts
    from samvad.domain.accounts import people

    async def work(res: "Resources") -> str:
        team_id = await accounts.team_named(res, team)
        return await people.create_role(res, team_id, name=name, role_type=role_type)

    typer.echo(once(work, data_dir=data))


@role.command("list")
def list_roles(data: DataDir = None, team: Team = None) -> None:
    """The roles of a team, oldest first."""
    from samvad.cli.running import once
    from samvad.domain.accounts import operations as accounts
    from samvad.domain.accounts import people

    async def work(res: "Resources") -> None:
        table = columns("id", "name", "type")
        for row in await people.list_roles(res, await accounts.team_named(res, team)):
            table.add_row(*map(escape, (row.id, row.name, row.type)))
        show(table)

    once(work, data_dir=data)


@pod.command("create")
def create_pod(name: str, data: DataDir = None, team: Team = None) -> None:
    """A new pod; prints the id."""
    from samvad.cli.running import once
    from samvad.domain.accounts import operations as accounts
    from samvad.domain.accounts import people

    async def work(res: "Resources") -> str:
        return await people.create_pod(res, await accounts.team_named(res, team), name=name)

    typer.echo(once(work, data_dir=data))


@pod.command("rename")
def rename_pod(pod: Pod, name: str, data: DataDir = None, team: Team = None) -> None:
    """Give a pod another name."""
    from samvad.cli.running import once
    from samvad.domain.accounts import operations as accounts
    from samvad.domain.accounts import people

    async def work(res: "Resources") -> None:
        await people.rename_pod(res, await accounts.team_named(res, team), pod, name=name)

    once(work, data_dir=data)


@pod.command("add")
def add_to_pod(pod: Pod, who: Who, data: DataDir = None, team: Team = None) -> None:
    """Make a user a member."""
    from samvad.cli.running import once
    from samvad.domain.accounts import operations as accounts
    from samvad.domain.accounts import people

    async def work(res: "Resources") -> None:
        await people.add_to_pod(res, await accounts.team_named(res, team), pod, who)

    once(work, data_dir=data)


@pod.command("remove")
def remove_from_pod(pod: Pod, who: Who, data: DataDir = None, team: Team = None) -> None:
    """Let a member go."""
    from samvad.cli.running import once
    from samvad.domain.accounts import operations as accounts
    from samvad.domain.accounts import people

    async def work(res: "Resources") -> None:
        await people.remove_from_pod(res, await accounts.team_named(res, team), pod, who)

    once(work, data_dir=data)


@pod.command("list")
def list_pods(data: DataDir = None, team: Team = None) -> None:
    """The pods of a team with their members."""
    from samvad.cli.running import once
    from samvad.domain.accounts import operations as accounts
    from samvad.domain.accounts import people

    async def work(res: "Resources") -> None:
        table = columns("id", "name", "members")
        for it in await people.list_pods(res, await accounts.team_named(res, team)):
            table.add_row(*map(escape, (it.id, it.name, ", ".join(it.members))))
        show(table)

    once(work, data_dir=data)
