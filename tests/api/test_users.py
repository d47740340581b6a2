"""The people of a team over the wire: 25 keys in the vendor's order, in words at v2, and who may change whom."""

from typing import Any

import httpx
import pytest

from samvad.domain.accounts import operations as accounts
from samvad.domain.accounts import people
from samvad.domain.events.tables import events
from samvad.kit.errors import BadRequest
from samvad.storage import every_team
from tests.api.asking import NOBODY, NUMBERS, second_team, sentence
from tests.harness import Product, until

USERS, USERS_IN_WORDS = "/v1/ext/users", "/v2/ext/users"
USER, USER_IN_WORDS = "/v1/ext/user", "/v2/ext/user"
KEYS = [
    *("id", "createdAt", "updatedAt", "username", "firstName", "lastName", "middleName", "displayName"),
    *("gender", "bio", "profileImageUrl", "coverImageUrl", "timezone", "dob", "data", "onboardingData"),
    *("isActive", "isDeleted", "deletedAt", "availabilityStatus", "team", "role", "primaryEmail"),
    *("primaryPhone", "profile"),
]
PASSWORD = "correct horse"


async def person(product: Product, name: str, **more: Any) -> str:
    wanted = {"email": f"{name.lower()}@ada.example", "name": f"{name} Byron", "role": "Agent"}
    return await accounts.create_user(
        product.app.res, product.team.id, **(wanted | {"password": PASSWORD} | more)
    )


async def data_of(client: httpx.AsyncClient, path: str) -> Any:
    reply = await client.get(path)
    assert reply.status_code == 200, reply.text
    return reply.json()["_data"]


async def test_a_user_has_the_vendors_25_keys_in_their_order(product: Product) -> None:
    user_id = await person(product, "Sam", username="sam", phone="+1 555 000 7777")

    (_, sam) = await data_of(product.api, USERS)
    shown = await data_of(product.api, f"{USER}/{user_id}")

    assert list(sam) == KEYS
    assert len(KEYS) == 25
    assert list(shown) == ["phones", "emails", *KEYS, "reportees"]
    assert {key: shown[key] for key in KEYS} == sam
    assert (sam["username"], sam["firstName"], sam["lastName"], sam["displayName"]) == (
        "sam",
        "Sam",
        "Byron",
        "Sam Byron",
    )
    assert sam["team"] == product.team.id
    assert (sam["isActive"], sam["isDeleted"], sam["deletedAt"]) == (True, False, None)
    email = {
        "id": sam["primaryEmail"]["id"],
        "createdAt": sam["createdAt"],
        "updatedAt": sam["createdAt"],
        "email": "sam@ada.example",
        "normalizedEmail": "sam@ada.example",
        "type": "WORK",
        "isVerified": False,
        "user": user_id,
    }
    assert sam["primaryEmail"] == email
    assert shown["emails"] == [email]
    assert [it["phone"] for it in shown["phones"]] == [sam["primaryPhone"]["phone"]] == ["15550007777"]
    assert "argon2" not in (await product.api.get(USERS)).text


async def test_v2_says_names_where_ids_stand(product: Product) -> None:
    boss, sam = await person(product, "Boss"), await person(product, "Sam", phone="15550007777")
    await people.report_to(product.app.res, product.team.id, sam, boss)

    (shown_boss, owner, shown_sam) = await data_of(product.api, USERS_IN_WORDS)
    alone = await data_of(product.api, f"{USER_IN_WORDS}/{boss}")

    assert [it["displayName"] for it in (shown_boss, owner, shown_sam)] == [
        "Boss Byron",
        "Owner",
        "Sam Byron",
    ]
    assert list(shown_sam) == KEYS
    assert (shown_sam["role"], owner["role"], shown_sam["team"]) == ("Agent", "Admin", "Ada's Kitchen")
    assert (shown_sam["primaryEmail"], shown_sam["primaryPhone"]) == ("sam@ada.example", "15550007777")
    assert list(alone) == ["phones", "emails", *KEYS, "reportees"]
    assert (alone["emails"], alone["phones"], alone["reportees"]) == (
        ["boss@ada.example"],
        [],
        ["sam@ada.example"],
    )


async def test_reportees_are_all_below_and_nobody_ends_up_below_themselves(product: Product) -> None:
    res, team = product.app.res, product.team.id
    boss, lead, agent = [await person(product, name) for name in ("Boss", "Lead", "Agent")]
    await people.report_to(res, team, lead, boss)
    await people.report_to(res, team, agent, "lead@ada.example")

    assert (await data_of(product.api, f"{USER}/{boss}"))["reportees"] == [agent, lead]
    assert (await data_of(product.api, f"{USER}/{agent}"))["reportees"] == []
    for who, above in ((boss, boss), (boss, lead), (boss, agent)):
        with pytest.raises(BadRequest, match="nobody reports to themselves"):
            await people.report_to(res, team, who, above)

    await people.delete_user(res, team, lead)
    assert (await data_of(product.api, f"{USER}/{boss}"))["reportees"] == [agent], "through who is gone"
    await people.report_to(res, team, agent, None)
    assert (await data_of(product.api, f"{USER}/{boss}"))["reportees"] == []


