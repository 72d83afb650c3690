"""CONTRIBUTING.md's walk works as written: its files make a source that keeps the contract."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from app.core.types import Action, Event
from app.sources import scan
from tests.sources import contract
from tests.sources.corpus import cases_of

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "sources_of_the_walk"
FILE = re.compile(r"^`(?P<path>[\w/.-]+)`:\n\n(?P<fence>`{3,})\w+\n(?P<text>.*?)^(?P=fence)$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def walked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The files of the walk, each in its place under `tmp_path`, its source in a package of its own."""
    for found in FILE.finditer((ROOT / "CONTRIBUTING.md").read_text()):
        path = tmp_path / found["path"].replace("app/sources", PACKAGE)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found["text"])
    (tmp_path / PACKAGE / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    yield __import__(PACKAGE)
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


def test_the_walk_makes_a_source_that_keeps_the_contract(walked: ModuleType, tmp_path: Path) -> None:
    (source,) = scan(walked).all()
    cases = cases_of(source, tmp_path / "tests" / "sources", PACKAGE)

    contract.keep(source, cases, tmp_path / "templates" / "connect")

    assert [case.path.name for case in cases] == ["down.json", "up.json"]
    down, up = (event for case in cases for event in case.read())
    assert isinstance(down, Event)
    assert isinstance(up, Event)
    assert (down.action, down.summary) == (Action.TRIGGER, "Shop front page is down")
    assert (up.action, up.dedup_key) == (Action.RESOLVE, down.dedup_key)


def test_the_walks_source_is_as_short_as_we_ask(walked: ModuleType, tmp_path: Path) -> None:
    text = (tmp_path / PACKAGE / "lantern.py").read_text()

    assert len(text.splitlines()) <= 60
