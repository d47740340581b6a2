"""A whole product that is quick to make: our server and the sandbox on loopback, two teams, a clock that is a value.

`small` runs no loops: a test folds, delivers and works when it says so. `live` runs them all.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Row, Table

from samvad.app import App
from samvad.domain.accounts import operations as accounts
from samvad.domain.contacts.model import Identity
from samvad.domain.context import Context, Resources
from samvad.domain.inbound import queries as inbound
from samvad.domain.messages.model import Order, Promise
from samvad.domain.messages.operations import Sent
from samvad.domain.messages.operations import send as send_message
from samvad.domain.processes import applying
from samvad.domain.waba import operations as waba
from samvad.domain.waba.model import Connection
from samvad.jobs.tables import jobs
from samvad.kit.ids import new_id
from samvad.sandbox import Business, Delays, Sandbox, Settings
from samvad.storage import Tx, every_team
from samvad.whatsapp.signature import sign
from tests.harness import BUSINESS, OTHER_BUSINESS, PERSON, Later, asking, settings_for, until
from tests.sandbox.wire import served

START = 1_795_000_000_000
SOON = Delays(sent_ms=5, delivered_ms=10, read_ms=15)


class Clock:
    """A clock that is a value: tests move it. It moves by a millisecond with every look."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        self.now += 1
        return self.now

    def pass_by(self, ms: int) -> None:
        self.now += ms

    def seconds(self) -> float:
        return self.now / 1000


@dataclass
class Side:
    """One team with its plugin and number, and Meta's credentials for it."""

    id: str
    plugin_id: str
    business: Business

    @property
    def number(self) -> str:
        return self.business.phone_numbers[0].id

    @property
    def callback(self) -> str:
        return f"/webhooks/whatsapp/{self.plugin_id}"


@dataclass
class Small:
    """Everything a test needs to play Meta, its customers and ours."""

    app: App
    sandbox: Sandbox
    clock: Clock
    ada: Side
    babbage: Side
    http: httpx.AsyncClient = field(repr=False)

    @property
    def res(self) -> Resources:
        return self.app.res

    def context(self, side: Side | None = None) -> Context:
        return Context((side or self.ada).id, "a-user", None, "ADMIN", self.res)

    async def deliver(self, body: bytes | dict[str, Any], side: Side | None = None) -> httpx.Response:
        """Meta delivers this body, signed, to a team's address."""
        side, raw = side or self.ada, body if isinstance(body, bytes) else json.dumps(body).encode()
        signed = {"X-Hub-Signature-256": sign(side.business.app_secret, raw)}
        return await self.http.post(side.callback, content=raw, headers=signed)

    async def hears(self, *bodies: bytes | dict[str, Any], side: Side | None = None) -> None:
        """Meta delivers these one after the other; all are folded."""
        for body in bodies:
            reply = await self.deliver(body, side)
            assert reply.status_code == 200, reply.text
        await self.fold()

    async def fold(self) -> None:
        """Fold until nothing waits, whoever else folds too."""

        async def folded() -> bool:
            await self.app.folder.fold_all()
            return await self.res.db.read(inbound.waiting) == 0

        await until(folded)

    async def fold_again(self, **which: Any) -> None:
        await self.res.db.write(inbound.fold_again, **which)
        await self.fold()

    async def send(self, payload: dict[str, Any], side: Side | None = None, **kwargs: Any) -> Sent:
        """Send a message in Meta's words, as the API would."""
        side = side or self.ada
        sender = await self.app.directory.sender(side.id, side.number)
        whole = {"messaging_product": "whatsapp", **payload}
        sent = await send_message(self.context(side), sender, whole, version="v25.0", **kwargs)
        assert sent is not None
        return sent

    async def send_text(self, words: str = "hello", to: str = PERSON, **more: Any) -> Sent:
        return await self.send({"to": to, "type": "text", "text": {"body": words}, **more})

    def order(self, words: str, to: Identity | None = None, *, key: str | None = None) -> Order:
        """A text that Ada is about to send; `key` is its idempotency key."""
        return Order(
            id=new_id(),
            team_id=self.ada.id,
            plugin_id=self.ada.plugin_id,
            phone_number_id=self.ada.number,
            recipient=to or Identity("phone", PERSON),
            data_type="text",
            body={"text": {"body": words}},
            text=words,
            at=self.clock(),
            user_id="a-user",
            promise=Promise(key, words) if key else None,
        )

    async def rows(self, table: Table, *where: Any) -> Sequence[Row[Any]]:
        """Rows of every team, oldest first."""
        query = every_team.select(table).where(*where).order_by(*table.primary_key)
        return await self.res.db.read(lambda tx: tx.all(query))

    async def row(self, table: Table, *where: Any) -> Row[Any]:
        (row,) = await self.rows(table, *where)
        return row

    async def execute(self, statement: Any) -> None:
        def unit(tx: Tx) -> None:
            tx.execute(statement)

        await self.res.db.write(unit)


