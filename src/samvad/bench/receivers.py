"""`samvad bench receivers`: how much later a healthy receiver hears while its neighbours hang or fail.

The same load three times in one run, on one server. At first the healthy receiver is the only one; in the calm
phase there are the others too, and all answer at once; in the troubled one the team's other endpoint never answers,
and of another team's endpoints one never answers and one answers 500. Measured is the way from our 200 to Meta until
the signed webhook is at the healthy receiver. Whoever hangs takes less work than whoever answers, so that the
troubled phase may well be the faster one: the first phase shows how much of the calm one's delay is that work.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from samvad.bench import result
from samvad.bench.customer import CALM, Book, Customer, Moods
from samvad.bench.load import Latency, Loaded, open_loop, percentiles, post
from samvad.bench.options import Options
from samvad.bench.result import Machine
from samvad.bench.rig import APP_SECRET, Party, Rig, Tell, rig
from samvad.domain.accounts.operations import webhook_secret
from samvad.domain.webhooks import queries as webhooks
from samvad.kit.clock import system_clock
from samvad.kit.errors import BadRequest
from samvad.whatsapp.signature import sign

RATIO_AT_MOST = 2.0
PHONES = 50
FIRST_PHONE = 919_800_000_000
NEIGHBOURS_EVERY = 5  # each fifth webhook is the other team's
ARRIVE_WITHIN_S = 60.0
LOOK_EVERY_S = 0.05

HEALTHY, SIBLING = "/healthy", "/sibling"
HANGING, FAILING = "/hanging", "/failing"
PATHS = {HEALTHY: "meta", SIBLING: "chakra", HANGING: "meta", FAILING: "chakra"}
"""Each receiver, and the format it is told in; the first two are of one team."""

TROUBLE = {SIBLING: Moods(hang=1.0), HANGING: Moods(hang=1.0), FAILING: Moods(error=1.0)}
SERVER = {
    "SAMVAD_ALLOW_PRIVATE_WEBHOOKS": "1",
    # Short rests, so that whoever is in trouble is tried again all the time.
    "SAMVAD_WEBHOOK_BACK_OFF_S": ",".join(["0.5"] * 16),
    "SAMVAD_LOG_FORMAT": "console",
}


@dataclass(frozen=True, slots=True)
class Phase:
    """The load, once."""

    acknowledged: int
    expected: int
    """Those of them that the healthy receiver is to hear of."""
    arrived: int
    hanging: int
    """POSTs that were never answered."""
    failed: int
    """POSTs that were answered with 500."""
    delay: Latency
    """From our 200 to the arrival at the healthy receiver."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The phases, and what the trouble of others cost the healthy receiver: troubled to calm."""

    database: str
    rate: float
    seconds: float
    alone: Phase
    calm: Phase
    troubled: Phase
    p50_ratio: float
    p99_ratio: float
    problems: tuple[str, ...] = ()
    bench: str = "receivers"
    machine: Machine = field(default_factory=Machine)

    @property
    def holds(self) -> bool:
        """Everything arrived, there was trouble, and the healthy receiver's p99 is within twice its calm value."""
        return not self.problems and self.p99_ratio <= RATIO_AT_MOST


class Webhook(NamedTuple):
    """One webhook of Meta's to be posted."""

    request: bytes
    wamid: str
    is_neighbours: bool


class Receivers:
    """Everybody's endpoints; a server for each team, since a server checks the signatures of one secret."""

    def __init__(self, own: Customer, neighbours: Customer, moods: dict[str, Moods]) -> None:
        self.own = own
        self.neighbours = neighbours
        self.moods = moods
        self.listening: tuple[str, ...] = (HEALTHY,)

    @property
    def books(self) -> dict[str, Book]:
        return self.own.books | self.neighbours.books

    def arrived(self, path: str) -> dict[str, float]:
        """When each message arrived at a receiver, by its wamid."""
        return {_wamid(it.body): it.arrived_at_s for it in self.book(path).heard.values()}

    def book(self, path: str) -> Book:
        return self.books.get(path, Book())

    def met(self, mood: str) -> int:
        return sum(it.answers.get(mood, 0) for it in self.books.values())

    def problems(self) -> Iterator[str]:
        for path, book in self.books.items():
            yield from (f"{path}: {it}" for it in book.problems[:3])


