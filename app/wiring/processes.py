"""Each process has a row and renews it every 2 s, and holds a lock file that the kernel frees when it dies.

So a process that was killed is known at once to those who share its DATA_DIR, and to all others when it has been silent
for 10 s.
"""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import threading
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from flask import Flask
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.core.version import VERSION
from app.models import Process
from app.wiring import transactions
from app.wiring.runtime import Runtime
from app.wiring.transactions import DatabaseAway

BEAT_SECONDS = 2.0
SILENT = timedelta(seconds=10)
"""A process without a heartbeat for so long is taken for dead."""
FORGOTTEN = timedelta(minutes=10)
"""Rows of the dead are shown for so long."""
_KIND = "tocsin_process_kind"
log = logging.getLogger(__name__)


class Heartbeat:
    """Renews a process's row on a thread of its own; used as a context manager, or for the life of the process."""

    def __init__(self, app: Flask, kind: str) -> None:
        """`kind` is web, worker, ticker or smtp."""
        self._app = app
        self._kind = kind
        self._runtime: Runtime = app.extensions["tocsin"]
        self._started_at = self._runtime.now()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._lock_file = _folder(self._runtime.settings.data_dir) / self._runtime.boot_id
        self._lock: int | None = None

    def __enter__(self) -> Heartbeat:
        """Begin."""
        self._app.extensions[_KIND] = self._kind
        self._lock_file.parent.mkdir(exist_ok=True)
        self._lock = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, and take the row away: this process has not died."""
        self._stopped.set()
        self._thread.join(BEAT_SECONDS)
        try:
            with self._app.app_context():
                transactions.run(lambda session: session.execute(delete(Process).where(Process.boot_id == self._runtime.boot_id)))
        except (DatabaseAway, SQLAlchemyError):
            log.warning("The row of this process could not be taken away; it will be forgotten later.")
        self._lock_file.unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)

    def beat(self) -> None:
        """Renew the row, or write it."""
        with self._app.app_context():
            transactions.run(self._write)

    def _write(self, session: Session) -> None:
        now = self._runtime.now()
        renewed = session.scalars(update(Process).where(Process.boot_id == self._runtime.boot_id).values(heartbeat_at=now).returning(Process.boot_id))
        if renewed.one_or_none() is None:
            session.add(
                Process(
                    boot_id=self._runtime.boot_id,
                    kind=self._kind,
                    pid=os.getpid(),
                    host=socket.gethostname()[:255],
                    version=VERSION,
                    started_at=self._started_at,
                    heartbeat_at=now,
                )
            )

    def _run(self) -> None:
        while True:
            try:
                self.beat()
            except (DatabaseAway, SQLAlchemyError) as error:
                log.warning("No heartbeat could be written: %s", type(error).__name__)
            if self._stopped.wait(BEAT_SECONDS):
                return


def start_heartbeat(app: Flask, kind: str) -> Heartbeat:
    """Let a process show its life until it ends."""
    return Heartbeat(app, kind).__enter__()


def name_of(app: Flask) -> str:
    """What to call this process on an attempt: its kind and boot id; one that shows no life is a command."""
    return f"{app.extensions.get(_KIND, 'command')}:{app.extensions['tocsin'].boot_id}"


def fresh(session: Session, kind: str, *, now: datetime) -> int:
    """How many processes of a kind are alive."""
    count = select(func.count()).select_from(Process).where(Process.kind == kind, Process.heartbeat_at > now - SILENT)
    return session.scalars(count).one()


def known(session: Session) -> dict[str, datetime]:
    """Boot ids and last heartbeats."""
    return {process.boot_id: process.heartbeat_at for process in session.scalars(select(Process))}


def has_died(data_dir: Path, boot_id: str) -> bool:
    """Whether a process of this DATA_DIR has left its lock file to be taken; False also when there is none."""
    try:
        handle = os.open(_folder(data_dir) / boot_id, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def bury(session: Session, data_dir: Path, boot_ids: list[str], *, now: datetime) -> None:
    """Forget processes that are known to have died, and those that have been silent for long."""
    session.execute(delete(Process).where(Process.boot_id.in_(boot_ids) | (Process.heartbeat_at <= now - FORGOTTEN)))
    for boot_id in boot_ids:
        with suppress(OSError):
            (_folder(data_dir) / boot_id).unlink(missing_ok=True)


def _folder(data_dir: Path) -> Path:
    return data_dir / "processes"
