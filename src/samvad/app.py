"""The composition root: builds every part once. The only module that knows them all."""

import asyncio
from collections.abc import Coroutine
from dataclasses import fields, replace
from typing import Any

import structlog
from argon2 import PasswordHasher
from starlette.types import Receive, Scope, Send

from samvad.api import wire
from samvad.api.call import services
from samvad.api.routes import Api
from samvad.asgi.errors import error_reply
from samvad.asgi.requests import identified
from samvad.domain import retention
from samvad.domain.context import Bells, Resources
from samvad.domain.inbound import queries as inbound
from samvad.domain.media import fetching
from samvad.domain.messages import operations as messages
from samvad.domain.messages import sends, statuses
from samvad.domain.processes import applying, bulk, jobs_queries, leads
from samvad.domain.templates import jobs as templates
from samvad.domain.waba import jobs as waba_jobs
from samvad.domain.waba import refresh as waba_refresh
from samvad.domain.waba import tokens as waba_tokens
from samvad.domain.waba.directory import Directory
from samvad.domain.webhooks import operations as webhooks
from samvad.domain.webhooks.dispatch import Dispatcher
from samvad.domain.webhooks.model import BACK_OFF_MS, DAY_MS, Attempt, Pending, Rules
from samvad.ingress import endpoint as ingress
from samvad.ingress import past
from samvad.ingress.checking import Check
from samvad.ingress.fold import Folder
from samvad.jobs.queue import Job
from samvad.jobs.recurring import Recurring
from samvad.jobs.worker import Handler, Worker
from samvad.kit.clock import Clock, system_clock
from samvad.kit.errors import NotFound
from samvad.kit.ids import made_at
from samvad.kit.sealing import Seal
from samvad.realtime.exchange import open_exchange
from samvad.settings import Settings
from samvad.storage import Database, Lane, open_database
from samvad.storage.blobs import Blobs
from samvad.storage.schema import migrate
from samvad.web import connect, docs, operating
from samvad.web.measures import Measures
from samvad.whatsapp.cloud_api import CloudApi

KEEP_PROMISES_MS = 24 * 60 * 60 * 1000
JUST_PARKED_MS = 60 * 1000
KEEP_PARKED_MS = 14 * 24 * 60 * 60 * 1000  # Meta repeats a webhook for seven days
UNANSWERED_AFTER_MS = 60_000  # past the upstream time-out: nobody waits for the answer any more
NAMED_AT_ONCE = 100
DRAIN_S = 6.0
"""For POSTs and jobs under way when we are told to stop: whoever stops containers kills after ten seconds."""

PROBED = ("/v1/health",)  # all that a worker answers, beside what an operator asks
NOT_HERE = NotFound(
    "This process is a worker: it answers /v1/health, /live, /ready and /metrics; ask one with the role web."
)

MEDIA_AT_ONCE = 4  # downloads from Meta: a few large ones must leave room for the rest of the day

CHECK_EVERY_S = 10.0
"""Between two looks for lost events, of a hundred each: ten a second are all compared, of more some."""

SLOW = (fetching.FETCH, bulk.RUN)

log = structlog.get_logger(__name__)


