"""Procedures from the command line: looked at, applied from YAML, and written down again."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from samvad.cli import app
from samvad.cli.accounts import DataDir, Team, columns, show
from samvad.kit.errors import BadRequest, Conflict, NotFound

if TYPE_CHECKING:
    from samvad.domain.context import Resources
    from samvad.domain.procedures.definition import Change
    from samvad.domain.procedures.model import Attribute, Definition

commands = typer.Typer(help="Procedures: what processes are made of, as YAML.", no_args_is_help=True)
app.add_typer(commands, name="procedure")

COLORS = {"+": "green", "-": "red", "~": "yellow"}
STANDARD = "-"
"""Instead of a file: standard input, or output."""


@commands.command("list")
def list_procedures(data: DataDir = None, team: Team = None) -> None:
    """The procedures of a team, and how many processes each has."""
    from samvad.cli.running import once
    from samvad.domain.accounts import operations as accounts
    from samvad.domain.processes import applying

    async def work(res: "Resources") -> "list[tuple[Definition, int]]":
        return await applying.list_procedures(res, await accounts.team_named(res, team))

    table = columns("short id", "name", "states", "attributes", "tasks", "processes")
    for it, count in once(work, data_dir=data):
        cells = (len(it.states), len(it.attributes), len(it.tasks), count)
        table.add_row(it.short_id, escape(it.name), *map(str, cells))
    show(table)


@commands.command("show")
def show_procedure(short_id: str, data: DataDir = None, team: Team = None) -> None:
    """One procedure: its states, its attributes, its tasks."""
    from samvad.cli.running import once
    from samvad.domain.accounts import operations as accounts
    from samvad.domain.processes import applying

    async def work(res: "Resources") -> "Definition":
        known = await applying.list_procedures(res, await accounts.team_named(res, team))
        for it, _ in known:
            if short_id in (it.short_id, it.id):
                return it
        there_are = ", ".join(it.short_id for it, _ in known) or "none yet"
        raise NotFound(f"There is no procedure {short_id!r:.80}; there are: {there_are}.")

    it = once(work, data_dir=data)
    typer.echo(f"{it.name} ({it.short_id}), {it.id}")
    if it.description:
        typer.echo(it.description)
    for name, word in (
        ("Entity", it.entity),
        ("Primary key", it.primary_key),
        ("Identifier", it.primary_identifier),
        ("Phone", f"{it.primary_phone} (merges)" if it.merge_on_phone else it.primary_phone),
        ("E-mail", it.primary_email),
        ("Roles", ", ".join(it.roles)),
    ):
        if word:
            typer.echo(f"{name}: {word}")
    _show_states(it)
    _show_attributes("attribute", it.attributes)
    for task in it.tasks:
        _show_attributes(f"task {task.short_id}", task.attributes)


@commands.command("apply")
def apply(
    file: Annotated[str, typer.Argument(help="The YAML; - is standard input.")],
    force: Annotated[bool, typer.Option("--force", help="Also where values are lost by it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Only show what would change; exit code 1 where values would be lost."
        ),
    ] = False,
    data: DataDir = None,
    team: Team = None,
) -> None:
    """Make the team's procedures what a file says; those it does not name stay as they are."""
    from samvad.cli.running import once
    from samvad.domain.accounts import operations as accounts
    from samvad.domain.procedures.files import read_document
    from samvad.domain.processes import applying

    document = read_document(read_text(file))

    async def work(res: "Resources") -> None:
        team_id = await accounts.team_named(res, team)
        planned = await applying.plan(res, team_id, document)
        if not planned.changes:
            await applying.apply_plan(res, team_id, planned)  # an index may be missing
            typer.echo("Nothing to change.")
            return
        _show_changes(planned.changes, planned.losses)
        if planned.losses and not force:
            raise Conflict("Nothing was changed. With --force these values are given up.")
        if dry_run:
            typer.echo("Nothing was changed: this was a dry run.")
            return
        if not yes and at_a_terminal() and not typer.confirm("Apply this?"):
            raise typer.Exit(1)
        with progress_bar("Rows made to fit", planned.rows) as moved:
            await applying.apply_plan(res, team_id, planned, progress=moved)
        typer.echo(f"Applied: {counted(len(planned.changes), 'change')}.")

    once(work, data_dir=data)


