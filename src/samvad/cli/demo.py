"""The demo: the quickest way to see it work."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from samvad.cli import app


@app.command()
def demo(
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    data: Annotated[Path, typer.Option(help="Where the demo keeps its data between starts.")] = Path(
        ".data/demo"
    ),
    env_file: Annotated[
        Path | None, typer.Option(help="Write the demo's address, keys and ids here once it is ready.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option(help="Throw away what an earlier demo left in the data folder.")
    ] = False,
) -> None:
    """Run the product and its sandbox with demo data: no Meta account, one process, one port."""
    import uvloop

    from samvad.cli.running import calm_collector, configure_logs
    from samvad.demo.run import HOST, SANDBOX, forget, run
    from samvad.settings import from_environment

    if fresh:
        forget(data)
    if env_file is not None:
        env_file.unlink(missing_ok=True)  # its coming back is the sign that everything is ready
    base_url = f"http://{HOST}:{port}"
    # Only the data folder is asked for: a demo must never touch the database of a real installation.
    settings = from_environment(
        {},
        data_dir=data,
        public_url=base_url,
        graph_url=base_url + SANDBOX,
        allow_private_webhooks=1,
        log_format="console",
    )
    configure_logs(settings.log_format)
    calm_collector()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(settings, port=port, env_file=env_file))
