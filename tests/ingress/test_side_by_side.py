"""Two processes that fold: one at a time. tests/crash/test_cluster.py sees what the order would be otherwise."""

import pytest

from samvad.domain.inbound import queries as inbound
from samvad.storage.alone import FOLD
from samvad.storage.postgres import connect_apart
from tests.domain.meta import message, received
from tests.domain.quick import Small


@pytest.fixture
def several(small: Small) -> Small:
    if small.app.settings.database_url.startswith("sqlite"):
        pytest.skip("one process owns a SQLite file")
    return small


async def test_while_another_process_folds_nothing_is_folded_here_and_nothing_is_lost(several: Small):
    other = await connect_apart(several.app.settings.database_url)
    await several.deliver(received(message("wamid.1")))
    try:
        async with other.transaction():
            assert await other.fetchval("SELECT pg_try_advisory_xact_lock($1)", FOLD)
            assert await several.app.folder.fold_all() == 0
            assert await several.res.db.read(inbound.waiting) == 1

        assert await several.app.folder.fold_all() == 1
    finally:
        await other.close()
