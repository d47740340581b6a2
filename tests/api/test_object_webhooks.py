"""Webhooks about objects over the wire: made, tried, paused and removed, by those who manage and for one team."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from samvad.domain.accounts import operations as accounts
from samvad.domain.webhooks import objects
from samvad.domain.webhooks.changes import Change, tell_changes
from samvad.domain.webhooks.model import OBJECT_EVENTS
from tests.api.asking import DELIVERIES, ENDPOINTS, NOBODY, second_team, sentence
from tests.harness import Product, Receiver, running, until

OBJECTS = "/v1/samvad/object-webhook"
HOOK = "https://hooks.example.com/objects"


async def add(product: Product, client: httpx.AsyncClient | None = None, **body: Any) -> httpx.Response:
    return await (client or product.api).post(OBJECTS, json={"url": HOOK} | body)


async def added(product: Product, client: httpx.AsyncClient | None = None, **body: Any) -> dict[str, Any]:
    reply = await add(product, client, **body)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()["_data"]
    return found


async def listed(product: Product, path: str = OBJECTS) -> list[Any]:
    reply = await product.api.get(path)
    assert reply.status_code == 200, reply.text
    found: list[Any] = reply.json()["_data"]
    return found


async def happens(product: Product) -> None:
    now = product.clock()
    told = Change("task", "create", NOBODY, "lead", {"id": NOBODY, "data": {}}, {}, now, NOBODY)
    await product.app.db.team(product.team.id).write(lambda tx: tell_changes(tx, [told], at=now))
    product.app.res.bells.deliveries.ring()


async def test_an_endpoint_is_added_and_listed_in_both_lists(product: Product) -> None:
    everything = await added(product)
    some = await added(
        product,
        events=["task:update:post", "process:create:post"] * 2,
        procedures=["lead", "deal"],
        actsAs=None,
    )

    assert everything["events"] == list(OBJECT_EVENTS)
    assert everything["procedures"] is None
    assert everything["actsAs"] == {"user": None, "role": None, "roleType": "ADMIN"}
    assert (everything["format"], everything["plugin"], everything["state"]) == ("OBJECT", None, "ACTIVE")
    assert some["events"] == ["process:create:post", "task:update:post"]
    assert some["procedures"] == ["deal", "lead"]
    assert await listed(product) == [everything, some]
    plain = {name: value for name, value in everything.items() if name not in ("procedures", "actsAs")}
    assert plain in await listed(product, ENDPOINTS)


async def test_it_is_tried_told_paused_and_replayed_like_every_other(
    product: Product, receiver: Receiver
) -> None:
    one = await added(product, url=receiver.url)
    endpoint = f"{ENDPOINTS}/{one['id']}"

    tried = (await product.api.post(f"{endpoint}/test")).json()["_data"]
    test_body = json.loads(receiver.got[-1][0])
    paused = (await product.api.post(f"{endpoint}/pause")).json()["_data"]
    await happens(product)
    (waiting,) = [it for it in await listed(product) if it["pendingCount"] == 1]
    resumed = (await product.api.post(f"{endpoint}/resume")).json()["_data"]
    await until(lambda: len(receiver.got) == 2)

    assert (tried["state"], tried["format"], tried["plugin"]) == ("DELIVERED", "OBJECT", None)
    assert test_body["event"] == "samvad.test"
    assert test_body.keys() == {"event", "_data", "_prev", "timestamp"}
    assert (paused["state"], waiting["state"], resumed["state"]) == ("PAUSED", "PAUSED", "ACTIVE")
    body, headers = receiver.got[-1]
    secret = (await product.api.get("/v1/samvad/webhook-secret")).json()["_data"]["standardSecret"]
    assert Webhook(secret).verify(body, headers) == json.loads(body)
    assert json.loads(body)["event"] == "task:create:post"

    async def in_the_log() -> Any:
        return await listed(product, f"{DELIVERIES}?format=OBJECT&event=task:create:post&state=DELIVERED")

    (delivery,) = await until(in_the_log)
    assert (delivery["id"], delivery["plugin"], delivery["url"]) == (
        headers["webhook-id"],
        None,
        receiver.url,
    )
    again = await product.api.post(f"{DELIVERIES}/{delivery['id']}/replay")
    assert again.status_code == 200
    await until(lambda: len(receiver.got) == 3)
    assert receiver.got[2][0] == body


async def test_one_that_is_removed_is_gone_from_both_lists(product: Product, receiver: Receiver) -> None:
    one = await added(product, url=receiver.url)

    gone = await product.api.delete(f"{OBJECTS}/{one['id']}")
    await happens(product)

    assert gone.json() == {"_data": {"success": True}}
    assert await listed(product) == []
    assert one["id"] not in [it["id"] for it in await listed(product, ENDPOINTS)]
    assert await listed(product, f"{DELIVERIES}?format=OBJECT") == []
    sentence(await product.api.delete(f"{OBJECTS}/{one['id']}"), 404)
    sentence(await product.api.post(f"{ENDPOINTS}/{one['id']}/test"), 404)
    assert receiver.got == []


async def test_whom_it_stands_for_is_found_by_name_address_or_id(product: Product) -> None:
    res, team = product.app.res, product.team
    person = {"email": "ada@kitchen.example", "name": "Ada", "password": "correct horse"}
    ada = await accounts.create_user(res, team.id, role="Agent", **person)

    by_address = (await added(product, actsAs={"user": "ada@kitchen.example"}))["actsAs"]
    by_id = (await added(product, actsAs={"user": ada, "role": ""}))["actsAs"]
    as_manager = (await added(product, actsAs={"user": ada, "role": "Manager"}))["actsAs"]
    a_role = (await added(product, actsAs={"role": "Agent"}))["actsAs"]

    assert by_address == by_id
    assert (by_address["user"], by_address["roleType"]) == (ada, "USER")
    assert (as_manager["user"], as_manager["roleType"]) == (ada, "MANAGER")
    assert a_role == {"user": None, "role": by_address["role"], "roleType": "USER"}
    await accounts.change_user(res, team.id, "ada@kitchen.example", is_active=False)
    assert "nobody who is active" in sentence(await add(product, actsAs={"user": ada}), 400)


async def test_every_mistake_is_named_at_once(product: Product) -> None:
    reply = await add(product, url="ftp://x", events=["process:create:pre"], procedures=[" "])
    assert [it.split()[0] for it in reply.json()["_errors"]] == ["url", "No", "procedures"]
    assert "process:update:post" in reply.text

    for body, words in (
        ({"url": 7}, "url must be a string"),
        ({"url": f"{HOOK}/{'a' * 2048}"}, "longer than 2048"),
        ({"url": "http://[x"}, "http(s) URL"),
        ({"events": []}, "leave it out"),
        ({"events": "process:create:post"}, "list of names"),
        ({"procedures": [1]}, "list of names"),
        ({"procedures": ["a"] * 101}, "more than 100"),
        ({"procedures": ["a" * 101]}, "up to 100"),
        ({"actsAs": "Admin"}, "actsAs must be an object"),
        ({"actsAs": {"role": ["Admin"]}}, "role must be a string"),
        ({"actsAs": {"role": "Nobody"}}, "no role named"),
        ({"actsAs": {"user": "nobody@example.com"}}, "nobody who is active"),
    ):
        assert words in sentence(await add(product, **body), 400), body
    assert await listed(product) == []


async def test_a_team_has_only_so_many(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "MOST_ENDPOINTS", 2)
    first = await added(product)
    await added(product)

    assert "at most 2" in sentence(await add(product), 409)
    await product.api.delete(f"{OBJECTS}/{first['id']}")
    await added(product)


async def test_they_are_of_one_team_and_for_those_who_manage(database_url: str, tmp_path: Path) -> None:
    async with running(database_url, tmp_path, allow_private_webhooks="0") as product:
        one = await added(product)
        _, other = await second_team(product)
        keys = {
            role: (await accounts.create_key(product.app.res, product.team.id, name=role, role=role)).token
            for role in ("Agent", "Manager")
        }
        async with other, product.client(keys["Agent"]) as agent, product.client(keys["Manager"]) as manager:
            assert (await other.get(OBJECTS)).json() == {"_data": []}
            sentence(await other.delete(f"{OBJECTS}/{one['id']}"), 404)
            for asking in (agent.get(OBJECTS), add(product, agent), agent.delete(f"{OBJECTS}/{one['id']}")):
                assert "ADMIN or MANAGER" in sentence(await asking, 403)

            theirs = await added(product, manager)
            assert theirs["actsAs"]["roleType"] == "MANAGER"
            assert "stand for an ADMIN" in sentence(
                await add(product, manager, actsAs={"role": "Admin"}), 403
            )
            assert (await manager.delete(f"{OBJECTS}/{theirs['id']}")).status_code == 200

        for private in ("http://127.0.0.1/", "http://localhost:8000/x", "https://169.254.169.254/"):
            assert "private network" in sentence(await add(product, url=private), 400)
        assert await listed(product) == [one]
