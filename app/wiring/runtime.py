"""What one process has once: settings, clock, vault, cache, acceptor, knock.  `runtime()` finds it from a request."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime

from flask import Flask, current_app
from sqlalchemy import Engine

from app.core.clock import Clock
from app.core.keys import Vault
from app.settings import Settings
from app.wiring import transactions
from app.wiring.acceptor import Acceptor
from app.wiring.cache import ConfigCache
from app.wiring.extensions import db
from app.wiring.limiter import Limiter
from app.wiring.locks import WriteLock
from app.wiring.queue import Knock


@dataclass
class Runtime:
    """The parts that a process makes once and shares between its threads."""

    settings: Settings
    clock: Clock
    vault: Vault
    cache: ConfigCache
    knock: Knock
    acceptor: Acceptor
    limiter: Limiter
    write_lock: WriteLock | None
    """SQLite's; None on PostgreSQL."""
    boot_id: str = field(default_factory=lambda: secrets.token_hex(8))

    def now(self) -> datetime:
        """The present moment by the installed clock."""
        return self.clock.now()

    def close(self) -> None:
        """End the threads and connections that this process opened on its own."""
        self.acceptor.dispose()

    @property
    def engine(self) -> Engine:
        """The database (needs an application context)."""
        return db.engine


def install(app: Flask, settings: Settings, clock: Clock) -> None:
    """Make the runtime of this process and hang it on the app."""
    write_lock = None
    with app.app_context():
        if settings.is_sqlite:
            write_lock = transactions.prepare_sqlite(db.engine)
    vault = Vault(settings.secret_key, settings.secret_key_old)
    app.extensions["tocsin"] = Runtime(
        settings=settings,
        clock=clock,
        vault=vault,
        cache=ConfigCache(vault, clock),
        knock=Knock(settings),
        acceptor=Acceptor(settings, write_lock),
        limiter=Limiter(settings),
        write_lock=write_lock,
    )


def runtime() -> Runtime:
    """The runtime of the current app."""
    found: Runtime = current_app.extensions["tocsin"]
    return found
