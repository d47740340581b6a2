"""Chats as clients list them: three orders, search, paging, closing and opening."""

from functools import partial
from typing import Any

import pytest

from samvad.domain.chats import listing
from tests.api.asking import NOBODY, second_team, sentence
from tests.harness import PERSON, Product, until

CHATS = "/v1/ext/chat"
OURS = "/v1/samvad/chat"
SETTINGS = "/v1/samvad/settings"


async def chats(product: Product, **body: Any) -> list[dict[str, Any]]:
    reply = await product.api.post(CHATS, json=body)
    assert reply.status_code == 200, reply.text
    found: list[dict[str, Any]] = reply.json()["_data"]
    return found


async def meta_of(product: Product, **body: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await product.api.post(CHATS, json=body)).json()["_meta"]
    return found


async def said_in(product: Product, chat_id: str) -> list[str]:
    reply = await product.api.post(f"{CHATS}/{chat_id}/message", json={"limit": 50, "page": 1})
    assert reply.status_code == 200, reply.text
    return [it["text"] for it in reply.json()["_data"]]


async def change(product: Product, chat_id: str, how: str) -> dict[str, Any]:
    reply = await product.api.post(f"{OURS}/{chat_id}/{how}")
    assert reply.status_code == 200, reply.text
    changed: dict[str, Any] = reply.json()["_data"]
    return changed


async def test_a_chat_shows_with_whom_it_is_what_was_said_last_and_until_when_one_may_write(product: Product):
    await product.customer_writes("where is my order?")

    async def with_lead() -> Any:  # which a job opens
        return [it for it in await product.listed() if it["process"]]

    (inbound,) = await until(with_lead)
    assert (await product.send_text("on its way")).status_code == 200

    (chat,) = await chats(product, limit=1)

    messages = await product.listed()
    assert (chat["id"], chat["contact"]) == (inbound["chat"], inbound["contact"])
    assert chat["externalId"] == chat["primaryContactHandle"]["value"] == PERSON
    assert chat["primaryContact"]["id"] == inbound["contact"]
    assert (chat["status"], chat["unreadCount"], chat["assignedTo"]) == ("OPEN", 1, None)
    assert chat["whatsappPhoneNumberId"] == product.team.phone_number_id
    assert chat["latestMessage"] == {
        "text": "on its way",
        "direction": "OUTBOUND",
        "timestamp": messages[0]["timestamp"],
        "dataType": "text",
    }
    assert chat["sessionWindowClosesAt"] == inbound["timestamp"] + 24 * 3600 * 1000
    assert chat["updatedAt"] > chat["createdAt"]
    assert (await product.api.get(f"{OURS}/{chat['id']}")).json()["_data"] == chat
    assert await said_in(product, chat["id"]) == ["on its way", "where is my order?"]
    assert (await change(product, chat["id"], "read"))["unreadCount"] == 0


async def test_the_list_is_ordered_paged_and_searched(product: Product):
    people = [f"1555000200{n}" for n in range(5)]
    for phone in people:
        await product.customer_writes(f"from {phone}", phone)
        await until(partial(product.listed, phone))
    await product.send_text("you again", people[0])

    by_creation = [it["externalId"] for it in await chats(product)]
    assert by_creation == people[::-1]
    assert [it["externalId"] for it in await chats(product, orderDirection="asc")] == people
    (latest, *_) = await chats(product, orderField="lastMessageAt")
    assert latest["externalId"] == people[0]
    assert (await chats(product, orderField="updatedAt"))[0]["externalId"] == people[0]
    assert [it["externalId"] for it in await chats(product, limit=2, page=2)] == by_creation[2:4]
    assert [it["externalId"] for it in await chats(product, limit=2, skip=3)] == by_creation[3:]
    assert await meta_of(product, limit=2, page=2) == {"hasMore": True, "total": 5}
    assert await chats(product, limit=2, page=9) == []
    assert await meta_of(product, limit=2, page=9) == {"hasMore": False, "total": 5}

    assert [it["externalId"] for it in await chats(product, search="+1 555 000 2003")] == [people[3]]
    assert len(await chats(product, search="0002")) == 5
    assert [it["externalId"] for it in await chats(product, search="2001")] == [people[1]]
    name = latest["primaryContact"]["name"]
    assert people[0] in [it["externalId"] for it in await chats(product, search=name[1:].upper())]
    for nothing in ("no such name", "100%", "_", "\\"):
        assert await chats(product, search=nothing) == []
    assert await meta_of(product, search="0002", limit=2) == {"hasMore": True, "total": 5}


