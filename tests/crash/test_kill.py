"""Killed in the middle of everything: what was acknowledged is there, and nothing is sent twice."""

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx

from samvad.app import App
from samvad.bench.process import free_port
from samvad.domain.audit import audit
from samvad.domain.inbound.tables import inbound_events
from samvad.domain.messages.model import Status
from samvad.domain.messages.tables import messages, parked_statuses
from samvad.domain.webhooks import queries as webhooks
from samvad.domain.webhooks.tables import deliveries
from samvad.sandbox import Delays, Sandbox, Settings
from samvad.storage import every_team
from tests.harness import (
    BUSINESS,
    SEALING_KEY,
    Receiver,
    Team,
    asking,
    make_team,
    settings_for,
    until,
)
from tests.sandbox.wire import served

KILLS = 2
SEED = 11
SOURCE = Path(__file__).resolve().parents[2] / "src"


@dataclass
class Server:
    """`samvad serve` as a process of its own, at one address over all its lives."""

    port: int
    environment: dict[str, str]
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "samvad", "serve", "--port", str(self.port),
            env=self.environment, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        await until(self.answers, within_s=240)  # on a busy machine a start is slow, and no fault

    async def answers(self) -> bool:
        assert self.process is not None
        assert self.process.returncode is None, "the server ended by itself"
        try:
            async with asking(self.url) as http:
                return (await http.get("/v1/health")).status_code < 500
        except httpx.TransportError:
            return False

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
            await self.process.wait()

    async def stop(self) -> int:
        """Tell it to stop, and wait until it has; its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return await self.process.wait()

    async def command(self, *words: str) -> Any:
        """What a `samvad` command prints, as JSON."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "samvad", *words,
            env=self.environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        printed, _ = await process.communicate()
        assert process.returncode == 0
        return json.loads(printed)


class Addressed(Protocol):
    """Whatever answers HTTP at an address: a server, or something in front of several."""

    @property
    def url(self) -> str: ...


@dataclass
class Traffic:
    """Clients that send, customers that write; and what each of them was told."""

    server: Addressed
    sandbox: Sandbox
    team: Team
    acknowledged: dict[str, str] = field(default_factory=dict)
    """The words of a send, and the wamid our caller was given for it."""
    unanswered: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    pause_s: float = 0.0
    """Between a send of a client and its next."""
    stopped: bool = False

    async def sends(self, client: int) -> None:
        path = f"/v1/ext/plugin/whatsapp/{self.team.plugin_id}/api/v25.0/{self.team.phone_number_id}/messages"
        to = f"1555000{client:04}"
        self.sandbox.set_window(to, True)
        n = 0
        async with asking(self.server.url) as http:
            http.headers["Authorization"] = f"Bearer {self.team.token}"
            while not self.stopped:
                n += 1
                words = f"{client}/{n}"
                message = {"messaging_product": "whatsapp", "to": to, "type": "text", "text": {"body": words}}
                try:
                    reply = await http.post(path, json=message)
                except httpx.TransportError:
                    self.unanswered.append(words)
                    await asyncio.sleep(0.05)
                    continue
                if reply.status_code == 200:
                    self.acknowledged[words] = reply.json()["messages"][0]["id"]
                else:
                    self.unanswered.append(words)
                await asyncio.sleep(self.pause_s)

    async def writes(self, person: int) -> None:
        n = 0
        while not self.stopped:
            n += 1
            words = {"type": "text", "text": {"body": f"{n}"}}
            self.written.append(self.sandbox.customer_writes(f"1555100{person:04}", words)["wamid"])
            await asyncio.sleep(0.01)


@asynccontextmanager
async def around(
    database_url: str, folder: Path, *, public_url: str
) -> AsyncIterator[tuple[dict[str, str], Sandbox, Receiver, App]]:
    """The environment of servers that are processes of their own; the sandbox and a customer's server here."""
    quickly = Settings(delays=Delays(sent_ms=1, delivered_ms=20, read_ms=60), reply_delay_ms=10).changed(
        {"retry": {"first_s": 0.05, "max_s": 0.2}}
    )
    sandbox = Sandbox(BUSINESS, settings=quickly, seed=5)
    customer = Receiver()
    async with served(sandbox.app) as sandbox_url, served(customer) as customer.url:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SAMVAD_")},
            "PYTHONPATH": str(SOURCE),
            "PYTHONDONTWRITEBYTECODE": "",  # or each start would compile every module anew
            "SAMVAD_DATA_DIR": str(folder),
            "SAMVAD_DATABASE_URL": database_url,
            "SAMVAD_SECRET_KEY": SEALING_KEY,
            "SAMVAD_GRAPH_URL": sandbox_url,
            "SAMVAD_PUBLIC_URL": public_url,
            "SAMVAD_ALLOW_PRIVATE_WEBHOOKS": "1",
            "SAMVAD_WEBHOOK_BACK_OFF_S": "0.05",
        }
        app = App(settings_for(database_url, folder, graph_url=sandbox_url, public_url=public_url))
        try:
            yield environment, sandbox, customer, app
        finally:
            sandbox.world.timeline.forget()
            await sandbox.close()
            await app.cloud.close()
            await app.db.close()


