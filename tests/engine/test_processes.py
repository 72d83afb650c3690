"""`flask ticker` and `flask worker` as real processes, with a Redis that comes, hangs and goes."""

from __future__ import annotations

import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask

from app import create_app
from app.models import Incident, PolicySnapshot, Process, Service
from app.wiring.extensions import db
from app.wiring.runtime import runtime
from tests.conftest import close
from tests.engine import making
from tests.realtime.installation import Installation, until
from tests.realtime.servers import RedisServer
from tests.world.databases import Databases
from tests.world.receivers import HttpReceiver

pytestmark = pytest.mark.realtime


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    made = RedisServer(tmp_path)
    yield made
    made.stop()


class Site:
    """An installation without a web server: incidents are put into its database."""

    def __init__(self, installation: Installation, receiver: HttpReceiver) -> None:
        self.installation = installation
        self.receiver = receiver
        self.app: Flask = create_app(installation.settings)
        self.context = self.app.app_context()
        self.context.push()
        self.policy: PolicySnapshot = making.snapshot([making.target(making.user("ann", receiver.url("ann")))])
        self.service: Service = making.service()

    def trigger(self) -> Incident:
        """A new incident, and the knock of the process that took it."""
        made = making.incident(self.service, self.policy, at=runtime().now())
        runtime().knock.ring()
        return made

    def start(self, kind: str) -> subprocess.Popen[bytes]:
        """Start a process and wait for its sign of life."""
        started = self.installation.flask(kind)
        until(lambda: any(row.pid == started.pid for row in making.all_of(Process)), 30, f"a {kind}; {self.installation.log()}")
        return started

    def alive(self, kind: str) -> int:
        return sum(row.kind == kind for row in making.all_of(Process))

    def pages(self) -> int:
        return len(self.receiver.pages["ann"])

    def paged(self, count: int, seconds: float = 15) -> float:
        """Wait for pages; how long it took."""
        began = time.monotonic()
        until(lambda: self.pages() >= count, seconds, f"{count} pages; {self.installation.log()}")
        return time.monotonic() - began

    def senders(self) -> set[str]:
        """The kinds of process that sent."""
        return {attempt.process.partition(":")[0] for attempt in making.attempts()}

    def leave(self) -> None:
        close(self.app)
        db.session.remove()
        self.context.pop()


@pytest.fixture
def make_site(databases: Databases, tmp_path: Path, receiver: HttpReceiver) -> Iterator[Callable[..., Site]]:
    made: list[Site] = []

    def make(**environ: str) -> Site:
        site = Site(Installation(tmp_path, databases.make(tmp_path), **environ), receiver)
        made.append(site)
        return site

    yield make
    for site in made:
        site.installation.stop()
        site.leave()


def test_with_redis_the_worker_sends_and_the_ticker_does_not(make_site: Callable[..., Site], server: RedisServer) -> None:
    server.start()
    site = make_site(REDIS_URL=server.url)
    site.start("worker")
    site.start("ticker")
    site.trigger()
    site.paged(1)
    waits = []
    for n in range(2, 22):
        site.trigger()
        waits.append(site.paged(n))

    assert site.pages() == 21
    assert site.senders() == {"worker"}
    assert statistics.median(waits) < 0.5, waits


def test_without_redis_the_ticker_pages_within_two_seconds(make_site: Callable[..., Site]) -> None:
    site = make_site(REDIS_URL="")
    site.start("ticker")
    for n in range(1, 4):
        site.trigger()
        assert site.paged(n) < 2

    assert site.senders() == {"ticker"}


def test_redis_that_stops_hangs_and_forgets_loses_nothing(make_site: Callable[..., Site], server: RedisServer) -> None:
    server.start()
    site = make_site(REDIS_URL=server.url)
    worker, ticker = site.start("worker"), site.start("ticker")
    site.trigger()
    site.paged(1)

    server.hang()
    site.trigger()
    site.paged(2, 6)
    server.stop()
    site.trigger()
    site.paged(3, 6)
    server.start()
    site.trigger()
    site.paged(4, 6)
    server.flush()
    site.trigger()
    site.paged(5, 6)

    assert worker.poll() is None
    assert ticker.poll() is None
    until(lambda: site.alive("worker") == 1, 5)
    deadline = time.monotonic() + 20
    while "worker" not in {attempt.process.partition(":")[0] for attempt in making.attempts()[-1:]}:
        assert time.monotonic() < deadline, "the worker comes back to work"
        count = site.pages()
        site.trigger()
        site.paged(count + 1, 6)


@pytest.mark.parametrize("victim", ["worker", "ticker"])
def test_one_that_is_killed_leaves_its_work_to_the_other(make_site: Callable[..., Site], server: RedisServer, victim: str) -> None:
    server.start()
    site = make_site(REDIS_URL=server.url)
    running = {kind: site.start(kind) for kind in ("worker", "ticker")}
    for _ in range(20):
        site.trigger()
    running[victim].kill()
    for _ in range(20):
        site.trigger()
    if victim == "ticker":
        site.start("ticker")

    until(lambda: all(delivery.state == "sent" for delivery in making.deliveries()) and len(making.deliveries()) == 40, 25, site.installation.log())
    unique = {page.headers["x-tocsin-delivery"] for page in site.receiver.pages["ann"]}
    assert len(unique) == 40


@pytest.mark.parametrize("kind", ["worker", "ticker"])
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_clean_and_quick(make_site: Callable[..., Site], server: RedisServer, kind: str, sign: signal.Signals) -> None:
    server.start()
    site = make_site(REDIS_URL=server.url)
    process = site.start(kind)
    time.sleep(1)

    process.send_signal(sign)

    assert process.wait(8) == 0, site.installation.log()
    assert site.alive(kind) == 0
    assert "Traceback" not in site.installation.log()


@pytest.mark.parametrize("state", ["there is none", "it is away", "it hangs"])
def test_a_worker_outlives_a_missing_redis_and_stops_when_asked(make_site: Callable[..., Site], server: RedisServer, state: str) -> None:
    if state == "it hangs":
        server.start()
    site = make_site(REDIS_URL="" if state == "there is none" else server.url)
    process = site.start("worker")
    time.sleep(1.5)
    if state == "it hangs":
        server.hang()
        time.sleep(1)

    process.send_signal(signal.SIGTERM)

    assert process.wait(14) == 0, site.installation.log()
    assert "Traceback" not in site.installation.log()
