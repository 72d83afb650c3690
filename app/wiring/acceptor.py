"""Carries plans to the database: the fast path when it fits, else the general one; answers only after the commit."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import Any, cast

import psycopg
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from app.core.types import Action, Ignored
from app.domain import intake
from app.domain.accept_sql import postgresql
from app.domain.plans import Outcome, Plan
from app.settings import Settings
from app.wiring import transactions
from app.wiring.committer import MAX_BATCH, Committer, Waiting, fail
from app.wiring.locks import WriteLock

LINES = 1024
"""Lines in which the triggers of one key wait for each other within a process."""
MAX_TRIES = 5
"""Times that an empty result of the fast path is run again before the general path takes over."""


_PLANNING = " -c enable_seqscan=off -c plan_cache_mode=force_generic_plan"
"""Prepared once and kept for the life of a connection: a plan made while the tables are small must not read them whole when they are large."""


class Acceptor:
    """Accepts plans; one per process."""

    def __init__(self, settings: Settings, write_lock: WriteLock | None) -> None:
        """Choose the fast path of the database; open nothing."""
        self._fast: _PostgreSQL | Committer = Committer(settings, write_lock) if write_lock else _PostgreSQL(settings)

    def accept(self, plan: Plan) -> list[Outcome]:
        """Store the plan.

        Raises:
            StaleConfig: the catalog changed since the plan was made.
            DatabaseAway: the database cannot be reached; nothing is promised.
        """
        outcomes = self._fast.accept(plan) if plan.is_plain else None
        if outcomes is not None:
            return outcomes
        return transactions.run(lambda session: intake.accept(session, plan))

    def dispose(self) -> None:
        """Close what was opened."""
        self._fast.dispose()


class _PostgreSQL:
    """One statement on a connection in AUTOCOMMIT, past SQLAlchemy's execution layer (a third of the cost)."""

    def __init__(self, settings: Settings) -> None:
        options = transactions.engine_options(settings)
        options["connect_args"]["options"] += _PLANNING
        self._engine: Engine = create_engine(settings.database_url, isolation_level="AUTOCOMMIT", pool_reset_on_return=None, **options)
        event.listen(self._engine, "connect", _number_parameters)
        self._lines = [_Line() for _ in range(LINES)]

    def accept(self, plan: Plan) -> list[Outcome] | None:
        """None: let the general path look closer (it also finds out whether the catalog changed)."""
        key = _key_of(plan)
        if key is None:
            return self._alone(plan)
        return self._lines[hash(key) % LINES].take(_InLine(plan, key), self._carry)

    def _alone(self, plan: Plan) -> list[Outcome] | None:
        return transactions.retrying(lambda: self._once(plan))

    def _carry(self, batch: Sequence[Waiting]) -> None:
        """Commit triggers of one key together; when one of them breaks the transaction, each on its own."""
        if len(batch) > 1:
            try:
                self._together(batch)
            except DBAPIError:  # which plan it was shows when each is tried alone
                for waiting in batch:
                    waiting.outcomes = None
            else:
                return
        for n, waiting in enumerate(batch):
            try:
                waiting.outcomes = self._alone(waiting.plan)
            except transactions.DatabaseAway as error:
                fail(batch[n:], error)
                return
            except Exception as error:  # noqa: BLE001 - the request that waits gets it
                fail([waiting], error)

    def _together(self, batch: Sequence[Waiting]) -> None:
        pooled = None
        try:
            pooled = self._engine.raw_connection()
            cursor = _cursor_of(pooled)
            with cursor.connection.transaction():
                for waiting in batch:
                    waiting.outcomes = postgresql.accept(cursor, waiting.plan)
        except psycopg.Error as error:
            raise self._wrapped(error, pooled) from error
        finally:
            if pooled is not None:
                pooled.close()

    def _once(self, plan: Plan) -> list[Outcome] | None:
        pooled = None
        try:
            pooled = self._engine.raw_connection()
            cursor = _cursor_of(pooled)
            for _ in range(MAX_TRIES):
                outcomes = postgresql.accept(cursor, plan)
                if outcomes is not None:
                    return outcomes
            return None
        except psycopg.Error as error:
            raise self._wrapped(error, pooled) from error
        finally:
            if pooled is not None:
                pooled.close()

    def _wrapped(self, error: psycopg.Error, pooled: Any) -> DBAPIError:
        """As SQLAlchemy would raise it; a lost connection empties the pool, since the others are lost too."""
        lost = pooled is None or pooled.driver_connection is None or pooled.driver_connection.closed
        if lost and pooled is not None:
            pooled.invalidate()
            self._engine.dispose()
        wrapped = DBAPIError.instance("accept", None, error, psycopg.Error, hide_parameters=True, connection_invalidated=lost, dialect=self._engine.dialect)
        return cast(DBAPIError, wrapped)

    def dispose(self) -> None:
        self._engine.dispose()


