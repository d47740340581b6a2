"""Webhooks to customers, from the command line: their log, their endpoints, their secret."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.markup import escape

from samvad.cli import app
from samvad.cli.accounts import DataDir, Team, columns, moment, show

if TYPE_CHECKING:
    from samvad.domain.accounts.model import WebhookSecrets
    from samvad.domain.context import Context, Resources

T = TypeVar("T")

LONGEST_OVERLAP_H = 30 * 24

commands = typer.Typer(help="Webhooks to your servers: look, replay, pause, sign.", no_args_is_help=True)
app.add_typer(commands, name="webhooks")

State = Annotated[str | None, typer.Option(help="PENDING, DELIVERED, EXHAUSTED or CANCELLED.")]
Since = Annotated[str | None, typer.Option(help="Made since then, in UTC: 2026-01-31T12:00.")]
Until = Annotated[str | None, typer.Option(help="Made before then, in UTC.")]
Plugin = Annotated[str | None, typer.Option(help="Only of this plugin.")]


@commands.command("list")
def list_deliveries(
    state: State = None,
    plugin: Plugin = None,
    event: Annotated[str | None, typer.Option(help="Meta's field, or the name of our event.")] = None,
    phone: Annotated[str | None, typer.Option(help="Digits of the person it is about.")] = None,
    message: Annotated[str | None, typer.Option(help="Meta's id of the message it is about.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    data: DataDir = None,
    team: Team = None,
) -> None:
    """Deliveries, newest first."""
    from samvad.api import wire
    from samvad.domain.webhooks import operations as webhooks
    from samvad.domain.webhooks.model import Which

    which = Which(state, plugin, None, event, phone, message, _moment(since), _moment(until))
    page, attempts, more = as_team(
        lambda ctx: webhooks.list_deliveries(ctx, which, limit=limit, skip=0), data, team
    )
    table = columns("id", "made", "event", "format", "state", "attempts", "last answer")
    for row in page:
        it = wire.delivery(row, attempts.get(row.id, []))
        last = it["lastError"] or it["lastStatus"] or ""
        cells = (moment(row.created_at), row.event, it["format"], row.state, it["attemptCount"], last)
        table.add_row(row.id, *(escape(str(cell)) for cell in cells))
    show(table)
    if more:
        typer.echo("There are more: see --limit, --until.")


@commands.command("show")
def show_delivery(
    delivery_id: str,
    body: Annotated[bool, typer.Option("--body", help="Print the exact bytes instead.")] = False,
    data: DataDir = None,
    team: Team = None,
) -> None:
    """One delivery with every attempt, as JSON."""
    from samvad.api import wire
    from samvad.domain.webhooks import operations as webhooks

    if body:
        raw = as_team(lambda ctx: webhooks.get_body(ctx, delivery_id), data, team)
        typer.echo(_text_or_bytes(raw), nl=False)
        return
    row, attempts = as_team(lambda ctx: webhooks.get_delivery(ctx, delivery_id), data, team)
    typer.echo(json.dumps(wire.delivery_with_attempts(row, attempts), indent=2))


@commands.command("replay")
def replay(
    delivery_id: Annotated[
        str | None, typer.Argument(help="One; or say which ones with the options.")
    ] = None,
    state: State = None,
    plugin: Plugin = None,
    since: Since = None,
    until: Until = None,
    failed: Annotated[bool, typer.Option("--failed", help="All that were given up.")] = False,
    data: DataDir = None,
    team: Team = None,
) -> None:
    """Deliver the same bytes again; a running server does it within a second."""
    from samvad.domain.webhooks import operations as webhooks
    from samvad.domain.webhooks.model import Which

    if delivery_id is not None:
        as_team(lambda ctx: webhooks.replay(ctx, delivery_id), data, team)
        typer.echo("1 delivery will go again.")
        return
    if not (failed or state or since or until or plugin):
        raise typer.BadParameter("Say what to replay: a delivery's id, --failed, --state, --since, --plugin.")
    which = Which(state or "EXHAUSTED", plugin, from_at=_moment(since), to_at=_moment(until))
    count = as_team(lambda ctx: webhooks.replay_all(ctx, which), data, team)
    typer.echo(f"{count} deliveries will go again.")


@commands.command("endpoints")
def list_endpoints(data: DataDir = None, team: Team = None) -> None:
    """Where webhooks go, and how each address fares."""
    from samvad.api import wire
    from samvad.domain.webhooks import operations as webhooks

    table = columns("id", "format", "state", "failures", "waiting", "next attempt", "url")
    for found in as_team(webhooks.list_endpoints, data, team):
        it = wire.endpoint(*found)
        state = f"{it['state']} ({it['pausedReason']})" if it["pausedReason"] else it["state"]
        cells = (
            it["format"],
            state,
            it["failures"],
            it["pendingCount"],
            moment(it["nextAttemptAt"]),
            it["url"],
        )
        table.add_row(it["id"], *(escape(str(cell)) for cell in cells))
    show(table)


@commands.command("pause")
def pause(endpoint_id: str, data: DataDir = None, team: Team = None) -> None:
    """Deliver nothing to an endpoint until it is resumed; what waits is kept."""
    from samvad.domain.webhooks import operations as webhooks

    as_team(lambda ctx: webhooks.pause(ctx, endpoint_id), data, team)


@commands.command("resume")
def resume(endpoint_id: str, data: DataDir = None, team: Team = None) -> None:
    """Deliver what waits, now."""
    from samvad.domain.webhooks import operations as webhooks

    as_team(lambda ctx: webhooks.resume(ctx, endpoint_id), data, team)


@commands.command("test")
def try_out(endpoint_id: str, data: DataDir = None, team: Team = None) -> None:
    """Send an endpoint a test event now; exit code 1 when it was not taken."""
    from samvad.api import wire
    from samvad.domain.webhooks import operations as webhooks

    row, attempts = as_team(lambda ctx: webhooks.try_out(ctx, endpoint_id), data, team)
    typer.echo(json.dumps(wire.delivery_with_attempts(row, attempts), indent=2))
    if row.state != "DELIVERED":
        raise typer.Exit(1)


@commands.command("add-object")
def add_object(
    url: str,
    event: Annotated[
        list[str] | None, typer.Option(help="Like process:update:post; may be repeated. Left out: all.")
    ] = None,
    procedure: Annotated[
        list[str] | None, typer.Option(help="Only of this one, by its short id; may be repeated.")
    ] = None,
    role: Annotated[str | None, typer.Option(help="Tell what this role may see. Left out: all.")] = None,
    user: Annotated[
        str | None, typer.Option(help="Tell what this user may see; an address or an id.")
    ] = None,
    data: DataDir = None,
    team: Team = None,
) -> None:
    """Tell an address of every change of processes, records and tasks; prints the endpoint's id."""
    from samvad.domain.webhooks import objects

    row, *_ = as_team(
        lambda ctx: objects.add(
            ctx, url=url, events=event or None, procedures=procedure or None, role=role, user=user
        ),
        data,
        team,
    )
    typer.echo(row.id)


