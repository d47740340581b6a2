"""`samvad bench send`: messages through the API, and the three status webhooks that come back for each."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from samvad.bench.floors import Floor
from samvad.bench.ingest import FIRST_PHONE, crashing
from samvad.bench.load import closed_loop, open_loop, post
from samvad.bench.options import MOST_OPERATIONS, Options
from samvad.bench.result import Ended, Result, Usages, result_of
from samvad.bench.rig import LOOK_EVERY_S, SETTLE_WITHIN_S, Party, Rig, Tell, rig
from samvad.bench.verify import Verdict, verify
from samvad.kit.clock import system_clock
from samvad.storage import Database

PEOPLE = 1_000  # each with an open session window, so that a text may be sent
MADE_PER_S = 2_000  # sends made for each second of a closed loop; when they are used up the load ends
WINDOWS_AT_ONCE = 16
META = {
    # As quick as Meta on a good day; the statuses follow the answer, and overlap with those of others.
    "reply_delay_ms": 80,
    "delays": {"sent_ms": 100, "delivered_ms": 250, "read_ms": 500},
    "retry": {"first_s": 0.2, "max_s": 1.0},
}


@dataclass(frozen=True, slots=True)
class Sandboxed:
    """What Meta's side knows after the load."""

    accepted: int
    wamids: int
    refused: int
    webhooks_pending: int
    webhooks_given_up: int


@dataclass(frozen=True, slots=True)
class Sent(Ended):
    wamids: Sequence[str]
    """Of the acknowledged sends, in the order of the answers."""

    told: frozenset[tuple[str, str]]
    """Wamid and status of every webhook the server acknowledged to the sandbox."""

    sandbox: Sandboxed


async def run(options: Options, tell: Tell) -> Result:
    """The whole bench, floors included."""
    async with rig(options.place, sandbox_settings=META, with_relay=True, tell=tell) as running:
        assert running.relay is not None
        requests = await prepare(running, options, tell)
        tell("measuring the floors", None)
        floor = Floor(running.folder, running.echo, requests, options)
        await floor.before()
        sent = await load(running, requests, options, tell)
        tell("stopping the server", None)
        stopped = await running.server.stop()
        tell("measuring the floor again", None)
        floors = await floor.after()
        tell("looking for everything that was acknowledged", None)
        async with running.database() as db:
            verdict = await verdict_on(db, sent)
        latency = running.relay.latency
    found = result_of(
        "send",
        options,
        sent,
        floors=floors,
        verdict=verdict,
        stopped_in_order=stopped,
        problems=problems_of(sent, verdict, stopped_in_order=stopped),
    )
    return replace(
        found,
        status_webhooks=latency,
        status_webhooks_acknowledged=len(sent.told),
        sandbox_accepted=sent.sandbox.accepted,
        sandbox_wamids=sent.sandbox.wamids,
    )


async def prepare(running: Rig, options: Options, tell: Tell) -> list[bytes]:
    """Open the session windows of those we write to, and make every request."""
    tell(f"opening the session windows of {PEOPLE:,} people", None)
    open_it = b'{"open":true}'
    windows = [post(f"/phones/{FIRST_PHONE + it}/window", open_it) for it in range(PEOPLE)]
    opened = await closed_loop(running.sandbox.port, windows, callers=WINDOWS_AT_ONCE)
    assert len(opened.acknowledged) == PEOPLE, f"the sandbox refused: {opened.refused}"
    per_s = options.rate or MADE_PER_S
    return make_requests(running.party, min(MOST_OPERATIONS, max(1, round(per_s * options.seconds))))


def make_requests(party: Party, count: int) -> list[bytes]:
    bearer = f"Authorization: Bearer {party.token}"
    return [
        post(
            party.send,
            (
                f'{{"messaging_product":"whatsapp","to":"{FIRST_PHONE + number % PEOPLE}","type":"text",'
                f'"text":{{"body":"Order {number} is on its way."}}}}'
            ).encode(),
            bearer,
        )
        for number in range(count)
    ]


