"""The registry of sources: every file of this folder that defines `source`, found by scanning.

Files whose name starts with an underscore are tools of the others.  The forms, the documentation, the API's schema, the
contract tests and the doors all ask here; adding a source touches no other module (CONTRIBUTING.md walks through it).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from functools import cache
from types import ModuleType

from app.core.types import Source


class Registry:
    """Sources by name and alias."""

    def __init__(self, sources: Iterable[Source]) -> None:
        """Keep them in the order of their names.

        Raises:
            ValueError: two of them answer to one name.
        """
        self._by_word: dict[str, Source] = {}
        self._sources = tuple(sorted(sources, key=lambda source: source.name))
        for source in self._sources:
            for word in {_plain(name) for name in (source.name, *source.aliases)}:
                other = self._by_word.setdefault(word, source)
                if other is not source:
                    raise ValueError(f"the sources {other.title} and {source.title} both answer to {word!r}")

    def get(self, name: str) -> Source | None:
        """The source of a name or alias, in any case, written with `-` or `_`."""
        return self._by_word.get(_plain(name))

    def all(self) -> tuple[Source, ...]:
        """Every source, by name."""
        return self._sources


def scan(package: ModuleType) -> Registry:
    """Read every module of a package that is a source.

    Raises:
        ValueError: a file defines no `source`, or is not called like it, or two answer to one name.
    """
    names = sorted(found.name for found in pkgutil.iter_modules(package.__path__) if not found.name.startswith("_"))
    return Registry([_read(f"{package.__name__}.{name}") for name in names])


@cache
def registry() -> Registry:
    """The sources of Tocsin."""
    return scan(importlib.import_module(__name__))


def get(name: str) -> Source | None:
    """The source of a name or alias, in any case, written with `-` or `_`; None when there is none."""
    return registry().get(name)


def all() -> tuple[Source, ...]:
    """Every source, by name."""
    return registry().all()


def _read(module_name: str) -> Source:
    source = getattr(importlib.import_module(module_name), "source", None)
    if not isinstance(source, Source):
        raise ValueError(f"{module_name} defines no `source`; a file of tools starts with an underscore")
    if _plain(module_name.rpartition(".")[2]) != _plain(source.name):
        raise ValueError(f"{module_name} holds the source {source.name!r}: the file bears its name")
    return source


def _plain(name: str) -> str:
    return name.strip().lower().replace("_", "-")


registry()  # a clash must stop the start, not the first request
