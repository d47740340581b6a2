"""/live, /ready and /metrics over the wire: who may see them, and that their numbers are those of the day."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Connection, text

from samvad.domain.inbound import queries as inbound
from samvad.domain.messages.tables import messages
from samvad.jobs import queue
from samvad.jobs.queue import Job
from samvad.kit.errors import BadRequest
from samvad.settings import from_environment
from samvad.storage import Tx, every_team
from samvad.web.operating import is_from_here
from tests.harness import Product, Receiver, asking, running, until

TOKEN = "a-long-token-of-the-watchman"


@pytest.fixture
async def watched(database_url: str, tmp_path: Path) -> AsyncIterator[Product]:
    async with running(database_url, tmp_path, metrics="1", metrics_token=TOKEN) as product:
        yield product


async def ask(product: Product, path: str, **headers: str) -> httpx.Response:
    """Not the tests' usual client: these paths are in no contract."""
    async with asking(product.base_url) as client:
        return await client.get(path, headers=headers)


async def numbers(product: Product) -> dict[tuple[str, ...], float]:
    """Each sample by its name and the values of its labels."""
    reply = await ask(product, "/metrics")
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"].startswith("text/plain; version=")
    return {
        (it.name, *it.labels.values()): it.value
        for family in text_string_to_metric_families(reply.text)
        for it in family.samples
    }


async def test_without_the_setting_there_are_no_metrics(product: Product) -> None:
    reply = await ask(product, "/metrics", Authorization=f"Bearer {product.team.token}")

    assert reply.status_code == 404
    assert (await ask(product, "/live")).status_code == 200


async def test_a_day_is_counted_by_operation_lane_and_answer_of_meta(
    watched: Product, receiver: Receiver
) -> None:
    config = {"passThroughWebhookUrl": receiver.url, "enablePassThroughWebhook": True}
    assert (await watched.api.post(watched.plugin("update-config"), json=config)).status_code == 200
    await watched.customer_writes("hello")
    await until(watched.listed)
    for n in range(3):
        assert (await watched.send_text(f"number {n}")).status_code == 200
    refused = await watched.send({"to": "1", "type": "text", "text": {}})
    nobody = await ask(watched, "/v1/ext/users")
    await until(lambda: receiver.got)

    async def told() -> Any:
        found = await numbers(watched)
        return found if found.get(("samvad_webhook_post_seconds_count", "200")) else None

    found = await until(told)
    assert refused.status_code == 400
    assert nobody.status_code == 401
    assert found["samvad_request_seconds_count", "send_message", "200"] == 3
    assert found["samvad_request_seconds_count", "send_message", "400"] == 1
    assert found["samvad_request_seconds_count", "list_users", "401"] == 1
    assert found["samvad_request_seconds_count", "meta_webhook", "200"] >= 1
    assert found["samvad_upstream_seconds_count", "200"] >= 3
    assert found["samvad_lane_batch_size_sum", "sends"] == 4
    assert found["samvad_lane_batch_size_sum", "inbound"] >= 1
    assert 0 < found["samvad_lane_commit_seconds_sum", "sends"] < 10
    assert found[("samvad_webhook_lag_seconds_count",)] >= 1
    assert found[("process_resident_memory_bytes",)] > 10**7
    assert found[("samvad_gauges_ok",)] == 1


async def test_what_waits_is_counted_with_its_age(watched: Product) -> None:
    res = watched.app.res
    now = res.clock()
    watched.app.folder.close()  # what is kept from now on waits
    await until(lambda: all(it.done() for it in watched.app._loops if it.get_name() == "fold"))
    await watched.customer_writes("kept, not folded")
    await until(lambda: res.db.read(inbound.waiting))

    def promise(tx: Tx) -> None:
        queue.enqueue(tx, [Job("t", "later", {})] * 2, at=now, run_at=now + 3_600_000)
        queue.enqueue(tx, [Job("t", "overdue-and-given-up", {})], at=now, run_at=now + 3_600_000)

    def park(connection: Connection) -> None:
        connection.execute(
            text(
                "INSERT INTO parked_status (wamid, team_id, status, at, parked_at) VALUES ('w', 't', 1, 1, 1)"
            )
        )
        connection.execute(text("UPDATE job SET gave_up_at = 1 WHERE name = 'overdue-and-given-up'"))

    await res.db.write(promise)
    await res.db.migrate(park)
    watched.clock.pass_by(90_000)

    found = await numbers(watched)

    assert found[("samvad_inbound_waiting",)] >= 1
    assert 89 < found[("samvad_inbound_oldest_seconds",)] < 120
    assert found["samvad_jobs_waiting", "later"] == 2
    assert found["samvad_jobs_overdue_seconds", "later"] == 0
    assert found[("samvad_jobs_gave_up",)] == 1
    assert found[("samvad_parked_statuses",)] == 1
    assert found[("samvad_deliveries_pending",)] == 0


