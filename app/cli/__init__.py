"""The commands of `flask`: one file per family."""

from __future__ import annotations

from flask import Flask

from app.cli import configuration, people, processes, upkeep

FAMILIES = (processes, upkeep, configuration, people)


def register(app: Flask) -> None:
    """Add the commands."""
    for family in FAMILIES:
        for command in family.commands:
            app.cli.add_command(command)