@asynccontextmanager
async def quick(
    database_url: str, folder: Path, *, loops: bool, meta: Callable[[Any], Any] | None = None, **given: Any
) -> AsyncIterator[Small]:
    """A product with two teams, each with a connected number; `given` are settings.

    `meta` may stand between us and the sandbox, as an ASGI application around it.
    """
    clock = Clock()
    sandbox = Sandbox(BUSINESS, OTHER_BUSINESS, settings=Settings(delays=SOON), seed=7, clock=clock.seconds)
    later = Later()
    async with AsyncExitStack() as stack:
        sandbox_url = await stack.enter_async_context(served(meta(sandbox.app) if meta else sandbox.app))
        base_url = await stack.enter_async_context(served(later))
        settings = settings_for(database_url, folder, graph_url=sandbox_url, public_url=base_url, **given)
        later.app = app = App(settings, clock=clock)
        if loops:
            await app.start()
        ada = await _side(app, BUSINESS)
        babbage = await _side(app, OTHER_BUSINESS)
        http = await stack.enter_async_context(asking(base_url))
        for number in (ada.number, babbage.number):
            sandbox.set_window(PERSON, True, number)
        small = Small(app, sandbox, clock, ada, babbage, http)
        if not loops:
            await small.execute(every_team.delete(jobs))  # what connecting promised is no test's own
        try:
            yield small
        finally:
            sandbox.world.timeline.forget()
            await sandbox.close()
            await (small.app.stop() if loops else _let_go(small.app))


async def _side(app: App, business: Business) -> Side:
    team_id = await accounts.create_team(app.res, name=business.name)
    await applying.create_lead_procedure(app.res, team_id)
    wanted = Connection(
        business.waba_id, business.phone_numbers[0].id, business.access_token, business.app_secret
    )
    connected = await waba.connect(app.res, team_id, wanted)
    return Side(team_id, connected.plugin_id, business)


async def _let_go(app: App) -> None:
    for lane in (app.res.sends, app.res.inbound, app.res.outcomes):
        await lane.close()
    await app.cloud.close()
    await app.db.close()


@pytest.fixture
async def small(database_url: str, tmp_path: Path) -> AsyncIterator[Small]:
    """A product whose loops stand still: the test folds when it says so."""
    async with quick(database_url, tmp_path, loops=False) as small:
        small.sandbox.configure(
            delays={"sent_ms": 3_600_000, "delivered_ms": 3_600_000, "read_ms": 3_600_000}
        )
        yield small


@pytest.fixture
async def live(database_url: str, tmp_path: Path) -> AsyncIterator[Small]:
    """A product with everything running."""
    async with quick(database_url, tmp_path, loops=True) as live:
        yield live


async def at_once(*work: Any) -> list[Any]:
    return list(await asyncio.gather(*work))