@commands.command("export")
def export(
    short_ids: Annotated[list[str] | None, typer.Argument(help="Which; all, where none is named.")] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", help="The file; default: standard output.")
    ] = STANDARD,
    data: DataDir = None,
    team: Team = None,
) -> None:
    """Write procedures, and the entities they are of, as the YAML that makes them again."""
    from samvad.cli.running import once
    from samvad.domain.accounts import operations as accounts
    from samvad.domain.processes import applying

    async def work(res: "Resources") -> str:
        return await applying.export(res, await accounts.team_named(res, team), short_ids or ())

    text = once(work, data_dir=data)
    if output == STANDARD:
        typer.echo(text, nl=False)
        return
    try:
        Path(output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadRequest(f"{output} cannot be written: {error.strerror}.") from None


@commands.command("example")
def show_example(name: Annotated[str, typer.Argument(help="lead, ticket or fieldvisit.")]) -> None:
    """Print a procedure that comes with the product, to begin with."""
    from samvad.domain.procedures.examples import example

    typer.echo(example(name), nl=False)


def at_a_terminal() -> bool:
    """Whether somebody is there to be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty()


@contextmanager
def progress_bar(words: str, total: int | None) -> "Iterator[Moved]":
    """How far it is, on stderr, where somebody looks."""
    console = Console(stderr=True)
    parts = (TextColumn(words), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*parts, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield Moved(bar, total)


class Moved:
    """Told how many more it was."""

    def __init__(self, bar: Progress, total: int | None) -> None:
        self.bar = bar
        self.task = bar.add_task("", total=total)

    def __call__(self, more: int) -> None:
        self.bar.update(self.task, advance=more)


def read_text(file: str) -> str:
    """A small text file, or standard input."""
    try:
        raw = sys.stdin.buffer.read() if file == STANDARD else Path(file).read_bytes()
        return raw.decode("utf-8-sig")
    except OSError as error:
        raise BadRequest(f"{file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise BadRequest(f"{file} is not UTF-8.") from None


def counted(many: int, thing: str, things: str | None = None) -> str:
    return f"{many:,} {thing if many == 1 else things or f'{thing}s'}"


def _show_changes(changes: "Sequence[Change]", losses: Sequence[str]) -> None:
    console = Console(soft_wrap=True, highlight=False)
    for it in changes:
        words = f"{it.mark} {it.path}{f' ({it.words})' if it.words else ''}"
        console.print(Text(words, style=COLORS[it.mark]))
    for loss in losses:
        console.print(Text(f"! {loss}", style="bold red"))


def _show_states(it: "Definition") -> None:
    table = columns("state", "name", "then")
    for state in it.states:
        onward = "any" if it.state_graph is None else ", ".join(it.state_graph.get(state.short_id, ()))
        marks = [
            word
            for word, known in (("first", it.start_state), ("last", it.completed_state))
            if known == state.short_id
        ]
        name = f"{state.name} ({', '.join(marks)})" if marks else state.name
        table.add_row(state.short_id, escape(name), onward)
    show(table)


def _show_attributes(first: str, attributes: "Sequence[Attribute]") -> None:
    table = columns(first, "type", "name", "")
    for it in attributes:
        how = it.derived
        made = (how.formula or (f"count of {how.count}" if how.count else f"sum of {how.sum}")) if how else ""
        words = [word for word, holds in (("required", it.required), ("filterable", it.filterable)) if holds]
        options = ["one of " + ", ".join(map(str, it.options))] if it.options else []
        table.add_row(
            it.short_id,
            it.type,
            escape(it.name),
            escape("; ".join([*words, *options, *([f"= {made}"] if made else [])])),
        )
    show(table)
