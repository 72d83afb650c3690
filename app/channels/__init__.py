"""The ways out, one file each, found by scanning this folder: pickers, forms, masking and docs derive from them."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from app.core.types import Channel


@cache
def _registry() -> dict[str, Channel]:
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    found: list[Channel] = [import_module(f"{__name__}.{name}").channel for name in names]
    return {channel.name: channel for channel in found}


def get(name: str) -> Channel | None:
    """The channel of a name, or None."""
    return _registry().get(name)


def all() -> tuple[Channel, ...]:
    """Every channel, by name."""
    return tuple(_registry().values())
