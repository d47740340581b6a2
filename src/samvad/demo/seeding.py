"""The demo's data, made by going through the real paths: the API, the sandbox's phones, Meta's webhooks."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp

from samvad.app import App
from samvad.demo import cast
from samvad.demo.cast import Memory
from samvad.domain.accounts import operations as accounts
from samvad.domain.processes import applying
from samvad.domain.waba import operations as waba
from samvad.domain.waba.model import Connection
from samvad.kit.errors import NotFound
from samvad.sandbox import Business, Sandbox

WITHIN_S = 20.0
LIST = "/v1/ext/plugin/whatsapp/list-chat-messages-for-phone-number"


@dataclass(frozen=True, slots=True)
class Place:
    """What one needs to know to try the demo; env() is what `--env-file` holds."""

    base_url: str
    token: str
    token2: str
    plugin_id: str
    phone_id: str
    waba_id: str
    media_id: str
    media_mid: str
    webhook_secret: str
    sandbox_url: str

    def env(self) -> str:
        plain, variable = cast.TEMPLATE_PLAIN, cast.TEMPLATE_WITH_VARIABLE
        values = {
            "BASE_URL": self.base_url,
            "TOKEN": self.token,
            "TOKEN2": self.token2,
            "PLUGIN_ID": self.plugin_id,
            "PHONE_ID": self.phone_id,
            "WABA_ID": self.waba_id,
            "TO": cast.TO,
            "TPL0": plain[0],
            "TPL0_LANG": plain[1],
            "TPL1": variable[0],
            "TPL1_LANG": variable[1],
            "MEDIA_ID": self.media_id,
            "MEDIA_MID": self.media_mid,
            "WEBHOOK_SECRET": self.webhook_secret,
            "SANDBOX_URL": self.sandbox_url,
        }
        return "".join(f"{name}={value}\n" for name, value in values.items())


async def seed(app: App, sandbox: Sandbox, memory: Memory, *, base_url: str, sandbox_url: str) -> Place:
    """Make the teams, connect their numbers, and let people talk; what is there already stays."""
    teams = cast.businesses(memory)
    made = {team: await _team(app, memory, team, business) for team, business in teams.items()}
    team_id, plugin_id = made[cast.ADA]
    number = teams[cast.ADA].phone_numbers[0]
    headers = {"Authorization": f"Bearer {memory.tokens[cast.ADA]}"}
    async with aiohttp.ClientSession(base_url, headers=headers) as api:
        stage = Stage(api, sandbox, plugin_id, number.id)
        if not memory.has_conversation:
            await stage.play_seed_page()
            await stage.customer_writes(cast.TO, "Hi! Is my order on its way?")
            memory.has_conversation = True
        else:
            sandbox.set_window(cast.TO, True, number.id)
            sandbox.set_window(cast.SEED_PHONE, True, number.id)
        image = await stage.customer_photographs(cast.PHOTOGRAPHER)
    return Place(
        base_url=base_url,
        token=memory.tokens[cast.ADA],
        token2=memory.tokens[cast.BABBAGE],
        plugin_id=plugin_id,
        phone_id=number.id,
        waba_id=teams[cast.ADA].waba_id,
        media_id=image["id"],
        media_mid=parse_qs(urlsplit(image["url"]).query)["mid"][0],
        webhook_secret=await accounts.webhook_secret(app.res, team_id),
        sandbox_url=sandbox_url,
    )


async def _team(app: App, memory: Memory, name: str, business: Business) -> tuple[str, str]:
    """A team with its owner, leads, a key and a connected number; returns its id and its plugin's.

    A start that was cut short may have left a part of it, which is then completed.
    """
    res, number = app.res, business.phone_numbers[0]
    try:
        team_id = await accounts.team_named(res, name)
    except NotFound:
        team_id = await accounts.create_team(res, name=name)
    await applying.create_lead_procedure(res, team_id)
    if not await accounts.list_users(res, team_id):
        email = f"owner-of-{business.waba_id}@demo.example"
        password = business.app_secret  # nobody signs in yet; it is random and stays in the data folder
        await accounts.create_user(res, team_id, email=email, name="Owner", role="Admin", password=password)
    if name not in memory.tokens:
        memory.tokens[name] = (await accounts.create_key(res, team_id, name="demo")).token
    wanted = Connection(business.waba_id, number.id, business.access_token, business.app_secret)
    return team_id, (await waba.connect(res, team_id, wanted)).plugin_id


@dataclass(frozen=True, slots=True)
class Stage:
    """One number and the people around it."""

    api: aiohttp.ClientSession
    sandbox: Sandbox
    plugin_id: str
    phone_number_id: str

    async def play_seed_page(self) -> None:
        """The conversation of the vendor's page: a test message comes in, two answers go out and arrive."""
        phone = cast.SEED_PHONE
        path = f"/v1/samvad/whatsapp-phone-number/{self.phone_number_id}/test-message"
        await self._post(path, {"from": phone, "text": "wait"})
        # A lead is opened right after the message is stored; the page shows it on every message.
        await self._until(phone, lambda page: len(page) == 1 and page[0]["process"] is not None)
        self.sandbox.set_window(phone, True, self.phone_number_id)
        reads = self.sandbox.settings_shown()["auto_read"]
        self.sandbox.configure(auto_read=False)  # on the page both answers are DELIVERED
        for words in ("Lets wait", "wait is over"):
            await self._send(phone, words)
        await self._until(phone, lambda page: [it["deliveryStatus"] for it in page] == ["DELIVERED"] * 3)
        self.sandbox.configure(auto_read=reads)

    async def customer_writes(self, phone: str, words: str) -> None:
        self.sandbox.customer_writes(phone, {"type": "text", "text": {"body": words}, "name": "Grace"})
        await self._until(phone, lambda page: len(page) > 0)

    async def customer_photographs(self, phone: str) -> dict[str, Any]:
        """Somebody sends an image; returns Meta's image object with its id and url."""
        sent = self.sandbox.customer_writes(
            phone, {"type": "image", "image": {"caption": "The new shelf"}, "name": "Joan"}
        )
        await self._until(phone, lambda page: any(it["externalId"] == sent["wamid"] for it in page))
        image: dict[str, Any] = sent["message"]["image"]
        return image

    async def _send(self, phone: str, words: str) -> None:
        path = f"/v1/ext/plugin/whatsapp/{self.plugin_id}/api/v25.0/{self.phone_number_id}/messages"
        body = {"messaging_product": "whatsapp", "to": phone, "type": "text", "text": {"body": words}}
        await self._post(path, body)

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        async with self.api.post(path, json=body) as reply:
            answer = await reply.json()
            assert reply.status == 200, f"the demo could not be set up: {path}: {answer}"
            return answer["_data"]

    async def _until(self, phone: str, there: Callable[[list[Any]], bool]) -> None:
        async def look() -> None:
            while not there(await self._post(LIST, {"customerPhoneNumber": phone})):
                await asyncio.sleep(0.03)

        await _within(look)


async def _within(work: Callable[[], Awaitable[None]]) -> None:
    async with asyncio.timeout(WITHIN_S):
        await work()
