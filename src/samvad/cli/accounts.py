"""Teams, users, keys, and connecting numbers."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from samvad.cli import app

if TYPE_CHECKING:
    from samvad.domain.context import Resources
    from samvad.domain.waba import operations as waba

DataDir = Annotated[Path | None, typer.Option("--data", help="The data folder (default .data).")]
Team = Annotated[
    str | None, typer.Option("--team", help="The team's name or id; needed where there are several.")
]

Who = Annotated[str, typer.Argument(help="A username, an e-mail address or an id.")]

WIDEST = 1_000  # characters
DAY_MS = 24 * 60 * 60 * 1000

user = typer.Typer(help="The people of a team.", no_args_is_help=True)
key = typer.Typer(help="API keys: one for each use.", no_args_is_help=True)
team = typer.Typer(help="Teams: each sees only its own.", no_args_is_help=True)
app.add_typer(team, name="team")
app.add_typer(user, name="user")
app.add_typer(key, name="key")


@team.command("create")
def create_team(name: str, data: DataDir = None) -> None:
    """A new team with its roles, its webhook secret, and leads for whoever writes."""
    from samvad.cli.running import once
    from samvad.domain.accounts import operations as accounts
    from samvad.domain.processes import applying

    async def work(res: "Resources") -> str:
        team_id = await accounts.create_team(res, name=name)
        await applying.create_lead_procedure(res, team_id)
        return team_id

    typer.echo(once(work, data_dir=data))


@team.command("secret")
def team_secret(data: DataDir = None, team: Team = None) -> None:
    """Print what this team's webhooks are signed with (X-Chakra-Signature-256)."""
    from samvad.cli.running import once
    from samvad.domain.accounts import operations as accounts

    async def work(res: "Resources") -> str:
        return await accounts.webhook_secret(res, await accounts.team_named(res, team))

    typer.echo(once(work, data_dir=data))


@user.command("create")
def create_user(
    email: str,
    name: Annotated[str, typer.Option(help="As it is shown; default: first and last name.")] = "",
    first_name: Annotated[str, typer.Option(help="Default: the first word of the name.")] = "",
    last_name: str = "",
    username: Annotated[str, typer.Option(help="One in the installation; default: the address.")] = "",
    phone: Annotated[str, typer.Option(help="With the country code.")] = "",
    role: Annotated[str, typer.Option(help="Admin, Manager, Agent, or one you made.")] = "Agent",
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True)] = "",
    data: DataDir = None,
    team: Team = None,
) -> None:
    """A new user; prints the id."""
    from samvad.cli.running import once
    from samvad.domain.accounts import operations as accounts

    async def work(res: "Resources") -> str:
        return await accounts.create_user(
            res,
            await accounts.team_named(res, team),
            email=email,
            name=name,
            first_name=first_name,
            last_name=last_name,
            username=username,
            phone=phone,
            role=role,
            password=password,
        )

    typer.echo(once(work, data_dir=data))


@user.command("list")
def list_users(
    deleted: Annotated[bool, typer.Option("--deleted", help="Those who were deleted instead.")] = False,
    data: DataDir = None,
    team: Team = None,
) -> None:
    """The users of a team."""
    from samvad.cli.running import once
    from samvad.domain.accounts import operations as accounts

    async def work(res: "Resources") -> None:
        people = await accounts.list_users(res, await accounts.team_named(res, team), deleted=deleted)
        names = {it.id: it.username for it in people}
        table = columns("id", "username", "e-mail", "name", "role", "active", "availability", "reports to")
        for it in people:
            cells = (it.id, it.username, it.email, it.display_name, it.role_name)
            above = names.get(it.reports_to, it.reports_to) if it.reports_to else ""
            more = ("yes" if it.is_active else "no", it.availability_status, above)
            table.add_row(*map(escape, (*cells, *more)))
        show(table)

    once(work, data_dir=data)


