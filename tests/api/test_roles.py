"""What a process does by its role, and that web and worker together are the whole product."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from samvad.app import App
from samvad.domain.context import Context
from samvad.domain.inbound import queries as inbound
from samvad.domain.waba import operations as waba
from samvad.domain.webhooks import dispatch
from samvad.ingress import fold
from samvad.kit.errors import BadRequest
from samvad.settings import Settings, from_environment
from tests.harness import CHEAP_PASSWORDS, Product, Receiver, asking, running, until
from tests.sandbox.wire import served


@pytest.fixture
def postgres(database_url: str) -> str:
    if database_url.startswith("sqlite"):
        pytest.skip("one process owns a SQLite file")
    return database_url


@asynccontextmanager
async def beside(settings: Settings, role: str) -> AsyncIterator[App]:
    """Another process of the same installation."""
    app = App(replace(settings, role=role), passwords=CHEAP_PASSWORDS)
    await app.start()
    try:
        yield app
    finally:
        await app.stop()


async def point(product: Product, url: str) -> None:
    ctx = Context(product.team.id, "a-user", None, "ADMIN", product.app.res)
    await waba.update_config(ctx, product.team.plugin_id, {"passThroughWebhookUrl": url})


async def test_a_web_keeps_what_comes_and_a_worker_folds_and_delivers_it_at_once(
    postgres: str, tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    async with running(postgres, tmp_path, role="web") as product:
        await point(product, receiver.url)
        await product.customer_writes("hello?")

        async def kept() -> bool:
            return await product.app.db.read(inbound.waiting) == 1

        await until(kept)
        await asyncio.sleep(1.2)  # longer than anybody waits before a look
        assert await kept()
        assert receiver.got == []
        async with beside(product.settings, "worker"):
            await until(lambda: len(receiver.got) == 1)
            for it in (fold, dispatch):  # from their next wait on they look so rarely that only a ring helps
                monkeypatch.setattr(it, "LOOK_EVERY_S", 60.0)
            await asyncio.sleep(1.2)
            await product.customer_writes("still there?")
            await until(lambda: len(receiver.got) == 2)


async def test_a_worker_answers_only_whether_it_lives(postgres: str, tmp_path: Path):
    async with (
        running(postgres, tmp_path) as product,
        beside(product.settings, "worker") as worker,
        served(worker) as url,
        asking(url) as http,
    ):
        health = await http.get("/v1/health")
        others = [await http.get(it) for it in ("/docs", "/v1/ext/users", "/webhooks/whatsapp/x")]

    assert health.status_code == 200
    assert {it.status_code for it in others} == {404}
    assert "This process is a worker" in others[0].json()["_errors"][0]


async def test_a_plugin_that_changed_is_another_for_every_process(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with running(postgres, tmp_path, role="web") as product, beside(product.settings, "web") as other:
        plugin_id = product.team.plugin_id
        monkeypatch.setattr(other.directory._callbacks, "_for_s", 3600.0)  # so that only being told helps

        async def remembered() -> Any:
            known = await other.directory.callback(plugin_id)
            await asyncio.sleep(0.1)  # whoever begins to listen forgets, too
            return known if await other.directory.callback(plugin_id) is known else None

        known = await until(remembered)
        product.app.directory.forget()

        async def asked_anew() -> bool:
            return await other.directory.callback(plugin_id) is not known

        await until(asked_anew)


async def test_what_the_first_folds_and_the_second_after_it_is_told_in_order(
    postgres: str, tmp_path: Path, receiver: Receiver
):
    async with running(postgres, tmp_path, role="web") as product:
        await point(product, receiver.url)
        said = [str(n) for n in range(60)]
        async with beside(product.settings, "worker"):
            for it in said[:20]:
                await product.customer_writes(it)
            async with beside(product.settings, "worker"):
                for it in said[20:40]:
                    await product.customer_writes(it)
                await until(lambda: len(receiver.got) == 40)
        async with beside(product.settings, "worker"):
            for it in said[40:]:
                await product.customer_writes(it)
            await until(lambda: len(receiver.got) == 60)

    assert len({headers["webhook-id"] for _, headers in receiver.got}) == 60


@pytest.mark.parametrize("role", ["web", "worker"])
def test_a_sqlite_file_belongs_to_one_process_which_has_no_role_but_all(role: str, tmp_path: Path):
    with pytest.raises(BadRequest, match="a SQLite file belongs to one process"):
        from_environment({"SAMVAD_ROLE": role}, data_dir=tmp_path)

    assert from_environment({"SAMVAD_ROLE": "all"}, data_dir=tmp_path).role == "all"


def test_a_role_that_is_none_is_named(tmp_path: Path):
    with pytest.raises(BadRequest, match="SAMVAD_ROLE must be web, worker or all; got 'cook'"):
        from_environment({"SAMVAD_ROLE": "cook"}, data_dir=tmp_path)
