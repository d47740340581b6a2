"""Customers' endpoints: Meta's bytes, in order, until they are taken; and none waits for another."""

import asyncio
import hashlib
import hmac
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from samvad.app import App
from samvad.domain.accounts.operations import webhook_secret
from samvad.domain.accounts.tables import teams
from samvad.domain.events.tables import events
from samvad.domain.inbound.tables import inbound_events
from samvad.domain.waba import operations as waba
from samvad.domain.webhooks import dispatch, operations
from samvad.domain.webhooks.model import DAY_MS
from samvad.domain.webhooks.tables import attempts, deliveries, endpoints
from samvad.kit.errors import BadRequest, Conflict, NotFound
from tests.domain.meta import message, received
from tests.domain.quick import Side, Small, quick
from tests.domain.webhooks.customers import a_customer
from tests.harness import Receiver, until
from tests.sandbox.wire import served

PLAIN_NAME = re.compile(r"wamid\.(\d+)")


async def point(small: Small, url: str | None, side: Side | None = None) -> None:
    """Set where a team's webhooks go, as the API does."""
    side = side or small.ada
    await waba.update_config(small.context(side), side.plugin_id, {"passThroughWebhookUrl": url})


async def writes(small: Small, *numbers: int, side: Side | None = None) -> None:
    side = side or small.ada
    for n in numbers:
        reply = await small.deliver(received(message(f"wamid.{n}"), number=side.number), side)
        assert reply.status_code == 200


def order(receiver: Receiver) -> list[int]:
    return [int(found[1]) for body, _ in receiver.got if (found := PLAIN_NAME.search(body.decode()))]


async def states(small: Small) -> list[str]:
    return [it.state for it in await small.rows(deliveries)]


async def settled(small: Small, count: int, state: str = "DELIVERED") -> None:
    """So many deliveries came to this end; the clock goes on, so that rests end."""

    async def all_there():
        small.clock.now += 20
        small.res.bells.deliveries.ring()
        return (await states(small)).count(state) == count

    await until(all_there)


async def test_the_customer_gets_metas_bytes_with_a_signature_of_the_exact_bytes(
    live: Small, customer: Receiver
):
    await point(live, customer.url)
    raw = json.dumps(
        received(message("wamid.1", text={"body": "ünïcode \\/ 😀"}, type="text")), indent=1
    ).encode()

    await live.deliver(raw)
    await settled(live, 1)

    ((body, headers),) = customer.got
    assert body == raw
    secret = await webhook_secret(live.res, live.ada.id)
    assert headers["x-chakra-signature-256"] == hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
    assert headers["content-type"] == "application/json"


async def test_even_bytes_we_cannot_read_reach_the_customer(live: Small, customer: Receiver):
    await point(live, customer.url)

    await live.deliver(b"\xff no json")
    await settled(live, 1)

    assert customer.got[0][0] == b"\xff no json"


async def test_two_hundred_messages_arrive_in_order(live: Small, customer: Receiver):
    await point(live, customer.url)

    await writes(live, *range(200))
    await settled(live, 200)

    assert order(customer) == list(range(200))


async def test_an_endpoint_that_hangs_delays_no_other_teams(live: Small, customer: Receiver):
    async with a_customer() as hanging:
        hanging.answers = [60.0] * 5
        await point(live, hanging.url)
        await point(live, customer.url, live.babbage)
        await writes(live, *range(3))
        await writes(live, *range(100, 120), side=live.babbage)

        await settled(live, 20)

        assert order(customer) == list(range(100, 120))
        assert len(hanging.got) == 0


async def test_an_endpoint_that_is_dead_delays_no_other_teams(live: Small, customer: Receiver):
    await point(live, "http://127.0.0.1:9/dead")
    await point(live, customer.url, live.babbage)

    await writes(live, *range(3))
    await writes(live, *range(100, 110), side=live.babbage)
    await settled(live, 10)

    assert order(customer) == list(range(100, 110))
    mine = [it for it in await live.rows(attempts) if it.team_id == live.ada.id]
    assert mine
    assert mine[0].status is None
    assert "Connect" in mine[0].error


