"""What API tests ask again and again, in one word each."""

import re
from collections.abc import Iterable
from typing import Any

import httpx

from tests.harness import OTHER_BUSINESS, PERSON, Product, Team, make_team

LIST = "/v1/ext/plugin/whatsapp/list-chat-messages-for-phone-number"
NUMBERS = "/v1/ext/whatsapp-phone-number"
ACCOUNTS = "/v1/ext/whatsapp-business-account"
DELIVERIES = "/v1/samvad/webhook-delivery"
ENDPOINTS = "/v1/samvad/webhook-endpoint"
CONNECT_TOKEN = "/v1/ext/whatsapp-partner/create-connect-token"
DISCONNECT = "/v1/ext/whatsapp-partner/disconnect-waba"
NOBODY = "01942000-0000-7000-8000-000000000000"


def sentence(reply: httpx.Response, status: int) -> str:
    """The first error of a refusal with this status; it must be one a person can read."""
    assert reply.status_code == status, f"{reply.status_code} instead of {status}: {reply.text[:300]}"
    body = reply.json()
    first: str = body["_errors"][0]
    assert body["_data"] == []
    assert body["message"] == first
    assert first.strip(), "an empty sentence helps nobody"
    assert not re.search(r"Traceback|object at 0x|went wrong here", first), first
    return first


def sending(product: Product, version: str = "v25.0", team: Team | None = None) -> str:
    team = team or product.team
    return product.plugin(f"api/{version}/{team.phone_number_id}/messages", team.plugin_id)


def templating(product: Product, phone: str = PERSON) -> str:
    return product.plugin(f"phoneNumber/{phone}/send-template-message")


def writing_to(number: str) -> str:
    return f"/v1/samvad/whatsapp-phone-number/{number}/test-message"


def mapping(*values: str | int, **named: str) -> list[dict[str, Any]]:
    pairs: Iterable[tuple[str, Any]] = [(str(n), value) for n, value in enumerate(values, 1)]
    return [
        {"schemaPropertyName": name, "schemaPropertyValue": value} for name, value in [*pairs, *named.items()]
    ]


async def send_template(
    product: Product, name: str, *values: str, headers: dict[str, str] | None = None, **more: Any
) -> httpx.Response:
    body: dict[str, Any] = {
        "whatsappPhoneNumberId": product.team.phone_number_id,
        "templateName": name,
        **more,
    }
    if values:
        body.setdefault("mapping", mapping(*values))
    return await product.api.post(templating(product), json=body, headers=headers)


async def refuse_next(product: Product, **how: Any) -> None:
    """What the next send meets at Meta."""
    reply = await product.control.post("/refusals", json=how)
    assert reply.status_code == 200, reply.text


async def at_meta(product: Product, phone: str = PERSON) -> list[dict[str, Any]]:
    """Our messages as the person's phone shows them, oldest first."""
    reply = await product.control.get(f"/phones/{phone}/messages")
    return [it for it in reply.json()["messages"] if it["direction"] == "business"]


async def second_team(product: Product) -> tuple[Team, httpx.AsyncClient]:
    team = await make_team(product.app, OTHER_BUSINESS, name="Babbage Engines")
    return team, product.client(team.token)
