"""Which chats a key sees: seven modes of access, each tried at every door through which a chat could leak."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx
import pytest

from samvad.domain.accounts import operations as accounts
from samvad.domain.accounts import people, rules
from samvad.kit.ids import new_id
from tests.api.asking import LIST, NOBODY, second_team, sentence
from tests.harness import Product, until

CHATS = "/v1/ext/chat"
OURS = "/v1/samvad/chat"
EVENTS = "/v1/samvad/event"
NAMES = ("mine", "below", "others", "free", "pod")
PHONES = {name: f"1555000300{n}" for n, name in enumerate(NAMES)}
LEAD_ID = new_id()


@dataclass
class Desk:
    """An agent's key, whom they lead, a stranger; and a chat for each name."""

    product: Product
    client: httpx.AsyncClient
    agent: str
    below: str
    other: str
    chats: dict[str, str] = field(default_factory=dict)
    people: dict[str, str] = field(default_factory=dict)
    """The names of the persons, as only their chats tell them."""

    async def seen(self, **body: Any) -> set[str]:
        reply = await self.client.post(CHATS, json={"limit": 50, **body})
        assert reply.status_code == 200, reply.text
        assert reply.json()["_meta"]["total"] == len(reply.json()["_data"])
        names = {chat: name for name, chat in self.chats.items()}
        return {names[it["id"]] for it in reply.json()["_data"]}

    async def allow(self, mode: str, **more: Any) -> str:
        res, team = self.product.app.res, self.product.team.id
        about = {"resource": "procedure", "resource_id": LEAD_ID, "resource_short_id": "lead"}
        return await rules.set_access_rule(res, team, **about, access_mode=mode, **more)


@pytest.fixture
async def desk(product: Product) -> AsyncIterator[Desk]:
    res, team = product.app.res, product.team.id
    made = {}
    for name in ("agent", "below", "other"):
        who = {"email": f"{name}@ada.example", "name": name, "role": "Agent", "password": "correct horse"}
        made[name] = await accounts.create_user(res, team, **who)
    await people.report_to(res, team, "below@ada.example", "agent@ada.example")
    await people.create_pod(res, team, name="Sales")
    await people.add_to_pod(res, team, "Sales", "agent@ada.example")
    key = await accounts.create_key(res, team, name="desk", role="Agent", email="agent@ada.example")
    async with product.client(key.token) as client:
        desk = Desk(product, client, made["agent"], made["below"], made["other"])
        for name, phone in PHONES.items():
            await product.customer_writes(f"secret of {name}", phone)
            (message,) = await until(partial(product.listed, phone))
            desk.chats[name] = message["chat"]
            shown = (await product.api.get(f"{OURS}/{message['chat']}")).json()["_data"]
            desk.people[name] = shown["primaryContact"]["name"]
        for name, wanted in (
            ("mine", {"assignedTo": "agent@ada.example"}),
            ("below", {"assignedTo": desk.below}),
            ("others", {"assignedTo": "other@ada.example"}),
            ("pod", {"assignedTo": desk.other, "belongsTo": "Sales"}),
        ):
            reply = await product.api.post(f"{OURS}/{desk.chats[name]}/assign", json=wanted)
            assert reply.status_code == 200, reply.text
        yield desk


EVERY = set(NAMES)
MODES: dict[str, tuple[set[str], set[str], set[str]]] = {
    # seen at all, seen whole, may be changed
    "all": (EVERY, EVERY, EVERY),
    "match-pod": ({"pod"}, {"pod"}, {"pod"}),
    "own-and-reportees": ({"mine", "below"}, {"mine", "below"}, {"mine", "below"}),
    "assigned-to": ({"mine"}, {"mine"}, {"mine"}),
    "view-only": (EVERY, EVERY, set()),
    "partial": (EVERY, {"mine", "below"}, {"mine", "below"}),
    "none": (set(), set(), set()),
}
WITHOUT_RULE = {"mine", "below", "free"}