async def test_a_number_and_a_name_are_found_by_their_start_among_any_number_of_chats(
    product: Product, monkeypatch: pytest.MonkeyPatch
):
    for phone in (PERSON, "15550004444"):
        await product.customer_writes("hi", phone)
        await until(partial(product.listed, phone))
    monkeypatch.setattr(listing, "SEARCHED_WITHIN", 1)
    name = (await chats(product, search=PERSON))[0]["primaryContact"]["name"]

    assert PERSON in [it["externalId"] for it in await chats(product, search=name[:2].lower())]
    assert [it["externalId"] for it in await chats(product, search=PERSON)] == [PERSON]
    assert await chats(product, search=PERSON[3:]) == [], "further inside only among the latest"


async def test_wrong_wishes_are_named(product: Product):
    for body, words in (
        ({"orderField": "name"}, "createdAt, updatedAt, lastMessageAt"),
        ({"orderDirection": "up"}, "asc, desc"),
        ({"limit": 1001}, "from 1 to 1000"),
        ({"page": 0}, "page"),
        ({"search": "x" * 101}, "100 is the most"),
        ({"search": {"a": 1}}, "search"),
        ({"status": "open"}, "OPEN, CLOSED"),
    ):
        assert words in sentence(await product.api.post(CHATS, json=body), 400)
    assert "closedChats" in sentence(await product.api.post(SETTINGS, json={}), 400)
    assert "NEW, REOPEN" in sentence(await product.api.post(SETTINGS, json={"closedChats": "x"}), 400)
    for path in (f"{OURS}/{NOBODY}/close", f"{OURS}/not-an-id/read"):
        assert "not found" in sentence(await product.api.post(path), 404)


async def test_after_closing_the_next_message_begins_another_chat_and_history_spans_both(product: Product):
    await product.customer_writes("first")
    (first,) = await until(product.listed)
    closed = await change(product, first["chat"], "close")
    assert closed["status"] == "CLOSED"

    assert (await product.send_text("are you there?")).status_code == 200
    await product.customer_writes("second")
    await until(lambda: _count(product, 3))

    new, old = await chats(product)
    assert (new["status"], old["status"], old["id"]) == ("OPEN", "CLOSED", first["chat"])
    assert await said_in(product, new["id"]) == ["second", "are you there?"]
    assert await said_in(product, old["id"]) == ["first"]
    assert [it["id"] for it in await chats(product, status="CLOSED")] == [old["id"]]
    assert "another open chat" in sentence(await product.api.post(f"{OURS}/{old['id']}/open"), 409)
    await change(product, new["id"], "close")
    assert (await change(product, old["id"], "open"))["status"] == "OPEN"


async def test_a_team_may_have_its_closed_chats_opened_again(product: Product):
    assert (await product.api.get(SETTINGS)).json()["_data"] == {
        "closedChats": "NEW",
        "opensLeads": True,
        "ignoresUnknownAttributes": False,
        "country": None,
        "timeZone": "UTC",
    }
    await product.api.post(SETTINGS, json={"closedChats": "REOPEN"})
    await product.customer_writes("first")
    (first,) = await until(product.listed)
    await change(product, first["chat"], "close")

    await product.customer_writes("second")
    await until(lambda: _count(product, 2))

    (chat,) = await chats(product)
    assert (chat["id"], chat["status"]) == (first["chat"], "OPEN")
    assert await said_in(product, chat["id"]) == ["second", "first"]


async def test_another_teams_chats_do_not_exist(product: Product):
    await product.customer_writes("for Ada only")
    (mine,) = await until(product.listed)
    _, client = await second_team(product)

    async with client:
        for search in (None, PERSON, PERSON[2:]):
            assert (await client.post(CHATS, json={"search": search})).json()["_data"] == []
        assert (await client.get(f"{OURS}/{mine['chat']}")).status_code == 404


async def _count(product: Product, count: int) -> bool:
    return len(await product.listed()) == count
