import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from samvad.bench.process import free_port
from samvad.kit import errors as kit
from samvad.whatsapp import cloud_api
from samvad.whatsapp.cloud_api import CloudApi
from samvad.whatsapp.exchange import MAX_ANSWER_BYTES, NotSent, Unknown
from samvad.whatsapp.outcomes import Accepted, Done, Refused

TOKEN = "EAAGinventedTokenOfABusiness0123456789"
NUMBER = "200000000000002"
WABA = "300000000000001"
TEXT = {"messaging_product": "whatsapp", "to": "919999900001", "type": "text", "text": {"body": "नमस्ते"}}
ACCEPTED = {
    "messaging_product": "whatsapp",
    "contacts": [{"input": "919999900001", "wa_id": "919999900001"}],
    "messages": [{"id": "wamid.OUT1"}],
}


@dataclass
class Asked:
    """One request as it arrived over the wire."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    peer: tuple


@dataclass
class Meta:
    """A stand-in for Meta's server: answers what it is told to and remembers what it was asked."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    answers: list[web.Response] = field(default_factory=list)
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    def answer(self, what: object, status: int = 200) -> None:
        body = what if isinstance(what, bytes) else json.dumps(what).encode()
        self.answers.append(web.Response(status=status, body=body, content_type="application/json"))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        self.asked.append(
            Asked(
                request.method,
                request.path,
                dict(request.query),
                dict(request.headers),
                await request.read(),
                request.transport.get_extra_info("peername"),
            )
        )
        self.heard.set()
        await self.may_answer.wait()
        return self.answers.pop(0)


