"""X-Request-Id: one id from the call to its reply, its log lines, and what became of the message it sent."""

from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

from samvad.kit.ids import is_id
from tests.api.asking import refuse_next
from tests.harness import PERSON, Product, asking, until

HEADER = "X-Request-Id"


@pytest.fixture
def lines():
    """Every line of the log, with what the request bound to it."""
    capture = LogCapture()
    before = structlog.get_config()["processors"]
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, capture])
    yield capture.entries
    structlog.configure(processors=before)


async def events(product: Product, name: str) -> list[dict[str, Any]]:
    reply = await product.api.get("/v1/samvad/event", params={"name": name})
    assert reply.status_code == 200, reply.text
    return list(reply.json()["_data"])


async def test_an_id_that_came_along_is_told_in_the_reply_and_another_is_made(product: Product) -> None:
    given = await product.api.get("/v1/health", headers={HEADER: "order-42/retry=1"})
    made = await product.api.get("/v1/health")
    again = await product.api.get("/v1/health")

    assert given.headers.get_list(HEADER) == ["order-42/retry=1"]
    assert is_id(made.headers[HEADER])
    assert made.headers[HEADER] != again.headers[HEADER]


@pytest.mark.parametrize("given", ["", "two words", "x" * 129, "tab\tin it", "grün".encode()])
async def test_an_id_that_must_not_stand_in_a_log_is_not_taken(product: Product, given: Any) -> None:
    reply = await product.api.get("/v1/health", headers=[(HEADER.encode(), given)])

    assert is_id(reply.headers[HEADER])


async def test_every_reply_has_one_whoever_gives_it(product: Product) -> None:
    paths = ("/nowhere", "/docs", "/openapi.json", "/webhooks/whatsapp/nobody", "/v1/ext/users", "/v1/health")
    async with asking(product.base_url) as client:
        replies = [await client.get(path, headers={HEADER: f"at{path}"}) for path in paths]

    assert [it.headers[HEADER] for it in replies] == [f"at{path}" for path in paths]
    assert {it.status_code for it in replies} == {200, 401, 404}


async def test_a_send_its_log_lines_and_its_events_have_the_same_id(
    product: Product, lines: list[Any]
) -> None:
    await product.open_window()
    sent = await product.send_text("hello", headers={HEADER: "req-good"})
    refused = await product.send({"to": PERSON, "type": "text", "text": {}}, headers={HEADER: "req-refused"})

    wamid = sent.json()["messages"][0]["id"]
    (message,) = [it for it in await product.listed() if it["externalId"] == wamid]
    found = {it["subject"]: it["data"] for it in await events(product, "message.sent")}
    assert found[message["id"]] == {"requestId": "req-good"}
    assert refused.status_code >= 400
    assert {"requestId": "req-refused"} in [it["data"] for it in await events(product, "message.failed")]


async def test_a_line_of_the_log_has_the_id_of_its_request_and_no_other_ones(
    product: Product, lines: list[Any]
) -> None:
    await product.open_window()  # the lanes and the writer are begun by requests too: other ones
    await product.send_text("before", headers={HEADER: "req-first"})
    await refuse_next(product, behaviour="drop")

    ended = await product.send_text("into silence", headers={HEADER: "req-silent"})
    await product.customer_writes("after")
    await until(lambda: any(it["event"] == "send.unanswered" for it in lines))

    (line,) = [it for it in lines if it["event"] == "send.unanswered"]
    assert (ended.status_code, ended.headers[HEADER]) == (504, "req-silent")
    assert line["request_id"] == "req-silent"
    assert [it for it in lines if it.get("request_id") == "req-first"] == []