async def run(options: Options, tell: Tell) -> Comparison:
    """All phases on one server; raises BadRequest without a rate."""
    if options.rate is None:
        raise BadRequest("This bench posts by the clock: give --rate.")
    count = max(NEIGHBOURS_EVERY, round(options.rate * options.seconds))
    moods: dict[str, Moods] = {}

    def mood_of(path: str) -> Moods:
        return moods.get(path, CALM)

    async with (
        rig(
            options.place, sandbox_settings={"auto_read": False}, with_relay=False, tell=tell, settings=SERVER
        ) as running,
        # Inside: they hang up before the server is stopped, so that it need not wait for those that hang.
        Customer(mood_of, seed=1) as own,
        Customer(mood_of, seed=2) as neighbours,
    ):
        receivers = Receivers(own, neighbours, moods)
        neighbour = await running.neighbour()
        await _listen(running, running.party, own, [HEALTHY])

        async def phase(name: str, count: int) -> tuple[Phase, list[str]]:
            made = make_webhooks(running.party, neighbour, name, count)
            return await _phase(running, receivers, made, name, options, tell)

        # Whoever writes for the first time makes a contact and a chat: that is nobody's delay here.
        _, problems = await phase("warming up", PHONES * NEIGHBOURS_EVERY)
        alone, when_alone = await phase("alone", count)
        await _listen(running, running.party, own, [SIBLING])
        await _listen(running, neighbour, neighbours, [HANGING, FAILING])
        receivers.listening = tuple(PATHS)
        calm, in_calm = await phase("calm", count)
        moods |= TROUBLE
        troubled, in_trouble = await phase("troubled", count)
        problems += [*when_alone, *in_calm, *in_trouble, *receivers.problems()]
    return Comparison(
        database=result.database_of(options.place),
        rate=options.rate,
        seconds=options.seconds,
        alone=alone,
        calm=calm,
        troubled=troubled,
        p50_ratio=_ratio(calm, troubled, lambda it: it.p50_ms),
        p99_ratio=_ratio(calm, troubled, lambda it: it.p99_ms),
        problems=tuple(problems),
    )


async def _phase(
    running: Rig, receivers: Receivers, made: Sequence[Webhook], name: str, options: Options, tell: Tell
) -> tuple[Phase, list[str]]:
    """Post them, and wait until each receiver that answers has heard of all that is its own."""
    assert options.rate is not None
    hanging, failed = receivers.met("hang"), receivers.met("error")
    loaded = await open_loop(
        running.server.port,
        [it.request for it in made],
        rate=options.rate,
        connections=options.callers,
        seconds=len(made) / options.rate,
        again=True,
        progress=lambda part: tell(f"{name}: posting webhooks", part),
    )
    tell(f"{name}: waiting until all have arrived", None)
    due = {
        path: {
            made[index].wamid: at
            for index, at in zip(loaded.acknowledged, loaded.acknowledged_at_s, strict=True)
            if made[index].is_neighbours == (path in (HANGING, FAILING))
        }
        for path in receivers.listening
    }
    in_trouble = [path for path in PATHS if path in receivers.moods]
    problems = _refusals(name, loaded)
    if not await _all_arrived(receivers, due, in_trouble):
        problems += [f"{name}: {words}" for words in _missing(receivers, due, in_trouble)]
    arrived = receivers.arrived(HEALTHY)
    delays = [max(0.0, arrived[wamid] - at) for wamid, at in due[HEALTHY].items() if wamid in arrived]
    phase = Phase(
        acknowledged=len(loaded.acknowledged),
        expected=len(due[HEALTHY]),
        arrived=len(delays),
        hanging=receivers.met("hang") - hanging,
        failed=receivers.met("error") - failed,
        delay=percentiles(delays),
    )
    return phase, problems


