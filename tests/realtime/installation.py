"""A real Tocsin: its own database, its real processes, ports and clock."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, NullPool, create_engine, text

from app import create_app
from app.hub.supervisor import web_command
from app.settings import Settings, load
from app.wiring.extensions import db
from app.wiring.locks import WriteLock
from tests.world.configuring import configure
from tests.world.databases import SECRET_KEY

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "sk_live_" + "realtime" * 5
KEY = "0f" * 16


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def until(happened: Callable[[], Any], seconds: float = 30, what: str = "") -> Any:
    """Wait until something is true and give it back."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = happened()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"did not happen within {seconds} s: {what or happened}")


class Installation:
    """One installation with a web server; `stop` ends all that it started."""

    def __init__(self, folder: Path, database_url: str, **environ: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.environ = {
            "PATH": os.environ["PATH"],
            "DATA_DIR": str(folder),
            "DATABASE_URL": database_url,
            "SECRET_KEY": SECRET_KEY,
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "OUTBOUND_ALLOW": "127.0.0.0/8",
            "SMTP_LISTEN": f"127.0.0.1:{free_port()}",
            "WEB_CONCURRENCY": "2",
            **environ,
        }
        self.settings: Settings = load(self.environ)
        self.engine: Engine = create_engine(self.settings.database_url, poolclass=NullPool)
        self._processes: list[subprocess.Popen[bytes]] = []
        self.web: subprocess.Popen[bytes] | None = None

    def apply(self, document: dict[str, Any]) -> None:
        """Configure it, as `flask apply` does."""
        app = create_app(self.settings)
        with app.app_context():
            configure(app, document)
            app.extensions["tocsin"].close()
            db.engine.dispose()

    def start(self, command: Sequence[str], **environ: str) -> subprocess.Popen[bytes]:
        """Start a program in this installation's environment; its words go to a log file."""
        log = (self.folder / "processes.log").open("ab")
        process = subprocess.Popen(command, cwd=ROOT, env={**self.environ, **environ}, stdout=log, stderr=log, start_new_session=True)
        log.close()
        self._processes.append(process)
        return process

    def flask(self, *arguments: str, **environ: str) -> subprocess.Popen[bytes]:
        """Start a `flask` command."""
        return self.start([sys.executable, "-m", "flask", "--app", "wsgi", *arguments], **environ)

    def start_web(self) -> None:
        """Start the web server as the hub does, and wait until all its workers are there."""
        self.web = self.start(web_command(self.settings))
        until(self.listens, what=f"the web server; {self.log()}")
        until(self._workers_serve, what="the web workers")

    def listens(self) -> bool:
        """Whether somebody answers on the port."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def web_workers(self) -> list[int]:
        """The process ids of the web server's workers."""
        assert self.web is not None
        return children_of(self.web.pid)

    def _workers_serve(self) -> bool:
        """Whether all workers have imported the app and run granian's loop; one that is stopped before takes 10 s to end."""
        workers = self.web_workers()
        return len(workers) == self.settings.web_concurrency and all(any("tokio" in name for name in threads_of(worker)) for worker in workers)

    def log(self) -> str:
        """What the processes said."""
        path = self.folder / "processes.log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""

    def scalar(self, query: str, **parameters: Any) -> Any:
        """One value from the database."""
        with self.engine.connect() as connection:
            return connection.execute(text(query), parameters).scalar()

    def write(self, statement: str) -> None:
        """Change something, as one of its processes would: with SQLite's write lock."""
        lock = WriteLock(Path(str(self.engine.url.database))) if self.settings.is_sqlite else contextlib.nullcontext()
        with lock, self.engine.begin() as connection:
            connection.execute(text(statement))

    def rows(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Rows from the database."""
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query), parameters)]

    def stop(self) -> None:
        """End everything that was started, by its own process group."""
        for process in reversed(self._processes):
            _signal_group(process, signal.SIGTERM)
        for process in reversed(self._processes):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=15)
            _signal_group(process, signal.SIGKILL)
            process.wait()
        self.engine.dispose()


def _signal_group(process: subprocess.Popen[bytes], sign: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, sign)


def children_of(pid: int) -> list[int]:
    """The living children of a process."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            except (OSError, ValueError):
                continue
            if int(parent) == pid and state != "Z" and _is_granian_worker(entry):
                found.append(int(entry.name))
    return sorted(found)


def threads_of(pid: int) -> list[str]:
    """The names of a process's threads."""
    try:
        return [(task / "comm").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []


def _is_granian_worker(entry: Path) -> bool:
    try:
        return b"resource_tracker" not in (entry / "cmdline").read_bytes()
    except OSError:
        return False


def usual_document(*, hook_url: str = "", integrations: Iterable[dict[str, Any]] = ()) -> dict[str, Any]:
    """One person who may do everything, one service, one integration without a limit."""
    methods = [{"name": "hook", "channel": "webhook", "address": hook_url}] if hook_url else []
    steps = [{"contact_method": "hook", "after": "0s"}] if hook_url else []
    return {
        "version": 1,
        "users": [
            {
                "email": "ann@example.com",
                "name": "Ann",
                "role": "admin",
                "contact_methods": methods,
                "notification_rules": {"high": steps, "low": [*steps]},
                "tokens": [{"name": "api", "value": TOKEN, "scopes": ["*"]}],
            }
        ],
        "escalation_policies": [{"name": "Default", "repeat": 0, "steps": [{"targets": [{"user": "ann@example.com"}], "wait": "5m"}]}],
        "services": [
            {
                "name": "Web",
                "escalation_policy": "Default",
                "integrations": list(integrations) or [{"name": "tool", "source": "generic", "key": KEY, "rate_limit": 0}],
            }
        ],
    }


def new_key() -> str:
    """A dedup key that was never used."""
    return "key-" + secrets.token_hex(6)
