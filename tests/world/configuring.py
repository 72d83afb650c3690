"""Apply a configuration file's contents to an app, as `flask apply` does."""

from __future__ import annotations

from typing import Any

import yaml
from flask import Flask

from app.core.types import SYSTEM
from app.domain import configuration
from app.wiring import transactions


def configure(app: Flask, document: dict[str, Any]) -> None:
    """Plan, prepare, write; in the context of the app."""
    runtime: Any = app.extensions["tocsin"]
    now = runtime.now()
    wanted = configuration.read(yaml.safe_dump(document, sort_keys=False), {})
    state = transactions.run(lambda session: configuration.load(session, runtime.vault, now=now), "read")
    ready = configuration.prepare(configuration.make_plan(wanted, state), runtime.vault)
    transactions.run(lambda session: configuration.write(session, ready, runtime.vault, actor=SYSTEM, now=now))
