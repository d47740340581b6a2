"""A product in which every kind of thing exists once, and the ids by which the contract's examples find them."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from samvad.domain.waba import operations as waba
from samvad.domain.waba.model import Connection
from samvad.sandbox.templates import read_template
from tests.harness import BUSINESS, OTHER_BUSINESS, Product, Receiver, until

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(1024)
DOT = b"GIF89a" + bytes((1, 0, 1, 0, 0, 0, 0)) + b";"
SPARE_PLUGINS = 4
EVENTS = ["message", "status", "message_echo"]
NUMBER, OTHERS_NUMBER = BUSINESS.phone_numbers[0].id, OTHER_BUSINESS.phone_numbers[0].id
GRAPH = "/v1/whatsapp/v25.0"

# The templates that the contract's examples send.
HEADER = {"type": "HEADER", "format": "IMAGE", "example": {"header_handle": ["4::aW1hZ2U="]}}
OFFER = {
    "type": "BODY",
    "text": "Hi {{1}}, spring is here: {{2}} % off.",
    "example": {"body_text": [["Ada", "15"]]},
}
LINK = {
    "type": "URL",
    "text": "Look",
    "url": "https://shop.example/{{1}}",
    "example": ["https://shop.example/a"],
}
TABLE = {"type": "BODY", "text": "Hi {{1}}, your table.", "example": {"body_text": [["Ada"]]}}
SAID = {"type": "BODY", "text": "*{{1}}* is your code.", "example": {"body_text": [["123456"]]}}
CODE = {
    "type": "BUTTONS",
    "buttons": [{"type": "OTP", "otp_type": "COPY_CODE", "text": "Copy code"}],
}
TEMPLATES = (
    ("table_ready", "UTILITY", [TABLE]),
    ("opening_hours", "UTILITY", [{"type": "BODY", "text": "Until eight."}]),
    ("spring_offer", "MARKETING", [HEADER, OFFER, {"type": "BUTTONS", "buttons": [LINK]}]),
    ("sign_in", "AUTHENTICATION", [SAID, CODE]),
)


@dataclass
class Inhabited:
    """What there is to ask about.

    A second plugin with a WABA of its own may lose it; `spare_plugins` may be changed and deleted; flows and short
    links at Meta may be deleted. The first team's own plugin is not to be touched.
    """

    product: Product
    other_plugin: str
    verify_token: str
    spare_plugins: list[str]
    flows: list[str]
    links: list[str]
    ids: dict[str, str]
    """What the contract's examples name, and what is really there."""


def real(value: Any, ids: Mapping[str, str]) -> Any:
    """An example of the contract, with ids of things that exist."""
    match value:
        case str():
            for example, there in ids.items():
                value = value.replace(example, there)
            return value
        case dict():
            return {key: real(inner, ids) for key, inner in value.items()}
        case list():
            return [real(inner, ids) for inner in value]
        case _:
            return value


