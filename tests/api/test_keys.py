"""Keys: whose they are, what their role may, and when they stop."""

from functools import partial

import httpx

from samvad.domain.accounts import operations as accounts
from tests.api.asking import LIST, NUMBERS, sending, sentence
from tests.harness import PERSON, Product, until

HOUR_MS = 3_600_000


async def test_a_key_works_until_it_is_revoked_expires_or_its_user_is_shut_out_and_let_in_again(
    product: Product,
) -> None:
    """All within about a second, though answers are remembered for that long."""
    res, team = product.app.res, product.team.id
    await accounts.create_user(
        res, team, email="bot@ada.example", name="Bot", role="Agent", password="correct horse"
    )
    keys = {
        "revoked": await accounts.create_key(res, team, name="revoked"),
        "expired": await accounts.create_key(res, team, name="expired", expires_at=res.clock() + HOUR_MS),
        "shut out": await accounts.create_key(res, team, name="of the bot", email="bot@ada.example"),
    }
    clients = {why: product.client(key.token) for why, key in keys.items()}
    for why, client in clients.items():
        assert (await client.get(NUMBERS)).status_code == 200, why

    product.clock.pass_by(HOUR_MS)
    await accounts.revoke_key(res, team, keys["revoked"].id)
    await accounts.change_user(res, team, "bot@ada.example", is_active=False)

    for why, client in clients.items():
        await until(partial(_status, client, 401))
        for path in (NUMBERS, "/v1/health", "/nowhere"):
            assert sentence(await client.get(path), 401) == "Unauthorized", why
        assert sentence(await client.post(sending(product), json={}), 401) == "Unauthorized", why
        assert sentence(await client.post(LIST, json={}), 401) == "Unauthorized", why
        await client.aclose()
    assert (await product.api.get(NUMBERS)).status_code == 200

    email = f"owner@{team}.example"

    await accounts.change_user(res, team, email, is_active=False)
    await until(lambda: _status(product.api, 401))
    await accounts.change_user(res, team, email, is_active=True)

    assert (await product.api.get(NUMBERS)).status_code == 200


async def test_an_agents_key_takes_part_changes_no_settings_and_tells_when_it_was_used(
    product: Product,
) -> None:
    res, team = product.app.res, product.team.id
    agent = await accounts.create_key(res, team, name="desk", role="Agent")
    manager = await accounts.create_key(res, team, name="lead", role="Manager")
    await product.open_window()
    hi = {"messaging_product": "whatsapp", "to": PERSON, "type": "text", "text": {"body": "hi"}}
    config = {"enableChakraWebhook": True}

    async with product.client(agent.token) as desk, product.client(manager.token) as lead:
        sent = await desk.post(sending(product), json=hi)
        refused = await desk.post(product.plugin("update-config"), json=config)
        shown = await desk.get(product.plugin("config"))
        changed = await lead.post(product.plugin("update-config"), json=config)

    assert sent.status_code == 200, sent.text
    assert "ADMIN or MANAGER" in sentence(refused, 403)
    assert shown.json()["_data"]["enableChakraWebhook"] is False
    assert changed.json() == {"_data": {"success": True}}

    made = await accounts.create_key(res, team, name="new", description="for a test")
    before = res.clock()
    (unused,) = [it for it in await accounts.list_keys(res, team) if it.id == made.id]

    async with product.client(made.token) as client:
        assert (await client.get("/v1/health")).status_code == 200

    (used,) = [it for it in await accounts.list_keys(res, team) if it.id == made.id]
    assert unused.last_used_at is None
    assert before <= used.last_used_at <= res.clock()
    assert made.token not in str(used)


async def test_what_is_no_bearer_key_is_a_401_everywhere_but_where_none_is_needed(product: Product) -> None:
    token = product.team.token
    for given in (None, "", "Bearer", "Basic abc", token, f"Bearer {token}x", f"Token {token}", "Bearer é"):
        headers = {} if given is None else {b"Authorization": given.encode("latin-1")}
        async with product.client(None) as client:
            for method, path in (("GET", NUMBERS), ("POST", LIST), ("POST", sending(product)), ("GET", "/x")):
                reply = await client.request(method, path, headers=headers)
                assert sentence(reply, 401) == "Unauthorized", f"{given!r} at {path}"
                assert reply.headers["www-authenticate"] == "Bearer"
            health = await client.get("/v1/health", headers=headers)
            assert health.status_code == (200 if given is None else 401), given
            assert (await client.get("/openapi.json", headers=headers)).status_code == 200
    async with product.client(None) as client:
        lower = await client.get(NUMBERS, headers={"Authorization": f"bearer {token}"})
        unnamed = await client.put("/v1/health")
    async with product.client("wrong") as client:
        wrong = await client.put("/v1/health")

    assert lower.status_code == 200
    assert "PUT is not offered" in sentence(unnamed, 405)
    assert sentence(wrong, 401) == "Unauthorized"


async def _status(client: httpx.AsyncClient, status: int) -> bool:
    return (await client.get(NUMBERS)).status_code == status