class App:
    """One running Samvad: an ASGI application, and the loops behind it."""

    def __init__(
        self, settings: Settings, *, clock: Clock = system_clock, passwords: PasswordHasher | None = None
    ) -> None:
        self.settings = settings
        self.db: Database = open_database(settings.database_url)
        self.exchange = open_exchange(settings.database_url, stands=settings.role != "web")
        self.cloud = CloudApi(settings.graph_url, timeout_s=settings.upstream_timeout_s)
        self.res = Resources(
            db=self.db,
            cloud=self.cloud,
            seal=Seal(settings.secret_key),
            clock=clock,
            blobs=Blobs(settings.blob_url),
            bells=Bells(**{it.name: self.exchange.bell(it.name) for it in fields(Bells)}),
            sends=Lane(self.db, sends.begin),
            outcomes=Lane(self.db, sends.finish),
            inbound=Lane(self.db, inbound.keep),
            public_url=settings.public_url,
            allow_private_webhooks=settings.allow_private_webhooks,
            send_patience_s=settings.send_patience_s,
            passwords=passwords or PasswordHasher(),
        )
        self.directory = Directory(self.res)
        self.tokens = waba_tokens.Watch(self.res)
        self.cloud.on_invalid_token = self.tokens.suspect
        self.folder = Folder(self.res, may=self.exchange.is_foreman)
        self.dispatcher = Dispatcher(self.res, rules=_patience(settings))
        self.measures = Measures() if settings.metrics else None
        if self.measures is not None:
            self._watch(self.measures)
        self.worker = Worker(self.db, self._handlers(), clock=clock, bell=self.res.bells.jobs, but=SLOW)
        self.media_workers = [
            Worker(
                self.db,
                self._slow_handlers(),
                clock=clock,
                bell=self.res.bells.media,
                at_once=1,
                only=(fetching.FETCH,),
            )
            for _ in range(MEDIA_AT_ONCE)
        ]
        self.bulk_worker = Worker(
            self.db, self._bulk_handlers(), clock=clock, bell=self.res.bells.bulk, at_once=2, only=(bulk.RUN,)
        )
        on_reply = self.measures.request if self.measures is not None else None
        self._ingress = ingress.Ingress(self.res, self.directory, on_reply=on_reply)
        self._api = Api(services(self.res, self.directory, rate_limit=settings.rate_limit, on_reply=on_reply))
        self._check = Check(self.res)
        self._serving = False
        self._operating = operating.Operating(
            self.res,
            is_serving=lambda: self._serving,
            measures=self.measures,
            token=settings.metrics_token,
        )
        self._docs = docs.Docs()
        self._connect = connect.Connecting(
            self.res,
            self.directory,
            ancestors=settings.connect_frame_ancestors,
            show_number=wire.phone_number,
        )
        self._loops: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._lifespan(receive, send)
        if scope["type"] == "http":
            send = identified(scope, send)
        if self.settings.role == "worker" and not self._is_probe(scope):
            return await error_reply(NOT_HERE).send(send)
        if scope["type"] == "http" and scope["path"].startswith(ingress.PREFIX):
            return await self._ingress(scope, receive, send)
        if scope["type"] == "http" and connect.is_ours(scope["path"]):
            return await self._connect(scope, receive, send)
        if scope["type"] == "http" and self._operating.is_ours(scope["path"]):
            return await self._operating(scope, receive, send)
        if scope["type"] == "http" and docs.is_ours(scope["path"]):
            return await self._docs(scope, receive, send)
        return await self._api(scope, receive, send)

    def _is_probe(self, scope: Scope) -> bool:
        return scope["path"] in PROBED or self._operating.is_ours(scope["path"])

    async def start(self) -> None:
        """Bring the schema up to date and begin every loop of this role."""
        await migrate(self.db)
        self.db.serve()
        await self.exchange.open()
        works = self.settings.role != "web"
        self._loops = [
            asyncio.create_task(work, name=name)
            for name, work in (
                # What a process remembers, and hears from Meta, is its own.
                ("directory", self.directory.run()),
                ("tokens", self.tokens.run()),
                *(self._behind() if works else ()),
            )
        ]
        for task in self._loops:
            task.add_done_callback(_notice)
        if works:
            await self.name_unanswered()
        self._serving = True

    async def stop(self) -> None:
        """Take nothing new, finish what was begun, and let go, in that order."""
        self._serving = False
        for lane in (self.res.sends, self.res.inbound, self.res.outcomes):
            await lane.close()
        for part in (self.folder, self.dispatcher):
            part.close()
        self.exchange.resign()  # the batch under way has its lock: nobody folds before it
        for worker in (self.worker, self.bulk_worker, *self.media_workers):
            worker.close()
        draining = [task for task in self._loops if task.get_name() in ("fold", "deliveries", "jobs")]
        for task in self._loops:
            if task not in draining:
                task.cancel()
        await self.res.downloads.close()
        if draining:
            _, late = await asyncio.wait(draining, timeout=DRAIN_S)
            for task in late:  # what it had begun is still written down as to be done
                log.warning("stop.broke_off", loop=task.get_name())
                task.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        await self.exchange.close()
        await self.cloud.close()
        await self.res.blobs.close()
        await self.db.close()

    def _behind(self) -> list[tuple[str, Coroutine[Any, Any, None]]]:
        """Everything behind the surfaces, by name. Of several workers one folds and keeps the timers."""
        return [
            ("fold", self.folder.run()),
            ("deliveries", self.dispatcher.run()),
            ("jobs", self.worker.run()),
            ("bulk", self.bulk_worker.run()),
            *(("media", it.run()) for it in self.media_workers),
            *((it.name, replace(it, may=self.exchange.is_foreman).run()) for it in self._recurring()),
            ("indexes", applying.index_all(self.db)),
        ]

    async def name_unanswered(self) -> None:
        """Say which sends Meta never answered: they may have arrived, and are never sent again by us."""
        before = self.res.clock() - UNANSWERED_AFTER_MS
        for row in await self.db.read(sends.unanswered_oldest_first, before=before, limit=NAMED_AT_ONCE):
            log.warning("send.ambiguous", message=row.id, team=row.team_id, to=row.peer, at=row.at)

    async def forget_webhooks(self) -> None:
        """Keep the log of webhooks to its time."""
        keep_ms = round(self.settings.webhook_keep_days * DAY_MS)
        await webhooks.forget_old(self.db, before=self.res.clock() - keep_ms)

    async def forget_old(self) -> None:
        """Keep bodies of Meta, the event log and messages to their times, where they have one."""
        settings, now = self.settings, self.res.clock()
        for days, what, first in (
            (settings.inbound_keep_days, retention.inbound_bodies, 0),
            (settings.event_keep_days, retention.logged_events, 0),
            (settings.message_keep_days, retention.said_messages, ""),
        ):
            if days:
                await retention.forget(self.db, what, first=first, before=now - round(days * DAY_MS))

    async def look_for_lost(self) -> None:
        """Compare some raw events with what is here, and count."""
        if self.measures is not None:
            self.measures.checked(*await self._check.look())

    def _watch(self, measures: Measures) -> None:
        """Have what works tell what it does; each tells in a call that costs a microsecond."""
        for name in ("sends", "outcomes", "inbound"):
            getattr(self.res, name).on_batch = measures.lane(name)
        self.dispatcher.settled.on_batch = measures.lane("settled")
        self.cloud.on_answer = measures.upstream

        def posted(delivery: Pending, attempt: Attempt) -> None:
            outcome = str(attempt.status) if attempt.status is not None else "silence"
            lag_s = (attempt.ended_at - made_at(delivery.id)) / 1000 if not delivery.attempts else None
            measures.post(outcome, attempt.duration_ms / 1000, lag_s)

        self.dispatcher.on_attempt = posted

    def _handlers(self) -> dict[str, Handler]:
        async def open_leads(job: Job) -> None:
            await leads.open_leads(self.res, job)

        async def sync_templates(job: Job) -> None:
            await templates.sync(self.res, job)

        async def unsubscribe(job: Job) -> None:
            await waba_jobs.unsubscribe(self.res, job)

        async def refresh_waba(job: Job) -> None:
            await waba_refresh.refresh_promised(self.res, job)

        async def follow_merge(job: Job) -> None:
            await leads.follow_merge(self.res, job)

        async def conform(job: Job) -> None:
            await applying.conform_promised(self.res, job)

        async def fold_past(job: Job) -> None:
            await past.fold_past(self.res, job)

        return {
            "processes.open_leads": open_leads,
            "processes.follow_merge": follow_merge,
            "ingress.fold_past": fold_past,
            applying.CONFORM: conform,
            "templates.sync": sync_templates,
            "waba.unsubscribe": unsubscribe,
            "waba.refresh": refresh_waba,
        }

    def _slow_handlers(self) -> dict[str, Handler]:
        """Those that wait for long: each worker of theirs does one at a time, and holds up nothing else."""

        async def fetch_media(job: Job) -> None:
            await fetching.fetch(self.res, job)

        return {fetching.FETCH: fetch_media}

    def _bulk_handlers(self) -> dict[str, Handler]:
        """Thousands of rows, a chunk with each commit: broken off between two, it goes on after the next start."""

        async def run_bulk(job: Job) -> None:
            await bulk.run(self.res, job)

        return {bulk.RUN: run_bulk}

    def _recurring(self) -> list[Recurring]:
        """Everything that happens by the clock, on one page; the foreman alone does it.

        The polls would ask Meta once for each process, and the names of unanswered sends stand in each log; the rest
        only sweeps and forgets, and done twice at once, when a foreman is lost, it does no harm.
        """
        clock, write = self.res.clock, self.db.write
        poll = templates.poll(self.res, every_s=self.settings.template_poll_s)
        number_poll_s = self.settings.number_poll_s
        numbers = waba_refresh.poll(self.res, every_s=number_poll_s)
        return [
            # A status can be parked while, on another connection, its message gets its wamid.
            Recurring(
                "statuses.sweep",
                2.0,
                lambda: write(statuses.sweep_parked, at=(now := clock()), since=now - JUST_PARKED_MS),
            ),
            Recurring("statuses.sweep_all", 60.0, lambda: write(statuses.sweep_parked, at=clock())),
            Recurring(
                "promises.forget",
                600.0,
                lambda: messages.forget_promises(self.db, before=clock() - KEEP_PROMISES_MS),
            ),
            Recurring(
                "statuses.forget_parked",
                3600.0,
                lambda: write(statuses.forget_parked, before=clock() - KEEP_PARKED_MS),
            ),
            Recurring("sends.name_unanswered", 300.0, self.name_unanswered),
            *([Recurring("templates.poll", 60.0, poll.run)] if self.settings.template_poll_s > 0 else []),
            *(
                [Recurring("numbers.poll", min(60.0, number_poll_s), numbers.run)]
                if number_poll_s > 0
                else []
            ),
            Recurring(
                "bulk.forget_orphans",
                3600.0,
                lambda: write(jobs_queries.forget_orphans, before=clock() - bulk.KEEP_ORPHANS_MS),
            ),
            Recurring("webhooks.forget_old", 3600.0, self.forget_webhooks),
            Recurring("retention.forget", 3600.0, self.forget_old),
            *([Recurring("ingress.check", CHECK_EVERY_S, self.look_for_lost)] if self.measures else []),
        ]

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.start()
        except Exception as error:
            log.error("start.failed", error=repr(error), exc_info=error)
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})


def _patience(settings: Settings) -> Rules:
    back_off_ms = settings.webhook_back_off_ms or BACK_OFF_MS
    return Rules(
        back_off_ms=back_off_ms,
        pause_after_ms=round(settings.webhook_pause_after_days * DAY_MS),
        probe_every_ms=back_off_ms[-1],
        at_once=settings.webhook_at_once,
    )


def _notice(task: asyncio.Task[None]) -> None:
    """A loop that ends by itself is a bug that must be seen."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("loop.died", loop=task.get_name(), error=repr(error), exc_info=error)