async def inhabited(product: Product, receiver: Receiver) -> Inhabited:
    """People have written, we have answered, webhooks went out, files came in, a second WABA is connected."""
    api, team = product.api, product.team
    for name, category, parts in TEMPLATES:
        item = {"name": name, "language": "en_US", "category": category, "components": parts}
        product.sandbox.world.accounts[BUSINESS.waba_id].templates[name, "en_US"] = read_template(
            BUSINESS.waba_id, item
        )
    await done(api.post("/v1/samvad/template/sync", json={"wabaId": BUSINESS.waba_id}))
    hooks = {
        "passThroughWebhookUrl": receiver.url,
        "enableChakraWebhook": True,
        "chakraWebhookUrl": receiver.url,
        "whichChakraWebhookEventsToSend": EVENTS,
    }
    await done(api.post(product.plugin("update-config"), json=hooks))
    await product.open_window()
    picture = {"data": base64.b64encode(PICTURE).decode(), "mime_type": "image/png"}
    await product.customer_sends({"type": "image", "image": picture})
    (received,) = await until(product.listed)
    await done(product.send_text("Hi"))
    form = {"file": ("a.pdf", b"%PDF-1.7 a menu", "application/pdf")}
    public = (await done(api.post(product.plugin("upload-public-media"), files=form)))["publicMediaUrl"]
    told_of_objects = await done(api.post("/v1/samvad/object-webhook", json={"url": receiver.url}))
    photo = await done(api.post("/v1/ext/photo", files={"photo": ("a.gif", DOT)}))
    spare = [
        (await done(api.post("/plugin", json={"type": "whatsapp", "name": f"spare-{number}"})))["id"]
        for number in range(SPARE_PLUGINS)
    ]
    wanted = Connection(
        OTHER_BUSINESS.waba_id, OTHERS_NUMBER, OTHER_BUSINESS.access_token, OTHER_BUSINESS.app_secret
    )
    other = await waba.connect(product.app.res, team.id, wanted)
    invitation = {"pluginId": other.plugin_id}
    token = await done(api.post("/v1/ext/whatsapp-partner/create-connect-token", json=invitation))
    owner = (await done(api.get("/v1/ext/users")))[0]
    leads = "/v1/ext/procedure/lead/process"
    spare_lead = await done(api.post(leads, json={"data": {"name": "Spare", "phone_number": "15550001119"}}))
    await done(api.post(leads, json={"data": {"lead_id": "CRM-17"}}))
    bulk = await done(api.patch(leads, json={"processes": []}))
    ids = {
        "01942000-0000-7000-8000-000000000001": team.id,
        "01942000-0000-7000-8000-000000000005": owner["id"],
        "owner@example.com": owner["username"],
        "01942000-0000-7000-8000-000000000002": received["chat"],
        "01942000-0000-7000-8000-000000000003": team.plugin_id,
        "01942000-0000-7000-8000-00000000000e": await _first(product, "/v1/samvad/webhook-endpoint"),
        "01942000-2710-7000-8000-00000000000c": await _first(product, "/v1/samvad/webhook-delivery"),
        "01942000-0000-7000-8000-0000000000e1": told_of_objects["id"],
        "01942000-2710-4000-8000-0000000000f0": photo["id"],
        "01942000-0000-7000-8000-000000000011": spare_lead["id"],
        "01942000-0000-7000-8000-000000000012": bulk["id"],
        "900800700600500": await _first(product, "/v1/samvad/template?name=table_ready"),
        "800700600500400": received["attachments"][0]["mediaId"],
        "wamid.HBgLMTU1NTAwMDExMTEVAgASGBQzQTAwMDAwMDAwMDAwMDAwMDAwMAA=": received["externalId"],
        "a-token-of-43-characters": token["connectToken"],
        "a-token-of-your-choice": other.verify_token,
        "2026-01-02": public.split("/")[-2],
        "0b1c0000-0000-4000-8000-000000000007.pdf": public.split("/")[-1],
    }
    return Inhabited(
        product,
        other_plugin=other.plugin_id,
        verify_token=other.verify_token,
        spare_plugins=spare,
        flows=[await _flow(product, name) for name in ("a", "b", "c", "d")],
        links=[await _short_link(product, words) for words in ("a", "b", "c", "d")],
        ids=ids,
    )


async def done(asking: Any) -> Any:
    """The payload of a success."""
    reply = await asking
    assert reply.status_code == 200, reply.text
    answer = reply.json()
    return answer.get("_data", answer)


async def _first(product: Product, path: str) -> str:
    async def found() -> Any:
        return await done(product.api.get(path))

    return str((await until(found))[0]["id"])


async def _flow(product: Product, name: str) -> str:
    body = {"name": f"flow {name}", "categories": ["OTHER"]}
    return str((await done(product.api.post(f"{GRAPH}/{BUSINESS.waba_id}/flows", json=body)))["id"])


async def _short_link(product: Product, words: str) -> str:
    body = {"prefilled_message": words, "generate_qr_image": "PNG"}
    return str((await done(product.api.post(f"{GRAPH}/{NUMBER}/message_qrdls", json=body)))["code"])
