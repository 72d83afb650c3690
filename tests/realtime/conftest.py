"""Real processes on SQLite, and on PostgreSQL when TOCSIN_TEST_DATABASE_URL names a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.realtime.installation import Installation, usual_document
from tests.world.databases import Databases

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.realtime)


@pytest.fixture
def installation(databases: Databases, tmp_path: Path) -> Iterator[Installation]:
    """Configured, nothing started."""
    made = Installation(tmp_path, databases.make(tmp_path))
    try:
        made.apply(usual_document())
        yield made
    finally:
        made.stop()


@pytest.fixture
def web(installation: Installation) -> Installation:
    """The same with a web server of two processes."""
    installation.start_web()
    return installation