async def test_after_failures_the_same_bytes_come_again_in_order_and_every_attempt_is_told(
    live: Small, customer: Receiver
):
    customer.answers = [500, 503, 429]
    await point(live, customer.url)

    await writes(live, 1, 2, 3)
    await settled(live, 3)

    assert order(customer) == [1, 1, 1, 1, 2, 3]
    assert len({body for body, _ in customer.got[:4]}) == 1
    assert len({headers["x-chakra-signature-256"] for _, headers in customer.got[:4]}) == 1
    first = (await live.rows(deliveries))[0]
    _, told = await operations.get_delivery(live.context(), first.id)
    assert [(it.status, it.response_body) for it in told] == [
        (500, "OK"),
        (503, "OK"),
        (429, "OK"),
        (200, "OK"),
    ]
    assert first.attempts == 4
    assert (await live.row(endpoints)).failures == 0


async def test_an_event_that_is_refused_steps_aside_and_later_ones_pass(live: Small, customer: Receiver):
    customer.answers = [400, 400, 400]
    await point(live, customer.url)

    await writes(live, 1, 2, 3)
    await settled(live, 3)

    assert order(customer)[:5] == [1, 1, 1, 2, 3]
    assert order(customer)[5:] == [1], "and it comes again by itself"


async def test_an_event_that_is_always_refused_is_exhausted_at_last_and_that_is_an_event(
    live: Small, customer: Receiver
):
    customer.answers = [422] * 4
    await point(live, customer.url)

    await writes(live, 1)
    await settled(live, 1, "EXHAUSTED")

    assert len(customer.got) == 4
    (given_up,) = await live.rows(events, events.c.name == "webhook.given_up")
    assert given_up.subject_id == (await live.row(deliveries)).id
    await writes(live, 2)
    await settled(live, 1)


async def test_an_endpoint_in_trouble_for_days_is_paused_loses_nothing_and_comes_back_by_itself(
    live: Small, customer: Receiver
):
    customer.answers = [500] * 10_000
    await point(live, customer.url)
    await writes(live, 1, 2, 3)
    await until(lambda: customer.got)

    async def paused():
        live.clock.now += 40
        live.res.bells.deliveries.ring()
        return (await live.row(endpoints)).paused_why

    live.clock.now += 3 * DAY_MS
    assert await until(paused) == "FAILING"
    assert await states(live) == ["PENDING"] * 3
    (told,) = await live.rows(events, events.c.name == "webhook.paused")
    assert told.subject_id == (await live.row(endpoints)).id

    customer.answers, customer.got = [], []
    await settled(live, 3)

    assert order(customer) == [1, 2, 3]
    endpoint = await live.row(endpoints)
    assert (endpoint.paused_at, endpoint.failures, endpoint.failing_since_at) == (None, 0, None)
    assert len(await live.rows(events, events.c.name == "webhook.resumed")) == 1


async def test_a_delivery_can_be_replayed_whatever_became_of_it(live: Small, customer: Receiver):
    await point(live, customer.url)
    await writes(live, 1)
    await settled(live, 1)
    delivery = await live.row(deliveries)

    row, told = await operations.replay(live.context(), delivery.id)
    assert (row.id, len(told)) == (delivery.id, 1)
    await until(lambda: len(customer.got) == 2)
    await settled(live, 1)

    assert customer.got[0][0] == customer.got[1][0]
    assert len(await live.rows(attempts)) == 2
    with pytest.raises(NotFound):
        await operations.replay(live.context(live.babbage), delivery.id)
    with pytest.raises(NotFound):
        await operations.get_delivery(live.context(live.babbage), delivery.id)
    await point(live, None)
    with pytest.raises(Conflict):
        await operations.replay(live.context(), delivery.id)


async def test_clearing_the_url_cancels_what_waits_and_setting_it_works_again(
    live: Small, customer: Receiver
):
    await point(live, "http://127.0.0.1:9/dead")
    await writes(live, 1, 2)

    async def tried():
        return await live.rows(attempts)

    await until(tried)
    await point(live, None)
    assert await states(live) == ["CANCELLED"] * 2
    await writes(live, 3)
    await live.fold()
    assert len(await states(live)) == 2

    await point(live, customer.url)
    await writes(live, 4)
    await settled(live, 1)

    assert order(customer) == [4]
    assert sorted(await states(live)) == ["CANCELLED", "CANCELLED", "DELIVERED"]