async def load(running: Rig, requests: Sequence[bytes], options: Options, tell: Tell) -> Sent:
    """Send them, and wait until the sandbox has told everything and all of it is folded."""
    relay = running.relay
    assert relay is not None
    before, sandbox_before = running.server.usage(), running.sandbox.usage()
    port = running.server.port

    def progress(part: float) -> None:
        tell("sending messages", part)

    progress(0.0)
    relay.measuring = True
    async with crashing(running, options.kill_after_s):
        if options.rate:
            loaded = await open_loop(
                port,
                requests,
                rate=options.rate,
                connections=options.callers,
                seconds=options.seconds,
                keep=True,
                progress=progress,
            )
        else:
            loaded = await closed_loop(
                port,
                requests,
                callers=options.callers,
                seconds=options.seconds,
                keep=True,
                progress=progress,
            )
    relay.measuring = False
    ended = time.perf_counter()
    after_load, sandbox_after_load = running.server.usage(), running.sandbox.usage()
    tell("waiting for the last statuses", None)
    told_all = await _sandbox_is_quiet(running)
    settled = await running.settled()
    catch_up_s = time.perf_counter() - ended
    await running.swept()
    return Sent(
        loaded,
        catch_up_s,
        settled and told_all,
        Usages(before, after_load, running.server.usage(), sandbox_before, sandbox_after_load),
        [wamid_of(loaded.answers[index]) for index in loaded.acknowledged],
        frozenset(relay.acknowledged),
        _sandboxed(await running.control("GET", "/stats")),
    )


async def verdict_on(db: Database, sent: Sent) -> Verdict:
    """Each acknowledged send is one row, as far along as the server has acknowledged to Meta."""
    return await verify(db, sends=sent.wamids, told=sent.told, now=system_clock())


def problems_of(sent: Sent, verdict: Verdict, *, stopped_in_order: bool) -> tuple[str, ...]:
    sandbox, problems = sent.sandbox, []
    if not sent.settled:
        problems.append("Not every status arrived and was folded in time.")
    if sandbox.wamids != sandbox.accepted:
        problems.append(f"The sandbox accepted {sandbox.accepted} sends under {sandbox.wamids} wamids.")
    repeated = [wamid for wamid, times in Counter(sent.wamids).items() if times > 1]
    if repeated:
        problems.append(f"{len(repeated)} wamids were given as the answer to more than one send.")
    if verdict.outbound_with_wamid != sandbox.accepted:
        problems.append(
            f"The sandbox accepted {sandbox.accepted} sends, and {verdict.outbound_with_wamid} are known here."
        )
    if sandbox.webhooks_given_up:
        problems.append(f"The sandbox gave up {sandbox.webhooks_given_up} webhooks.")
    if verdict.inbound_problems:
        problems.append(f"{verdict.inbound_problems} webhooks were not understood.")
    if not stopped_in_order:
        problems.append("The server did not end in order when it was told to.")
    return tuple(problems)


def wamid_of(answer: bytes) -> str:
    wamid: str = msgspec.json.decode(answer)["_data"]["whatsappMessageId"]
    return wamid


async def _sandbox_is_quiet(running: Rig) -> bool:
    """Waits until no webhook is scheduled or under way; False: some still are."""
    deadline = time.perf_counter() + SETTLE_WITHIN_S
    while time.perf_counter() < deadline:
        stats = await running.control("GET", "/stats")
        if not stats["scheduled"] and not stats["webhooks"]["pending"]:
            return True
        await asyncio.sleep(LOOK_EVERY_S)
    return False


def _sandboxed(stats: dict[str, Any]) -> Sandboxed:
    sends, webhooks = stats["sends"], stats["webhooks"]
    return Sandboxed(
        sends["accepted"],
        stats["wamids"],
        sends["refused"],
        webhooks["pending"],
        webhooks["given_up"],
    )
