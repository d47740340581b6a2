"""Running the product."""

from typing import Annotated

import typer

from samvad.cli import app
from samvad.cli.accounts import DataDir

BACKLOG = 4096
DRAIN_S = 40  # longer than Meta may take to answer a send


@app.command()
def serve(
    host: str = "127.0.0.1",
    port: int = 8000,
    data: DataDir = None,
    public_url: Annotated[str | None, typer.Option(help="Where the outside reaches this server.")] = None,
    role: Annotated[
        str | None,
        typer.Option(help="web, worker or all: what this process does; all but all needs PostgreSQL."),
    ] = None,
) -> None:
    """Run the API, Meta's webhooks and everything behind them, in one process or in several."""
    from samvad.app import App
    from samvad.cli.running import read_settings

    settings = read_settings(data_dir=data, public_url=public_url, role=role)
    run(App(settings), host=host, port=port)


def run(asgi: object, *, host: str, port: int) -> None:
    """Serve until told to stop; then take nothing new and finish what was begun."""
    import uvicorn

    from samvad.asgi.protocol import Protocol
    from samvad.cli.running import calm_collector

    calm_collector()
    uvicorn.run(
        asgi,  # type: ignore[arg-type]
        host=host,
        port=port,
        http=Protocol,
        log_config=None,
        access_log=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=DRAIN_S,
        server_header=False,
        proxy_headers=False,
        lifespan="on",
    )