@commands.command("objects")
def list_objects(data: DataDir = None, team: Team = None) -> None:
    """Who is told of changes of processes, records and tasks, and of which."""
    from samvad.api import wire
    from samvad.domain.webhooks import objects
    from samvad.domain.webhooks.model import OBJECT_EVENTS

    table = columns("id", "state", "events", "procedures", "sees as", "url")
    for found in as_team(objects.list_all, data, team):
        it = wire.object_webhook(*found)
        events = "all" if len(it["events"]) == len(OBJECT_EVENTS) else ", ".join(it["events"])
        procedures = "all" if it["procedures"] is None else ", ".join(it["procedures"])
        cells = (it["state"], events, procedures, it["actsAs"]["roleType"], it["url"])
        table.add_row(it["id"], *(escape(str(cell)) for cell in cells))
    show(table)


@commands.command("remove-object")
def remove_object(endpoint_id: str, data: DataDir = None, team: Team = None) -> None:
    """Tell an address of changes of objects nothing more; its log stays."""
    from samvad.domain.webhooks import objects

    as_team(lambda ctx: objects.remove(ctx, endpoint_id), data, team)


@commands.command("rotate-secret")
def rotate_secret(
    overlap_hours: Annotated[int, typer.Option(min=0, max=LONGEST_OVERLAP_H)] = 24,
    activate: Annotated[
        bool, typer.Option("--activate", help="Let the one that was made before take over now.")
    ] = False,
    data: DataDir = None,
    team: Team = None,
) -> None:
    """Make a new secret; both sign until it takes over, and X-Chakra-Signature-256 stays with the old till then."""
    from samvad.domain.webhooks import operations as webhooks

    if activate:
        secrets = as_team(webhooks.activate_secret, data, team)
    else:
        overlap_ms = overlap_hours * 60 * 60 * 1000
        secrets = as_team(lambda ctx: webhooks.rotate_secret(ctx, overlap_ms=overlap_ms), data, team)
    typer.echo(_words(secrets))


def _text_or_bytes(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _words(it: "WebhookSecrets") -> str:
    from samvad.domain.webhooks.model import standard_secret

    lines = [f"Signing now: {it.current}", f"  as Standard Webhooks: {standard_secret(it.current)}"]
    if it.upcoming is not None:
        lines += [
            f"Takes over {moment(it.takes_over_at)} UTC: {it.upcoming}",
            f"  as Standard Webhooks: {standard_secret(it.upcoming)}",
        ]
    return "\n".join(lines)


def as_team(work: "Callable[[Context], Awaitable[T]]", data: Any, team: str | None) -> T:
    """Whoever holds the database is its administrator."""
    from samvad.cli.running import once
    from samvad.domain.accounts import operations as accounts
    from samvad.domain.context import Context

    async def run(res: "Resources") -> T:
        team_id = await accounts.team_named(res, team)
        return await work(Context(team_id, "", None, "ADMIN", res))

    return once(run, data_dir=data)


def _moment(said: str | None) -> int | None:
    if said is None:
        return None
    try:
        at = datetime.fromisoformat(said)
    except ValueError:
        raise typer.BadParameter(f"A moment looks like 2026-01-31T12:00, in UTC; got {said!r}.") from None
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
