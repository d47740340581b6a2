"""Processes over the wire: made, fetched, changed, listed, deleted; tasks; what is wrong said in full."""

from typing import Any

import pytest

from samvad.domain.events.tables import events
from samvad.storage import every_team
from tests.api.asking import sentence
from tests.harness import Product

LEADS = "/v1/ext/procedure/lead/process"
UNKNOWN_ID = "01942000-0000-7000-8000-0000000000aa"


async def made(product: Product, path: str = LEADS, **body: Any) -> dict[str, Any]:
    reply = await product.api.post(path, json=body)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()["_data"]
    return found


async def listed(product: Product, where: Any = None, **more: Any) -> list[dict[str, Any]]:
    reply = await product.api.post(f"{LEADS}/list", json={"where": where or {}, "limit": 100, **more})
    assert reply.status_code == 200, reply.text
    found: list[dict[str, Any]] = reply.json()["_data"]
    return found


async def test_a_new_process_is_as_the_contract_shows_it_and_is_fetched_so(product: Product):
    data = {"name": "Ada Byron", "phone_number": "+1 555 000 1111", "score": "5"}

    lead = await made(product, data=data, nextActionAt=1718558867539)

    assert list(lead) == [
        *("id", "createdAt", "updatedAt", "status", "data", "derivedData", "nextActionAt", "startedAt"),
        *("completedAt", "cancelledAt", "isDeleted", "team", "procedure", "entity", "record", "state"),
        *("assignedTo", "createdBy", "belongsTo"),
    ]
    assert lead["data"] == {
        "lead_id": "LEAD-000001",
        "name": "Ada Byron",
        "phone_number": "+1 555 000 1111",
        "score": 5,
    }
    assert (lead["status"], lead["nextActionAt"], lead["isDeleted"]) == ("OPEN", 1718558867539, False)
    assert lead["team"] == product.team.id
    fetched = await product.api.get(f"{LEADS}/{lead['id']}")
    assert fetched.json() == {"_data": lead}


async def test_an_update_changes_what_it_names_and_null_takes_a_value_away(product: Product):
    lead = await made(product, data={"name": "Ada", "city": "Pune", "score": 1})

    reply = await product.api.put(
        f"{LEADS}/{lead['id']}",
        json={"data": {"city": None, "score": "105"}, "status": "COMPLETED", "state": "CONVERTED"},
    )

    after = reply.json()["_data"]
    assert after["data"] == {"lead_id": "LEAD-000001", "name": "Ada", "score": 105}
    assert after["status"] == "COMPLETED"
    assert after["completedAt"] is not None
    assert after["state"] != lead["state"]
    again = (await product.api.put(f"{LEADS}/{lead['id']}", json={"status": "OPEN"})).json()["_data"]
    assert (again["status"], again["completedAt"]) == ("OPEN", None)
    names = [row.name for row in await _events(product, lead["id"])]
    assert names == ["process.created", "process.updated", "process.updated"]


async def test_a_change_in_the_log_has_its_fields_as_they_were_and_who_did_it(product: Product):
    lead = await made(product, data={"city": "Pune"})

    await product.api.put(f"{LEADS}/{lead['id']}", json={"data": {"city": "Goa"}, "state": "IN_PROGRESS"})
    await product.api.put(f"{LEADS}/{lead['id']}", json={"data": {"city": "Goa"}})  # nothing new

    created, updated = await _events(product, lead["id"])
    assert created.data == {"procedure": "lead"}
    assert updated.data["changed"] == {"state": lead["state"], "data": {"city": "Pune"}}
    assert updated.actor_id == lead["createdBy"]


async def test_by_primary_key_one_updates_and_deletes_and_then_it_is_gone(product: Product):
    lead = await made(product, data={"lead_id": "A/1 b", "name": "Ada"})

    path = f"{LEADS}/lead_id/A%2F1%20b"
    updated = await product.api.put(path, json={"data": {"city": "Goa"}})
    deleted = await product.api.delete(path)

    assert updated.json()["_data"]["data"]["city"] == "Goa"
    assert deleted.json()["_data"]["isDeleted"] is True
    assert sentence(await product.api.delete(path), 404) == "Lead A/1 b not found"
    assert sentence(await product.api.get(f"{LEADS}/{lead['id']}"), 404).endswith("not found")
    assert await listed(product) == []
    await made(product, data={"lead_id": "A/1 b"})  # the key is free again


async def test_a_lead_is_updated_by_its_phone_number_however_it_is_written(product: Product):
    lead = await made(product, data={"phone_number": "5511987654321"})

    for number in ("5511987654321", "551187654321", "%2B55%2011%2098765-4321"):
        reply = await product.api.put(f"{LEADS}/phone_number/{number}", json={"data": {"score": 1}})
        assert reply.json()["_data"]["id"] == lead["id"], number
    assert "not found" in sentence(await product.api.put(f"{LEADS}/phone_number/5511911111111", json={}), 404)
    assert "lead_id or phone_number" in sentence(await product.api.put(f"{LEADS}/city/Goa", json={}), 400)


async def test_a_lead_with_a_known_phone_is_merged_and_not_made_twice(product: Product):
    first = await made(product, data={"name": "Ada", "phone_number": "5511987654321", "city": "Pune"})

    second = await made(product, data={"phone_number": "+55 11 8765-4321", "city": "Goa"})

    assert second["id"] == first["id"]
    assert second["data"]["city"] == "Goa"
    assert second["data"]["name"] == "Ada"
    assert len(await listed(product)) == 1


