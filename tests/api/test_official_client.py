"""Requests exactly as the official clients make them, and what they read of the replies."""

from urllib.parse import quote

from tests.api.asking import LIST, NUMBERS, sending, sentence, templating
from tests.contract import police
from tests.harness import PERSON, Product, asking, until

SDK = "@chakrahq/chakra-chat-sdk/1.1.3"
BLOB = bytes(range(256)) * 40


async def test_the_typescript_client_sends_uploads_and_lists(product: Product) -> None:
    """Its headers, its base URL with the slash stripped, its encoded segments, its nameless Blob."""
    await product.open_window()
    base = f"{product.base_url}/".removesuffix("/")
    always = {
        "Authorization": f"Bearer {product.team.token}",
        "Accept": "application/json",
        "X-Chakra-SDK": SDK,
    }
    person = quote("+1 (555) 000-1111", safe="")
    number = product.team.phone_number_id

    async with police.client(base) as sdk:
        sdk.headers.clear()
        session = await sdk.post(
            sending(product, "v22.0"),
            headers=always,
            json={"messaging_product": "whatsapp", "to": PERSON, "type": "text", "text": {"body": "hi"}},
        )
        template = await sdk.post(
            templating(product, person),
            headers=always,
            json={"whatsappPhoneNumberId": number, "templateName": "hello_world"},
        )
        upload = await sdk.post(
            product.plugin("upload-public-media"),
            headers=always,
            files={"file": ("blob", BLOB, "application/octet-stream")},
            data={"filename": "résumé 1.pdf"},
        )
        numbers = await sdk.get(NUMBERS, headers={**always, "Content-Type": "application/json"})

    assert session.json()["_data"]["whatsappMessageId"] == session.json()["messages"][0]["id"]
    assert template.json()["_data"]["context"]["contactIdentifier"] == PERSON
    assert upload.json()["_data"]["publicMediaUrl"].endswith(".pdf")
    assert numbers.json()["_data"][0]["id"] == number
    async with asking() as anyone:
        read = await anyone.get(upload.json()["_data"]["publicMediaUrl"])
    assert read.content == BLOB
    assert read.headers["content-type"] == "application/pdf"


async def test_a_browser_of_any_origin_may_ask(product: Product) -> None:
    """Every operation with a key, hot and cold, success and failure; and the pause of a 429 is readable."""
    origin = {"Origin": "https://shop.example"}
    wanted = "authorization, content-type, accept, x-chakra-sdk, idempotency-key"
    await product.control.post("/refusals", json={"code": 613})

    for operation in police.contract().operations:
        if operation.needs_key:
            path = operation.template.replace("{", "").replace("}", "")
            asked = {**origin, "Access-Control-Request-Method": operation.method}
            asked["Access-Control-Request-Headers"] = wanted
            reply = await product.api.options(path, headers=asked)
            assert reply.status_code == 200, f"{operation.id}: {reply.text}"
            assert reply.headers["access-control-allow-origin"] == "*", operation.id
            assert operation.method in reply.headers["access-control-allow-methods"], operation.id
    replies = [
        await product.api.get("/v1/health", headers=origin),
        await product.api.get("/nowhere", headers=origin),
        await product.api.put(LIST, headers=origin),
        await product.api.post(sending(product), headers=origin, content=b"{"),
        await product.send_text("too fast", headers=origin),
    ]

    assert [it.status_code for it in replies] == [200, 404, 405, 400, 429]
    assert [it.headers.get_list("access-control-allow-origin") for it in replies] == [["*"]] * 5
    assert replies[4].headers["retry-after"].isdigit()
    assert "retry-after" in replies[4].headers["access-control-expose-headers"]
    assert "retry after 1000 ms" in " ".join(replies[4].json()["_errors"])


