"""Processes in and out of a file of comma-separated values."""

import codecs
import csv
import io
import json
import sys
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer
from rich.markup import escape

from samvad.cli import app
from samvad.cli.accounts import DataDir, Team, columns, show
from samvad.cli.procedures import STANDARD, at_a_terminal, counted, progress_bar
from samvad.cli.webhooks import as_team
from samvad.kit.errors import BadRequest

if TYPE_CHECKING:
    from samvad.domain.context import Context
    from samvad.domain.processes.moving import Expected, Outcome
    from samvad.domain.processes.sheets import Matched, Row, Sheet

LOOKED_AT = 1_000
"""Rows that are tried before anybody is asked."""

SHOWN_ROWS, SHOWN_PROBLEMS, SHOWN_COLUMNS, CELL_WIDTH = 5, 20, 8, 24
UTF_8 = "utf-8-sig"
ERROR = "error"
"""The column of the file of errors that says why."""


@app.command("import")
def import_file(
    file: Path,
    procedure: Annotated[str, typer.Option(help="What the rows are, by its short id.")],
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--map", help="column=attribute, for what is not guessed right; column=- leaves it out."
        ),
    ] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Change processes that are there, by their key, id or phone.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Try every row, and write none.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    errors: Annotated[
        Path | None, typer.Option(help="Where rows that fail are written, and why; default FILE.errors.csv.")
    ] = None,
    delimiter: Annotated[
        str | None, typer.Option(help="Between cells; default: comma, semicolon or tab, whichever it is.")
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="Of the file; default UTF-8.")] = None,
    data: DataDir = None,
    team: Team = None,
) -> None:
    """Make a process of each row of a CSV file, or change those that are there. Exit code 1 if a row failed."""
    from samvad.domain.processes import moving

    said = _said(column or ())
    failed = errors or file.with_name(f"{file.stem}.errors.csv")
    if failed.resolve() == file.resolve():
        raise BadRequest("--errors must be another file than the one that is read.")

    async def work(ctx: "Context") -> bool:
        with _opened(file, encoding, delimiter) as (sheet, position, size):
            matched = await moving.match(ctx, procedure, sheet.header, said, update=update)
            rows = sheet.rows()
            first = list(islice(rows, LOOKED_AT))
            expected = await moving.expect(ctx, matched, first)
            _show_expected(matched, expected)
            if not first:
                typer.echo("There is no row below the header.")
                return True
            every = chain(first, rows)
            if dry_run:
                outcomes = _tried(ctx, matched, expected, rows)
            else:
                _ask(yes)
                outcomes = moving.bring_in(ctx, matched, every)
            with _errors(failed, sheet) as write, progress_bar("Bytes read", size) as moved:
                good = merged = bad = read = 0
                async with aclosing(outcomes) as some:
                    async for chunk in some:
                        refused = [it for it in chunk if it.problem is not None]
                        write(refused)
                        good, bad = good + len(chunk) - len(refused), bad + len(refused)
                        merged += sum(it.merged for it in chunk)
                        now = position()
                        moved(now - read)
                        read = now
        done = f"{'would be ' if dry_run else ''}{'changed' if update else 'stored'}"
        into = f", {merged:,} of them in a {procedure} that was there" if merged else ""
        typer.echo(f"{counted(good, 'row')} {done}{into}; {bad:,} failed{f': see {failed}' if bad else ''}.")
        return bad == 0

    if not as_team(work, data, team):
        raise typer.Exit(1)


@app.command("export")
def export_file(
    procedure: Annotated[str, typer.Option(help="Of what, by its short id.")],
    output: Annotated[
        str, typer.Option("--output", "-o", help="The file; default: standard output.")
    ] = STANDARD,
    where: Annotated[
        str | None, typer.Option(help='Only those that fit a query, like \'{"status": "OPEN"}\'.')
    ] = None,
    derived: Annotated[bool, typer.Option("--derived", help="With what is computed, too.")] = False,
    data: DataDir = None,
    team: Team = None,
) -> None:
    """Write all processes of a procedure as CSV, oldest first; `samvad import` reads it back to the same."""
    from samvad.domain.processes import moving

    query = _query(where)

    async def work(ctx: "Context") -> None:
        outgoing = await moving.open_export(ctx, procedure, query, derived=derived)
        with _to(output) as stream, progress_bar("Processes written", outgoing.total) as moved:
            writer = csv.writer(stream)
            writer.writerow(outgoing.header)
            async for rows in moving.take_out(ctx, outgoing):
                writer.writerows(rows)
                moved(len(rows))

    as_team(work, data, team)


async def _tried(
    ctx: "Context", matched: "Matched", expected: "Sequence[Expected]", rows: "Iterator[Row]"
) -> "AsyncGenerator[list[Outcome], None]":
    """What a dry run finds out: of the first rows it is known already."""
    from samvad.domain.processes.moving import Outcome, expect

    while expected:
        yield [Outcome(it.row, it.problem, merged=False) for it in expected]
        expected = await expect(ctx, matched, list(islice(rows, LOOKED_AT)))


