"""Tocsin: a self-hosted hub for alerts.  `create_app` is the only place where the parts meet."""

from __future__ import annotations

from pathlib import Path

from flask import Flask

from app import settings as settings_module
from app.core.clock import Clock, SystemClock
from app.core.version import VERSION
from app.settings import Settings

__version__ = VERSION
ROOT = Path(__file__).resolve().parent.parent


def create_app(settings: Settings | None = None, clock: Clock | None = None) -> Flask:
    """Build the application.  Opens no file and no connection beyond DATA_DIR and the secret key."""
    from app import api, cli, intake, pages
    from app.wiring import extensions, runtime, transactions

    settings = settings or settings_module.load()
    app = Flask("app", root_path=str(ROOT / "app"), template_folder=str(ROOT / "templates"), static_folder=str(ROOT / "static"))
    app.config.update(
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=transactions.engine_options(settings),
        MAX_CONTENT_LENGTH=None,  # each edge refuses in its own words
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the default provider has it
    extensions.db.init_app(app)
    extensions.migrate.init_app(app, extensions.db, directory=str(ROOT / "migrations"))
    runtime.install(app, settings, clock or SystemClock())
    intake.register(app)
    api.register(app)
    pages.register(app)
    cli.register(app)
    return app
