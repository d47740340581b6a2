"""What a bench runs against: a server and a sandbox of its own, a team with a connected number, a fresh database.

Everything is made in a temporary folder and goes with it. The operator's own installation is never touched:
its settings are taken out of the environment, and of a PostgreSQL server only a database made here is used.
"""

import asyncio
import contextlib
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from samvad.app import App
from samvad.bench import verify
from samvad.bench.process import Child
from samvad.bench.relay import Relay
from samvad.domain.accounts import operations as accounts
from samvad.domain.context import Resources
from samvad.domain.inbound import queries as inbound
from samvad.domain.processes import applying
from samvad.domain.waba import operations as waba
from samvad.domain.waba.model import Connection
from samvad.kit.errors import BadRequest, NotFound
from samvad.settings import from_environment
from samvad.storage import Database, open_database

SETTLE_WITHIN_S = 120.0
LOOK_EVERY_S = 0.05

WABA_ID = "700600500400300"
PHONE_NUMBER_ID = "100200300400500"
DISPLAY = "15550002222"
ACCESS_TOKEN = "EAAbench"  # noqa: S105 — of a sandbox that lives for a minute
APP_SECRET = "app-secret-of-the-bench"  # noqa: S105


class Number(NamedTuple):
    """A number in the sandbox, and the account it belongs to."""

    id: str
    display: str
    waba_id: str
    access_token: str


OWN = Number(PHONE_NUMBER_ID, DISPLAY, WABA_ID, ACCESS_TOKEN)
NEIGHBOURS = Number("100200300400501", "15550003333", "700600500400301", f"{ACCESS_TOKEN}2")
"""For the benches that need a second team."""

Tell = Callable[[str, float | None], None]
"""Is told what happens now, and which part of it is over, where that is known."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a bench puts its data: the folder's disk is the one that is measured."""

    folder: Path | None = None
    """A temporary folder is made in it, and removed; default: the system's own place for such."""

    postgres: str | None = None
    """A PostgreSQL server, with a role that may create databases; default: SQLite in the folder."""


@dataclass(frozen=True, slots=True)
class Party:
    """A team the load is for."""

    team_id: str
    user_id: str
    token: str
    plugin_id: str
    number: Number = OWN

    @property
    def callback(self) -> str:
        return f"/webhooks/whatsapp/{self.plugin_id}"

    @property
    def send(self) -> str:
        return f"/v1/ext/plugin/whatsapp/{self.plugin_id}/api/v25.0/{self.number.id}/messages"


class Rig:
    """A running server, its sandbox and the bare application beside it; `party` is ready once `rig()` yields."""

    party: Party

    def __init__(
        self,
        folder: Path,
        database_url: str,
        sandbox: Child,
        relay: Relay | None,
        settings: Mapping[str, str],
    ) -> None:
        self.folder = folder
        self.database_url = database_url
        self.sandbox = sandbox
        self.relay = relay
        self.public_url = ""
        data = folder / "data"
        environ = {
            "SAMVAD_DATABASE_URL": database_url,
            "SAMVAD_GRAPH_URL": f"http://127.0.0.1:{sandbox.port}",
            **settings,
        }
        self.server = Child(
            "server", "samvad", "serve", "--data", str(data), log=folder / "server.log", environ=environ
        )
        self.echo = Child("bare application", "samvad.bench.echo", log=folder / "echo.log")
        self._data = data
        self._environ = environ

    async def start(self) -> None:
        """Begin to serve, and connect a team's number as an operator does."""
        port = self.server.port
        if self.relay is not None:
            self.relay.server_port = port
            port = await self.relay.start()
        self.public_url = f"http://127.0.0.1:{port}"
        await asyncio.gather(*(child.start() for child in (self.sandbox, self.server, self.echo)))
        async with self.resources() as res:
            self.party = await _make_party(res, "bench", OWN)

    async def neighbour(self) -> Party:
        """A second team, with a number of its own."""
        async with self.resources() as res:
            return await _make_party(res, "neighbour", NEIGHBOURS)

    async def restart_after_a_crash(self) -> None:
        """SIGKILL the server and start it again on the same data."""
        await self.server.kill()
        await self.server.start()

    async def control(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        """One call of the sandbox's control API."""
        url = f"http://127.0.0.1:{self.sandbox.port}{path}"
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, json=body or None) as reply,
        ):
            answer: dict[str, Any] = msgspec.json.decode(await reply.read())
            assert reply.status == 200, f"the sandbox refused {path}: {answer}"
            return answer

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Database]:
        """The server's database, beside it or after it."""
        db = open_database(self.database_url)
        try:
            yield db
        finally:
            await db.close()

    @asynccontextmanager
    async def resources(self) -> AsyncIterator[Resources]:
        """What operations need, as a command of the command line has it while the server runs."""
        settings = from_environment(self._environ, data_dir=self._data, public_url=self.public_url)
        app = App(settings)
        try:
            yield app.res
        finally:
            await app.cloud.close()
            await app.db.close()

    async def settled(self) -> bool:
        """Waits until everything kept is folded, and what could be applied is applied; False: it is not."""
        async with self.database() as db:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SETTLE_WITHIN_S):
                    while await db.read(inbound.waiting):
                        await asyncio.sleep(LOOK_EVERY_S)
                    return True
        return False

    async def swept(self) -> None:
        """Waits until no status is parked whose message is known.

        The server looks at what was just parked every two seconds, at all of it once a minute.
        """
        async with self.database() as db:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SETTLE_WITHIN_S):
                    while await db.read(verify.parked_though_known):
                        await asyncio.sleep(LOOK_EVERY_S)


