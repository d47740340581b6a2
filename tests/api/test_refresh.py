"""Numbers stay as Meta has them: at once by webhook, on demand, by the clock; and a dead token is seen."""

from pathlib import Path
from typing import Any

from samvad.domain import audit
from samvad.domain.waba import operations as waba
from samvad.domain.waba.model import Connection
from tests.api.asking import ACCOUNTS, NUMBERS, second_team, sentence
from tests.harness import BUSINESS, OTHER_BUSINESS, Product, asking, running, until

NUMBER, SISTER = (it.id for it in BUSINESS.phone_numbers)


def refreshing(number: str = NUMBER) -> str:
    return f"/v1/samvad/whatsapp-phone-number/{number}/refresh"


async def at_meta(product: Product, what: str, **change: Any) -> None:
    reply = await product.control.post(f"/{what}", json=change)
    assert reply.status_code == 200, reply.text


async def shown(product: Product, number: str = NUMBER) -> dict[str, Any]:
    found: dict[str, Any] = (await product.api.get(f"{NUMBERS}/{number}")).json()["_data"]
    return found


async def named(product: Product, prefix: str) -> list[dict[str, Any]]:
    reply = await product.api.get(f"/v1/samvad/event?name={prefix}&limit=100")
    found: list[dict[str, Any]] = reply.json()["_data"][::-1]
    return found


async def test_what_meta_thinks_of_a_number_is_shown_as_soon_as_it_says_so(product: Product) -> None:
    await at_meta(product, f"numbers/{NUMBER}", quality_rating="RED", messaging_limit="TIER_2K")

    async def red() -> bool:
        it = await shown(product)
        return (it["qualityScore"]["score"], it["messagingLimitTier"]) == ("RED", "TIER_2K")

    await until(red)
    assert (await shown(product, SISTER))["messagingLimitTier"] == "TIER_2K"
    await at_meta(product, f"numbers/{NUMBER}", quality_rating="YELLOW", throughput="HIGH")

    async def yellow() -> bool:  # the webhook says only that it is not RED any more
        return bool((await shown(product))["qualityScore"]["score"] == "YELLOW")

    await until(yellow)
    (first, *_, last) = await named(product, "number.quality_changed")
    assert first["data"] == {"was": "GREEN", "is": "RED"}
    assert last["data"]["is"] == "YELLOW"
    assert {it["subject"] for it in await named(product, "number.tier_changed")} == {NUMBER, SISTER}


async def test_an_account_that_meta_takes_away_shows_it_and_loses_nothing(product: Product) -> None:
    await product.customer_writes("before")
    await until(product.listed)
    account = f"accounts/{BUSINESS.waba_id}"
    restriction = {"restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING", "expiration": 2_000_000_000}
    await at_meta(
        product, account, update={"event": "ACCOUNT_RESTRICTION", "restriction_info": [restriction]}
    )
    await at_meta(product, account, update={"event": "PARTNER_REMOVED"})

    async def lost() -> bool:
        (it,) = (await product.api.get(ACCOUNTS)).json()["_data"]
        return bool(it["lostBy"] == "PARTNER_REMOVED" and it["restrictions"])

    await until(lost)
    for number in (NUMBER, SISTER):
        assert (await shown(product, number))["chakraStatus"] == "DISCONNECTED"
    plugin = (await product.api.get(f"/plugin/{product.team.plugin_id}")).json()["_data"]
    of_plugin = plugin["auth"]["whatsappBusinessAccountsById"][BUSINESS.waba_id]
    assert (of_plugin["chakraStatus"], of_plugin["lostBy"]) == ("DISCONNECTED", "PARTNER_REMOVED")
    assert [it["text"] for it in await product.listed()] == ["before"]

    business, number = BUSINESS, BUSINESS.phone_numbers[0].id
    wanted = Connection(business.waba_id, number, business.access_token, business.app_secret)
    await waba.connect(product.app.res, product.team.id, wanted)

    (it,) = (await product.api.get(ACCOUNTS)).json()["_data"]
    assert (it["chakraStatus"], it["lostBy"]) == ("CONNECTED", None)
    assert it["restrictions"] == [{"type": restriction["restriction_type"], "expiresAt": 2_000_000_000_000}]
    assert [it["data"]["is"] for it in await named(product, "account.lost")] == ["DISCONNECTED"]


async def test_numbers_come_and_go_with_a_refresh_and_the_rows_stay(product: Product) -> None:
    headers = {"Authorization": f"Bearer {BUSINESS.access_token}"}
    async with asking(product.sandbox_url, headers=headers) as meta:
        new = {"cc": "1", "phone_number": "5550004444", "verified_name": "Ada's Third"}
        made = (await meta.post(f"/v25.0/{BUSINESS.waba_id}/phone_numbers", json=new)).json()["id"]
    account = product.sandbox.world.accounts[BUSINESS.waba_id]
    account.numbers = tuple(it for it in account.numbers if it.id != SISTER)

    reply = await product.api.post(refreshing())

    assert reply.status_code == 200, reply.text
    assert reply.json()["_data"] == await shown(product)
    assert (await shown(product, made))["displayPhoneNumber"] == "+1 555-000-4444"
    assert (await shown(product, SISTER))["chakraStatus"] == "DISCONNECTED"
    assert (await shown(product))["chakraStatus"] == "CONNECTED"
    assert [it["subject"] for it in await named(product, "number.gone")] == [SISTER]
    assert [it["subject"] for it in await named(product, "number.added")] == [made]
    assert (await product.api.post(refreshing())).status_code == 200
    assert len(await named(product, "number.gone")) == 1
    for unknown in ("1", OTHER_BUSINESS.phone_numbers[0].id):
        assert "not found" in sentence(await product.api.post(refreshing(unknown)), 404)


