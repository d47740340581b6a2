"""`samvad bench ingest`: Meta's webhooks, as many as the server takes, and what the fold makes of them."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from samvad.bench.floors import Floor
from samvad.bench.load import closed_loop, open_loop, post
from samvad.bench.options import MOST_OPERATIONS, Options
from samvad.bench.result import Ended, Result, Usages, result_of
from samvad.bench.rig import APP_SECRET, DISPLAY, PHONE_NUMBER_ID, WABA_ID, Party, Rig, Tell, rig
from samvad.bench.verify import Verdict, verify
from samvad.domain.contacts.model import Identity
from samvad.domain.messages import sends
from samvad.domain.messages.model import Order
from samvad.domain.messages.sends import Answered
from samvad.kit.clock import system_clock
from samvad.kit.ids import new_id
from samvad.storage import Database
from samvad.whatsapp.signature import sign

STEPS = ("sent", "delivered", "read")  # Meta tells each of a message, so three statuses to an inbound text
PEOPLE = 2_000
UNKNOWN_EVERY = 10  # each tenth message is not known here: sent by another system, or not yet answered
MADE_PER_S = 10_000  # bodies made for each second of a closed loop; when they are used up the load ends
SEEDED_AT_ONCE = 250
FIRST_PHONE = 919_800_000_000
SILENT = {"auto_read": False}


class Post(NamedTuple):
    """One webhook to be posted, and what has to be true once it is acknowledged."""

    request: bytes
    wamid: str
    status: str | None  # None for an inbound message


@dataclass(frozen=True, slots=True)
class Ingested(Ended):
    posts: Sequence[Post]

    @property
    def acknowledged(self) -> list[Post]:
        return [self.posts[index] for index in self.loaded.acknowledged]


async def run(options: Options, tell: Tell) -> Result:
    """The whole bench, floors included."""
    async with rig(options.place, sandbox_settings=SILENT, with_relay=False, tell=tell) as running:
        posts = await prepare(running, options, tell)
        tell("measuring the floors", None)
        floor = Floor(running.folder, running.echo, [it.request for it in posts], options)
        await floor.before()
        ingested = await load(running, posts, options, tell)
        tell("stopping the server", None)
        stopped = await running.server.stop()
        tell("measuring the floor again", None)
        floors = await floor.after()
        tell("looking for everything that was acknowledged", None)
        async with running.database() as db:
            verdict = await verdict_on(db, ingested.acknowledged)
    return result_of(
        "ingest",
        options,
        ingested,
        floors=floors,
        verdict=verdict,
        stopped_in_order=stopped,
        problems=problems_of(ingested, verdict, stopped_in_order=stopped),
    )


async def prepare(running: Rig, options: Options, tell: Tell) -> list[Post]:
    """Make and sign every body, and let the server know the messages most statuses are about."""
    per_s = options.rate or MADE_PER_S
    count = min(MOST_OPERATIONS, max(1, round(per_s * options.seconds)))
    tell(f"making {count:,} webhooks", None)
    posts = make_posts(running.party, count)
    await make_known(running, posts, tell)
    return posts


async def make_known(running: Rig, posts: Sequence[Post], tell: Tell) -> None:
    """Send the messages that statuses will be about, but for each tenth, which is not ours."""
    known = list(
        dict.fromkeys(it.wamid for number, it in enumerate(posts) if it.status and not is_unknown(number))
    )
    async with running.database() as db:
        for at in range(0, len(known), SEEDED_AT_ONCE):
            tell(f"sending {len(known):,} messages that statuses will be about", at / len(known))
            await seed(db, running.party, known[at : at + SEEDED_AT_ONCE], first=at)


async def load(running: Rig, posts: Sequence[Post], options: Options, tell: Tell) -> Ingested:
    """Post them, and wait until everything acknowledged is folded."""
    requests = [it.request for it in posts]
    before, sandbox_before = running.server.usage(), running.sandbox.usage()

    def progress(part: float) -> None:
        tell("posting webhooks", part)

    progress(0.0)
    async with crashing(running, options.kill_after_s):
        if options.rate:
            loaded = await open_loop(
                running.server.port,
                requests,
                rate=options.rate,
                connections=options.callers,
                seconds=options.seconds,
                again=True,
                progress=progress,
            )
        else:
            loaded = await closed_loop(
                running.server.port,
                requests,
                callers=options.callers,
                seconds=options.seconds,
                again=True,
                progress=progress,
            )
    ended = time.perf_counter()
    after_load, sandbox_after_load = running.server.usage(), running.sandbox.usage()
    tell("waiting for the fold", None)
    settled = await running.settled()
    catch_up_s = time.perf_counter() - ended
    await running.swept()
    used = Usages(before, after_load, running.server.usage(), sandbox_before, sandbox_after_load)
    return Ingested(loaded, catch_up_s, settled, used, posts)


async def verdict_on(db: Database, acknowledged: Sequence[Post]) -> Verdict:
    """Every acknowledged message is one row, every acknowledged status is applied or parked."""
    return await verify(
        db,
        inbound=[it.wamid for it in acknowledged if it.status is None],
        told=[(it.wamid, it.status) for it in acknowledged if it.status is not None],
        now=system_clock(),
    )


def problems_of(ingested: Ingested, verdict: Verdict, *, stopped_in_order: bool) -> tuple[str, ...]:
    problems = []
    if not ingested.settled:
        problems.append("The fold did not catch up in time.")
    if verdict.inbound_problems:
        problems.append(f"{verdict.inbound_problems} webhooks were not understood.")
    if not stopped_in_order:
        problems.append("The server did not end in order when it was told to.")
    return tuple(problems)


@contextlib.asynccontextmanager
async def crashing(running: Rig, after_s: float | None) -> Any:
    """Kills the server in the middle of what happens within, and starts it again."""
    if after_s is None:
        yield
        return

    async def crash() -> None:
        await asyncio.sleep(after_s)
        await running.restart_after_a_crash()

    crashed = asyncio.create_task(crash())
    try:
        yield
        await crashed
    finally:
        crashed.cancel()


def make_posts(party: Party, count: int, *, first: int = 0) -> list[Post]:
    """Bodies as Meta writes them, in turn: one inbound text, then the three statuses of one message.

    `first` numbers them, so that no later ones repeat them; a multiple of 40 leaves their kinds as they are.
    """
    now_s = system_clock() // 1000
    return [_make_post(party, number, now_s) for number in range(first, first + count)]


def _make_post(party: Party, number: int, now_s: int) -> Post:
    group, place = divmod(number, 1 + len(STEPS))
    phone = _phone(group)
    contact = f'"contacts":[{{"profile":{{"name":"Customer {phone % PEOPLE}"}},"wa_id":"{phone}"}}],'
    if place == 0:
        wamid, status = f"wamid.BENCHIN{group:012d}", None
        said = (
            f'"messages":[{{"from":"{phone}","id":"{wamid}","timestamp":"{now_s}",'
            f'"text":{{"body":"Is order {group} on its way?"}},"type":"text"}}]'
        )
    else:
        wamid, status = f"wamid.BENCHOUT{group:012d}", STEPS[place - 1]
        said = (
            f'"statuses":[{{"id":"{wamid}","status":"{status}","timestamp":"{now_s}",'
            f'"recipient_id":"{phone}","pricing":{{"billable":true,"pricing_model":"PMP",'
            '"category":"utility","type":"regular"}}]'
        )
    body = (
        f'{{"object":"whatsapp_business_account","entry":[{{"id":"{WABA_ID}","changes":[{{"value":'
        f'{{"messaging_product":"whatsapp","metadata":{{"display_phone_number":"{DISPLAY}",'
        f'"phone_number_id":"{PHONE_NUMBER_ID}"}},{contact}{said}}},"field":"messages"}}]}}]}}'
    ).encode()
    signature = sign(APP_SECRET, body)
    return Post(post(party.callback, body, f"X-Hub-Signature-256: {signature}"), wamid, status)


def _phone(group: int) -> int:
    return FIRST_PHONE + group % PEOPLE


def is_unknown(number: int) -> bool:
    return number // (1 + len(STEPS)) % UNKNOWN_EVERY == UNKNOWN_EVERY - 1


async def seed(db: Database, party: Party, wamids: Sequence[str], *, first: int) -> None:
    """Messages as the product writes them when it sends: begun, then answered with their wamid."""
    at = system_clock()
    orders = [
        Order(
            id=new_id(),
            team_id=party.team_id,
            plugin_id=party.plugin_id,
            phone_number_id=PHONE_NUMBER_ID,
            recipient=Identity("phone", str(_phone(first + number))),
            data_type="text",
            body={"to": str(_phone(first + number)), "type": "text", "text": {"body": "On its way."}},
            text="On its way.",
            at=at,
            user_id=party.user_id,
        )
        for number in range(len(wamids))
    ]
    await db.write(sends.begin, orders)
    answers = [
        Answered(order, None, wamid, None, None, at) for order, wamid in zip(orders, wamids, strict=True)
    ]
    await db.write(sends.finish, answers)