@asynccontextmanager
async def rig(
    place: Place,
    *,
    sandbox_settings: dict[str, Any],
    with_relay: bool,
    tell: Tell,
    settings: Mapping[str, str] | None = None,
    seed: int = 0,
) -> AsyncIterator[Rig]:
    """A server under test, from nothing; afterwards all of it is gone.

    `settings` are the server's, by their names in its environment; `seed` is the sandbox's.
    """
    if place.folder is not None and not place.folder.is_dir():
        raise NotFound(f"There is no folder {place.folder}; --data names an existing one.")
    tell("starting a server and a sandbox", None)
    folder = Path(tempfile.mkdtemp(prefix="samvad-bench-", dir=place.folder))
    relay = Relay(0) if with_relay else None
    running: Rig | None = None
    try:
        async with _database_url(place, folder) as database_url:
            config = folder / "sandbox.json"
            config.write_bytes(msgspec.json.encode(_sandbox_config(sandbox_settings, seed)))
            sandbox = Child("sandbox", "samvad.sandbox", "--config", str(config), log=folder / "sandbox.log")
            running = Rig(folder, database_url, sandbox, relay, settings or {})
            try:
                await running.start()
                yield running
            finally:
                await sandbox.kill()
                await running.echo.kill()
                await running.server.stop()
                if relay is not None:
                    await relay.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sandbox_config(settings: dict[str, Any], seed: int) -> dict[str, Any]:
    businesses = [
        {
            "waba_id": it.waba_id,
            "name": "Bench",
            "access_token": it.access_token,
            "app_secret": APP_SECRET,
            "phone_numbers": [{"id": it.id, "display": it.display, "verified_name": "Bench"}],
        }
        for it in (OWN, NEIGHBOURS)
    ]
    return {"businesses": businesses, "settings": settings, "seed": seed}


async def _make_party(res: Resources, name: str, number: Number) -> Party:
    team_id = await accounts.create_team(res, name=name.capitalize())
    await applying.create_lead_procedure(res, team_id)
    user_id = await accounts.create_user(
        res,
        team_id,
        email=f"{name}@localhost",
        name=name.capitalize(),
        role="Admin",
        password=secrets.token_hex(16),
    )
    key = await accounts.create_key(res, team_id, name=name)
    wanted = Connection(number.waba_id, number.id, number.access_token, APP_SECRET)
    connected = await waba.connect(res, team_id, wanted)
    return Party(team_id, user_id, key.token, connected.plugin_id, number)


@asynccontextmanager
async def _database_url(place: Place, folder: Path) -> AsyncIterator[str]:
    """A SQLite file of the folder's, or a PostgreSQL database that is made here and dropped at the end."""
    if place.postgres is None:
        yield f"sqlite:///{folder / 'samvad.db'}"
        return
    url = make_url(place.postgres)
    if url.get_backend_name() != "postgresql":
        raise BadRequest(
            f"--database names a PostgreSQL server, like postgresql://user@host/name; got {url.drivername}."
        )
    name = f"samvad_bench_{secrets.token_hex(6)}"
    await _administer(place.postgres, f'CREATE DATABASE "{name}"')
    try:
        yield url.set(database=name).render_as_string(hide_password=False)
    finally:
        await _administer(place.postgres, f'DROP DATABASE "{name}" WITH (FORCE)')


async def _administer(url: str, sql: str) -> None:
    engine = create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"), isolation_level="AUTOCOMMIT"
    )
    try:
        async with engine.connect() as connection:
            await connection.exec_driver_sql(sql)
    except (OSError, DBAPIError) as error:
        raise BadRequest(
            f"--database: {error}. It names a server whose role may create databases; the bench makes one of "
            "its own there and drops it."
        ) from None
    finally:
        await engine.dispose()
