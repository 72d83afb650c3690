"""The commands of `flask`: one file per family."""

from __future__ import annotations

import importlib
import importlib.util

from flask import Flask

FAMILIES = ("processes", "upkeep", "configuration", "people")


def register(app: Flask) -> None:
    """Add the commands."""
    for family in FAMILIES:
        if importlib.util.find_spec(f"app.cli.{family}") is None:
            continue
        for command in importlib.import_module(f"app.cli.{family}").commands:
            app.cli.add_command(command)