@pytest.fixture
async def meta() -> AsyncIterator[Meta]:
    stand_in = Meta()
    stand_in.may_answer.set()
    app = web.Application()
    app.router.add_route("*", "/{anything:.*}", stand_in.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    stand_in.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield stand_in
    await runner.cleanup()


@pytest.fixture
async def cloud(meta) -> AsyncIterator[CloudApi]:
    async with CloudApi(meta.url + "/") as api:
        yield api


Wire = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def wire(behave: Wire) -> AsyncIterator[str]:
    """A server that speaks below HTTP, for broken connections; gives its address."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await behave(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_an_accepted_message_has_its_wamid_and_went_out_byte_for_byte(meta, cloud):
    meta.answer(ACCEPTED)
    payload = json.dumps(TEXT).encode()

    outcome = await cloud.send(NUMBER, payload, token=TOKEN, version="v24.0")

    assert outcome == Accepted("wamid.OUT1", "919999900001", ACCEPTED)
    (asked,) = meta.asked
    assert (asked.method, asked.path, asked.body) == ("POST", f"/v24.0/{NUMBER}/messages", payload)
    assert asked.headers["Authorization"] == f"Bearer {TOKEN}"
    assert asked.headers["Content-Type"] == "application/json"


async def test_a_payload_may_be_an_object(meta, cloud):
    meta.answer(ACCEPTED)

    await cloud.send(NUMBER, TEXT, token=TOKEN)

    assert json.loads(meta.asked[0].body) == TEXT
    assert meta.asked[0].path == f"/v25.0/{NUMBER}/messages"


async def test_an_accepted_template_tells_its_status_and_a_bsuid_has_no_wa_id(meta, cloud):
    meta.answer(
        {
            "contacts": [{"input": "IN.5550", "user_id": "IN.5550"}],
            "messages": [{"id": "wamid.T", "message_status": "held_for_quality_assessment"}],
        }
    )

    outcome = await cloud.send(NUMBER, TEXT, token=TOKEN)

    assert isinstance(outcome, Accepted)
    assert (outcome.wa_id, outcome.bsuid) == (None, "IN.5550")
    assert outcome.message_status == "held_for_quality_assessment"


async def test_a_read_receipt_is_done_without_a_wamid(meta, cloud):
    meta.answer({"success": True})

    outcome = await cloud.send(NUMBER, {"status": "read", "message_id": "wamid.IN1"}, token=TOKEN)

    assert outcome == Done({"success": True})


async def test_a_refusal_is_a_value_with_metas_words(meta, cloud):
    error = {
        "message": "(#131009) Parameter value is not valid",
        "code": 131009,
        "error_data": {"details": "Why."},
    }
    meta.answer({"error": error}, status=400)

    outcome = await cloud.send(NUMBER, TEXT, token=TOKEN)

    assert isinstance(outcome, Refused)
    assert outcome.refusal.text == "(#131009) Parameter value is not valid: Why."
    assert outcome.refusal.error == error
    assert not outcome.refusal.ambiguous


@pytest.mark.parametrize("code", [1, 2, 131000, 131016])
async def test_a_trouble_of_metas_own_is_a_refusal_that_may_have_been_delivered(meta, cloud, code):
    meta.answer({"error": {"message": "Something went wrong", "code": code}}, status=500)

    outcome = await cloud.send(NUMBER, TEXT, token=TOKEN)

    assert isinstance(outcome, Refused)
    assert outcome.refusal.ambiguous
    assert not outcome.refusal.may_be_repeated


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (502, b"<html>Bad gateway</html>"), (504, b""), (408, b""), (200, b"<html>hello</html>"), (200, b""),
        (200, b"{}"), (200, b"[]"), (200, b'{"success":false}'), (200, b'{"messages":[]}'),
        (200, b'{"messages":[{"id":""}]}'), (200, b'{"messages":{"id":"x"}}'),
    ],
)  # fmt: skip
async def test_an_answer_that_says_neither_yes_nor_no_is_unknown_and_sent_only_once(
    meta, cloud, status, body
):
    meta.answer(body, status=status)

    outcome = await cloud.send(NUMBER, TEXT, token=TOKEN)

    assert isinstance(outcome, Unknown)
    assert str(status) in outcome.reason
    assert len(meta.asked) == 1


@pytest.mark.parametrize("status", [400, 404, 413, 429])
async def test_a_4xx_without_an_error_object_is_still_a_certain_no(meta, cloud, status):
    meta.answer(b"<html>", status=status)

    outcome = await cloud.send(NUMBER, TEXT, token=TOKEN)

    assert isinstance(outcome, Refused)
    assert outcome.refusal.status == status


async def test_a_connection_that_cannot_be_opened_means_not_sent():
    async with CloudApi(f"http://127.0.0.1:{free_port()}") as api:
        outcome = await api.send(NUMBER, TEXT, token=TOKEN)

    assert isinstance(outcome, NotSent)
    assert TOKEN not in outcome.reason


async def test_a_connection_lost_after_the_request_left_is_unknown_and_not_tried_again():
    heard: list[bytes] = []

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"}}"))

    async with wire(hang_up) as url, CloudApi(url) as api:
        outcome = await api.send(NUMBER, {"text": {"body": "x"}}, token=TOKEN)

    assert isinstance(outcome, Unknown)
    assert len(heard) == 1


async def test_an_answer_cut_off_in_the_middle_is_unknown():
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}}")
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"messages":[{"id":"wa')
        await writer.drain()

    async with wire(break_off) as url, CloudApi(url) as api:
        outcome = await api.send(NUMBER, {"text": {"body": "x"}}, token=TOKEN)

    assert isinstance(outcome, Unknown)


async def test_an_answer_that_is_not_http_is_unknown():
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}}")
        writer.write(b"what?\r\n\r\n")
        await writer.drain()

    async with wire(babble) as url, CloudApi(url) as api:
        outcome = await api.send(NUMBER, {"text": {"body": "x"}}, token=TOKEN)

    assert isinstance(outcome, Unknown)


async def test_an_answer_that_does_not_come_in_time_is_unknown(meta):
    meta.answer(ACCEPTED)
    meta.may_answer.clear()

    async with CloudApi(meta.url, timeout_s=0.4) as api:
        outcome = await api.send(NUMBER, TEXT, token=TOKEN)

    assert outcome == Unknown("it did not answer in time")


async def test_a_call_that_never_got_a_connection_is_not_sent_rather_than_unknown(meta):
    meta.answer(ACCEPTED)
    meta.may_answer.clear()

    async with CloudApi(meta.url, timeout_s=4.0, connections=1) as api:
        first = asyncio.create_task(api.send(NUMBER, TEXT, token=TOKEN))
        await meta.heard.wait()
        second = await api.send(NUMBER, TEXT, token=TOKEN)
        meta.may_answer.set()
        outcome = await first

    assert isinstance(outcome, Accepted)
    assert second == NotSent("no connection could be opened in time")
    assert len(meta.asked) == 1


async def test_a_redirect_is_refused_and_the_token_goes_nowhere_else(meta, cloud):
    elsewhere = web.Response(status=302, headers={"Location": f"{meta.url}/elsewhere"})
    meta.answers.append(elsewhere)

    outcome = await cloud.send(NUMBER, TEXT, token=TOKEN)

    assert isinstance(outcome, Refused)
    assert outcome.refusal.status == 502
    assert len(meta.asked) == 1


@pytest.mark.parametrize("packed", [False, True])
async def test_an_endless_answer_is_not_read_to_its_end(meta, cloud, packed):
    endless = b'{"messages":[{"id":"' + b"x" * MAX_ANSWER_BYTES + b'"}]}'
    headers = {"Content-Encoding": "gzip"} if packed else {}
    meta.answers.append(web.Response(body=gzip.compress(endless) if packed else endless, headers=headers))

    outcome = await cloud.send(NUMBER, TEXT, token=TOKEN)

    assert isinstance(outcome, Unknown)


async def test_calls_one_after_the_other_share_one_connection(meta, cloud):
    for _ in range(3):
        meta.answer(ACCEPTED)
        await cloud.send(NUMBER, TEXT, token=TOKEN)

    assert len({asked.peer for asked in meta.asked}) == 1


async def test_a_token_that_meta_repeats_is_blotted_out_everywhere(meta, cloud):
    error = {"message": f"Malformed access token {TOKEN}", "code": 190}
    meta.answer({"error": error}, status=401)
    meta.answer({"error": error}, status=401)
    meta.answer(
        {"data": [], "paging": {"next": f"https://graph.facebook.com/x?access_token={TOKEN}&after=a"}}
    )

    outcome = await cloud.send(NUMBER, TEXT, token=TOKEN)
    with pytest.raises(kit.Refused) as refused:
        await cloud.get(NUMBER, token=TOKEN)
    page = await cloud.get(f"{WABA}/message_templates", token=TOKEN)

    for shown in (repr(outcome), repr(refused.value), repr(refused.value.error), repr(page), repr(cloud)):
        assert TOKEN not in shown
    assert "Malformed access token [token]" in repr(outcome)


@pytest.mark.parametrize("token", ["", "two words", "line\r\nX-Injected: 1", "naïve", "\x00"])
async def test_a_token_that_cannot_be_one_is_a_mistake_of_the_person_and_is_not_shown(cloud, token):
    with pytest.raises(kit.BadRequest) as refused:
        await cloud.send(NUMBER, TEXT, token=token)

    assert not token or token not in str(refused.value)


@pytest.mark.parametrize("number", ["", "../me", "1/messages?x=", "1#", "١", "1 2", "x" * 500])
async def test_an_id_never_reaches_another_address(meta, cloud, number):
    with pytest.raises(kit.BadRequest):
        await cloud.send(number, TEXT, token=TOKEN)
    with pytest.raises(kit.BadRequest):
        await cloud.template(number, token=TOKEN)

    assert not meta.asked


async def test_a_version_is_written_as_meta_writes_it(meta, cloud):
    with pytest.raises(kit.BadRequest):
        await cloud.send(NUMBER, TEXT, token=TOKEN, version="v25.0/me")

    assert not meta.asked


async def test_a_refused_question_raises_metas_error_with_its_status(meta, cloud):
    error = {"message": "Unsupported get request.", "code": 100, "error_subcode": 33}
    meta.answer({"error": error}, status=400)

    with pytest.raises(kit.Refused) as refused:
        await cloud.get("1", token=TOKEN)

    assert (refused.value.status, refused.value.error) == (400, error)
    assert refused.value.problems == ("Unsupported get request.",)


async def test_a_question_without_an_answer_may_be_asked_again():
    async with CloudApi(f"http://127.0.0.1:{free_port()}") as api:
        with pytest.raises(kit.Unreachable):
            await api.get("1", token=TOKEN)


@pytest.mark.parametrize(("status", "body"), [(503, b"<html>"), (200, b"<html>"), (200, b"[]")])
async def test_an_answer_that_cannot_be_understood_is_unreachable_to_read_and_ambiguous_to_change(
    meta, cloud, status, body
):
    for _ in range(3):
        meta.answer(body, status=status)

    with pytest.raises(kit.Unreachable):
        await cloud.get("1", token=TOKEN)
    with pytest.raises(kit.Ambiguous):
        await cloud.post("1", token=TOKEN, json={})
    with pytest.raises(kit.Ambiguous):
        await cloud.delete("1", token=TOKEN)


async def test_a_change_that_never_left_is_unreachable_and_a_lost_one_is_ambiguous():
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with CloudApi(f"http://127.0.0.1:{free_port()}") as api:
        with pytest.raises(kit.Unreachable):
            await api.post("1", token=TOKEN)
    async with wire(hang_up) as url, CloudApi(url) as api:
        with pytest.raises(kit.Ambiguous):
            await api.post("1", token=TOKEN, json={"pin": "1"})


async def test_a_form_and_an_object_go_out_each_in_their_own_type(meta, cloud):
    for _ in range(3):
        meta.answer({"success": True})

    await cloud.post("1/encryption", token=TOKEN, form={"business_public_key": "a b"})
    await cloud.post("1/register", token=TOKEN, json={"pin": "1"})
    await cloud.delete("1/block_users", token=TOKEN, json={"block_users": []}, params={"a": "b&c"})

    form, posted, deleted = meta.asked
    assert (form.body, form.headers["Content-Type"]) == (
        b"business_public_key=a+b",
        "application/x-www-form-urlencoded",
    )
    assert (json.loads(posted.body), posted.headers["Content-Type"]) == ({"pin": "1"}, "application/json")
    assert (deleted.method, json.loads(deleted.body)) == ("DELETE", {"block_users": []})
    assert deleted.query == {"a": "b&c"}


async def test_every_page_is_read_by_its_cursor_and_never_by_the_address_meta_offers(meta, cloud):
    offered = "http://elsewhere.invalid/steal"
    meta.answer({"data": [{"id": "1"}], "paging": {"cursors": {"after": "AA=="}, "next": offered}})
    meta.answer({"data": [{"id": "2"}, "junk"], "paging": {"cursors": {"after": "BB=="}, "next": offered}})
    meta.answer({"data": [{"id": "3"}], "paging": {"cursors": {"after": "CC=="}}})

    found = await cloud.templates(WABA, token=TOKEN)

    assert [one["id"] for one in found] == ["1", "2", "3"]
    assert [asked.query.get("after") for asked in meta.asked] == [None, "AA==", "BB=="]
    assert all(
        asked.query["limit"] == "100" and "components" in asked.query["fields"] for asked in meta.asked
    )


async def test_more_pages_than_the_limit_are_an_error_and_not_a_part(meta, cloud):
    for _ in range(3):
        meta.answer({"data": [{"id": "1"}], "paging": {"cursors": {"after": "A"}, "next": "x"}})

    with pytest.raises(kit.TooLarge):
        await cloud.get_all(f"{WABA}/phone_numbers", token=TOKEN, max_pages=3)

    assert len(meta.asked) == 3


async def test_the_named_calls_ask_at_metas_addresses(meta, cloud):
    for _ in range(7):
        meta.answer({"id": "9", "data": []})

    await cloud.template("11", token=TOKEN)
    await cloud.phone_numbers(WABA, token=TOKEN)
    await cloud.phone_number(NUMBER, token=TOKEN)
    await cloud.waba(WABA, token=TOKEN)
    await cloud.media("22", token=TOKEN, phone_number_id=NUMBER)
    await cloud.subscribe(WABA, "https://samvad.example/hook", "secret words", token=TOKEN)
    await cloud.subscribe(WABA, token=TOKEN)

    assert [(asked.method, asked.path) for asked in meta.asked] == [
        ("GET", "/v25.0/11"),
        ("GET", f"/v25.0/{WABA}/phone_numbers"),
        ("GET", f"/v25.0/{NUMBER}"),
        ("GET", f"/v25.0/{WABA}"),
        ("GET", "/v25.0/22"),
        ("POST", f"/v25.0/{WABA}/subscribed_apps"),
        ("POST", f"/v25.0/{WABA}/subscribed_apps"),
    ]
    assert meta.asked[4].query == {"phone_number_id": NUMBER}
    assert json.loads(meta.asked[5].body) == {
        "override_callback_uri": "https://samvad.example/hook",
        "verify_token": "secret words",
    }
    assert meta.asked[6].body == b""


async def test_headers_and_addresses_kept_ready_are_bounded(meta, cloud, monkeypatch):
    monkeypatch.setattr(cloud_api, "MAX_REMEMBERED", 2)

    for number in range(5):
        meta.answer(ACCEPTED)
        await cloud.send(str(number), TEXT, token=f"token-{number}")

    assert [asked.headers["Authorization"] for asked in meta.asked] == [f"Bearer token-{n}" for n in range(5)]
    assert [asked.path for asked in meta.asked] == [f"/v25.0/{n}/messages" for n in range(5)]


async def test_a_call_under_way_when_it_closes_is_unknown_and_a_later_one_is_a_programmers_mistake(meta):
    meta.answer(ACCEPTED)
    meta.may_answer.clear()
    api = CloudApi(meta.url)

    under_way = asyncio.create_task(api.send(NUMBER, TEXT, token=TOKEN))
    await meta.heard.wait()
    await api.close()

    assert isinstance(await under_way, Unknown)
    with pytest.raises(AssertionError):
        await api.send(NUMBER, TEXT, token=TOKEN)


def test_an_address_that_carries_credentials_or_no_host_is_a_programmers_mistake():
    for address in ("https://user:password@graph.facebook.com", "graph.facebook.com", "https://"):
        with pytest.raises(AssertionError):
            CloudApi(address)
