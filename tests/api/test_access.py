"""What somebody sees of processes, by the mode of their access: the same on every surface, or it leaks."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from samvad.domain.accounts import operations as accounts
from samvad.domain.accounts import people, rules
from samvad.domain.accounts.access import MODES
from samvad.domain.processes import ruling
from tests.api.asking import sentence
from tests.api.test_bulk import entries, finished
from tests.harness import Product, Receiver, until

LEADS = "/v1/ext/procedure/lead/process"
CONFIG = "/v1/ext/config"

SEES = {
    "all": {"mine", "reportee's", "pod's", "made", "other's"},
    "match-pod": {"pod's"},
    "own-and-reportees": {"mine", "reportee's", "made"},
    "assigned-to": {"mine"},
    "view-only": {"mine", "reportee's", "pod's", "made", "other's"},
    "partial": {"mine", "reportee's", "pod's", "made", "other's"},
    "none": set(),
}
WRITES = {
    **SEES,
    "view-only": set(),
    "partial": {"mine", "reportee's", "made"},
}
WHOLE = {**SEES, "partial": WRITES["partial"]}
"""Which of the leads somebody with this mode sees, may change, and sees all of."""


@dataclass
class World:
    product: Product
    agent: httpx.AsyncClient
    agent_name: str
    leads: dict[str, dict[str, Any]]
    """By what they are to the agent; each one's city is that word."""


@pytest.fixture
async def world(product: Product) -> AsyncIterator[World]:
    """An agent, their reportee, a stranger, a pod of the agent's; and a lead of each."""
    res, team = product.app.res, product.team.id
    names = {it: f"{it}@ada.example" for it in ("agent", "reportee", "stranger")}
    for who, email in names.items():
        await accounts.create_user(res, team, email=email, name=who, role="Agent", password="correct horse")
    await people.report_to(res, team, names["reportee"], names["agent"])
    await people.create_pod(res, team, name="north")
    await people.add_to_pod(res, team, "north", names["agent"])
    await people.create_pod(res, team, name="south")
    key = await accounts.create_key(res, team, name="agent", role="Agent", email=names["agent"])
    wanted: dict[str, dict[str, str]] = {
        "mine": {"assignedTo": names["agent"], "belongsTo": "south"},
        "reportee's": {"assignedTo": names["reportee"]},
        "pod's": {"assignedTo": names["stranger"], "belongsTo": "north"},
        "other's": {"assignedTo": names["stranger"], "belongsTo": "south"},
    }
    leads = {}
    for word, of_whom in wanted.items():
        body: dict[str, Any] = {"data": {"name": f"Lead {word}", "city": word}, **of_whom}
        leads[word] = (await product.api.post(LEADS, json=body)).json()["_data"]
    async with product.client(key.token) as agent:
        made = await agent.post(LEADS, json={"data": {"name": "Lead made", "city": "made"}})
        leads["made"] = made.json()["_data"]
        yield World(product, agent, names["agent"], leads)


async def ruled(world: World, mode: str, **more: Any) -> None:
    res, team = world.product.app.res, world.product.team.id
    lead = await ruling.thing(res, team, "procedure", "lead")
    await rules.set_access_rule(
        res,
        team,
        resource="procedure",
        resource_id=lead.id,
        resource_short_id=lead.short_id,
        access_mode=mode,
        scope="user",
        scope_id=world.agent_name,
        **more,
    )