async def test_deliveries_that_wait_are_counted_with_the_age_of_the_oldest(
    watched: Product, receiver: Receiver
) -> None:
    receiver.answers = [500] * 50
    config = {"passThroughWebhookUrl": receiver.url, "enablePassThroughWebhook": True}
    assert (await watched.api.post(watched.plugin("update-config"), json=config)).status_code == 200
    await watched.customer_writes("nobody takes it")
    await until(lambda: receiver.got)
    watched.clock.pass_by(30_000)

    found = await numbers(watched)

    assert found[("samvad_deliveries_pending",)] == 1
    assert 29 < found[("samvad_deliveries_oldest_seconds",)] < 60
    assert found["samvad_webhook_post_seconds_count", "500"] >= 1


async def test_nothing_is_lost_and_what_would_be_is_counted(watched: Product) -> None:
    await watched.app.look_for_lost()  # from here on
    await watched.send_text("with statuses")
    await watched.customer_writes("one")
    gone = await watched.customer_writes("two")
    await until(lambda: _has(watched, 2))
    await watched.settle()

    await watched.app.look_for_lost()
    good = await numbers(watched)

    def lose(tx: Tx) -> None:
        tx.execute(every_team.delete(messages).where(messages.c.wamid == gone))

    await watched.app.res.db.write(lose)
    watched.app._check._after = 0
    await watched.app.look_for_lost()
    bad = await numbers(watched)

    assert good[("samvad_events_checked_total",)] >= 2
    assert good[("samvad_events_lost_total",)] == 0
    assert bad[("samvad_events_lost_total",)] == 1


async def _has(product: Product, count: int) -> bool:
    return len([it for it in await product.listed() if it["direction"] == "INBOUND"]) >= count


async def test_from_elsewhere_the_token_is_needed(watched: Product) -> None:
    through_a_proxy = {"X-Forwarded-For": "198.51.100.7"}

    refused = await ask(watched, "/metrics", **through_a_proxy)
    wrong = await ask(watched, "/metrics", Authorization="Bearer nearly", **through_a_proxy)
    keyed = await ask(watched, "/metrics", Authorization=f"Bearer {watched.team.token}", **through_a_proxy)
    rebound = await ask(watched, "/metrics", Host="evil.example")
    right = await ask(watched, "/metrics", Authorization=f"Bearer {TOKEN}", **through_a_proxy)

    assert [it.status_code for it in (refused, wrong, keyed, rebound, right)] == [401, 401, 401, 401, 200]
    assert "SAMVAD_METRICS_TOKEN" in refused.json()["message"]
    assert "samvad_request_seconds" in right.text


async def test_without_a_token_nobody_from_elsewhere_gets_in(database_url: str, tmp_path: Path) -> None:
    async with running(database_url, tmp_path, metrics="1") as product:
        empty = await ask(product, "/metrics", Authorization="Bearer", Host="samvad.example")
        here = await ask(product, "/metrics")

    assert (empty.status_code, here.status_code) == (401, 200)


@pytest.mark.parametrize(
    ("client", "host", "version", "here"),
    [
        (("127.0.0.1", 5), b"127.0.0.1:8000", "1.1", True),
        (("::1", 5), b"[::1]:8000", "1.1", True),
        (("127.0.0.1", 5), b"localhost", "1.1", True),
        (("127.0.0.1", 5), b"127.0.0.1:8000", "1.0", False),  # how nginx speaks to what is behind it
        (("203.0.113.9", 5), b"127.0.0.1:8000", "1.1", False),
        (("127.0.0.1", 5), b"127.0.0.1.evil.example", "1.1", False),
        (None, b"localhost", "1.1", False),  # a socket: whoever is behind it
    ],
)
def test_who_is_this_machine_itself(client: Any, host: bytes, version: str, here: bool) -> None:
    scope = {"client": client, "headers": [(b"host", host)], "http_version": version}

    assert is_from_here(scope) is here


def test_a_short_token_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="SAMVAD_METRICS_TOKEN must have at least 16"):
        from_environment({"SAMVAD_METRICS_TOKEN": "short"}, data_dir=tmp_path)


async def test_it_is_ready_while_it_serves_and_the_schema_is_its_own(product: Product) -> None:
    ready = await ask(product, "/ready")
    live = await ask(product, "/live")

    def newer(connection: Connection) -> None:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    await product.app.db.migrate(newer)
    upgraded = await ask(product, "/ready")
    product.app._serving = False
    ending = await ask(product, "/ready")

    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
    assert (live.status_code, live.json()) == (200, {"status": "live"})
    assert upgraded.status_code == 503
    assert "revision 9999" in upgraded.json()["message"]
    assert (ending.status_code, ending.json()["message"]) == (503, "Starting up or shutting down.")


async def test_it_is_not_ready_before_its_start_and_after_its_end(product: Product) -> None:
    await product.app.stop()

    ended = await ask(product, "/ready")
    live = await ask(product, "/live")
    await product.start_again()
    again = await ask(product, "/ready")

    assert [ended.status_code, live.status_code, again.status_code] == [503, 200, 200]


async def test_only_get_and_head_are_offered(product: Product) -> None:
    async with asking(product.base_url) as client:
        head, post = await client.head("/ready"), await client.post("/live")

    assert (head.status_code, head.content) == (200, b"")
    assert (post.status_code, post.headers["allow"]) == (405, "GET")
