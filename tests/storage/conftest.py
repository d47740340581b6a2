from collections.abc import AsyncIterator

import pytest

from samvad.storage import Database, open_database
from tests.storage.notes import notes, owners


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """A database with a small table of the tests, beside the product's."""
    db = open_database(database_url)

    def create(connection):
        owners.create(connection)
        notes.create(connection)

    await db.migrate(create)
    yield db
    await db.close()
