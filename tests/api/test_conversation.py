"""The main job: a customer writes, the business answers, both ticks arrive, the list shows it."""

from tests.harness import PERSON, Product, until


async def test_a_text_from_a_customer_is_in_the_list(product: Product) -> None:
    wamid = await product.customer_writes("where are you")

    (message,) = await until(product.listed)

    assert message["externalId"] == wamid
    assert message["direction"] == "INBOUND"
    assert message["body"] == {"body": "where are you"}
    assert message["text"] == "where are you"
    assert message["deliveryStatus"] == "DELIVERED"
    assert message["user"] is None
    assert message["context"] == {}


async def test_a_send_shows_sent_then_read_in_the_list(product: Product) -> None:
    await product.open_window()

    reply = await product.send_text("On my way")

    assert reply.status_code == 200, reply.text
    assert reply.json()["_data"]["whatsappMessageId"] == reply.json()["messages"][0]["id"]

    async def read():
        (message,) = await product.listed()
        return message if message["deliveryStatus"] == "READ" else None

    message = await until(read)
    assert message["body"] == {"text": {"body": "On my way"}}
    assert message["externalId"] == reply.json()["_data"]["whatsappMessageId"]


async def test_a_template_is_sent_and_shows_its_rendered_text(product: Product) -> None:
    path = product.plugin(f"phoneNumber/{PERSON}/send-template-message")
    body = {
        "whatsappPhoneNumberId": product.team.phone_number_id,
        "templateName": "order_update",
        "mapping": [{"schemaPropertyName": "1", "schemaPropertyValue": "A-17"}],
    }

    reply = await product.api.post(path, json=body)

    assert reply.status_code == 200, reply.text
    message = reply.json()["_data"]
    assert "A-17" in message["text"]
    assert message["externalId"].startswith("wamid.")
    assert message["chat"] is None
    assert message["context"]["contactIdentifier"] == PERSON