async def test_through_no_door_leaks_what_a_mode_of_access_hides(desk: Desk) -> None:
    await tried(desk, "no rule", WITHOUT_RULE, WITHOUT_RULE, WITHOUT_RULE)
    for mode, (seen, whole, writable) in MODES.items():
        await desk.allow(mode, scope="roleType", scope_id="USER")
        await tried(desk, mode, seen, whole, writable)

    (listed,) = await desk.product.listed(PHONES["others"])
    assert listed["text"] == "secret of others", "those who manage see all the while"


async def tried(desk: Desk, mode: str, seen: set[str], whole: set[str], writable: set[str]) -> None:
    """Every door, for every chat, under one mode of access."""
    client = desk.client
    assert await desk.seen() == seen, mode
    assert await desk.seen(status="OPEN", orderField="updatedAt") == seen, mode
    everything = (await client.post(CHATS, json={"limit": 50})).text
    for name, chat in desk.chats.items():
        why, phone = f"{name} under {mode}", PHONES[name]
        assert await desk.seen(search=phone) == whole & {name}, why
        assert await desk.seen(search=phone[4:]) == whole & {name}, why
        shown = await client.get(f"{OURS}/{chat}")
        said = await client.post(f"{CHATS}/{chat}/message", json={})
        by_phone = await client.post(LIST, json={"customerPhoneNumber": phone})

        assert shown.status_code == (200 if name in seen else 404), why
        assert said.status_code == (200 if name in whole else 403 if name in seen else 404), why
        assert by_phone.status_code == 200
        assert len(by_phone.json()["_data"]) == (name in whole), why
        for text in (everything, shown.text, said.text, by_phone.text):
            if name not in whole:
                assert f"secret of {name}" not in text, why
                assert desk.people[name] not in text, why
            if name not in seen:
                assert chat not in text.replace(f"Chat {chat} not found", ""), why

        before = (await desk.product.api.get(f"{OURS}/{chat}")).json()["_data"]
        wanted = 200 if name in writable else 403 if name in seen else 404
        for how, body in (
            ("read", None),
            ("close", None),
            ("open", None),
            ("assign", {"assignedTo": before["assignedTo"]}),
        ):
            reply = await client.post(f"{OURS}/{chat}/{how}", json=body)
            assert reply.status_code == wanted, f"{how} {why}: {reply.text}"
        after = (await desk.product.api.get(f"{OURS}/{chat}")).json()["_data"]
        assert after["assignedTo"] == before["assignedTo"]
        if name not in writable:
            assert after == before, why


async def test_a_chat_seen_in_part_shows_its_handle_and_hides_whose_it_is(desk: Desk) -> None:
    await desk.allow("partial")

    others = (await desk.client.get(f"{OURS}/{desk.chats['others']}")).json()["_data"]
    mine = (await desk.client.get(f"{OURS}/{desk.chats['mine']}")).json()["_data"]

    assert others["externalId"] == PHONES["others"]
    hidden = ("contact", "assignedTo", "belongsTo", "process", "primaryContact", "latestMessage")
    assert [others[it] for it in (*hidden, "sessionWindowClosesAt")] == [None] * 7
    assert others["unreadCount"] == 0
    assert others["updatedAt"] == others["lastMessageAt"] == others["latestMessageTs"] == others["createdAt"]
    assert mine["latestMessage"]["text"] == "secret of mine"
    assert "not what was said" in sentence(
        await desk.client.post(f"{CHATS}/{desk.chats['others']}/message", json={}), 403
    )
    assert await desk.seen(search=desk.people["others"]) == set(), "a name that finds would be told"


