from collections.abc import Iterator
from pathlib import Path

import pytest

from samvad.bench.rig import Place


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Where the data goes; each test that takes it runs on both kinds of database."""
    postgres = request.getfixturevalue("postgres_url") if request.param == "postgresql" else None
    yield Place(tmp_path, postgres)
    assert list(tmp_path.iterdir()) == [], "the bench leaves nothing behind"
