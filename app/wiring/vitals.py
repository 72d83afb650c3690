"""How Tocsin is: the database, Redis, and the ticker, seen from any process.  Pages, `/readyz` and `doctor` show it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.models import ManagerRun
from app.wiring import redis, transactions
from app.wiring.runtime import runtime
from app.wiring.transactions import DatabaseAway

LATE_AFTER = timedelta(seconds=15)
"""The ticker makes a pass each second; one that has made none for this long is stuck or dead."""


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    DEGRADED = "degraded"
    """Everything still works, worse than it could."""
    DOWN = "down"
    """Pages may not go out, or alerts may not come in."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One part of Tocsin, and how it is."""

    part: str
    level: Level
    summary: str
    """A few words."""
    advice: str = ""
    """What it means and what to do, when something is wrong."""


def look() -> tuple[Finding, ...]:
    """Ask the database, Redis and the ticker's own records.  Never raises for what it finds."""
    try:
        engine = ticker()
    except DatabaseAway:
        return (database_away(), redis_finding())
    return (database_up(), redis_finding(), engine)


def worst(findings: tuple[Finding, ...]) -> Level:
    """The worst level among them."""
    order = list(Level)
    return max((finding.level for finding in findings), key=order.index, default=Level.OK)


def database_up() -> Finding:
    """The database answered."""
    return Finding("database", Level.OK, "SQLite" if runtime().settings.is_sqlite else "PostgreSQL")


def database_away() -> Finding:
    """The database did not answer."""
    return Finding(
        "database",
        Level.DOWN,
        "cannot be reached",
        "The database cannot be reached. Senders are answered 503 and asked to try again; Tocsin goes on by itself when it is back.",
    )


def redis_finding() -> Finding:
    """Redis, or what its absence means."""
    if not redis.url_of(runtime().settings):
        return Finding("redis", Level.DEGRADED, "none", "No Redis: pages go out through the ticker. Set REDIS_URL, or install redis-server and start again.")
    if redis.is_up(runtime().settings):
        return Finding("redis", Level.OK, "answers")
    return Finding("redis", Level.DEGRADED, "does not answer", "Redis is away: pages go out through the ticker meanwhile. Nothing is lost.")


def ticker() -> Finding:
    """The ticker, by its last pass and by the managers that failed in it.

    Raises:
        DatabaseAway: its records cannot be read.
    """
    ran_at, failing = transactions.run(_engine_records, "read")
    now = runtime().now()
    if ran_at is None:
        return Finding(
            "ticker",
            Level.DOWN,
            "has not run yet",
            "The ticker has not run yet, and nobody is paged until it does. `make run` starts it; by itself it is `flask ticker`.",
        )
    if now - ran_at > LATE_AFTER:
        seconds = int((now - ran_at).total_seconds())
        return Finding(
            "ticker",
            Level.DOWN,
            f"late: last pass {seconds} s ago",
            "The ticker is late, and nobody is paged until it runs again. Its log says why; by itself it is started by `flask ticker`.",
        )
    if failing:
        return Finding("ticker", Level.DEGRADED, f"failing: {', '.join(failing)}", "A part of the ticker fails; the others go on. Its log says why.")
    return Finding("ticker", Level.OK, "on time")


def _engine_records(session: Session) -> tuple[datetime | None, list[str]]:
    ran_at = session.scalar(select(func.max(ManagerRun.ran_at)))
    failing = session.scalars(select(ManagerRun.name).where(ManagerRun.error.is_not(None)).order_by(ManagerRun.name))
    return ran_at, list(failing)
