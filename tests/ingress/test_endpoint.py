"""Meta's door: who is believed, what is kept, and when the 200 is said."""

import json

from samvad.domain.inbound.tables import inbound_events
from samvad.domain.messages.tables import messages, parked_statuses
from samvad.domain.waba import queries as waba
from samvad.ingress.endpoint import LARGEST
from samvad.whatsapp.signature import sign
from tests.domain.meta import message, received, status, statuses
from tests.domain.quick import Small, at_once

BODY = json.dumps(received(message("wamid.one"))).encode()


async def test_without_the_right_signature_nothing_is_stored(small: Small):
    wrong = (
        "",
        "sha256=",
        sign("another secret", BODY),
        sign(small.ada.business.app_secret, BODY + b" "),
        "sha256=" + "é" * 64,
    )
    headers = [[], *([(b"X-Hub-Signature-256", it.encode())] for it in wrong)]

    for given in headers:
        reply = await small.http.post(small.ada.callback, content=BODY, headers=given)

        assert reply.status_code == 401, given
        assert reply.json()["_errors"][0]
    assert await small.rows(inbound_events) == []


async def test_another_teams_secret_opens_no_door(small: Small):
    signed = {"X-Hub-Signature-256": sign(small.babbage.business.app_secret, BODY)}

    reply = await small.http.post(small.ada.callback, content=BODY, headers=signed)

    assert reply.status_code == 401
    assert await small.rows(inbound_events) == []


async def test_meta_verifies_the_address_with_its_token(small: Small):
    plugin = await small.res.db.read(waba.plugin_of_any_team, small.ada.plugin_id)
    assert plugin is not None
    token = small.res.seal.open(plugin.verify_token_sealed)
    asked = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": token}

    right = await small.http.get(small.ada.callback, params=asked)
    assert (right.status_code, right.text) == (200, "1158201444")

    for wrong in ({"hub.verify_token": "guess"}, {"hub.mode": "unsubscribe"}, {"hub.challenge": ""}):
        assert (await small.http.get(small.ada.callback, params=asked | wrong)).status_code == 401
    assert (await small.http.get(small.ada.callback)).status_code == 401


async def test_an_unknown_plugin_is_not_found(small: Small):
    nobodys = "0190a1b2-0000-7000-8000-000000000000"

    for plugin in ("nobody", "%00", nobodys, nobodys[:-1] + "%00", "a/b"):
        for method in ("GET", "POST"):
            reply = await small.http.request(method, f"/webhooks/whatsapp/{plugin}")
            assert reply.status_code == 404, plugin
    assert await small.rows(inbound_events) == []


async def test_a_method_meta_does_not_use_is_refused(small: Small):
    assert (await small.http.delete(small.ada.callback)).status_code == 405


async def test_a_body_over_four_megabytes_is_refused_and_one_of_just_that_is_kept(small: Small):
    assert LARGEST == 4 * 1024 * 1024

    too_large = await small.deliver(b" " * (LARGEST + 1))
    assert too_large.status_code == 413
    assert await small.rows(inbound_events) == []

    assert (await small.deliver(BODY + b" " * (LARGEST - len(BODY)))).status_code == 200
    assert len(await small.rows(inbound_events)) == 1


async def test_a_body_without_a_length_is_counted_as_it_comes(small: Small):
    async def pieces():
        for _ in range(5):
            yield b" " * 1024 * 1024

    reply = await small.http.post(small.ada.callback, content=pieces())

    assert reply.status_code == 413


async def test_the_200_comes_after_the_bytes_are_durable_and_nothing_is_parsed_before(small: Small):
    reply = await small.deliver(BODY)

    assert reply.status_code == 200
    row = await small.row(inbound_events)
    assert bytes(row.body) == BODY
    assert (row.team_id, row.plugin_id, row.folded_at) == (small.ada.id, small.ada.plugin_id, None)
    assert await small.rows(messages) == []


async def test_what_is_signed_and_unreadable_is_kept_and_marked(small: Small):
    bodies = [b"", b"no json", b"[]", b'{"entry": 1}', b"\xff\xfe", b"[" * 100_000]

    await small.hears(*bodies)

    rows = await small.rows(inbound_events)
    assert [bytes(it.body) for it in rows] == bodies
    assert all(it.folded_at and it.problem for it in rows)


async def test_the_same_bytes_are_one_event_for_a_plugin_and_another_for_another(small: Small):
    replies = await at_once(*(small.deliver(BODY) for _ in range(30)), small.deliver(BODY, small.babbage))

    assert {it.status_code for it in replies} == {200}
    assert sorted(it.team_id for it in await small.rows(inbound_events)) == sorted(
        [small.ada.id, small.babbage.id]
    )


async def test_bodies_keep_their_order(small: Small):
    for n in range(20):
        await small.deliver(received(message(f"wamid.{n}", at=1)))

    await small.fold()

    assert [it.wamid for it in await small.rows(messages)] == [f"wamid.{n}" for n in range(20)]


async def test_a_thousand_statuses_in_one_body_are_a_thousand_statuses(small: Small):
    await small.hears(statuses(*(status(f"wamid.{n}", "sent") for n in range(1000))))

    assert len(await small.rows(parked_statuses)) == 1000
    assert (await small.row(inbound_events)).problem is None
