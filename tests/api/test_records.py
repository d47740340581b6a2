"""What processes are about, and what is derived of both: recomputed with what it depends on."""

from typing import Any

import pytest

from samvad.domain.events.tables import events
from samvad.domain.procedures.files import read_document
from samvad.domain.processes import applying
from samvad.domain.processes.tables import records
from samvad.storage import every_team
from tests.api.asking import sentence
from tests.harness import Product

DESK = """
entities:
  - shortId: customer
    primaryPhone: phone_number
    attributes:
      - { shortId: phone_number, type: phone }
      - { shortId: level, type: stringEnum, options: [gold, plain] }
      - { shortId: open_tickets, type: integer, derived: { count: processes, where: { status: OPEN } } }
procedures:
  - shortId: ticket
    entity: customer
    primaryKey: ticket_id
    generate: { digits: 1 }
    primaryIdentifier: subject
    states: [{ shortId: NEW }, { shortId: OPEN }, { shortId: SOLVED }]
    stateGraph: { NEW: [OPEN], OPEN: [SOLVED] }
    attributes:
      - { shortId: ticket_id, type: integerId, filterable: true }
      - { shortId: subject, type: string, required: true }
      - { shortId: hours, type: float }
      - shortId: urgent
        type: boolean
        filterable: true
        derived: { formula: 'record.level == "gold" && data.hours < 8.0' }
      - { shortId: twice, type: float, derived: { formula: "data.hours * 2" } }
      - { shortId: minutes, type: integer, derived: { sum: minutes, of: tasks } }
      - { shortId: replies, type: integer, derived: { count: tasks } }
    tasks:
      - shortId: reply
        attributes: [{ shortId: minutes, type: integer, required: true }]
"""
TICKETS = "/v1/ext/procedure/ticket/process"
PHONE = {"phone_number": "5511987654321"}


@pytest.fixture
async def desk(product: Product) -> Product:
    await applying.apply(product.app.res, product.team.id, read_document(DESK))
    return product


async def ticket(product: Product, **body: Any) -> dict[str, Any]:
    reply = await product.api.post(TICKETS, json=body)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()["_data"]
    return found


async def fetched(product: Product, it: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await product.api.get(f"{TICKETS}/{it['id']}")).json()["_data"]
    return found


async def customers(product: Product) -> Any:
    query = every_team.select(records).order_by(records.c.id)
    return await product.app.db.read(lambda tx: tx.all(query))


async def test_a_record_is_found_by_its_phone_and_made_where_it_is_not(desk: Product):
    one = await ticket(desk, data={"subject": "a"}, record={"data": PHONE})
    two = await ticket(
        desk, data={"subject": "b"}, record={"data": {"phone_number": "551187654321", "level": "gold"}}
    )

    assert (one["data"]["ticket_id"], two["data"]["ticket_id"]) == (1, 2)
    assert one["record"] == two["record"]
    assert one["entity"] is not None
    (row,) = await customers(desk)
    assert row.data["level"] == "gold"
    assert row.derived == {"open_tickets": 2}


async def test_a_process_merged_on_its_phone_takes_its_record_along(product: Product):
    merging = DESK.replace(
        "primaryIdentifier: subject", "primaryPhone: phone\n    mergeOnPhone: true"
    ).replace("      - { shortId: hours", "      - { shortId: phone, type: phone }\n      - { shortId: hours")
    await applying.apply(product.app.res, product.team.id, read_document(merging))
    first = await ticket(product, data={"subject": "a", "phone": "15550001111"})

    merged = await ticket(product, data={"subject": "b", "phone": "+1 555 000 1111"}, record={"data": PHONE})

    assert (merged["id"], first["record"]) == (first["id"], None)
    (row,) = await customers(product)
    assert merged["record"] == row.id
    assert row.derived == {"open_tickets": 1}


async def test_formulas_follow_the_process_and_its_record(desk: Product):
    it = await ticket(desk, data={"subject": "a", "hours": "4.5"}, record={"data": PHONE})
    assert it["derivedData"] == {"urgent": False, "twice": 9, "minutes": 0, "replies": 0} | {"urgent": None}

    await ticket(desk, data={"subject": "b"}, record={"data": PHONE | {"level": "gold"}})
    assert (await fetched(desk, it))["derivedData"]["urgent"] is True
    found = await desk.api.post(f"{TICKETS}/list", json={"where": {"urgent": True}})
    assert [one["id"] for one in found.json()["_data"]] == [it["id"]]

    after = await desk.api.put(f"{TICKETS}/{it['id']}", json={"data": {"hours": 9}})
    assert after.json()["_data"]["derivedData"] == {"urgent": False, "twice": 18, "minutes": 0, "replies": 0}
    names = await _names(desk, it["id"])
    assert names == ["process.created", "process.updated", "process.updated"]


async def test_counts_and_sums_follow_tasks_and_processes(desk: Product):
    it = await ticket(desk, data={"subject": "a"}, record={"data": PHONE})
    other = await ticket(desk, data={"subject": "b"}, record={"data": PHONE})
    for minutes in (5, "7"):
        body = {"data": {"minutes": minutes}, "status": "COMPLETED"}
        reply = await desk.api.post("/v1/ext/p/ticket/1/task/reply", json=body)
        assert reply.status_code == 200, reply.text
    required = await desk.api.post("/v1/ext/p/ticket/1/task/reply", json={"status": "COMPLETED"})

    assert sentence(required, 400) == "minutes is required."
    derived = (await fetched(desk, it))["derivedData"]
    assert (derived["minutes"], derived["replies"]) == (12, 2)
    await desk.api.put(f"{TICKETS}/{it['id']}", json={"status": "COMPLETED"})
    assert (await customers(desk))[0].derived == {"open_tickets": 1}
    await desk.api.delete(f"{TICKETS}/{other['id']}")
    assert (await customers(desk))[0].derived == {"open_tickets": 0}


async def test_a_state_is_reached_only_where_the_graph_leads(desk: Product):
    it = await ticket(desk, data={"subject": "a"})

    refused = await desk.api.put(f"{TICKETS}/{it['id']}", json={"state": "SOLVED"})
    allowed = await desk.api.put(f"{TICKETS}/{it['id']}", json={"state": "OPEN"})

    assert sentence(refused, 400) == "A Ticket in state NEW cannot go to SOLVED; it can go to: OPEN."
    assert allowed.status_code == 200


async def test_what_is_derived_cannot_be_set_and_what_is_wrong_with_a_record_is_told_too(desk: Product):
    reply = await desk.api.post(
        TICKETS, json={"data": {"twice": 3, "hours": "x"}, "record": {"data": {"level": "silver", "lvl": 1}}}
    )

    problems = reply.json()["_errors"]
    assert reply.status_code == 400
    for words in ("twice is derived", "hours must", "subject is required", "record.data: level", "'lvl'"):
        assert any(words in it for it in problems), (words, problems)
    assert await customers(desk) == []


async def _names(product: Product, subject_id: str) -> list[str]:
    query = every_team.select(events.c.name).where(events.c.subject_id == subject_id).order_by(events.c.id)
    rows = await product.app.db.read(lambda tx: tx.all(query))
    return [row.name for row in rows]
