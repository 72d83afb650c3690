"""Bring the database's tables up to date: once, under a lock, before anything else starts."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import text

from app.wiring.extensions import db
from app.wiring.runtime import runtime

_ADVISORY_KEY = 7_067_210_001  # any number that nobody else uses in this database


def bring_up_to_date(app: Flask) -> None:
    """Run the migrations that this database lacks; others that start at the same time wait."""
    with app.app_context(), _lock():
        upgrade()


@contextmanager
def _lock() -> Iterator[None]:
    settings = runtime().settings
    if settings.is_sqlite:
        handle = os.open(settings.data_dir / "migrate.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)
        return
    with db.engine.connect() as connection:
        connection.execute(text("SET lock_timeout = 0; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _ADVISORY_KEY})
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _ADVISORY_KEY})
            connection.rollback()
