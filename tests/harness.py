"""A whole product for one test: our server and the sandbox on loopback, a team, a key, a connected number."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from argon2 import PasswordHasher

from samvad.app import App
from samvad.domain.accounts import operations as accounts
from samvad.domain.inbound import queries as inbound
from samvad.domain.processes import applying
from samvad.domain.waba import operations as waba
from samvad.domain.waba.model import Connection
from samvad.kit.clock import system_clock
from samvad.sandbox import Business, PhoneNumber, Sandbox
from samvad.settings import Settings, from_environment
from tests.contract import police
from tests.sandbox.wire import served

BUSINESS = Business(
    waba_id="700600500400300",
    name="Ada's Kitchen",
    access_token="EAAtest-token-of-ada",
    app_secret="app-secret-of-ada",
    phone_numbers=(
        PhoneNumber(id="100200300400500", display="15550002222", verified_name="Ada's Kitchen"),
        PhoneNumber(id="100200300400501", display="15550003333", verified_name="Ada's Kitchen 2"),
    ),
)
OTHER_BUSINESS = Business(
    waba_id="700600500400999",
    name="Babbage Engines",
    access_token="EAAtest-token-of-charles",
    app_secret="app-secret-of-charles",
    phone_numbers=(
        PhoneNumber(id="100200300400999", display="15550009999", verified_name="Babbage Engines"),
    ),
)

PERSON = "15550001111"
PATIENCE_S = 60.0  # what is so in a moment takes seconds on a machine that does much else
SEALING_KEY = "c2FtdmFkLXRlc3Qtc2VhbGluZy1rZXktMzItYnl0ZXM="  # of the tests only
QUICK_BACK_OFF = "0.05,0.1,0.2"
CHEAP_PASSWORDS = PasswordHasher(
    time_cost=1, memory_cost=8, parallelism=1
)  # a good one costs 0.1 s of each test


@dataclass
class Clock:
    """The time of day, and what a test let pass beside it, in milliseconds."""

    passed: int = 0

    def __call__(self) -> int:
        return system_clock() + self.passed

    def pass_by(self, ms: int) -> None:
        self.passed += ms


@dataclass
class Team:
    """A team with a key and a connected number."""

    id: str
    token: str
    plugin_id: str
    phone_number_id: str
    waba_id: str
    webhook_secret: str


@dataclass
class Product:
    """Our server, the sandbox beside it, and a first team."""

    base_url: str
    app: App
    sandbox: Sandbox
    sandbox_url: str
    team: Team
    api: httpx.AsyncClient
    control: httpx.AsyncClient
    settings: Settings = field(repr=False)
    clock: Clock
    door: "Later" = field(repr=False)

    async def start_again(self, **changed: Any) -> None:
        """Our server ends, and one with these other settings takes its place at the same address."""
        await self.app.stop()
        self.settings = replace(self.settings, **changed)
        self.door.app = self.app = App(self.settings, clock=self.clock, passwords=CHEAP_PASSWORDS)
        await self.app.start()

    async def asked_of_meta(self, after: int = 0) -> list[dict[str, Any]]:
        """Every call of Meta's API behind the one with this number, oldest first."""
        reply = await self.control.get("/calls", params={"limit": 20_000})
        return [it for it in reversed(reply.json()["calls"]) if it["number"] > after]

    def client(self, token: str | None) -> httpx.AsyncClient:
        """A client with another key, held against the contract like every client of the tests."""
        return police.client(self.base_url, token)

    def plugin(self, path: str, plugin_id: str | None = None) -> str:
        return f"/v1/ext/plugin/whatsapp/{plugin_id or self.team.plugin_id}/{path}"

    async def send(self, payload: dict[str, Any], **kwargs: Any) -> httpx.Response:
        path = self.plugin(f"api/v25.0/{self.team.phone_number_id}/messages")
        return await self.api.post(path, json={"messaging_product": "whatsapp", **payload}, **kwargs)

    async def send_text(self, words: str, to: str = PERSON, **kwargs: Any) -> httpx.Response:
        return await self.send({"to": to, "type": "text", "text": {"body": words}}, **kwargs)

    async def customer_writes(self, words: str = "hi", phone: str = PERSON) -> str:
        return await self.customer_sends({"type": "text", "text": {"body": words}}, phone)

    async def customer_sends(self, message: dict[str, Any], phone: str = PERSON) -> str:
        reply = await self.control.post(f"/phones/{phone}/messages", json=message)
        assert reply.status_code == 200, reply.text
        return str(reply.json()["wamid"])

    async def open_window(self, phone: str = PERSON) -> None:
        reply = await self.control.post(f"/phones/{phone}/window", json={"open": True})
        assert reply.status_code == 200, reply.text

    async def listed(
        self, phone: str = PERSON, client: httpx.AsyncClient | None = None, **more: Any
    ) -> list[Any]:
        body = {"customerPhoneNumber": phone, "limit": 1000, **more}
        path = "/v1/ext/plugin/whatsapp/list-chat-messages-for-phone-number"
        reply = await (client or self.api).post(path, json=body)
        assert reply.status_code == 200, reply.text
        found: list[Any] = reply.json()["_data"]
        return found

    async def settle(self) -> None:
        """Everything kept is folded, also what the product's own loop has taken already."""
        await self.app.folder.fold_all()
        await until(self._nothing_waits)

    async def _nothing_waits(self) -> bool:
        return await self.app.db.read(inbound.waiting) == 0

    async def sandbox_settings(self, **settings: Any) -> None:
        reply = await self.control.post("/settings", json=settings)
        assert reply.status_code == 200, reply.text


