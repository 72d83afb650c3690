"""Transactions: who reads, who writes, when to try again.

The edges own the transaction.  On SQLite it is born a reader (`query_only`) or a writer (the write lock, then
BEGIN IMMEDIATE); on PostgreSQL it is READ COMMITTED.  No network, password hash, encryption or template work belongs
inside a writing one.
"""

from __future__ import annotations

import functools
import random
import sqlite3
import time
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from app.settings import Settings
from app.wiring.extensions import db
from app.wiring.locks import WriteLock

Mode = Literal["read", "write"]
T = TypeVar("T")
P = ParamSpec("P")
TRIES = 3
_RETRY_SQLSTATES = frozenset({"40P01", "40001", "55P03", "23505"})
"""Deadlock, serialization failure, lock not available, and a unique key that another transaction took meanwhile."""
_inside: ContextVar[bool] = ContextVar("tocsin_inside_transaction", default=False)
_mode: ContextVar[Mode] = ContextVar("tocsin_transaction_mode", default="write")


class DatabaseAway(Exception):  # noqa: N818 - reads as what happened
    """The database cannot be reached; the edges answer 503 with Retry-After."""


def engine_options(settings: Settings) -> dict[str, Any]:
    """What `create_engine` gets: pool sizes, and time limits so that a hung database is an error and not a hang."""
    if settings.is_sqlite:
        return {"connect_args": {"timeout": 10, "check_same_thread": False}, "pool_size": settings.web_threads + 4, "max_overflow": 16}
    limits = "-c statement_timeout=15000 -c lock_timeout=10000 -c idle_in_transaction_session_timeout=60000"
    connect = {"connect_timeout": 3, "options": limits, "keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3}
    return {"connect_args": connect, "pool_size": settings.web_threads + 2, "max_overflow": 8, "pool_timeout": 5}


def prepare_sqlite(engine: Engine) -> WriteLock:
    """Give a SQLite engine its pragmas, its two kinds of transaction and the write lock."""
    lock = WriteLock(Path(str(engine.url.database)))

    @event.listens_for(engine, "connect")
    def _connected(connection: sqlite3.Connection, _record: Any) -> None:
        set_pragmas(connection)

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        raw = connection.connection
        if _mode.get() == "read":
            raw.driver_connection.execute("PRAGMA query_only=1")
            raw.driver_connection.execute("BEGIN")
            return
        lock.acquire()
        raw.info["holds_write_lock"] = True
        try:
            raw.driver_connection.execute("PRAGMA query_only=0")
            raw.driver_connection.execute("BEGIN IMMEDIATE")
        except BaseException:
            _free(raw.info)
            raise

    def _free(info: dict[str, Any]) -> None:
        if info.pop("holds_write_lock", False):
            lock.release()

    @event.listens_for(engine, "checkin")
    def _checked_in(_connection: Any, record: Any) -> None:
        _free(record.info)

    @event.listens_for(engine, "invalidate")
    def _invalidated(_connection: Any, record: Any, _error: Any) -> None:
        _free(record.info)

    return lock


def set_pragmas(connection: sqlite3.Connection) -> None:
    """WAL, a full sync at each commit, foreign keys; transactions are begun by us alone."""
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA temp_store=MEMORY")


def set_mode(mode: Mode) -> None:
    """Say what the transactions of this thread (or request) are from now on."""
    _mode.set(mode)


def should_retry(error: BaseException) -> bool:
    """Whether the same work may well succeed when it is done again."""
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    if getattr(error.orig, "sqlstate", None) in _RETRY_SQLSTATES:
        return True
    return isinstance(error, OperationalError) and "locked" in str(error.orig)


def is_away(error: BaseException) -> bool:
    """Whether the error says that the database cannot be reached, or not in time."""
    if isinstance(error, PoolTimeout):
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None) or ""
    if error.connection_invalidated or state[:2] in ("08", "57", "53"):
        return True
    if not isinstance(error, OperationalError):
        return False
    return isinstance(error.orig, sqlite3.OperationalError) or not state


def retrying(work: Callable[[], T]) -> T:
    """Do the whole of `work`, at most 3 times when it lost a race or its connection.

    Raises:
        DatabaseAway: the database cannot be reached.
    """
    for attempt in range(TRIES):
        try:
            return work()
        except (DBAPIError, PoolTimeout) as error:
            if attempt + 1 < TRIES and should_retry(error):
                time.sleep(random.uniform(0, 0.01 * (attempt + 1)))  # noqa: S311 - spreads retries, protects nothing
                continue
            if is_away(error):
                raise DatabaseAway(str(error.__cause__ or error)) from error
            raise
    raise AssertionError("unreachable")


def run(work: Callable[[Session], T], mode: Mode = "write") -> T:
    """Run `work(session)` in one transaction: commit when it returns, roll back when it raises, try again after a race.

    Raises:
        DatabaseAway: the database cannot be reached.
        RuntimeError: it was called inside a transaction of the same thread.
    """

    def once() -> T:
        token = _mode.set(mode)
        try:
            with Session(db.engine, expire_on_commit=False) as session, session.begin():
                return work(session)
        finally:
            _mode.reset(token)

    if _inside.get():
        raise RuntimeError("a transaction inside a transaction: on SQLite it would wait for itself")
    outer = _inside.set(True)
    try:
        return retrying(once)
    finally:
        _inside.reset(outer)


def reading(view: Callable[Concatenate[Session, P], T]) -> Callable[P, T]:
    """Make a view that takes a session first into one that reads in a transaction of its own."""

    @functools.wraps(view)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        return run(lambda session: view(session, *args, **kwargs), "read")

    return wrapped


def writing(view: Callable[Concatenate[Session, P], T]) -> Callable[P, T]:
    """The same for a view that writes."""

    @functools.wraps(view)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        return run(lambda session: view(session, *args, **kwargs), "write")

    return wrapped
