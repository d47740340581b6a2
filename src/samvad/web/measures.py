"""What is counted while the product works; nothing here asks the database, and a counted thing costs a microsecond."""

from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, GCCollector, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from samvad.domain.gauges import Gauges

QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds
SLOW = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)

CONTENT_TYPE = CONTENT_TYPE_LATEST.encode()


class Measures:
    """The counters of one process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Histogram(
            "samvad_request_seconds",
            "From a request's arrival to its reply, by operation and status",
            ("operation", "status"),
            buckets=QUICK,
            registry=self.registry,
        )
        self._sizes = Histogram(
            "samvad_lane_batch_size",
            "Items that one transaction carried",
            ("lane",),
            buckets=SIZES,
            registry=self.registry,
        )
        self._commits = Histogram(
            "samvad_lane_commit_seconds",
            "From a batch's turn to its commit on the disk",
            ("lane",),
            buckets=QUICK,
            registry=self.registry,
        )
        self._upstream = Histogram(
            "samvad_upstream_seconds",
            "Calls of Meta's API, by what came of them",
            ("outcome",),
            buckets=QUICK,
            registry=self.registry,
        )
        self._posts = Histogram(
            "samvad_webhook_post_seconds",
            "POSTs to customers' endpoints, by what came of them",
            ("outcome",),
            buckets=QUICK,
            registry=self.registry,
        )
        self._lag = Histogram(
            "samvad_webhook_lag_seconds",
            "From an event to the end of the first try of its delivery",
            buckets=SLOW,
            registry=self.registry,
        )
        self._lost = Counter(
            "samvad_events_lost",
            "Messages and statuses in folded webhooks of which nothing is here: always 0",
            registry=self.registry,
        )
        self._checked = Counter(
            "samvad_events_checked",
            "Folded webhooks that were compared with what is here",
            registry=self.registry,
        )
        self._known: dict[tuple[str, ...], Any] = {}
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def request(self, operation: str, status: int, seconds: float) -> None:
        self._child(self._requests, operation, str(status)).observe(seconds)

    def lane(self, name: str) -> Callable[[int, float], None]:
        """Who is told of each batch of a lane."""
        sizes, commits = self._sizes.labels(name), self._commits.labels(name)

        def batch(size: int, seconds: float) -> None:
            sizes.observe(size)
            commits.observe(seconds)

        return batch

    def upstream(self, outcome: str, seconds: float) -> None:
        self._child(self._upstream, outcome).observe(seconds)

    def post(self, outcome: str, seconds: float, lag_s: float | None) -> None:
        """A POST to a customer's endpoint; `lag_s` of first tries only."""
        self._child(self._posts, outcome).observe(seconds)
        if lag_s is not None:
            self._lag.observe(max(lag_s, 0.0))

    def checked(self, events: int, lost: int) -> None:
        self._checked.inc(events)
        self._lost.inc(lost)

    def page(self, gauges: Gauges | None, now: int) -> bytes:
        """Everything in Prometheus' text; `gauges` None where the database did not answer in time."""
        standing = CollectorRegistry()
        standing.register(_Standing(gauges, now))
        return generate_latest(self.registry) + generate_latest(standing)

    def _child(self, family: Any, *labels: str) -> Any:
        """A look into a dict is quicker than `labels`, which takes a lock."""
        key = (family._name, *labels)
        child = self._known.get(key)
        if child is None:
            child = self._known[key] = family.labels(*labels)
        return child


class _Standing(Collector):
    """What stands in the database at this moment."""

    def __init__(self, gauges: Gauges | None, now: int) -> None:
        self._gauges = gauges
        self._now = now

    def collect(self) -> Any:
        it = self._gauges
        yield _gauge(
            "samvad_gauges_ok", "Whether the database told its gauges in time", float(it is not None)
        )
        if it is None:
            return
        yield _gauge(
            "samvad_inbound_waiting", "Kept webhooks of Meta that are not folded yet", it.inbound_waiting
        )
        yield _gauge(
            "samvad_inbound_oldest_seconds", "Age of the oldest of them", self._age(it.inbound_oldest_at)
        )
        yield _gauge("samvad_deliveries_pending", "Deliveries that have no end yet", it.deliveries_pending)
        yield _gauge(
            "samvad_deliveries_oldest_seconds",
            "Age of the oldest of them whose endpoint is not paused",
            self._age(it.deliveries_oldest_at),
        )
        yield _gauge(
            "samvad_endpoints_paused", "Endpoints that took nothing for too long", it.endpoints_paused
        )
        yield _gauge(
            "samvad_parked_statuses", "Statuses of messages that are not known here", it.parked_statuses
        )
        yield _gauge("samvad_sends_unanswered", "Sends that Meta has not answered", it.sends_unanswered)
        yield _gauge("samvad_jobs_gave_up", "Jobs that failed for good", it.jobs_gave_up)
        jobs = GaugeMetricFamily("samvad_jobs_waiting", "Jobs that wait or run, by name", labels=["name"])
        overdue = GaugeMetricFamily(
            "samvad_jobs_overdue_seconds", "How long the most overdue of them has been due", labels=["name"]
        )
        for name, (count, due_at) in it.jobs.items():
            jobs.add_metric([name], count)
            overdue.add_metric([name], self._age(due_at))
        yield jobs
        yield overdue

    def _age(self, at: int | None) -> float:
        return 0.0 if at is None else max(0.0, (self._now - at) / 1000)


def _gauge(name: str, words: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, words, value=value)