async def test_a_new_address_gets_what_the_old_one_did_not_take(live: Small, customer: Receiver):
    await point(live, "http://127.0.0.1:9/dead")
    await writes(live, 1, 2)

    async def tried():
        return await live.rows(attempts)

    await until(tried)
    await point(live, customer.url)
    await writes(live, 3)
    await settled(live, 3)

    assert order(customer) == [1, 2, 3]


async def test_folding_again_delivers_nothing_twice(live: Small, customer: Receiver):
    await point(live, customer.url)
    await writes(live, 1, 2)
    await settled(live, 2)

    await live.fold_again()
    await writes(live, 3)
    await settled(live, 3)

    assert order(customer) == [1, 2, 3]


async def test_a_redirect_is_not_followed(live: Small, customer: Receiver):
    async def redirecting(scope, receive, send) -> None:
        await receive()
        headers = [(b"location", customer.url.encode())]
        await send({"type": "http.response.start", "status": 307, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async with served(redirecting) as url:
        await point(live, url)
        await writes(live, 1)

        async def tried():
            return await live.rows(attempts)

        (first, *_) = await until(tried)

    assert first.status == 307
    assert customer.got == []
    assert await states(live) == ["PENDING"]


PRIVATE = ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "１２７.0.0.1")
DISGUISED = ("2130706433", "127.1")


async def test_private_addresses_are_refused_when_they_are_set(guarded: Small):
    for host in PRIVATE:
        with pytest.raises(BadRequest, match="private network"):
            await point(guarded, f"http://{host}:1234/hook")
    assert await guarded.rows(endpoints) == []


async def test_private_addresses_get_nothing_even_if_they_are_set(guarded: Small, customer: Receiver):
    """A name may come to mean another address after it was set."""
    await point(guarded, "https://example.com/")
    port = customer.url.split(":")[2]

    for n, host in enumerate((*PRIVATE, *DISGUISED)):
        fresh = {"url": f"http://{host}:{port}", "failures": 0, "rests_until_at": None}
        await guarded.execute(endpoints.update().values(**fresh))
        await guarded.execute(attempts.delete())
        await writes(guarded, n)

        async def tried():
            guarded.clock.now += 100
            guarded.res.bells.deliveries.ring()
            return await guarded.rows(attempts)

        (first, *_) = await until(tried)
        assert first.status is None, host
        assert any(it in first.error for it in ("private", "canonical", "DNSError")), (host, first.error)
    assert customer.got == []


@pytest.fixture
async def guarded(database_url: str, tmp_path: Path) -> AsyncIterator[Small]:
    """Everything running, as one runs it on the internet."""
    async with quick(database_url, tmp_path, loops=True, allow_private_webhooks="no") as live:
        yield live


async def test_what_is_pending_goes_on_after_a_restart(database_url: str, tmp_path: Path, customer: Receiver):
    async with quick(database_url, tmp_path, loops=True) as live:
        await point(live, "http://127.0.0.1:9/dead")
        await writes(live, *range(5))
        await live.fold()
        assert len(await states(live)) == 5
        await live.app.stop()

        later = App(live.app.settings, clock=live.clock)
        await later.start()
        live.app = later
        await point(live, customer.url)
        await settled(live, 5)

        assert order(customer) == list(range(5))


async def test_an_endpoint_whose_work_fails_in_us_is_tried_again_without_haste(
    live: Small, customer: Receiver
):
    """A secret sealed with another key cannot be opened: no busy loop, and it goes on once it can."""
    (team,) = await live.rows(teams, teams.c.id == live.ada.id)
    await live.execute(teams.update().where(teams.c.id == live.ada.id).values(webhook_secret_sealed="x"))
    await point(live, customer.url)
    with capture_logs() as logs:
        await writes(live, 1)
        await until(lambda: [it for it in logs if it["event"] == "webhooks.endpoint_failed"])
        await asyncio.sleep(0.2)
    assert len([it for it in logs if it["event"] == "webhooks.endpoint_failed"]) < 10

    sealed = team.webhook_secret_sealed
    await live.execute(teams.update().where(teams.c.id == live.ada.id).values(webhook_secret_sealed=sealed))
    await settled(live, 1)


async def test_the_oldest_bodies_are_read_as_they_are_sent(live: Small):
    assert dispatch.WINDOW < 100
    assert await live.rows(inbound_events) == []