async def listed(client: httpx.AsyncClient, where: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    reply = await client.post(f"{LEADS}/list", json={"where": where or {}, "limit": 100})
    assert reply.status_code == 200, reply.text
    found: list[dict[str, Any]] = reply.json()["_data"]
    return found


def words_of(world: World, found: list[dict[str, Any]]) -> set[str]:
    by_id = {it["id"]: word for word, it in world.leads.items()}
    return {by_id[it["id"]] for it in found}


@pytest.mark.parametrize("mode", MODES)
async def test_fetch_list_update_delete_and_task_keep_to_the_mode(world: World, mode: str):
    await ruled(world, mode)

    seen = await listed(world.agent)
    assert words_of(world, seen) == SEES[mode]
    assert words_of(world, [it for it in seen if "city" in it["data"]]) == WHOLE[mode]
    for word, lead in world.leads.items():
        fetched = await world.agent.get(f"{LEADS}/{lead['id']}")
        assert (fetched.status_code == 200) is (word in SEES[mode]), word
        found = await listed(world.agent, {"city": word})
        assert words_of(world, found) == ({word} & WHOLE[mode]), word
        key = lead["data"]["lead_id"]
        for asked in (
            world.agent.put(f"{LEADS}/{lead['id']}", json={"data": {"score": 7}}),
            world.agent.put(f"{LEADS}/lead_id/{key}", json={"data": {"score": 7}}),
            world.agent.post(f"/v1/ext/p/lead/{key}/task/call", json={}),
        ):
            reply = await asked
            expected = 200 if word in WRITES[mode] else 403 if word in SEES[mode] else 404
            assert reply.status_code == expected, (word, reply.text)
            assert word in WHOLE[mode] or word not in reply.text
    for word, lead in world.leads.items():
        deleted = await world.agent.delete(f"{LEADS}/{lead['id']}")
        assert (deleted.status_code == 200) is (word in WRITES[mode]), word
    left = words_of(world, await listed(world.product.api))
    assert left == set(world.leads) - WRITES[mode]


@pytest.mark.parametrize("mode", MODES)
async def test_a_bulk_update_changes_only_what_the_mode_lets_one_change(world: World, mode: str):
    await ruled(world, mode)
    items = [{"id": it["id"], "update": {"data": {"score": 7}}} for it in world.leads.values()]

    job, counts = await finished_as(world, await world.agent.patch(LEADS, json={"processes": items}))

    changed = [it for it in await listed(world.product.api) if it["data"].get("score") == 7]
    assert words_of(world, changed) == WRITES[mode]
    assert counts["SUCCESS"] == len(WRITES[mode])
    told = {it["input"]["id"]: it for it in await entries(world.product, job["id"])}
    for word, lead in world.leads.items():
        status = "SUCCESS" if word in WRITES[mode] else "ERROR" if word in SEES[mode] else "INVALID"
        assert told[lead["id"]]["completionStatus"] == status, word


async def finished_as(world: World, reply: Any) -> tuple[dict[str, Any], dict[str, int]]:
    return await finished(world.product, reply)


@pytest.mark.parametrize("mode", MODES)
async def test_a_webhook_that_stands_for_somebody_tells_what_they_see(
    world: World, receiver: Receiver, mode: str
):
    await ruled(world, mode)
    wanted = {"url": receiver.url, "events": ["process:update:post"], "actsAs": {"user": world.agent_name}}
    reply = await world.product.api.post("/v1/samvad/object-webhook", json=wanted)
    assert reply.status_code == 200, reply.text
    everything = {"url": f"{receiver.url}?all", "events": ["process:update:post"]}
    assert (await world.product.api.post("/v1/samvad/object-webhook", json=everything)).status_code == 200

    for word, lead in world.leads.items():
        body = {"data": {"score": 7, "city": f"{word} now"}}
        assert (await world.product.api.put(f"{LEADS}/{lead['id']}", json=body)).status_code == 200

    await until(lambda: len(receiver.got) == len(world.leads) + len(SEES[mode]))
    heard = [json.loads(body) for body, _ in receiver.got]
    counts: dict[str, int] = {}
    for it in heard:
        (word,) = words_of(world, [it["_data"]])
        counts[word] = counts.get(word, 0) + 1
    assert {word for word, number in counts.items() if number == 2} == SEES[mode]
    hidden = [it for it in heard if "city" not in it["_data"]["data"]]
    assert words_of(world, [it["_data"] for it in hidden]) == SEES[mode] - WHOLE[mode]
    assert not any("city" in it["_prev"].get("data", {}) for it in hidden)


async def test_a_webhook_that_stands_for_somebody_ends_with_them(world: World, receiver: Receiver):
    res, team = world.product.app.res, world.product.team.id
    wanted = {"url": receiver.url, "events": ["process:update:post"], "actsAs": {"user": world.agent_name}}
    assert (await world.product.api.post("/v1/samvad/object-webhook", json=wanted)).status_code == 200
    mine = f"{LEADS}/{world.leads['mine']['id']}"
    await world.product.api.put(mine, json={"data": {"score": 1}})
    await until(lambda: len(receiver.got) == 1)

    await accounts.change_user(res, team, world.agent_name, is_active=False)
    await world.product.api.put(mine, json={"data": {"score": 2}})
    await accounts.change_user(res, team, world.agent_name, is_active=True)
    await world.product.api.put(mine, json={"data": {"score": 3}})

    await until(lambda: len(receiver.got) == 2)
    assert json.loads(receiver.got[1][0])["_data"]["data"]["score"] == 3


async def test_a_rule_for_everybody_does_not_keep_conversations_from_their_leads(world: World):
    res, team = world.product.app.res, world.product.team.id
    lead = await ruling.thing(res, team, "procedure", "lead")
    await rules.set_access_rule(
        res, team, resource="procedure", resource_id=lead.id, access_mode="none", scope="all"
    )

    await world.product.customer_writes("hi", "15550001234")

    async def lead_of_theirs() -> Any:
        messages = await world.product.listed("15550001234")
        return messages and messages[0]["process"]

    await until(lead_of_theirs)
    assert await listed(world.product.api) == []


async def test_without_rules_agents_see_their_own_and_managers_all(world: World):
    manager = await accounts.create_key(
        world.product.app.res, world.product.team.id, name="manager", role="Manager"
    )

    assert words_of(world, await listed(world.agent)) == SEES["own-and-reportees"]
    async with world.product.client(manager.token) as client:
        assert words_of(world, await listed(client)) == set(world.leads)


@pytest.mark.parametrize("path", ["/v1/samvad/event", "/v1/samvad/media", "/v1/samvad/webhook-delivery"])
async def test_what_tells_of_the_whole_team_is_for_those_who_manage(world: World, path: str):
    assert (await world.product.api.get(path)).status_code == 200
    assert "ADMIN or MANAGER" in sentence(await world.agent.get(path), 403)


async def test_what_access_hides_is_in_no_config_either(world: World):
    await ruled(world, "none")

    config = await world.agent.get(CONFIG)

    assert config.status_code == 200
    assert config.json()["_data"]["procedures"] == []
