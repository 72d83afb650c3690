"""Hubs for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hub.running import RunningHub


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """One hub with its embedded Redis, shared by the tests of a module."""
    running = RunningHub(tmp_path_factory.mktemp("hub") / "var")
    try:
        yield running.start()
    finally:
        running.clean_up()


@pytest.fixture
def make_hub(tmp_path: Path) -> Iterator[Callable[..., RunningHub]]:
    """Hubs of a test's own, not yet started."""
    made: list[RunningHub] = []

    def make(folder: Path = tmp_path / "var", **environ: str) -> RunningHub:
        made.append(RunningHub(folder, environ))
        return made[-1]

    yield make
    for running in made:
        running.clean_up()