@user.command("change")
def change_user(
    who: Who,
    first_name: str | None = None,
    last_name: str | None = None,
    middle_name: str | None = None,
    name: Annotated[
        str | None, typer.Option(help="As it is shown; nothing, and it follows first and last name.")
    ] = None,
    username: str | None = None,
    phone: str | None = None,
    role: str | None = None,
    timezone: Annotated[str | None, typer.Option(help="Like Asia/Kolkata.")] = None,
    bio: str | None = None,
    gender: str | None = None,
    data: DataDir = None,
    team: Team = None,
) -> None:
    """Change what you name of a user; "" clears what may be empty."""
    from samvad.cli.running import once
    from samvad.domain.accounts import operations as accounts

    given = {
        "firstName": first_name,
        "lastName": last_name,
        "middleName": middle_name,
        "displayName": name,
        "timezone": timezone,
        "bio": bio,
        "gender": gender,
    }
    profile = {field: it for field, it in given.items() if it is not None}

    async def work(res: "Resources") -> None:
        team_id = await accounts.team_named(res, team)
        await accounts.change_user(
            res, team_id, who, profile=profile, role=role, username=username, phone=phone
        )

    once(work, data_dir=data)


@user.command("availability")
def set_availability(
    who: Who,
    status: Annotated[str, typer.Argument(help="AVAILABLE, NOT_AVAILABLE or ON_BREAK.")],
    data: DataDir = None,
    team: Team = None,
) -> None:
    """Whether somebody is there to work."""
    from samvad.cli.running import once
    from samvad.domain.accounts import operations as accounts

    async def work(res: "Resources") -> None:
        profile = {"availabilityStatus": status}
        await accounts.change_user(res, await accounts.team_named(res, team), who, profile=profile)

    once(work, data_dir=data)


@user.command("reports-to")
def set_reports_to(
    who: Who,
    above: Annotated[str | None, typer.Argument(help="Whom they report to; nobody, where left out.")] = None,
    data: DataDir = None,
    team: Team = None,
) -> None:
    """Whom somebody reports to: who leads sees what their people see."""
    from samvad.cli.running import once
    from samvad.domain.accounts import operations as accounts
    from samvad.domain.accounts import people

    async def work(res: "Resources") -> None:
        await people.report_to(res, await accounts.team_named(res, team), who, above)

    once(work, data_dir=data)


@user.command("password")
def set_password(
    who: Who,
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True)] = "",
    data: DataDir = None,
    team: Team = None,
) -> None:
    """Give a user a new password."""
    from samvad.cli.running import once
    from samvad.domain.accounts import operations as accounts

    async def work(res: "Resources") -> None:
        await accounts.change_user(res, await accounts.team_named(res, team), who, password=password)

    once(work, data_dir=data)


@user.command("deactivate")
def deactivate_user(who: Who, data: DataDir = None, team: Team = None) -> None:
    """Shut a user out, and every key that acts as them; they may still be given work."""
    from samvad.cli.running import once
    from samvad.domain.accounts import operations as accounts

    async def work(res: "Resources") -> None:
        await accounts.change_user(res, await accounts.team_named(res, team), who, is_active=False)

    once(work, data_dir=data)


@user.command("activate")
def activate_user(who: Who, data: DataDir = None, team: Team = None) -> None:
    """Let a user in again."""
    from samvad.cli.running import once
    from samvad.domain.accounts import operations as accounts

    async def work(res: "Resources") -> None:
        await accounts.change_user(res, await accounts.team_named(res, team), who, is_active=True)

    once(work, data_dir=data)


@user.command("delete")
def delete_user(who: Who, data: DataDir = None, team: Team = None) -> None:
    """Take a user away, with every key that acts as them; what they did still names them."""
    from samvad.cli.running import once
    from samvad.domain.accounts import operations as accounts
    from samvad.domain.accounts import people

    async def work(res: "Resources") -> None:
        await people.delete_user(res, await accounts.team_named(res, team), who)

    once(work, data_dir=data)


@user.command("restore")
def restore_user(who: Who, data: DataDir = None, team: Team = None) -> None:
    """Call a deleted user back."""
    from samvad.cli.running import once
    from samvad.domain.accounts import operations as accounts
    from samvad.domain.accounts import people

    async def work(res: "Resources") -> None:
        await people.restore_user(res, await accounts.team_named(res, team), who)

    once(work, data_dir=data)


