"""Thousands of processes in one call: taken in, done behind, each row by itself."""

from typing import Any

from samvad.domain.processes import bulk
from tests.api.asking import sentence
from tests.harness import Product, until

LEADS = "/v1/ext/procedure/lead/process"


async def finished(product: Product, reply: Any) -> tuple[dict[str, Any], dict[str, int]]:
    assert reply.status_code == 200, reply.text
    job_id = reply.json()["_data"]["id"]

    async def done() -> Any:
        shown = (await product.api.get(f"/v1/ext/background-job/{job_id}")).json()
        return shown if shown["_data"]["completedAt"] else None

    shown = await until(done)
    return shown["_data"], shown["_meta"]["bjEntryCompletionStatusVsCount"]


async def entries(product: Product, job_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    path = f"/v1/ext/background-job/{job_id}/entries?limit=400"
    while path:
        reply = (await product.api.get(path)).json()
        found += reply["_data"]
        assert reply["_meta"]["total"] >= len(found)
        path = reply["_meta"]["nextPage"]
    return found


async def test_a_bulk_create_makes_what_is_good_and_says_of_the_rest_what_is_wrong(product: Product):
    items: list[Any] = [{"lead_id": f"EXT-{n}", "data": {"score": str(n)}} for n in range(600)]
    items[3] = {"data": {"score": "many"}}
    items[5] = "no object"
    items[7] = {"lead_id": "EXT-0", "data": {}}
    items[598] = {"data": "no object", "status": "DONE"}

    started = await product.api.post(f"{LEADS}/bulk-create", json=items)
    job, counts = await finished(product, started)

    acknowledged = started.json()["_data"]
    assert list(acknowledged) == [
        *("id", "createdAt", "updatedAt", "completionStatus", "statusMessage", "startedAt", "completedAt"),
        *("team", "type"),
    ]
    assert acknowledged["completedAt"] == 0
    assert (job["completionStatus"], job["type"]) == ("SUCCESS", "bulk_api_job")
    assert counts == {"INVALID": 2, "NOT_STARTED": 0, "SUCCESS": 596, "ERROR": 2}
    told = await entries(product, job["id"])
    assert [it["input"] for it in told] == items
    assert len({it["id"] for it in told}) == 600
    assert "score" in told[3]["statusMessage"]
    assert told[5]["completionStatus"] == "INVALID"
    assert "EXT-0" in told[7]["statusMessage"]
    assert "data must be an object" in told[598]["statusMessage"]
    assert "status must be" in told[598]["statusMessage"]
    shown = await product.api.get(f"{LEADS}/{told[599]['output']['process']}")
    assert shown.json()["_data"]["data"] == {"lead_id": "EXT-599", "score": 599}


async def test_a_bulk_update_finds_each_by_id_or_key_and_changes_what_is_named(product: Product):
    made = [
        (await product.api.post(LEADS, json={"data": {"city": "Pune"}})).json()["_data"] for _ in range(4)
    ]
    wanted = [
        {"id": made[0]["id"], "update": {"data": {"city": "Goa"}, "state": "IN_PROGRESS"}},
        {"id": "LEAD-000002", "update": {"data": {"score": "105"}}},
        {"lead_id": "LEAD-000003", "update": {"status": "COMPLETED"}},
        {"lead_id": "LEAD-000004", "update": {"state": "NOWHERE"}},
        {"lead_id": "LEAD-000099", "update": {}},
        {"update": {"data": {"city": "Goa"}}},
        {"id": made[0]["id"]},
    ]

    job, counts = await finished(product, await product.api.patch(LEADS, json={"processes": wanted}))

    assert counts == {"INVALID": 3, "NOT_STARTED": 0, "SUCCESS": 3, "ERROR": 1}
    assert job["statusMessage"] == "4 of 7 failed."
    after = [(await product.api.get(f"{LEADS}/{it['id']}")).json()["_data"] for it in made]
    assert (after[0]["data"]["city"], after[0]["state"] != made[0]["state"]) == ("Goa", True)
    assert after[1]["data"] == {"lead_id": "LEAD-000002", "city": "Pune", "score": 105}
    assert after[2]["status"] == "COMPLETED"
    assert after[3] == made[3]
    messages = [it["statusMessage"] for it in await entries(product, job["id"])]
    assert "NOWHERE" in messages[3]
    assert messages[4] == "Lead LEAD-000099 not found"
    assert "id or lead_id" in messages[5]
    assert "update must be an object" in messages[6]


async def test_two_rows_of_one_call_about_one_process_count_in_their_order(product: Product):
    lead = (await product.api.post(LEADS, json={"data": {"city": "Pune"}})).json()["_data"]
    wanted = [{"id": lead["id"], "update": {"data": {"score": n, "city": f"c{n}"}}} for n in range(3)]

    await finished(product, await product.api.patch(LEADS, json={"processes": wanted}))

    after = (await product.api.get(f"{LEADS}/{lead['id']}")).json()["_data"]
    assert (after["data"]["score"], after["data"]["city"]) == (2, "c2")


async def test_rows_with_one_phone_become_one_lead(product: Product):
    items = [{"data": {"phone_number": it}} for it in ("5511987654321", "551187654321", "15550001111")]

    _, counts = await finished(product, await product.api.post(f"{LEADS}/bulk-create", json=items))

    listed = (await product.api.post(f"{LEADS}/list", json={})).json()["_data"]
    assert counts["SUCCESS"] == 3
    assert len(listed) == 2


async def test_too_many_items_and_what_is_no_list_are_refused_and_change_nothing(product: Product):
    many = [{"id": "x", "update": {}}] * (bulk.MOST_ITEMS + 1)

    assert "10000" in sentence(await product.api.patch(LEADS, json={"processes": many}), 413)
    assert "array" in sentence(await product.api.post(f"{LEADS}/bulk-create", json={"data": {}}), 400)
    assert "processes" in sentence(await product.api.patch(LEADS, json={}), 400)
    empty, counts = await finished(product, await product.api.patch(LEADS, json={"processes": []}))

    assert (empty["completionStatus"], sum(counts.values())) == ("SUCCESS", 0)
    assert "not found" in sentence(await product.api.get("/v1/ext/background-job/nothing"), 404)
