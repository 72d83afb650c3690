"""SQLite's fast path: one thread per process commits what waits, up to 64 plans at once."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from app.domain.accept_sql import sqlite
from app.domain.plans import Outcome, Plan, StaleConfig
from app.settings import Settings
from app.wiring import transactions
from app.wiring.locks import WriteLock

MAX_BATCH = 64
"""Plans that one commit carries at most."""


class Waiting:
    """A plan in a queue, and what became of it."""

    __slots__ = ("error", "key", "outcomes", "plan")

    def __init__(self, plan: Plan, key: tuple[int, str] | None = None) -> None:
        self.plan = plan
        self.key = key
        self.outcomes: list[Outcome] | None = None
        self.error: BaseException | None = None

    def result(self) -> list[Outcome] | None:
        """What became of it, or raise what went wrong."""
        if self.error is not None:
            raise self.error
        return self.outcomes


class _Queued(Waiting):
    """A plan that a thread waits for while another commits it."""

    __slots__ = ("done",)

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.done = threading.Event()


class Committer:
    """One thread per process that commits what is waiting, up to 64 plans at once, under SQLite's write lock."""

    def __init__(self, settings: Settings, lock: WriteLock) -> None:
        self._path = settings.database_url.partition(":///")[2]
        self._lock = lock
        self._queue: SimpleQueue[_Queued | None] = SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def accept(self, plan: Plan) -> list[Outcome] | None:
        """Wait for the commit.  None: let the general path look closer."""
        if self._thread is None:
            self._start()
        queued = _Queued(plan)
        self._queue.put(queued)
        queued.done.wait()
        return queued.result()

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
                    fail(batch, _as_away(error))
                    _close(connection)
                    connection = None
                finally:
                    for waiting in batch:
                        waiting.done.set()
            if not more:
                _close(connection)
                return

    def _next_batch(self) -> tuple[list[_Queued], bool]:
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

    def _commit(self, connection: sqlite3.Connection, batch: list[_Queued]) -> None:
        """Commit all plans at once; when one of them breaks the transaction, each on its own."""
        try:
            self._transact(connection, lambda cursor: _accept_all(cursor, batch))
        except Exception:  # which plan it was shows when each is tried alone
            if len(batch) == 1:
                raise
            for waiting in batch:
                self._commit_alone(connection, waiting)

    def _commit_alone(self, connection: sqlite3.Connection, waiting: _Queued) -> None:
        waiting.outcomes = waiting.error = None
        try:
            self._transact(connection, lambda cursor: _accept_all(cursor, [waiting]))
        except Exception as error:  # noqa: BLE001 - the request that waits gets it
            fail([waiting], _as_away(error))

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


def _accept_all(cursor: sqlite3.Cursor, batch: list[_Queued]) -> None:
    version = sqlite.config_version(cursor)
    for waiting in batch:
        if waiting.plan.integration.config_version != version:
            waiting.error = StaleConfig()
        else:
            waiting.outcomes = sqlite.accept(cursor, waiting.plan)


def _as_away(error: Exception) -> Exception:
    """A locked, full or missing database is a 503; refused data stays what it is."""
    return transactions.DatabaseAway(str(error)) if isinstance(error, sqlite3.OperationalError) else error


def fail(batch: Sequence[Waiting], error: BaseException) -> None:
    """Tell each that waits what went wrong."""
    for waiting in batch:
        waiting.outcomes, waiting.error = None, error


def _close(connection: sqlite3.Connection | None) -> None:
    if connection is not None:
        connection.close()
