"""`flask hub`: migrate, start Redis, web, worker, ticker and mail listener, keep them alive, stop them in order."""

from __future__ import annotations

import os
import shutil
import signal
import ssl
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import click
from flask import Flask

from app.core.clock import monotonic
from app.hub import redis_server, report
from app.hub.checks import refuse_what_cannot_work, wait_for_database
from app.hub.children import Child
from app.hub.unix import hold_folder, is_taken
from app.settings import BadSettingError, Settings
from app.wiring.extensions import db
from app.wiring.runtime import runtime
from app.wiring.schema import bring_up_to_date

ROOT = Path(__file__).resolve().parent.parent.parent
STOP_ORDER = ("web", "smtp", "ticker", "worker", "redis")
PATIENCE = 15.0
"""Seconds that a child has to stop before it is killed."""
HEAD_START = 3.0
"""Seconds that the web server has the machine for itself at the start: until it answers, alerts cannot come in."""
PAUSE = 0.1


def run(app: Flask) -> int:
    """Run Tocsin until SIGINT or SIGTERM, and answer the exit code.

    Raises:
        BadSettingError: a setting cannot work.
        AlreadyRunningError: another hub holds DATA_DIR.
        DatabaseAway: the database cannot be reached.
    """
    with app.app_context():
        settings = runtime().settings
        lock = hold_folder(settings.hub_lock)
        try:
            refuse_what_cannot_work(settings)
            wait_for_database(tell)
            bring_up_to_date(app)
            has_users = report.has_users()
            db.engine.dispose()  # the children have connections of their own
            return Supervisor(settings, has_users=has_users).run()
        finally:
            os.close(lock)


class Supervisor:
    """The children and their one loop.  It has no threads, so that it may fork."""

    def __init__(self, settings: Settings, *, has_users: bool) -> None:
        """Know what to start; start nothing."""
        self._settings = settings
        self._has_users = has_users
        self._children: list[Child] = []
        self._stops = 0
        self._redis = ""

    def run(self) -> int:
        """Start, supervise, stop."""
        for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(sign, self._stop_soon)
        try:
            environ = self._start_redis()
            self._supervise(_processes(self._settings, environ))
        finally:
            self._stop()
        return 0

    def _stop_soon(self, _sign: int, _frame: object) -> None:
        self._stops += 1

    def _supervise(self, waiting: list[Child]) -> None:
        is_ready, began, late = False, monotonic(), monotonic() + 60
        self._children.append(waiting.pop(0))
        while not self._stops:
            if waiting and (is_ready or monotonic() > began + HEAD_START):
                self._children += waiting
                waiting = []
            for child in self._children:
                child.keep_alive(tell)
            if not is_ready and _answers(self._settings):
                is_ready = True
                click.echo(report.ready(self._settings, redis=self._redis, has_users=self._has_users))
            if not is_ready and monotonic() > late:
                late = monotonic() + 60
                tell("the web server does not answer yet; the lines above may say why")
            time.sleep(PAUSE)

    def _start_redis(self) -> dict[str, str]:
        """Start the embedded Redis unless one is given, and make the children's environment."""
        environ = {**os.environ, **_absolute_paths(self._settings), "PYTHONPATH": _python_path(), "TOCSIN_HUB": str(os.getpid())}
        if self._settings.redis_url:
            self._redis = report.without_password(self._settings.redis_url)
            return environ
        socket = redis_server.socket_path(self._settings)
        try:
            configuration = redis_server.write_configuration(self._settings)
        except OSError as error:
            tell(f"no embedded Redis: {error}")
            return environ
        for program in redis_server.find_programs():
            command = (program, str(configuration))
            child = Child("redis", command, environ, str(self._settings.data_dir), is_quiet=True)
            child.start()
            if self._waits_until(lambda: redis_server.is_up(socket), child):
                self._children.append(child)
                self._redis = f"embedded ({program})"
                return {**environ, "REDIS_URL": f"unix://{socket}"}
            child.kill()
            tell(f"{program} does not start; looking for another Redis")
        return environ

    def _waits_until(self, ready: Callable[[], bool], child: Child) -> bool:
        deadline = monotonic() + 5
        while monotonic() < deadline and child.is_alive and not self._stops:
            if ready():
                return True
            time.sleep(0.02)
        return False

    def _stop(self) -> None:
        """Stop kind after kind; a second Ctrl-C, or a child that takes too long, means kill."""
        asked = self._stops
        if asked:
            tell("stopping")
        for kind in STOP_ORDER:
            members = [child for child in self._children if child.name.split()[0] == kind]
            for child in members:
                child.ask_to_stop()
            deadline = monotonic() + PATIENCE
            while any(child.is_alive for child in members) and monotonic() < deadline and self._stops <= max(asked, 1):
                time.sleep(0.02)
            for child in members:
                if child.is_alive:
                    tell(f"{child.name} did not stop in time; killed")
                child.kill()


def web_command(settings: Settings) -> tuple[str, ...]:
    """How the web server is started."""
    command = [
        _program("granian"), "wsgi:application", "--interface", "wsgi",
        "--host", settings.host, "--port", str(settings.port),
        "--workers", str(settings.web_concurrency), "--blocking-threads", str(settings.web_threads),
        "--backlog", "2048", "--respawn-failed-workers", "--workers-kill-timeout", "10",
        "--no-ws", "--log-level", "error",
    ]  # fmt: skip
    if settings.tls_cert:
        files = {"--ssl-certificate": settings.tls_cert, "--ssl-keyfile": settings.tls_key}
        for option, path in files.items():
            command += [option, str(Path(path).absolute())]
        command += ["--ssl-protocol-min", "tls1.2"]  # monitoring tools are often older than TLS 1.3
    return tuple(command)


def _processes(settings: Settings, environ: dict[str, str]) -> list[Child]:
    """Everything but Redis, the web server first."""
    folder = str(ROOT)

    def flask(name: str, command: str) -> Child:
        return Child(name, (sys.executable, "-m", "flask", "--app", "wsgi", command), environ, folder)

    web = Child("web", web_command(settings), environ, folder)
    workers = [flask(f"worker {n + 1}" if settings.workers > 1 else "worker", "worker") for n in range(settings.workers)]
    smtp = flask("smtp", "smtp")
    smtp.may_start = lambda: report.mail_obstacle(settings) if is_taken(*settings.smtp_listen) else ""
    return [web, *workers, flask("ticker", "ticker"), smtp]


def _program(name: str) -> str:
    """A program of our own virtual environment."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        raise BadSettingError(f"{name} is not installed: run `make run` or install requirements.txt")
    return found


def _absolute_paths(settings: Settings) -> dict[str, str]:
    """The settings that name files, for children that run in another folder."""
    paths = {"DATA_DIR": str(settings.data_dir)}
    return {**paths, "DATABASE_URL": settings.database_url} if settings.is_sqlite else paths


def _python_path() -> str:
    """Our own folder first, whatever folder the hub was started in."""
    return os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH", "")) if part)


def _answers(settings: Settings) -> bool:
    """Whether the web server answers."""
    scheme, host = ("https" if settings.tls_cert else "http"), report.reachable_host(settings.host)
    trusting = ssl._create_unverified_context() if settings.tls_cert else None  # noqa: S323 - our own server, asked whether it lives
    try:
        with urllib.request.urlopen(f"{scheme}://{host}:{settings.port}/healthz", timeout=1, context=trusting) as answer:  # noqa: S310 - ours
            return bool(answer.status == 200)
    except OSError:
        return False


def tell(line: str) -> None:
    """Say something to whoever watches the terminal or reads the log."""
    click.echo(f"hub: {line}", err=True)
