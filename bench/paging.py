"""From receiving to paging: the time from a POST to the first outgoing request, with all of Tocsin running as `flask hub` runs it.

Alerts come one at a time: this is what a page costs on a Tocsin that has nothing else to do.
"""

from __future__ import annotations

import http.client
import http.server
import re
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import installation, servers
from bench.cases import CASES
from bench.installation import Door, Installation
from bench.stores import Store
from bench.traffic import SLOT, key

PAGES = 100
PREFIX = "d0000000"
WAIT = 20.0
"""Seconds that one page may take."""
BETWEEN = 0.02
"""Seconds between a page and the next alert."""
_KEY = re.compile(PREFIX.encode() + rb"[0-9a-f]{8}")


@dataclass(frozen=True)
class Paged:
    """Milliseconds from the first byte sent to the outgoing request's arrival."""

    pages: int
    p50: float
    p99: float
    slowest: float
    engine: str
    """Who sent them: with Redis a worker, without the ticker."""


class Receiver:
    """A webhook on loopback that notes when it first hears of each key."""

    def __init__(self) -> None:
        self.heard: dict[str, float] = {}
        self._changed = threading.Condition()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                now = time.perf_counter()
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                receiver._note(body, now)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_words: object) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _note(self, body: bytes, now: float) -> None:
        found = _KEY.search(body)
        with self._changed:
            if found:
                self.heard.setdefault(found.group().decode(), now)
            self._changed.notify_all()

    def wait_for(self, name: str) -> float | None:
        """When the key was first heard of; None when it was not in time."""
        with self._changed:
            self._changed.wait_for(lambda: name in self.heard, timeout=WAIT)
        return self.heard.get(name)

    def close(self) -> None:
        """End the server."""
        self._server.shutdown()
        self._server.server_close()


def measure(store: Store, folder: Path, say: Callable[[str], None]) -> tuple[Paged | None, list[str]]:
    """Start everything, page so many times; the figures, and what went wrong."""
    receiver = Receiver()
    try:
        made = installation.make(store, folder, 0, name="paging", hook=receiver.url)
        port, mail_port = servers.free_port(), servers.free_port()
        environment = {**made.environment, "HOST": "127.0.0.1", "PORT": str(port), "SMTP_LISTEN": f"127.0.0.1:{mail_port}"}
        command = [sys.executable, "-m", "flask", "--app", "wsgi", "hub"]
        log = folder / "hub.log"
        with servers.running(command, environment, log) as process:
            servers.wait_until_it_answers(port, process, log)
            say(f"{store.version}: {PAGES} pages, one at a time")
            return _page(made, port, receiver)
    finally:
        receiver.close()


def _page(made: Installation, port: int, receiver: Receiver) -> tuple[Paged | None, list[str]]:
    times = []
    for n in range(-3, PAGES):  # the first ones wait for processes that are still starting
        name = key(PREFIX, n + 3)
        started = time.perf_counter()
        status = _post(port, made.doors["alertmanager"], name)
        heard = receiver.wait_for(name)
        if heard is None:
            return None, [f"{made.store.name}, paging: no page within {WAIT:.0f} s of an alert that was answered {status}"]
        if n >= 0:
            times.append((heard - started) * 1000)
        time.sleep(BETWEEN)
    times.sort()
    engine = "a worker" if (made.folder / "redis.conf").exists() else "the ticker"
    return Paged(len(times), times[len(times) // 2], times[len(times) * 99 // 100], times[-1], engine), []


def _post(port: int, door: Door, name: str) -> int:
    case = CASES[0]
    body = SLOT.sub(name, case.traffic.body)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", door.path, body, {"Content-Type": "application/json", **dict(door.headers)})
        return connection.getresponse().status
    finally:
        connection.close()
