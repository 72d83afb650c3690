"""`flask ticker`: a pass at each knock, and at least once a second.  Several may run at once."""

from __future__ import annotations

import logging
import threading

from flask import Flask

from app.engine import jobs
from app.engine.handout import HandOut
from app.engine.sender import sender_of
from app.engine.stopping import stop_on_signals
from app.engine.tick import Tick
from app.wiring import redis
from app.wiring.processes import Heartbeat
from app.wiring.queue import KNOCK
from app.wiring.runtime import Runtime
from app.wiring.transactions import DatabaseAway

SLEEP_SECONDS = 1
ALONE_SECONDS = 0.5
"""The sleep without Redis: nobody can knock."""
log = logging.getLogger(__name__)


class Ticker:
    """The loop of `flask ticker`."""

    def __init__(self, app: Flask, stop: threading.Event) -> None:
        """Runs until `stop` is set."""
        self._app = app
        self._stop = stop
        self._runtime: Runtime = app.extensions["tocsin"]
        self._here = Here(app)
        self._tick = Tick(app, HandOut(app, self._here.do))
        self._blocking: tuple[str, redis.Link] | None = None

    def serve(self) -> None:
        """Pass after pass; when the database is away, try again each second."""
        was_away = False
        while not self._stop.is_set():
            try:
                self._tick.run(self._runtime.now())
                was_away = False
            except DatabaseAway as error:
                if not was_away:
                    log.warning("The database is away, nobody can be paged meanwhile: %s", error)
                was_away = True
            if was_away:
                self._stop.wait(SLEEP_SECONDS)
            else:
                self._sleep()
        self._here.join()

    def _sleep(self) -> None:
        """Until somebody knocks, a second at most."""
        link = self._link()
        if link is None:
            self._stop.wait(ALONE_SECONDS)
            return
        knocked = link.attempt(lambda client: (client.blpop([KNOCK], timeout=SLEEP_SECONDS),))
        if knocked is None:
            self._stop.wait(ALONE_SECONDS)

    def _link(self) -> redis.Link | None:
        """A way of its own to Redis, since it waits longer than others do."""
        url = redis.url_of(self._runtime.settings)
        if not url:
            return None
        if self._blocking is None or self._blocking[0] != url:
            self._blocking = (url, redis.Link(url, read_seconds=SLEEP_SECONDS + redis.READ_SECONDS))
        return self._blocking[1]


class Here:
    """Does jobs in the ticker's own process, on a thread beside its loop, which never waits for a send."""

    def __init__(self, app: Flask) -> None:
        """Start nothing yet."""
        self._app = app
        self._thread: threading.Thread | None = None

    def do(self, _job: str) -> None:
        """Do everything that is due, unless that is under way."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, name="here", daemon=True)
            self._thread.start()

    def join(self) -> None:
        """Wait for what was begun."""
        if self._thread is not None:
            self._thread.join(jobs.JOB_SECONDS + 1)

    def _work(self) -> None:
        with self._app.app_context():
            try:
                jobs.work(escalate=True)
            except DatabaseAway as error:
                log.warning("The database is away: %s", error)


def serve(app: Flask, stop: threading.Event | None = None) -> None:
    """Run until SIGTERM or SIGINT (or until `stop` is set); then let what is being sent end."""
    stop = stop_on_signals(stop)
    with app.app_context(), Heartbeat(app, "ticker"):
        log.info("The ticker runs.")
        Ticker(app, stop).serve()
        sender_of(app).drain()
    log.info("The ticker has stopped.")
