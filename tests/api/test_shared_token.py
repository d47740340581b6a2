"""Two teams of one agency, connected with one system-user token: Meta opens everything to both, and we do not."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from samvad.domain.media.tables import media
from samvad.domain.waba import operations as waba
from samvad.domain.waba.model import Connection
from samvad.storage import every_team
from tests.api.asking import NUMBERS, sentence, writing_to
from tests.api.test_whatsapp_media import PICTURE, customer_sends, show, stored
from tests.harness import BUSINESS, OTHER_BUSINESS, PERSON, Product, Team, make_team, running, until

SHARED = replace(OTHER_BUSINESS, access_token=BUSINESS.access_token, app_secret=BUSINESS.app_secret)
FORM = {"messaging_product": "whatsapp", "type": "image/png"}
FLOW = {"name": "survey", "categories": ["OTHER"]}
DOORS = ("/v1/ext/plugin/whatsapp/api/v24.0", "/v1/whatsapp/v24.0", "/v2/whatsapp/v24.0")


@dataclass
class Agency:
    product: Product
    team: Team
    """The second team."""
    client: httpx.AsyncClient
    known: int = 0
    """The number of the last call of Meta's that a test does not look at."""

    async def asked(self) -> list[str]:
        """What Meta was asked since, path by path."""
        return [it["path"] for it in await self.product.asked_of_meta(self.known)]

    async def begin(self) -> None:
        """From here on a test looks at what is asked."""
        self.known = max(it["number"] for it in await self.product.asked_of_meta())


@pytest.fixture
async def agency(database_url: str, tmp_path: Path) -> AsyncIterator[Agency]:
    async with running(database_url, tmp_path, other=SHARED) as product:
        team = await make_team(product.app, SHARED, name="Babbage Engines")
        async with product.client(team.token) as client:
            yield Agency(product, team, client)


OF_EACH = ("date", "content-length", "x-request-id")  # headers that differ between any two replies


async def test_the_same_token_opens_no_node_and_no_file_of_the_other_team(agency: Agency) -> None:
    product, theirs = agency.product, agency.client
    media_id = await customer_sends(product, "image", PICTURE)
    await stored(product, media_id)
    (message,) = await product.listed()
    file = {"file": ("a.png", PICTURE, "image/png")}
    door = f"/v1/whatsapp/v24.0/{product.team.phone_number_id}/media"
    uploaded = (await product.api.post(door, data=FORM, files=file)).json()["id"]
    flow = (await product.api.post(f"{DOORS[0]}/{product.team.waba_id}/flows", json=FLOW)).json()["id"]
    template = await until(lambda: _a_template(product))
    nodes = (product.team.phone_number_id, product.team.waba_id, template, media_id, uploaded, flow)
    for node in nodes:
        ours = await product.api.get(f"/v1/whatsapp/v24.0/{node}")
        assert ours.status_code == 200, ours.text
    await agency.begin()

    paths = [f"{door}/{node}" for node in nodes for door in DOORS]
    paths += [path for node in nodes for path in (show(node), f"/v2/whatsapp/v24.0/media/{node}")]
    paths += [f"/v2/whatsapp/v24.0/media/whatsapp_business/attachments?mid={node}" for node in nodes]
    for path in paths:
        refused = await theirs.get(path)
        node = next(it for it in nodes if it in path)
        assert not [it for it in await agency.asked() if node in it], f"Meta was asked for {path}"
        unknown = await theirs.get(path.replace(node, "4711471147114711"))
        assert _shape(refused, node) == _shape(unknown, "4711471147114711"), path
        assert "does not exist" in sentence(refused, 400)
    for method, path in (("POST", f"/{flow}/publish"), ("DELETE", f"/{flow}"), ("DELETE", f"/{media_id}")):
        reply = await theirs.request(method, DOORS[0] + path)
        assert "does not exist" in sentence(reply, 400)
    assert not [it for it in await agency.asked() if flow in it or media_id in it]
    assert (await theirs.post(f"/v1/samvad/chat/{message['chat']}/read")).status_code == 404
    assert (await theirs.post(f"/v1/ext/chat/{message['chat']}/message", json={})).status_code == 404
    assert await product.listed(client=theirs) == []
    assert [it["id"] for it in (await theirs.get(NUMBERS)).json()["_data"]] == [agency.team.phone_number_id]
    assert (await product.api.get(show(media_id))).content == PICTURE


async def test_the_test_chat_opens_no_file_that_somebody_names_there(agency: Agency) -> None:
    product, theirs = agency.product, agency.client
    media_id = await customer_sends(product, "image", PICTURE)
    await stored(product, media_id)
    await agency.begin()

    named = {"type": "image", "image": {"id": media_id, "mime_type": "image/png"}}
    body = {"from": PERSON, "message": named}
    reply = await theirs.post(writing_to(agency.team.phone_number_id), json=body)

    assert reply.status_code == 200, reply.text
    (written,) = await until(lambda: product.listed(client=theirs))
    shown = await theirs.get(written["attachments"][0]["url"])
    assert "does not exist" in sentence(shown, 400)
    rows = await product.app.db.read(lambda tx: tx.all(every_team.select(media)))
    assert [(row.team_id, row.id) for row in rows] == [(product.team.id, media_id)]
    assert await agency.asked() == []


async def test_a_file_of_a_second_waba_is_fetched_with_that_wabas_token(product: Product) -> None:
    other, number = OTHER_BUSINESS, OTHER_BUSINESS.phone_numbers[0].id
    wanted = Connection(other.waba_id, number, other.access_token, other.app_secret)
    into = replace(wanted, plugin_id=product.team.plugin_id)
    await waba.connect(product.app.res, product.team.id, into)
    asset = product.sandbox.world.media.add(other.waba_id, PICTURE, "image/png", lives_s=600)
    image = {"id": asset.id, "mime_type": "image/png"}

    await product.customer_sends({"type": "image", "image": image, "phone_number_id": number})

    await until(product.listed)
    await stored(product, asset.id)
    assert (await product.api.get(show(asset.id))).content == PICTURE
    never_heard_of = product.sandbox.world.media.add(other.waba_id, PICTURE, "image/png", lives_s=600)
    assert (await product.api.get(show(never_heard_of.id))).content == PICTURE


def _shape(reply: httpx.Response, node: str) -> Any:
    """Everything a client could tell two answers apart by, but for the id and Meta's trace."""
    trace = reply.json()["error"]["fbtrace_id"]
    assert re.fullmatch(r"A[\w-]{20,25}", trace), trace
    headers = {name: value for name, value in reply.headers.items() if name not in OF_EACH}
    words = reply.text.replace("\\/", "/").replace(trace, "trace").replace(node, "node")
    return reply.status_code, headers, words


async def _a_template(product: Product) -> str | None:
    found = (await product.api.get("/v1/samvad/template")).json()["_data"]
    return found[0]["id"] if found else None