async def _all_arrived(
    receivers: Receivers, due: Mapping[str, Mapping[str, float]], in_trouble: Sequence[str]
) -> bool:
    """Waits until nothing is missing; False: something still is."""
    ends = time.monotonic() + ARRIVE_WITHIN_S
    while any(_missing(receivers, due, in_trouble)):
        if time.monotonic() > ends:
            return False
        await asyncio.sleep(LOOK_EVERY_S)
    return True


def _missing(
    receivers: Receivers, due: Mapping[str, Mapping[str, float]], in_trouble: Sequence[str]
) -> Iterator[str]:
    """What each receiver has not heard of yet; one in trouble is to have heard of anything at all."""
    for path, wamids in due.items():
        missing = wamids.keys() - receivers.arrived(path).keys()
        if path in in_trouble:
            answers = receivers.book(path).answers
            if not (answers.get("hang") or answers.get("error")):
                yield f"{path} was never in trouble."
        elif missing:
            yield f"{path} did not hear of {len(missing):,} of {len(wamids):,}, such as {min(missing)}."


def _refusals(name: str, loaded: Loaded) -> list[str]:
    """The phases compare only while both bear the whole load."""
    lost = loaded.refused.total() + len(loaded.unanswered) + loaded.not_begun
    return [f"{name}: {lost:,} webhooks were not acknowledged."] if lost else []


def make_webhooks(own: Party, neighbour: Party, name: str, count: int) -> list[Webhook]:
    """Inbound texts as Meta writes them, to each team from its phones in turn."""
    now_s, made = system_clock() // 1000, []
    for place in range(count):
        group, within = divmod(place, NEIGHBOURS_EVERY)
        is_neighbours = within == NEIGHBOURS_EVERY - 1
        turn = group if is_neighbours else place - group
        wamid = f"wamid.{name.replace(' ', '').upper()}{place:09d}"
        request = _request(neighbour if is_neighbours else own, wamid, FIRST_PHONE + turn % PHONES, now_s)
        made.append(Webhook(request, wamid, is_neighbours))
    return made


def _request(party: Party, wamid: str, phone: int, now_s: int) -> bytes:
    number = party.number
    body = (
        f'{{"object":"whatsapp_business_account","entry":[{{"id":"{number.waba_id}","changes":[{{"value":'
        f'{{"messaging_product":"whatsapp","metadata":{{"display_phone_number":"{number.display}",'
        f'"phone_number_id":"{number.id}"}},"contacts":[{{"profile":{{"name":"Customer {phone}"}},'
        f'"wa_id":"{phone}"}}],"messages":[{{"from":"{phone}","id":"{wamid}","timestamp":"{now_s}",'
        '"text":{"body":"Is my order on its way?"},"type":"text"}]},"field":"messages"}]}]}'
    ).encode()
    signature = sign(APP_SECRET, body)
    return post(party.callback, body, f"X-Hub-Signature-256: {signature}")


async def _listen(running: Rig, party: Party, customer: Customer, paths: Sequence[str]) -> None:
    """Make this server the team's endpoint in both formats."""
    async with running.resources() as res:
        customer.secret = await webhook_secret(res, party.team_id)
        for path in paths:
            await res.db.team(party.team_id).write(
                webhooks.set_endpoint,
                plugin_id=party.plugin_id,
                format=PATHS[path],
                url=customer.url(path),
                events=("message",) if PATHS[path] == "chakra" else (),
                at=system_clock(),
            )


def _wamid(body: dict[str, Any]) -> str:
    """The message that a webhook of ours is about, in either format."""
    if "event" in body:
        return str(body["payload"]["externalId"])
    return str(body["entry"][0]["changes"][0]["value"]["messages"][0]["id"])


def _ratio(calm: Phase, troubled: Phase, of: Callable[[Latency], float]) -> float:
    return round(of(troubled.delay) / max(of(calm.delay), 0.001), 3)
