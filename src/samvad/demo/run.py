"""One process, one port: the product at /, the sandbox below /sandbox."""

import asyncio
import shutil
import socket
from pathlib import Path
from typing import Any

import uvicorn
from rich.console import Console
from starlette.types import Receive, Scope, Send

from samvad.app import App
from samvad.demo import cast
from samvad.demo.seeding import LIST, Place, seed
from samvad.kit.errors import BadRequest
from samvad.sandbox import Sandbox
from samvad.settings import Settings

SANDBOX = "/sandbox"
HOST = "127.0.0.1"


class Both:
    """The product, and its Meta below one path."""

    def __init__(self, app: App, sandbox: Sandbox) -> None:
        self._app = app
        self._sandbox = sandbox.app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] == "http" and (path == SANDBOX or path.startswith(SANDBOX + "/")):
            mounted = {**scope, "root_path": scope.get("root_path", "") + SANDBOX}
            return await self._sandbox(mounted, receive, send)
        return await self._app(scope, receive, send)


async def run(settings: Settings, *, port: int, env_file: Path | None) -> None:
    """Serve until told to stop. Writes `env_file` and prints the banner once everything works."""
    console = Console(stderr=True, highlight=False)
    memory = cast.remembered(settings.data_dir)
    listening = listen(port)
    sandbox = Sandbox(*cast.businesses(memory).values())
    await sandbox.start()
    app = App(settings)
    await app.start()
    server = uvicorn.Server(
        uvicorn.Config(
            Both(app, sandbox), log_config=None, access_log=False, lifespan="off", server_header=False
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        with console.status("Setting the stage: two teams, their numbers, a conversation …"):
            base_url = settings.public_url
            place = await seed(app, sandbox, memory, base_url=base_url, sandbox_url=base_url + SANDBOX)
        cast.remember(settings.data_dir, memory)
        if env_file is not None:
            write_whole(env_file, place.env())
        show(Console(highlight=False), place, env_file)
        await serving
    finally:
        server.should_exit = True
        await asyncio.gather(serving, return_exceptions=True)
        await sandbox.close()
        await app.stop()


def forget(folder: Path) -> None:
    """Throw the demo's data away, and nothing that is not the demo's."""
    if folder.exists() and any(folder.iterdir()) and not (folder / "demo.json").exists():
        raise BadRequest(
            f"{folder} holds no demo data, so --fresh leaves it alone; name another folder with --data."
        )
    shutil.rmtree(folder, ignore_errors=True)


def listen(port: int) -> socket.socket:
    # The protocol is named, or asyncio would not see TCP and leave Nagle's 40 ms on every reply.
    listening = socket.socket(proto=socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except OSError as error:
        listening.close()
        raise BadRequest(
            f"Port {port} cannot be used ({error.strerror}); choose another with --port."
        ) from None
    return listening


def write_whole(file: Path, text: str) -> None:
    """Whoever waits for the file never sees half of it."""
    aside = file.with_name(file.name + ".new")
    aside.write_text(text, encoding="utf-8")
    aside.replace(file)


def show(console: Any, place: Place, env_file: Path | None) -> None:
    console.print(f"\n[bold]Samvad is running at {place.base_url}[/bold]   (Ctrl-C stops it)\n")
    rows = {
        "API key": place.token,
        "another team's key": place.token2,
        "plugin": place.plugin_id,
        "phone number id": place.phone_id,
        "WABA": place.waba_id,
        "webhook secret": place.webhook_secret,
        "sandbox": place.sandbox_url,
        "API reference": f"{place.base_url}/docs",
        "guides": f"{place.base_url}/docs/guide",
    }
    for name, value in rows.items():
        console.print(f"  {name:<20}{value}", soft_wrap=True)
    if env_file is not None:
        console.print(f"  {'environment':<20}{env_file}", soft_wrap=True)
    console.print("\nList a conversation:\n")
    console.print(
        f"  curl -s -X POST {place.base_url}{LIST} \\\n"
        f"    -H 'Authorization: Bearer {place.token}' -H 'Content-Type: application/json' \\\n"
        f'    -d \'{{"customerPhoneNumber": "{cast.SEED_PHONE}"}}\'',
        soft_wrap=True,
        markup=False,
    )
    console.print("\nWrite as a customer:\n")
    console.print(
        f"  curl -s -X POST {place.sandbox_url}/phones/{cast.TO}/messages \\\n"
        '    -H \'Content-Type: application/json\' -d \'{"type": "text", "text": {"body": "hi"}}\'\n',
        soft_wrap=True,
        markup=False,
    )
