"""Edge: pages."""

from __future__ import annotations

from flask import Flask


def register(app: Flask) -> None:
    """Add the routes of this edge."""