@key.command("create")
def create_key(
    name: str,
    role: Annotated[
        str, typer.Option(help="Admin, Manager or Agent: the key may do what the role may.")
    ] = "Admin",
    description: str | None = None,
    user: Annotated[str | None, typer.Option(help="The username or address of whom it acts as.")] = None,
    expires_in_days: Annotated[int | None, typer.Option(min=1, max=3650)] = None,
    rate_limit: Annotated[
        int | None,
        typer.Option(min=0, help="Requests a second; 0 is no limit. Default: SAMVAD_RATE_LIMIT."),
    ] = None,
    data: DataDir = None,
    team: Team = None,
) -> None:
    """A new key; prints its token, which is shown this once."""
    from samvad.cli.running import once
    from samvad.domain.accounts import operations as accounts

    expires_at = time.time_ns() // 1_000_000 + expires_in_days * DAY_MS if expires_in_days else None

    async def work(res: "Resources") -> str:
        made = await accounts.create_key(
            res,
            await accounts.team_named(res, team),
            name=name,
            role=role,
            description=description,
            email=user,
            expires_at=expires_at,
            rate_limit=rate_limit,
        )
        return made.token

    typer.echo(once(work, data_dir=data))


@key.command("list")
def list_keys(data: DataDir = None, team: Team = None) -> None:
    """The keys of a team, newest first; never their tokens."""
    from samvad.cli.running import once
    from samvad.domain.accounts import operations as accounts

    async def work(res: "Resources") -> None:
        table = columns("id", "name", "description", "created", "last used", "expires", "revoked")
        for row in await accounts.list_keys(res, await accounts.team_named(res, team)):
            times = [moment(at) for at in (row.created_at, row.last_used_at, row.expires_at, row.revoked_at)]
            table.add_row(*map(escape, (row.id, row.name, row.description or "", *times)))
        show(table)

    once(work, data_dir=data)


@key.command("revoke")
def revoke_key(key_id: str, data: DataDir = None, team: Team = None) -> None:
    """Make a key useless, everywhere within a second."""
    from samvad.cli.running import once
    from samvad.domain.accounts import operations as accounts

    async def work(res: "Resources") -> None:
        await accounts.revoke_key(res, await accounts.team_named(res, team), key_id)

    once(work, data_dir=data)


@app.command()
def connect(
    waba_id: Annotated[str, typer.Option(prompt="WhatsApp Business Account id")],
    phone_number_id: Annotated[str, typer.Option(prompt="Phone number id")],
    token: Annotated[str, typer.Option(prompt="Access token (system user)", hide_input=True)],
    app_secret: Annotated[str, typer.Option(prompt="App secret", hide_input=True)],
    verify_token: Annotated[str | None, typer.Option(help="Default: a random one.")] = None,
    callback_url: Annotated[
        str | None,
        typer.Option(help="Where Meta reaches us; default SAMVAD_PUBLIC_URL and the plugin's path."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The plugin's name; default: the number's verified name.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data: DataDir = None,
    team: Team = None,
) -> None:
    """Connect a business number, and subscribe its webhooks. The server must be running and reachable by Meta.

    Meta verifies the address at once, so start `samvad serve` first.
    """
    from samvad.cli.running import once
    from samvad.domain.accounts import operations as accounts
    from samvad.domain.waba import operations as waba
    from samvad.domain.waba.model import Connection

    wanted = Connection(waba_id, phone_number_id, token, app_secret, verify_token, name, callback_url)

    async def work(res: "Resources") -> "waba.Connected":
        return await waba.connect(res, await accounts.team_named(res, team), wanted)

    connected = once(work, data_dir=data)
    if as_json:
        fields = {"pluginId": connected.plugin_id, "callbackUrl": connected.callback_url}
        typer.echo(json.dumps({**fields, "verifyToken": connected.verify_token}))
    else:
        typer.echo(f"Connected. Plugin {connected.plugin_id}; Meta delivers to {connected.callback_url}")


def columns(first: str, *others: str) -> Table:
    """A table whose first column, the one that people copy, is never cut."""
    table = Table()
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name)
    return table


def show(table: Table) -> None:
    """As wide as the terminal; as wide as it likes where a program or a file reads it."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDEST)
    console.print(table)


def moment(at: int | None) -> str:
    return "" if at is None else datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M")