async def test_a_finer_rule_for_chats_wins_over_that_of_the_leads(desk: Desk) -> None:
    await desk.allow("none")
    assert await desk.seen() == set()

    finer = await desk.allow("all", sub_resource="chat")
    assert await desk.seen() == EVERY
    await desk.allow("assigned-to", sub_resource="chat", scope="user", scope_id="agent@ada.example")
    assert await desk.seen() == {"mine"}

    await desk.allow("none", sub_resource="task")
    await rules.remove_access_rule(desk.product.app.res, desk.product.team.id, finer)
    assert await desk.seen() == {"mine"}


async def test_an_agent_takes_a_chat_and_hands_it_on(desk: Desk) -> None:
    free, before = desk.chats["free"], desk.product.app.res.clock()

    taken = await desk.client.post(f"{OURS}/{free}/assign", json={"assignedTo": "agent@ada.example"})
    assert taken.json()["_data"]["assignedTo"] == desk.agent
    again = await desk.client.post(f"{OURS}/{free}/assign", json={"assignedTo": desk.agent})
    assert again.json() == taken.json(), "what changes nothing is no change"
    passed_on = await desk.client.post(
        f"{OURS}/{free}/assign", json={"assignedTo": "other@ada.example", "belongsTo": "Sales"}
    )

    assert passed_on.json()["_data"]["assignedTo"] == desk.other
    assert passed_on.json()["_data"]["latestMessage"]["text"] == "secret of free"
    assert passed_on.json()["_data"]["updatedAt"] >= before
    assert (await desk.client.get(f"{OURS}/{free}")).status_code == 404, "it is the other's now"
    last, first = (
        await desk.product.api.get(EVENTS, params={"name": "chat.assigned", "subject": free})
    ).json()["_data"]
    assert first["data"]["before"] == {"assignedTo": None, "belongsTo": None}
    assert first["data"]["after"] == {"assignedTo": desk.agent, "belongsTo": None}
    assert first["actor"] == last["actor"] == desk.agent
    assert last["data"]["after"] == {
        "assignedTo": desk.other,
        "belongsTo": passed_on.json()["_data"]["belongsTo"],
    }

    nobodys = await desk.product.api.post(f"{OURS}/{free}/assign", json={"assignedTo": None})
    assert nobodys.json()["_data"]["assignedTo"] is None
    assert nobodys.json()["_data"]["belongsTo"] is not None, "what is not named stays"
    assert "free" in await desk.seen()


async def test_a_chat_goes_to_nobody_who_is_not_in_the_team(desk: Desk) -> None:
    res = desk.product.app.res
    babbage, client = await second_team(desk.product)
    await people.create_pod(res, babbage.id, name="Theirs")
    await people.delete_user(res, desk.product.team.id, "below@ada.example")
    path = f"{OURS}/{desk.chats['free']}/assign"

    for body, said in (
        ({}, "Say to whom"),
        ({"assignedTo": 5}, "assignedTo must be a string"),
        ({"assignedTo": NOBODY}, "no user"),
        ({"assignedTo": f"owner@{babbage.id}.example"}, "no user"),
        ({"assignedTo": "below@ada.example"}, "no user"),
        ({"belongsTo": "Theirs"}, "no pod"),
        ({"assignedTo": "agent@ada.example", "belongsTo": "Nowhere"}, "no pod"),
    ):
        assert said in sentence(await desk.product.api.post(path, json=body), 400), body
    async with client:
        assert "not found" in sentence(await client.post(path, json={"assignedTo": None}), 404)
    shown = (await desk.product.api.get(f"{OURS}/{desk.chats['free']}")).json()["_data"]
    assert (shown["assignedTo"], shown["belongsTo"]) == (None, None)


async def test_one_who_is_shut_out_still_gets_work(desk: Desk) -> None:
    await accounts.change_user(
        desk.product.app.res, desk.product.team.id, "other@ada.example", is_active=False
    )

    reply = await desk.product.api.post(
        f"{OURS}/{desk.chats['free']}/assign", json={"assignedTo": desk.other}
    )

    assert reply.json()["_data"]["assignedTo"] == desk.other