def _ask(yes: bool) -> None:
    if yes:
        return
    if not at_a_terminal():
        raise BadRequest("Nobody is here to be asked: say --yes to import this, or --dry-run.")
    if not typer.confirm("Import this?"):
        raise typer.Exit(1)


def _show_expected(matched: "Matched", expected: "Sequence[Expected]") -> None:
    """Which column is what, the first rows as they would be kept, and what is wrong with those looked at."""
    from samvad.domain.processes import moving
    from samvad.domain.processes.sheets import preview

    table = columns("column", "is", "because")
    for one in matched.columns:
        name = one.header or f"(column {one.number + 1})"
        table.add_row(escape(name), one.target or "– not read –", one.why)
    show(table)
    good = [it.cells for it in expected if it.cells is not None][:SHOWN_ROWS]
    if good:
        targets = {it.target for it in matched.columns}
        headers = moving.headers_of(matched)
        seen = [n for n, it in enumerate(headers) if it in targets or any(row[n] for row in good)][
            :SHOWN_COLUMNS
        ]
        table = columns(*(headers[it] for it in seen))
        for row in preview(([row[it] for it in seen] for row in good), width=CELL_WIDTH):
            table.add_row(*map(escape, row))
        typer.echo("The first rows, as they would be kept:")
        show(table)
    bad = [it for it in expected if it.problem is not None]
    if bad:
        typer.echo(f"Of the first {counted(len(expected), 'row')} {len(bad):,} would fail:")
        for it in bad[:SHOWN_PROBLEMS]:
            typer.echo(f"  line {it.row.line}: {it.problem}")
        if len(bad) > SHOWN_PROBLEMS:
            typer.echo(f"  … and {len(bad) - SHOWN_PROBLEMS:,} more")


@contextmanager
def _opened(file: Path, encoding: str | None, delimiter: str | None) -> "Iterator[tuple[Sheet, Any, int]]":
    """A file as a sheet, how far it is read, and how large it is."""
    from samvad.domain.processes.sheets import Sheet

    try:
        codecs.lookup(encoding or UTF_8)
    except LookupError:
        raise BadRequest(
            f"There is no encoding {encoding!r:.40}; there are utf-8, utf-16, cp1252, latin-1 …"
        ) from None
    mark = {"\\t": "\t", "tab": "\t"}.get(delimiter or "", delimiter)
    if mark is not None and (len(mark) != 1 or mark in '"\r\n'):
        raise BadRequest(f"--delimiter must be one character, or tab; got {delimiter!r:.20}.")
    try:
        raw = file.open("rb")
    except OSError as error:
        raise BadRequest(f"{file} cannot be read: {error.strerror}.") from None
    with raw:
        is_utf_16 = raw.peek(2)[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        words = encoding or ("utf-16" if is_utf_16 else UTF_8)
        with io.TextIOWrapper(raw, encoding=words, newline="") as text:
            try:
                sheet = Sheet(text, delimiter=mark)
            except UnicodeDecodeError:
                raise BadRequest(
                    f"{file} is not {words.upper()}. Say what it is: --encoding cp1252."
                ) from None
            yield sheet, raw.tell, file.stat().st_size


@contextmanager
def _errors(file: Path, sheet: "Sheet") -> "Iterator[Any]":
    """Writes rows that failed, as they were, with one more column that says why; no file where none did."""
    stream: TextIO | None = None
    width = len(sheet.header) - (sheet.header[-1] == ERROR)  # a file of errors that was mended is read again

    def write(refused: "Sequence[Outcome]") -> None:
        nonlocal stream
        if not refused:
            return
        if stream is None:
            stream = _open_to_write(file)
            csv.writer(stream, delimiter=sheet.delimiter).writerow([*sheet.header[:width], ERROR])
        rows = []
        for it in refused:
            cells = [*it.row.cells, *[""] * (width - len(it.row.cells))]
            rows.append([*cells[:width], it.problem, *cells[len(sheet.header) :]])
        csv.writer(stream, delimiter=sheet.delimiter).writerows(rows)

    try:
        yield write
    finally:
        if stream is not None:
            stream.close()


@contextmanager
def _to(output: str) -> Iterator[TextIO]:
    if output == STANDARD:
        sys.stdout.reconfigure(newline="") if isinstance(sys.stdout, io.TextIOWrapper) else None
        yield sys.stdout
        return
    with _open_to_write(Path(output)) as stream:
        yield stream


def _open_to_write(file: Path) -> TextIO:
    try:
        return file.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise BadRequest(f"{file} cannot be written: {error.strerror}.") from None


def _said(given: Sequence[str]) -> dict[str, str]:
    found = {}
    for it in given:
        column, sign, target = it.rpartition("=")
        if not sign or not column:
            raise BadRequest(f'--map is like "Mobile no=phone_number"; got {it!r:.80}.')
        found[column.strip()] = target.strip()
    return found


def _query(where: str | None) -> dict[str, Any]:
    if where is None:
        return {}
    try:
        query = json.loads(where)
    except ValueError as error:
        raise BadRequest(f"--where is not JSON: {error}.") from None
    if not isinstance(query, dict):
        raise BadRequest('--where must be a query, like {"status": "OPEN"}.')
    return query
