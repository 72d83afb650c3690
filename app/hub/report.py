"""What the hub says when Tocsin is ready."""

from __future__ import annotations

from sqlalchemy import exists, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from app.core.version import VERSION
from app.models import User
from app.settings import Settings
from app.wiring import transactions

NO_REDIS = """\
  ┌─ No Redis ──────────────────────────────────────────────────────────────┐
  │ No Redis server was found, so the ticker itself sends the pages.        │
  │ Nothing is lost; a busy installation should have one: set REDIS_URL, or │
  │ install redis-server or valkey-server and start again.                  │
  └─────────────────────────────────────────────────────────────────────────┘
"""
NO_USER = """\
  Nobody can be paged yet.  In a second terminal, in this folder:

    .venv/bin/flask user create you@example.com --role admin
    .venv/bin/flask apply FILE       users, policies and services; README.md has one to start from
"""


def ready(settings: Settings, *, redis: str, has_users: bool) -> str:
    """The text that is printed once, when the web server answers."""
    web, workers = settings.web_concurrency, settings.workers
    lines = [
        "",
        f"  Tocsin {VERSION} is ready:  {settings.base_url}/",
        "",
        f"  database   {database(settings)}",
        f"  Redis      {redis or 'none'}",
        f"  mail in    {mail_address(settings)}",
        f"  processes  web × {web}, worker × {workers}, ticker, smtp",
        "",
    ]
    text = "\n".join(lines) + "\n"
    return text + ("" if redis else NO_REDIS + "\n") + ("" if has_users else NO_USER)


def database(settings: Settings) -> str:
    """Which database is in use, without its password."""
    url = make_url(settings.database_url)
    if settings.is_sqlite:
        return f"SQLite, {url.database}"
    return f"PostgreSQL, {without_password(settings.database_url).removeprefix('postgresql+psycopg://')}"


def without_password(url: str) -> str:
    """An address that may be shown: the password is starred, in the user part and in the query."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        return "•••"
    starred = {name: "hidden" for name in parsed.query if "pass" in name.lower()}
    return parsed.update_query_dict(starred).render_as_string(hide_password=True)


def mail_address(settings: Settings) -> str:
    """Where mail is taken, and for whom."""
    host, port = settings.smtp_listen
    return f"{host}:{port} for <key>@{settings.email_domain}"


def mail_obstacle(settings: Settings) -> str:
    """Why the mail listener cannot start."""
    host, port = settings.smtp_listen
    return f"another program listens on {host}:{port}; no alert comes in by mail until it is free or SMTP_LISTEN names another address"


def reachable_host(host: str) -> str:
    """Where to ask a server that listens on `host`."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"[{host}]" if ":" in host else host


def has_users() -> bool:
    """Whether there is anybody yet."""
    return bool(transactions.run(lambda session: session.scalar(select(exists().where(User.archived_at.is_(None)))), "read"))
