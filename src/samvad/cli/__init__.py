"""The command line: every command is a few words around one operation."""

import sys

import typer
from rich.console import Console
from rich.text import Text

from samvad.kit.errors import SamvadError

app = typer.Typer(
    help="Samvad: a self-hosted WhatsApp Business platform with ChakraHQ's HTTP API.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # locals hold tokens
)


def main() -> None:
    """The `samvad` command. A person's mistake is a sentence and exit code 1, never a traceback."""
    from samvad.cli import (  # noqa: F401  (each adds its commands)
        access,
        accounts,
        backups,
        bench,
        demo,
        doctor,
        moving,
        operate,
        people,
        plugins,
        procedures,
        serve,
        webhooks,
    )

    try:
        app()
    except SamvadError as error:
        # A sentence may quote what somebody wrote: brackets in it are no markup, and it stays one line.
        words = Text("\n".join(error.problems), style="red")
        Console(stderr=True, soft_wrap=True).print(words)
        sys.exit(1)
