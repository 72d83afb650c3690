"""The commands of `flask`: one file per family."""

from __future__ import annotations

from flask import Flask


def register(app: Flask) -> None:
    """Add the commands."""