def _cursor_of(pooled: Any) -> psycopg.Cursor[Any]:
    """The one cursor of a pooled connection: making one costs a quarter of a statement."""
    cursor: psycopg.Cursor[Any] = pooled.info.get("cursor") or pooled.info.setdefault("cursor", pooled.driver_connection.cursor())
    return cursor


def _number_parameters(connection: psycopg.Connection, _record: object) -> None:
    """From here on (SQLAlchemy has asked its own questions) parameters are $1, $2, …, so that psycopg need not look for them."""
    connection.cursor_factory = psycopg.RawCursor


def _key_of(plan: Plan) -> tuple[int, str] | None:
    """The key of a plan that may share a transaction with others of its key: one trigger.  Resolves lock more than their own alert."""
    event = plan.events[0]
    if len(plan.events) > 1 or isinstance(event, Ignored) or event.action is not Action.TRIGGER:
        return None
    return event.service.id, event.dedup_key


class _InLine(Waiting):
    """A trigger in a line: its thread sleeps until it has been carried, or is to carry."""

    __slots__ = ("is_done", "wake")

    def __init__(self, plan: Plan, key: tuple[int, str]) -> None:
        super().__init__(plan, key)
        self.is_done = False
        self.wake = threading.Lock()
        self.wake.acquire()


class _Line:
    """Triggers that wait for each other here, where waiting costs nothing, and not for their row in the database.

    Whoever's turn it is carries all of its key: one commit, and the row is locked once, however many repeat one hot alert.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._is_busy = False
        self._waiting: list[_InLine] = []

    def take(self, own: _InLine, carry: Callable[[Sequence[Waiting]], None]) -> list[Outcome] | None:
        """Wait for the turn, or until another has carried this one."""
        with self._guard:
            waits = self._is_busy
            self._is_busy = True
            self._waiting.append(own)
        if waits:
            own.wake.acquire()
        if not own.is_done:
            self._carry(own, carry)
        return own.result()

    def _carry(self, own: _InLine, carry: Callable[[Sequence[Waiting]], None]) -> None:
        with self._guard:
            batch = [waiting for waiting in self._waiting if waiting.key == own.key][:MAX_BATCH]
            self._waiting = [waiting for waiting in self._waiting if waiting not in batch]
        try:
            carry(batch)
        finally:
            for waiting in batch:
                waiting.is_done = True
                if waiting is not own:
                    waiting.wake.release()
            self._pass_on()

    def _pass_on(self) -> None:
        """Give the turn to whoever has waited longest."""
        with self._guard:
            self._is_busy = bool(self._waiting)
            if self._is_busy:
                self._waiting[0].wake.release()


def is_refused_data(error: Exception) -> bool:
    """Whether the database refused the values themselves, so that trying again is no use."""
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None) or ""
        by_driver = isinstance(error.orig, psycopg.DataError)  # without a state when the driver itself refuses, as it does a NUL
        return (
            by_driver
            or state[:2] in ("22", "23", "42")
            or (isinstance(error.orig, sqlite3.DatabaseError) and not isinstance(error.orig, sqlite3.OperationalError))
        )
    return isinstance(error, sqlite3.DatabaseError | OverflowError | UnicodeError)
