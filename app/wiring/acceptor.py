"""Carries plans to the database: the fast path when it fits, else the general one; answers only after the commit."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from queue import Empty, SimpleQueue
from typing import Any, cast

import psycopg
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from app.core.types import Ignored
from app.domain import intake
from app.domain.accept_sql import postgresql, sqlite
from app.domain.plans import Outcome, Plan, StaleConfig
from app.settings import Settings
from app.wiring import transactions
from app.wiring.locks import WriteLock

MAX_BATCH = 64
"""Plans that one commit carries at most."""
QUEUES = 1024
"""Locks that single events of one key share within a process."""
MAX_TRIES = 5
"""Times that an empty result of the fast path is run again before the general path takes over."""


_PLANNING = " -c enable_seqscan=off -c plan_cache_mode=force_generic_plan"
"""Prepared once and kept for the life of a connection: a plan made while the tables are small must not read them whole when they are large."""


class Acceptor:
    """Accepts plans; one per process."""

    def __init__(self, settings: Settings, write_lock: WriteLock | None) -> None:
        """Choose the fast path of the database; open nothing."""
        self._fast: _PostgreSQL | _Committer = _Committer(settings, write_lock) if write_lock else _PostgreSQL(settings)

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
        self._queues = [threading.Lock() for _ in range(QUEUES)]

    def accept(self, plan: Plan) -> list[Outcome] | None:
        """None: let the general path look closer (it also finds out whether the catalog changed)."""
        with self._queue_of(plan):
            return transactions.retrying(lambda: self._once(plan))

    def _queue_of(self, plan: Plan) -> AbstractContextManager[object]:
        """Repeats of one hot alert wait for each other here, where waiting costs nothing, and not for its row in the database."""
        event = plan.events[0]
        if len(plan.events) > 1 or isinstance(event, Ignored):
            return nullcontext()
        return self._queues[hash((event.service.id, event.dedup_key)) % QUEUES]

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


class _Waiting:
    """A plan in the queue, and the thread that waits for it."""

    __slots__ = ("done", "error", "outcomes", "plan")

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.outcomes: list[Outcome] | None = None
        self.error: BaseException | None = None
        self.done = threading.Event()


class _Committer:
    """One thread per process that commits what is waiting, up to 64 plans at once, under SQLite's write lock."""

    def __init__(self, settings: Settings, lock: WriteLock) -> None:
        self._path = settings.database_url.partition(":///")[2]
        self._lock = lock
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def accept(self, plan: Plan) -> list[Outcome] | None:
        """Wait for the commit.  None: let the general path look closer."""
        if self._thread is None:
            self._start()
        waiting = _Waiting(plan)
        self._queue.put(waiting)
        waiting.done.wait()
        if waiting.error is not None:
            raise waiting.error
        return waiting.outcomes

    def dispose(self) -> None:
        """Drain the queue and end the thread."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join(timeout=10)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="committer", daemon=True)
                thread.start()
                self._thread = thread

    def _work(self) -> None:
        connection: sqlite3.Connection | None = None
        while True:
            batch, more = self._next_batch()
            if batch:
                try:
                    connection = connection or self._connect()
                    self._commit(connection, batch)
                except Exception as error:  # noqa: BLE001 - each waiting request gets it and answers for itself; the thread must live
                    _fail(batch, _as_away(error))
                    _close(connection)
                    connection = None
                finally:
                    for waiting in batch:
                        waiting.done.set()
            if not more:
                _close(connection)
                return

    def _next_batch(self) -> tuple[list[_Waiting], bool]:
        first = self._queue.get()
        if first is None:
            return [], False
        batch = [first]
        try:
            while len(batch) < MAX_BATCH:
                following = self._queue.get_nowait()
                if following is None:
                    return batch, False
                batch.append(following)
        except Empty:
            pass
        return batch, True

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, check_same_thread=False, timeout=10)
        transactions.set_pragmas(connection)
        return connection

    def _commit(self, connection: sqlite3.Connection, batch: list[_Waiting]) -> None:
        """Commit all plans at once; when one of them breaks the transaction, each on its own."""
        try:
            self._transact(connection, lambda cursor: _accept_all(cursor, batch))
        except Exception:  # which plan it was shows when each is tried alone
            if len(batch) == 1:
                raise
            for waiting in batch:
                self._commit_alone(connection, waiting)

    def _commit_alone(self, connection: sqlite3.Connection, waiting: _Waiting) -> None:
        waiting.outcomes = waiting.error = None
        try:
            self._transact(connection, lambda cursor: _accept_all(cursor, [waiting]))
        except Exception as error:  # noqa: BLE001 - the request that waits gets it
            _fail([waiting], _as_away(error))

    def _transact(self, connection: sqlite3.Connection, work: Callable[[sqlite3.Cursor], None]) -> None:
        with self._lock:
            cursor = connection.cursor()
            cursor.execute("BEGIN IMMEDIATE")
            try:
                work(cursor)
                cursor.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    cursor.execute("ROLLBACK")
                raise


def _accept_all(cursor: sqlite3.Cursor, batch: list[_Waiting]) -> None:
    version = sqlite.config_version(cursor)
    for waiting in batch:
        if waiting.plan.integration.config_version != version:
            waiting.error = StaleConfig()
        else:
            waiting.outcomes = sqlite.accept(cursor, waiting.plan)


def _as_away(error: Exception) -> Exception:
    """A locked, full or missing database is a 503; refused data stays what it is."""
    return transactions.DatabaseAway(str(error)) if isinstance(error, sqlite3.OperationalError) else error


def _fail(batch: list[_Waiting], error: BaseException) -> None:
    for waiting in batch:
        waiting.outcomes, waiting.error = None, error


def _close(connection: sqlite3.Connection | None) -> None:
    if connection is not None:
        connection.close()


def is_refused_data(error: Exception) -> bool:
    """Whether the database refused the values themselves, so that trying again is no use."""
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None) or ""
        return state[:2] in ("22", "23", "42") or (isinstance(error.orig, sqlite3.DatabaseError) and not isinstance(error.orig, sqlite3.OperationalError))
    return isinstance(error, sqlite3.DatabaseError | OverflowError | UnicodeError)