async def test_the_clock_reads_accounts_anew_and_takes_back_what_was_noted_of_a_token(
    database_url: str, tmp_path: Path
) -> None:
    async with running(database_url, tmp_path, number_poll_s="0.3") as product:
        fields = {"quality_rating": "YELLOW"}  # no webhook tells of it
        await at_meta(product, f"numbers/{NUMBER}", fields=fields)
        await until(lambda: _quality(product, "YELLOW"))
        (changed,) = await named(product, "number.quality_changed")
        assert changed["data"] == {"was": "GREEN", "is": "YELLOW"}

        await at_meta(product, "tokens", waba_id=BUSINESS.waba_id, revoked=True)
        await until(lambda: _invalid_since(product))
        await at_meta(product, "tokens", waba_id=BUSINESS.waba_id, revoked=False)
        await until(lambda: _valid(product))
        assert len(await named(product, "plugin.token_valid")) == 1


async def test_a_token_that_meta_calls_invalid_is_noted_once_wherever_it_is_met(product: Product) -> None:
    babbage, client = await second_team(product)
    await product.open_window()
    await at_meta(product, "tokens", waba_id=BUSINESS.waba_id, revoked=True)
    calls = {
        "send": product.send_text("hi"),
        "pass-through": product.api.get(f"/v1/whatsapp/v25.0/{BUSINESS.waba_id}"),
        "refresh": product.api.post(refreshing()),
        "media": product.api.get("/v1/whatsapp/v25.0/media/4711"),
        "sync": product.api.post("/v1/samvad/template/sync", json={"wabaId": BUSINESS.waba_id}),
    }

    for what, call in calls.items():
        reply = await call
        assert reply.status_code in (400, 401), what
        since = await until(lambda: _invalid_since(product))
        found = (await product.app.db.read(_audit))["tokensInvalid"]
        ours = {"plugin": product.team.plugin_id, "team": product.team.id, "waba": None, "since": since}
        assert found == [ours], what
        await product.app.db.team(product.team.id).write(_forget, product.team.plugin_id)
        product.app.tokens._noted_at.clear()
    assert len(await named(product, "plugin.token_invalid")) == len(calls)
    async with client:
        plugin = (await client.get(f"/plugin/{babbage.plugin_id}")).json()["_data"]
        assert plugin["tokenInvalidAt"] is None

    await product.send_text("hi")
    await until(lambda: _invalid_since(product))
    for _ in range(3):
        await product.send_text("hi")
    await at_meta(product, "tokens", waba_id=BUSINESS.waba_id, revoked=False)
    number = BUSINESS.phone_numbers[0].id
    wanted = Connection(BUSINESS.waba_id, number, BUSINESS.access_token, BUSINESS.app_secret)
    await waba.connect(product.app.res, product.team.id, wanted)
    assert await _valid(product)
    assert len(await named(product, "plugin.token_invalid")) == len(calls) + 1


async def test_the_token_of_a_second_waba_is_noted_on_its_plugin_and_is_no_word_on_the_first(
    product: Product,
) -> None:
    other, number = OTHER_BUSINESS, OTHER_BUSINESS.phone_numbers[0].id
    wanted = Connection(
        other.waba_id, number, other.access_token, other.app_secret, plugin_id=product.team.plugin_id
    )
    await waba.connect(product.app.res, product.team.id, wanted)
    await at_meta(product, "tokens", waba_id=other.waba_id, revoked=True)

    assert (await product.api.post(refreshing(number))).status_code in (400, 401)

    since = await until(lambda: _invalid_since(product))
    (noted,) = (await product.app.db.read(_audit))["tokensInvalid"]
    assert (noted["plugin"], noted["waba"], noted["since"]) == (
        product.team.plugin_id,
        other.waba_id,
        since,
    )
    assert (await product.api.post(refreshing())).status_code == 200
    assert await _invalid_since(product) == since
    await at_meta(product, "tokens", waba_id=other.waba_id, revoked=False)
    assert (await product.api.post(refreshing(number))).status_code == 200
    assert await _valid(product)


async def _quality(product: Product, score: str) -> bool:
    return bool((await shown(product))["qualityScore"]["score"] == score)


async def _invalid_since(product: Product) -> int | None:
    plugin = (await product.api.get(f"/plugin/{product.team.plugin_id}")).json()["_data"]
    since: int | None = plugin["tokenInvalidAt"]
    return since


async def _valid(product: Product) -> bool:
    return await _invalid_since(product) is None


def _audit(tx: Any) -> dict[str, Any]:
    return audit.audit(tx, now=2**50)


def _forget(tx: Any, plugin_id: str) -> None:
    from samvad.domain.waba import queries

    queries.set_plugin(tx, plugin_id, token_invalid_at=None)
