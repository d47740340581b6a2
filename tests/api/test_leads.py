"""Leads and conversations: who writes has one, one person has one, and it goes along with them."""

from typing import Any

from tests.api.asking import sentence
from tests.harness import PERSON, Product, until

LEADS = "/v1/ext/procedure/lead/process"
BRAZIL, BRAZIL_WA_ID = "5511987654321", "551187654321"
TEMPLATE = {
    "templateName": "order_update",
    "mapping": [{"schemaPropertyName": "1", "schemaPropertyValue": "A-17"}],
}


async def leads(product: Product) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await product.api.post(f"{LEADS}/list", json={"limit": 100})).json()[
        "_data"
    ]
    return found


async def some_leads(product: Product, number: int = 1) -> list[dict[str, Any]]:
    async def enough() -> Any:
        found = await leads(product)
        return found if len(found) >= number else None

    found: list[dict[str, Any]] = await until(enough)
    return found


async def test_whoever_writes_first_has_a_lead_with_their_phone_and_name(product: Product):
    await product.customer_writes("hi")

    (lead,) = await some_leads(product)
    assert lead["data"]["phone_number"] == PERSON
    assert lead["data"]["lead_id"] == "LEAD-000001"

    async def carried() -> bool:
        (message,) = await product.listed()
        return bool(message["process"] == lead["id"])

    await until(carried)


async def test_a_second_spelling_of_one_number_makes_no_second_lead(product: Product):
    created = await product.api.post(LEADS, json={"data": {"name": "Ana", "phone_number": f"+{BRAZIL}"}})

    await product.customer_writes("oi", BRAZIL_WA_ID)
    await product.customer_writes("oi", BRAZIL)

    async def carried() -> bool:
        messages = [*await product.listed(BRAZIL), *await product.listed(BRAZIL_WA_ID)]
        return len(messages) >= 2 and {it["process"] for it in messages} == {created.json()["_data"]["id"]}

    await until(carried)
    (lead,) = await leads(product)
    assert lead["data"]["name"] == "Ana"  # what somebody wrote by hand, a conversation does not overwrite


async def test_a_team_may_open_no_leads(product: Product):
    await product.api.post("/v1/samvad/settings", json={"opensLeads": False})

    await product.customer_writes("hi")
    await until(product.listed)
    await product.settle()

    assert await leads(product) == []


async def test_whoever_changes_their_number_keeps_their_lead_and_is_found_by_the_new_one(product: Product):
    await product.customer_writes("hi")
    (lead,) = await some_leads(product)
    new = "15550007777"

    changed = {"body": "User changed", "wa_id": new, "type": "user_changed_number"}
    await product.customer_sends({"type": "system", "system": changed})

    async def found() -> Any:
        reply = await product.api.put(f"{LEADS}/phone_number/{new}", json={"data": {"city": "Goa"}})
        return reply.json()["_data"] if reply.status_code == 200 else None

    assert (await until(found))["id"] == lead["id"]
    assert len(await leads(product)) == 1


async def test_a_template_for_a_process_goes_to_its_phone_by_id_and_by_key(product: Product):
    lead = (await product.api.post(LEADS, json={"data": {"phone_number": "+1 555 000 1111"}})).json()["_data"]
    phone_id = product.team.phone_number_id
    body = {**TEMPLATE, "whatsappPhoneNumberId": phone_id}

    for path in ("lead/LEAD-000001", f"lead/{lead['id']}", lead["id"], "LEAD-000001"):
        reply = await product.api.post(product.plugin(f"process/{path}/send-template-message"), json=body)
        assert reply.status_code == 200, (path, reply.text)
        sent = reply.json()["_data"]
        assert (sent["process"], sent["chat"], sent["contact"]) == (lead["id"], None, None)
        assert "A-17" in sent["text"]
        assert sent["context"]["contactIdentifier"] == PERSON
    assert len(await leads(product)) == 1

    async def ask(path: str) -> Any:
        return await product.api.post(product.plugin(f"process/{path}/send-template-message"), json=body)

    assert "not found" in sentence(await ask("lead/LEAD-000099"), 404)
    assert "procedure" in sentence(await ask("nothing/LEAD-000001"), 404)
    await product.api.post(LEADS, json={"data": {"name": "no phone"}})
    assert "no phone number" in sentence(await ask("lead/LEAD-000002"), 400)


async def test_a_template_to_a_new_number_names_the_lead_that_is_opened_for_it(product: Product):
    body = {**TEMPLATE, "whatsappPhoneNumberId": product.team.phone_number_id}

    for path in ("phoneNumber", "process/phoneNumber"):
        reply = await product.api.post(product.plugin(f"{path}/{PERSON}/send-template-message"), json=body)
        assert reply.status_code == 200, reply.text
        (lead,) = await leads(product)
        assert reply.json()["_data"]["process"] == lead["id"]
    assert lead["data"]["phone_number"] == PERSON


async def test_a_lead_that_is_deleted_is_on_no_message_any_more(product: Product):
    await product.customer_writes("hi")
    (lead,) = await some_leads(product)

    assert (await product.api.delete(f"{LEADS}/{lead['id']}")).status_code == 200

    (message,) = await product.listed()
    assert message["process"] is None