async def test_n8n_may_send_every_field_it_knows_and_finds_the_words_of_a_failure(product: Product) -> None:
    await product.open_window()
    session = f'{{"to":"{PERSON}","text":{{"body":"from a workflow"}},"messaging_product":"whatsapp","type":"text"}}'
    template = {
        "whatsappPhoneNumberId": product.team.phone_number_id,
        "templateName": "hello_world",
        "language": "",
        "imageUrl": "",
        "videoUrl": "",
        "documentUrl": "",
        "filename": "",
        "locationLatitude": 0,
        "locationLongitude": 0,
        "otpCode": "",
        "headerMapping": "",
        "buttonMapping": None,
        "pluginId": "no business of ours",
    }
    as_json = {"Content-Type": "application/json; charset=utf-8"}

    replies = [
        await product.api.get("/v1/health"),
        await product.api.post(sending(product), content=session, headers=as_json),
        await product.api.post(templating(product), json=template),
    ]

    assert [it.status_code for it in replies] == [200, 200, 200], [it.text for it in replies]
    texts = {it["text"] for it in await until(product.listed)}
    assert {"from a workflow", "Welcome! This message shows that sending works."} <= texts

    async with product.client("a-wrong-key") as stranger:
        wrong_key = await stranger.get("/v1/health")
    unknown = await product.api.post(
        product.plugin("upload-public-media", "not-a-plugin"), files={"file": b"x"}
    )
    await product.control.post("/refusals", json={"code": 131009, "details": "Too many buttons"})
    refused = await product.send_text("hi")

    assert sentence(wrong_key, 401) == "Unauthorized"
    assert wrong_key.headers["content-type"] == "application/json"
    assert sentence(unknown, 404) == "Plugin not found"
    assert "(#131009)" in sentence(refused, 400)
    assert refused.json()["error"]["code"] == 131009
    assert refused.json()["error"]["message"].startswith("(#131009)")


async def test_the_typescript_client_sets_up_calling_and_reads_templates_groups_and_chats(
    product: Product,
) -> None:
    """Its calls beside sending: Meta's bodies bare, every GET with a content type, a wrong key 401 everywhere."""
    number, waba = product.team.phone_number_id, product.team.waba_id
    always = {"X-Chakra-SDK": SDK, "Content-Type": "application/json"}
    metas = f"/v1/whatsapp/v25.0/{number}"
    templates = f"/v1/ext/plugin/whatsapp/api/v25.0/{waba}/message_templates"
    await product.customer_writes("hi")
    await until(product.listed)

    set_up = await product.api.post(
        f"{metas}/settings", headers=always, json={"calling": {"status": "ENABLED"}}
    )
    settings = await product.api.get(f"{metas}/settings", headers=always)
    permission = await product.api.get(
        f"{metas}/call_permissions", headers=always, params={"recipient": "IN.1"}
    )
    groups = await product.api.get(f"{metas}/groups", headers=always)
    page = await product.api.get(templates, headers=always, params={"limit": 5, "fields": "id,name"})
    ids = [it["id"] for it in page.json()["data"]]
    while following := page.json()["paging"].get("next"):
        page = await product.api.get(following)
        ids += [it["id"] for it in page.json()["data"]]
    one = await product.api.post("/v1/ext/chat", headers=always, json={"limit": 1})
    past_the_end = await product.api.post("/v1/ext/chat", headers=always, json={"limit": 25, "page": 99})
    async with product.client("a-wrong-key") as stranger:
        turned_away = [await stranger.get(it) for it in (f"{metas}/settings", templates, "/plugin")]

    assert set_up.json() == {"success": True}
    assert settings.json()["calling"]["status"] == "ENABLED"
    assert permission.status_code in (200, 400), permission.text
    assert groups.json()["data"] == {"groups": []}
    assert len(ids) == len(set(ids)) > 5
    assert len(one.json()["_data"]) == 1
    assert past_the_end.json()["_data"] == []
    assert [sentence(it, 401) for it in turned_away] == ["Unauthorized"] * 3