async def test_only_what_is_sent_changes_and_the_log_tells_who_changed_what(product: Product) -> None:
    sam = await person(product, "Sam")
    before = await data_of(product.api, f"{USER}/{sam}")

    put = await product.api.put(
        f"{USER}/{sam}", json={"firstName": "Samuel", "lastName": "Byron", "dob": 478137600000}
    )
    patched = await product.api.patch(f"{USER}/{sam}", json={"timezone": "Asia/Kolkata"})
    posted = await product.api.post(f"{USER}/{sam}", json={"availabilityStatus": "ON_BREAK", "bio": None})
    same = await product.api.put(f"{USER}/{sam}", json={"firstName": "Samuel"})

    assert [it.status_code for it in (put, patched, posted, same)] == [200] * 4
    after = posted.json()["_data"]
    assert same.json()["_data"] == after == await data_of(product.api, f"{USER}/{sam}")
    assert after["updatedAt"] > before["updatedAt"]
    changed = {
        "firstName": "Samuel",
        "displayName": "Samuel Byron",
        "dob": 478137600000,
        "timezone": "Asia/Kolkata",
        "availabilityStatus": "ON_BREAK",
        "updatedAt": after["updatedAt"],
    }
    assert after == before | changed
    (owner,) = [it["id"] for it in await data_of(product.api, USERS) if it["displayName"] == "Owner"]
    log = await data_of(product.api, f"/v1/samvad/event?name=user.&subject={sam}")
    assert [it["name"] for it in log] == ["user.changed"] * 3 + ["user.created"]
    assert [it["actor"] for it in log] == [owner] * 3 + [None]
    assert log[2]["data"] == {
        "changed": ["firstName", "dob", "displayName"],
        "before": {"firstName": "Sam", "dob": None, "displayName": "Sam Byron"},
        "after": {"firstName": "Samuel", "dob": 478137600000, "displayName": "Samuel Byron"},
    }


async def test_what_may_not_be_changed_is_named_and_nothing_is_changed(product: Product) -> None:
    sam = await person(product, "Sam")
    before = await data_of(product.api, f"{USER}/{sam}")
    wrong = {"firstName": "Ada", "username": "ada", "role": "Admin", "password": "x", "dob": "never"}

    for method in ("PUT", "PATCH", "POST"):
        reply = await product.api.request(method, f"{USER}/{sam}", json=wrong)
        sentence(reply, 400)
        named = [it.partition(" ")[0] for it in reply.json()["_errors"]]
        assert named == ["username", "role", "password", "dob"]

    assert await data_of(product.api, f"{USER}/{sam}") == before


async def test_an_agents_key_changes_its_own_user_alone(product: Product) -> None:
    res, team = product.app.res, product.team.id
    sam, ada = await person(product, "Sam"), await person(product, "Ada")
    _, stranger = await second_team(product)
    async with stranger:
        (charles,) = await data_of(stranger, USERS)
    agent = await accounts.create_key(res, team, name="desk", role="Agent", email="sam@ada.example")
    manager = await accounts.create_key(res, team, name="lead", role="Manager", email="sam@ada.example")

    async with product.client(agent.token) as desk, product.client(manager.token) as lead:
        assert (await desk.put(f"{USER}/{sam}", json={"bio": "mine"})).status_code == 200
        assert "ADMIN or MANAGER" in sentence(await desk.put(f"{USER}/{ada}", json={"bio": "x"}), 403)
        assert (await lead.put(f"{USER}/{ada}", json={"bio": "hers"})).status_code == 200
        assert [it["bio"] for it in await data_of(desk, USERS)] == ["hers", None, "mine"]
        for client in (desk, lead):
            for nobody in (charles["id"], NOBODY, "not-an-id", "sam@ada.example"):
                path = f"{USER}/{nobody}"
                assert "not found" in sentence(await client.put(path, json={"bio": "x"}), 404), nobody
                assert "not found" in sentence(await client.get(path), 404), nobody


async def test_one_who_is_shut_out_is_listed_and_one_who_is_deleted_is_not(product: Product) -> None:
    res, team = product.app.res, product.team.id
    sam, ada = await person(product, "Sam"), await person(product, "Ada")
    key = await accounts.create_key(res, team, name="desk", email="sam@ada.example")
    await accounts.change_user(res, team, "ada@ada.example", is_active=False)
    await people.delete_user(res, team, "sam@ada.example")

    async with product.client(key.token) as client:
        await until(lambda: _is_refused(client))
    listed = {it["id"]: it for it in await data_of(product.api, USERS)}
    assert sam not in listed
    assert listed[ada]["isActive"] is False
    gone = await data_of(product.api, f"{USER}/{sam}")
    assert gone["isDeleted"] is True
    assert gone["deletedAt"] >= gone["createdAt"]
    assert "not found" in sentence(await product.api.put(f"{USER}/{sam}", json={"bio": "x"}), 404)

    await people.restore_user(res, team, "sam@ada.example")
    back = await data_of(product.api, f"{USER}/{sam}")
    assert (back["isDeleted"], back["deletedAt"]) == (False, None)
    log = await product.app.db.read(
        lambda tx: tx.all(
            every_team.select(events.c.name).where(events.c.subject_id == sam).order_by(events.c.id)
        )
    )
    assert [row.name for row in log] == ["user.created", "user.deleted", "user.restored"]


async def _is_refused(client: httpx.AsyncClient) -> bool:
    return (await client.get(NUMBERS)).status_code == 401