async def test_a_primary_key_is_there_once(product: Product):
    await made(product, data={"lead_id": "LEAD-000003"})
    other = await made(product, data={})

    twice = await product.api.post(LEADS, json={"data": {"lead_id": "LEAD-000003"}})
    taken = await product.api.put(f"{LEADS}/{other['id']}", json={"data": {"lead_id": "LEAD-000003"}})

    assert other["data"]["lead_id"] == "LEAD-000004"  # a number that was written by hand is not made again
    assert "LEAD-000003" in sentence(twice, 409)
    assert "LEAD-000003" in sentence(taken, 409)


async def test_everything_that_is_wrong_with_a_body_is_told_at_once(product: Product):
    reply = await product.api.post(
        LEADS,
        json={
            "data": {"citty": "Goa", "score": "many", "email": "nobody"},
            "status": "DONE",
            "state": "NWE",
            "assignedTo": "who@nowhere.example",
            "nextActionAt": "tomorrow",
        },
    )

    assert reply.status_code == 400
    problems = reply.json()["_errors"]
    for words in (
        "'citty'; did you mean city?",
        "score must be",
        "email must be",
        "status must be one of OPEN, COMPLETED, CANCELLED",
        "'NWE'; did you mean NEW?",
        "there is no user 'who@nowhere.example'",
        "nextActionAt must be",
    ):
        assert any(words in it for it in problems), (words, problems)
    assert len(problems) == 7
    assert await listed(product) == []


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ({"citty": "Goa"}, "did you mean city"),
        ({"score": {"=>": 1}}, "=>"),
        ({"score": "many"}, "score"),
        ({"status": "DONE"}, "status"),
        ({"state": "NOWHERE"}, "NOWHERE"),
        ({"createdAt": {">": "yesterday"}}, "createdAt"),
        ({"or": {"city": "Goa"}}, "or"),
    ],
)
async def test_a_query_that_is_wrong_says_where(product: Product, where: Any, words: str):
    assert words in sentence(await product.api.post(f"{LEADS}/list", json={"where": where}), 400)


async def test_a_list_is_queried_paged_and_says_whether_there_is_more(product: Product):
    for number in range(5):
        await made(product, data={"city": "Goa" if number % 2 else "Pune", "score": number})

    newest = await listed(product)
    some = await listed(product, {"or": [{"city": "Goa"}, {"score": {">=": 4}}]})
    page = await product.api.post(f"{LEADS}/list", json={"limit": 2, "skip": 1})

    assert [it["data"]["score"] for it in newest] == [4, 3, 2, 1, 0]
    assert [it["data"]["score"] for it in some] == [4, 3, 1]
    assert [it["data"]["score"] for it in page.json()["_data"]] == [3, 2]
    assert page.json()["_meta"] == {"hasMore": True}
    assert len((await product.api.post(f"{LEADS}/list", json={"limit": 1000})).json()["_data"]) == 5
    assert "skip" in sentence(await product.api.post(f"{LEADS}/list", json={"skip": -1}), 400)


async def test_another_team_sees_and_changes_nothing(product: Product):
    from tests.harness import OTHER_BUSINESS, make_team

    lead = await made(product, data={"lead_id": "L1"})
    other = await make_team(product.app, OTHER_BUSINESS, name="Babbage Engines")

    async with product.client(other.token) as stranger:
        assert (await stranger.get(f"{LEADS}/{lead['id']}")).status_code == 404
        assert (await stranger.put(f"{LEADS}/{lead['id']}", json={"status": "COMPLETED"})).status_code == 404
        assert (await stranger.delete(f"{LEADS}/lead_id/L1")).status_code == 404
        assert (await stranger.post(f"{LEADS}/list", json={})).json()["_data"] == []
        own = await stranger.post(LEADS, json={"data": {"lead_id": "L1"}})
        assert own.status_code == 200
        assert (
            await stranger.get(f"/v1/ext/procedure/{lead['procedure']}/process/{lead['id']}")
        ).status_code == 404

    assert [it["id"] for it in await listed(product)] == [lead["id"]]


async def test_a_task_is_added_to_a_process_by_its_id_or_its_key(product: Product):
    lead = await made(product, data={"name": "Ada"})
    call = {
        "data": {"call_disposition": "RNR", "next_call_time": "2034-11-15T09:30:00"},
        "status": "COMPLETED",
    }

    one = await product.api.post(f"/v1/ext/p/lead/{lead['id']}/task/call", json=call)
    two = await product.api.post("/v1/ext/p/lead/LEAD-000001/task/call", json={"title": "Ring again"})

    logged, open_ = one.json()["_data"], two.json()["_data"]
    assert (logged["status"], logged["order"], logged["process"]) == ("COMPLETED", 1, lead["id"])
    assert logged["data"] == call["data"]
    assert logged["completedAt"] is not None
    assert (open_["title"], open_["order"], open_["completedAt"]) == ("Ring again", 2, None)
    for path, words in (
        ("/v1/ext/p/lead/LEAD-000001/task/coll", "call"),
        ("/v1/ext/p/lead/LEAD-000009/task/call", "not found"),
        ("/v1/ext/p/nothing/LEAD-000001/task/call", "procedure"),
    ):
        assert words in sentence(await product.api.post(path, json={}), 404)
    wrong = await product.api.post(
        "/v1/ext/p/lead/LEAD-000001/task/call",
        json={"data": {"remark": "x"}, "status": "DONE", "assignedTo": "x"},
    )
    assert len(wrong.json()["_errors"]) == 3


async def _events(product: Product, subject_id: str) -> Any:
    query = every_team.select(events).where(events.c.subject_id == subject_id).order_by(events.c.id)
    return await product.app.db.read(lambda tx: tx.all(query))
