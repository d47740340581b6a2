"""A partner's client connects a WABA on a page, with nothing but a link."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx

from samvad.domain.accounts import operations as accounts
from samvad.domain.waba.partner import VALID_MS
from samvad.domain.waba.tables import connect_tokens
from samvad.storage import every_team
from tests.api.asking import CONNECT_TOKEN, NOBODY, NUMBERS, sentence
from tests.harness import BUSINESS, OTHER_BUSINESS, Product, asking, running, until

PAGE = "/v1/ext/whatsapp-partner/connect"
NEW = {"newPluginName": "babbage", "clientReferenceId": "17", "clientName": "Charles <b>"}
FORM = {
    "wabaId": OTHER_BUSINESS.waba_id,
    "phoneNumberId": OTHER_BUSINESS.phone_numbers[0].id,
    "accessToken": OTHER_BUSINESS.access_token,
    "appSecret": OTHER_BUSINESS.app_secret,
    "verifyToken": "",
}


class Page(HTMLParser):
    """The fields, the words and the data of a page."""

    def __init__(self, reply: httpx.Response) -> None:
        super().__init__()
        self.fields: dict[str, dict[str, str | None]] = {}
        self.texts: list[str] = []
        self.unlabelled = 0
        self._in: list[str] = []
        self.feed(reply.text)
        told = re.search(r'id="told"[^>]*>(.*?)</script>', reply.text, re.DOTALL)
        assert told is not None
        self.told = json.loads(told[1])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "input":
            self.fields[dict(attrs)["name"] or ""] = dict(attrs)
            self.unlabelled += "label" not in self._in
        elif tag not in ("meta", "br"):
            self._in.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._in:
            del self._in[len(self._in) - 1 - self._in[::-1].index(tag) :]

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self._in):
            self.texts.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.texts).split())


async def invited(product: Product, **body: Any) -> str:
    reply = await product.api.post(CONNECT_TOKEN, json=body)
    assert reply.status_code == 200, reply.text
    return f"{PAGE}?connectToken={reply.json()['_data']['connectToken']}"


async def test_a_client_connects_with_a_link_that_is_good_until_it_succeeds(product: Product) -> None:
    where = await invited(product, **NEW)

    async with product.client(None) as client:
        empty = await client.get(where)
        page = Page(empty)
        assert set(page.fields) == set(FORM)
        assert page.unlabelled == 0, "a screen reader would not know what to type"
        assert page.told == {"ok": None, "problems": []}
        policy = empty.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "frame-ancestors *" in policy
        assert set(re.findall(r'nonce="([^"]+)"', empty.text)) == set(re.findall(r"'nonce-([^']+)'", policy))
        assert not re.search(r'(src|href)="', empty.text), "nothing comes from elsewhere"

        wrong = await client.post(where, data=FORM | {"accessToken": "EAAwrong<script>"})
        refused = Page(wrong)
        assert wrong.status_code == 401
        assert "(#190)" in refused.words or "token" in refused.words.lower()
        assert refused.fields["wabaId"]["value"] == FORM["wabaId"]
        assert "EAAwrong" not in wrong.text, "a secret is not shown again"
        assert refused.told["problems"]
        for broken in ({"wabaId": "abc"}, {"appSecret": ""}, {"phoneNumberId": "\x00"}, {"accessToken": "é"}):
            assert (await client.post(where, data=FORM | broken)).status_code == 400, broken
        assert (await product.api.get("/plugin")).json()["_data"][1:] == []

        done = await client.post(where, data=FORM)
        assert done.status_code == 200, Page(done).words
        told = Page(done).told["ok"]
        for again in (await client.get(where), await client.post(where, data=FORM)):
            assert again.status_code == 404
            assert "new one" in Page(again).words
            assert Page(again).fields == {}

    plugin = (await product.api.get(f"/plugin/{told['pluginId']}")).json()["_data"]
    assert (plugin["name"], plugin["client"]["referenceId"]) == ("babbage", "17")
    assert told["whatsappBusinessAccounts"] == [{"id": OTHER_BUSINESS.waba_id, "name": OTHER_BUSINESS.name}]
    numbers = (await product.api.get(f"{NUMBERS}?pluginId={plugin['id']}")).json()["_data"]
    assert told["whatsappPhoneNumbers"] == numbers
    to_them = {"type": "text", "text": {"body": "hi"}, "phone_number_id": FORM["phoneNumberId"]}
    await product.customer_sends(to_them)
    await until(product.listed)


async def test_a_token_is_for_one_plugin_and_one_hour(product: Product) -> None:
    again = await invited(product, pluginId=product.team.plugin_id)
    ours = FORM | {
        "wabaId": BUSINESS.waba_id,
        "phoneNumberId": product.team.phone_number_id,
        "accessToken": BUSINESS.access_token,
        "appSecret": BUSINESS.app_secret,
    }

    async with product.client(None) as client:
        elsewhere = await client.post(await invited(product, **NEW), data=ours)
        renewed = await client.post(again, data=ours)
        late = await invited(product, pluginId=product.team.plugin_id)
        await product.app.db.write(_age)
        expired = await client.get(late)

        assert elsewhere.status_code == 409
        assert product.team.plugin_id in Page(elsewhere).words
        assert Page(renewed).told["ok"]["pluginId"] == product.team.plugin_id
        assert expired.status_code == 404
        for where in (PAGE, f"{PAGE}?connectToken=", f"{PAGE}?connectToken=%00guess"):
            assert (await client.get(where)).status_code == 404
        assert (await client.put(again)).status_code == 405


async def test_a_connect_token_wants_a_plugin_or_a_client_and_a_manager(product: Product) -> None:
    unknown = sentence(await product.api.post(CONNECT_TOKEN, json={"pluginId": NOBODY}), 404)
    missing = await product.api.post(CONNECT_TOKEN, json={"newPluginName": "a"})
    long = await product.api.post(CONNECT_TOKEN, json=NEW | {"clientName": "a" * 201})
    later = await invited(product, pluginId=product.team.plugin_id)
    await product.api.delete(f"/plugin/{product.team.plugin_id}")
    deleted = sentence(await product.api.post(CONNECT_TOKEN, json={"pluginId": product.team.plugin_id}), 404)
    key = await accounts.create_key(product.app.res, product.team.id, name="agent", role="Agent")

    assert "lugin" in unknown
    assert "not found" in unknown
    assert unknown == deleted
    assert len(missing.json()["_errors"]) == 2
    assert "200" in sentence(long, 400)
    async with product.client(key.token) as agent:
        assert sentence(await agent.post(CONNECT_TOKEN, json=NEW), 403)
        assert (await agent.get(later)).status_code == 404, "the plugin is gone"


async def test_the_script_for_partners_is_served_and_framing_can_be_narrowed(
    database_url: str, tmp_path: Path
) -> None:
    ancestors = "https://partner.example"
    async with running(database_url, tmp_path, connect_frame_ancestors=ancestors) as product:
        where = await invited(product, **NEW)
        async with asking(product.base_url) as browser:
            scripts = [
                await browser.get(f"/whatsapp-partner-connect/{version}/sdk.js")
                for version in ("v1", "v1_0_1")
            ]
            page = await browser.get(where)

        assert f"frame-ancestors {ancestors}" in page.headers["content-security-policy"]
        for script in scripts:
            assert script.headers["content-type"].startswith("text/javascript")
            assert f"{PAGE}?connectToken=" in script.text
            assert "window.ChakraWhatsappConnect" in script.text


def _age(tx: Any) -> None:
    tx.execute(every_team.update(connect_tokens).values(expires_at=connect_tokens.c.expires_at - VALID_MS))
