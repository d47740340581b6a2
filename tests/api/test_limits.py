"""How many requests a key may make; off unless somebody says so."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from samvad.api.limits import Limits
from samvad.domain.accounts import operations as accounts
from samvad.kit.errors import TooMany
from tests.api.asking import sentence
from tests.harness import Product, running


@pytest.fixture
async def limited(database_url: str, tmp_path: Path) -> AsyncIterator[Product]:
    """A product whose keys may make two requests a second."""
    async with running(database_url, tmp_path, rate_limit="2") as product:
        yield product


async def test_too_many_requests_are_429_with_the_pause_in_both_wordings(limited: Product) -> None:
    replies = [await limited.api.get("/v1/health") for _ in range(12)]

    refused = next(it for it in replies if it.status_code != 200)
    words = sentence(refused, 429)
    pause = re.fullmatch(r"Rate limit exceeded, retry after (\d+) ms", words)
    assert pause is not None
    assert 0 < int(pause[1]) <= 500
    assert refused.headers["retry-after"] == "1"
    assert "retry-after" in refused.headers["access-control-expose-headers"]


async def test_each_key_counts_for_itself_and_may_have_its_own_limit(limited: Product) -> None:
    res, team = limited.app.res, limited.team.id
    free = await accounts.create_key(res, team, name="free", rate_limit=0)
    slow = await accounts.create_key(res, team, name="slow", rate_limit=1)
    for _ in range(12):
        await limited.api.get("/v1/health")

    async with limited.client(free.token) as client:
        assert {(await client.get("/v1/health")).status_code for _ in range(12)} == {200}
    async with limited.client(slow.token) as client:
        assert (await client.get("/v1/health")).status_code == 200
        assert (await client.get("/v1/health")).status_code == 429


async def test_without_a_limit_nothing_is_counted(product: Product) -> None:
    assert {(await product.api.get("/v1/health")).status_code for _ in range(50)} == {200}


def test_a_bucket_fills_again_at_its_rate_and_never_beyond_a_second() -> None:
    now = 0.0
    limits = Limits(10.0, now=lambda: now)
    pauses: list[int] = []

    def allowed() -> int:
        for count in range(100):
            try:
                limits.count("key", None)
            except TooMany as error:
                pauses.append(error.retry_after_ms)
                return count
        raise AssertionError("no limit")

    assert allowed() == 10
    now = 0.35
    assert allowed() == 3
    now = 1000.0
    assert allowed() == 10
    assert all(0 < it <= 100 for it in pauses)