@asynccontextmanager
async def serving(
    database_url: str, folder: Path
) -> AsyncIterator[tuple[Server, Sandbox, Team, Receiver, App]]:
    """A server in a process of its own, the sandbox and a customer's server here."""
    port = free_port()
    public_url = f"http://127.0.0.1:{port}"
    async with around(database_url, folder, public_url=public_url) as (environment, sandbox, customer, app):
        server = Server(port, environment)
        try:
            await server.start()
            team = await make_team(app, BUSINESS, name="Ada's Kitchen")
            yield server, sandbox, team, customer, app
        finally:
            await server.kill()


async def test_kill_and_restart_lose_nothing_that_was_acknowledged(database_url: str, tmp_path: Path):
    chance = random.Random(SEED)
    async with serving(database_url, tmp_path) as (server, sandbox, team, customer, app):
        await app.db.team(team.id).write(
            webhooks.set_endpoint, plugin_id=team.plugin_id, format="meta", url=customer.url, at=0
        )
        traffic = Traffic(server, sandbox, team)
        busy = [asyncio.create_task(traffic.sends(n)) for n in range(6)]
        busy += [asyncio.create_task(traffic.writes(n)) for n in range(2)]
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(0.3, 0.8))
            await server.kill()
            await server.start()
        # A slow machine does less between two kills: some more then, so that there is something to lose.
        await until(lambda: min(len(traffic.acknowledged), len(traffic.written)) > 20, within_s=120)
        traffic.stopped = True
        await asyncio.gather(*busy)

        async def calm() -> bool:
            pending = sandbox.world.deliveries.counts.pending
            found = await app.db.read(audit, now=2**50)
            return not (
                pending or len(sandbox.world.timeline)
                or found["inboundEventsWaiting"] or found["parkedStatuses"] or found["deliveriesPending"]
            )  # fmt: skip

        await until(calm, within_s=240)
        rows = {
            it.wamid or it.id: it for it in await app.db.read(lambda tx: tx.all(every_team.select(messages)))
        }
        events = await app.db.read(lambda tx: tx.all(every_team.select(inbound_events)))
        sent_on = await app.db.read(lambda tx: tx.all(every_team.select(deliveries)))
        parked = await app.db.read(lambda tx: tx.all(every_team.select(parked_statuses)))
        seen = await app.db.read(audit, now=2**50)

    assert traffic.unanswered, "no send was ever interrupted: the kills came too late or too early"
    for words, wamid in traffic.acknowledged.items():
        assert rows[wamid].text == words
        assert rows[wamid].status == Status.READ, "every status came, and was not forgotten"
    for wamid in traffic.written:
        assert rows[wamid].direction == "INBOUND"
    assert parked == []
    assert not [it.problem for it in events if it.problem]

    at_meta = [it for it in sandbox.world.messages.values() if it.from_business]
    said = [it.payload["text"]["body"] for it in at_meta]
    assert len(said) == len(set(said)), "no words were sent twice"
    assert set(traffic.acknowledged.values()) <= {it.wamid for it in at_meta}
    for it in at_meta:
        assert rows[it.wamid].status == Status.READ, "a status completes also what our caller never heard of"

    open_sends = {it.id for it in rows.values() if it.status == Status.SENDING}
    assert {it["id"] for it in seen["ambiguousSends"]} == open_sends
    assert not {rows[it].text for it in open_sends} & set(said), "what stays open never reached Meta"

    assert {it.state for it in sent_on} == {"DELIVERED"}
    assert {body for body, _ in customer.got} == {bytes(it.body) for it in events}


async def test_a_send_whose_answer_was_cut_off_by_a_kill_is_named_and_never_repeated(
    database_url: str, tmp_path: Path
):
    async with serving(database_url, tmp_path) as (server, sandbox, team, _, app):
        later = {"sent_ms": 3_600_000, "delivered_ms": 3_600_000, "read_ms": 3_600_000}
        sandbox.configure(reply_delay_ms=3_000, delays=later)
        traffic = Traffic(server, sandbox, team)
        sending = asyncio.create_task(traffic.sends(1))
        await until(lambda: sandbox.world.counts.accepted == 1)
        traffic.stopped = True
        await server.kill()
        await sending
        await server.start()
        await asyncio.sleep(0.5)

        (open_send,) = (await server.command("audit"))["ambiguousSends"]
        assert sandbox.world.counts.accepted == 1, "it was not sent again"

        (message,) = [it for it in sandbox.world.messages.values() if it.from_business]
        sandbox._statuses.tell(message, "delivered")

        async def named() -> Any:
            return await app.db.read(
                lambda tx: tx.all(every_team.select(messages).where(messages.c.wamid.is_not(None)))
            )

        (row,) = await until(named)
        assert (row.id, row.wamid, row.status) == (open_send["id"], message.wamid, Status.DELIVERED)
        assert (await app.db.read(audit, now=2**50))["ambiguousSends"] == []
