"""Sources are found by scanning, and by any of their names."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from app import sources
from app.core.types import Source
from app.sources import Registry, scan

FILE = """
from app.core.types import Source
source = Source(name={name!r}, title={name!r}, parse=lambda inbound, options: [], aliases={aliases!r})
"""


def made(name: str, *aliases: str) -> Source:
    return Source(name=name, title=name.title(), parse=lambda _inbound, _options: [], aliases=aliases)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ModuleType]]:
    """A package of files given by name and text, gone after the test."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(**files: str) -> ModuleType:
        folder = tmp_path / "more_sources"
        folder.mkdir()
        for name, text in {"__init__": "", **files}.items():
            (folder / f"{name}.py").write_text(text)
        return __import__("more_sources")

    yield make
    for name in [name for name in sys.modules if name.partition(".")[0] == "more_sources"]:
        del sys.modules[name]


@pytest.mark.parametrize("name", ["prometheus", "PROMETHEUS", "alertmanager", "prometheusAlertmanager", " Prometheus "])
def test_a_source_answers_to_its_name_and_aliases_in_any_case(name: str) -> None:
    found = sources.get(name)

    assert found is not None
    assert found.name == "prometheus"


@pytest.mark.parametrize("name", ["events-v2", "events_v2", "EVENTS_API_V2", "events-api-v2"])
def test_dashes_and_underscores_are_the_same(name: str) -> None:
    found = sources.get(name)

    assert found is not None
    assert found.name == "events-v2"


def test_nothing_answers_to_an_unknown_name() -> None:
    assert sources.get("no-such-tool") is None
    assert sources.get("_reading") is None
    assert sources.get("") is None


def test_sources_stand_in_the_order_of_their_names() -> None:
    names = [source.name for source in sources.all()]

    assert {"events-v2", "generic", "prometheus"} <= set(names)
    assert names == sorted(names)


@pytest.mark.parametrize("source", sources.all(), ids=lambda source: source.name)
def test_a_source_is_named_for_a_url(source: Source) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9-]*", source.name)
    assert len(source.name) <= 64
    assert source.title.strip()
    assert source.docs_url.startswith("https://") or not source.docs_url


def test_two_sources_with_one_name_or_alias_are_refused() -> None:
    with pytest.raises(ValueError, match="both answer to 'zabbix'"):
        Registry([made("zabbix"), made("other", "Zabbix")])
    with pytest.raises(ValueError, match="both answer to 'a-b'"):
        Registry([made("x", "a_b"), made("y", "A-B")])


def test_an_alias_may_repeat_its_own_name() -> None:
    assert Registry([made("zabbix", "ZABBIX")]).get("Zabbix") is not None


def test_a_file_is_a_source_unless_it_starts_with_an_underscore(package: Callable[..., ModuleType]) -> None:
    found = scan(package(one=FILE.format(name="one", aliases=("uno",)), two_b=FILE.format(name="two-b", aliases=()), _tools="x = 1"))

    assert [source.name for source in found.all()] == ["one", "two-b"]
    assert found.get("UNO") is found.get("one")


def test_a_file_without_a_source_is_refused(package: Callable[..., ModuleType]) -> None:
    with pytest.raises(ValueError, match=r"more_sources\.tools defines no `source`"):
        scan(package(tools="x = 1"))


def test_a_file_bears_the_name_of_its_source(package: Callable[..., ModuleType]) -> None:
    with pytest.raises(ValueError, match="the file bears its name"):
        scan(package(one=FILE.format(name="two", aliases=())))