async def until(found: Callable[[], Any], *, within_s: float = PATIENCE_S) -> Any:
    """Wait for something to become true, and return it; `found` may be a coroutine function."""
    deadline = asyncio.get_running_loop().time() + within_s
    while True:
        value = found()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        assert asyncio.get_running_loop().time() < deadline, f"not within {within_s} s"
        await asyncio.sleep(0.02)


def asking(base_url: str = "", **given: Any) -> httpx.AsyncClient:
    """A client that the contract's police does not watch; it waits as long as a busy machine needs."""
    return httpx.AsyncClient(base_url=base_url, verify=False, trust_env=False, timeout=PATIENCE_S, **given)


class Later:
    """An application whose address must be known before it can be made."""

    app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


def settings_for(database_url: str, folder: Path, **given: Any) -> Settings:
    return from_environment(
        {
            "SAMVAD_WEBHOOK_BACK_OFF_S": QUICK_BACK_OFF,
            "SAMVAD_ALLOW_PRIVATE_WEBHOOKS": "1",
            "SAMVAD_SEND_PATIENCE_S": "0",
        },
        data_dir=folder,
        database_url=database_url,
        secret_key=SEALING_KEY,
        **given,
    )


async def make_team(app: App, business: Business, *, name: str) -> Team:
    """A team as an operator makes one, with a number connected through Meta's own handshake."""
    res, number = app.res, business.phone_numbers[0]
    team_id = await accounts.create_team(res, name=name)
    await applying.create_lead_procedure(res, team_id)
    email = f"owner@{team_id}.example"
    await accounts.create_user(
        res, team_id, email=email, name="Owner", role="Admin", password="correct horse"
    )
    key = await accounts.create_key(res, team_id, name="tests")
    wanted = Connection(business.waba_id, number.id, business.access_token, business.app_secret)
    connected = await waba.connect(res, team_id, wanted)
    secret = await accounts.webhook_secret(res, team_id)
    return Team(team_id, key.token, connected.plugin_id, number.id, business.waba_id, secret)


@asynccontextmanager
async def running(
    database_url: str,
    folder: Path,
    *,
    other: Business = OTHER_BUSINESS,
    meta: Callable[[Any], Any] | None = None,
    **given: Any,
) -> AsyncIterator[Product]:
    """A product with one team, ready for a test; drained and closed after it. `other` lives at Meta beside it.

    `meta` may stand between us and the sandbox, as an ASGI application around it.
    """
    sandbox = Sandbox(BUSINESS, other)
    later = Later()
    around = meta(sandbox.app) if meta else sandbox.app
    async with served(around) as sandbox_url, served(later) as base_url:
        await sandbox.start()
        settings = settings_for(database_url, folder, graph_url=sandbox_url, public_url=base_url, **given)
        clock = Clock()
        later.app = app = App(settings, clock=clock, passwords=CHEAP_PASSWORDS)
        try:
            await app.start()
            team = await make_team(app, BUSINESS, name="Ada's Kitchen")
            async with (
                police.client(base_url, team.token) as api,
                asking(sandbox_url) as control,
            ):
                yield Product(base_url, app, sandbox, sandbox_url, team, api, control, settings, clock, later)
        finally:
            await sandbox.close()
            await later.app.stop()


@dataclass
class Receiver:
    """A customer's server: remembers what it was sent, and answers as it is told."""

    url: str = ""
    got: list[tuple[bytes, dict[str, str]]] = field(default_factory=list)
    answers: list[int | float] = field(default_factory=list)
    """Statuses to answer with, in turn; a float is seconds of silence before a 200; then 200 for ever."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, float):
            await asyncio.sleep(answer)
            answer = 200
        headers = {key.decode().lower(): value.decode() for key, value in scope["headers"]}
        self.got.append((body, headers))
        await send({"type": "http.response.start", "status": answer, "headers": []})
        await send({"type": "http.response.body", "body": b"OK"})


def copy_file(template: Path, target: Path) -> str:
    shutil.copy(template, target)
    return f"sqlite:///{target}"
