"""The loops of `flask ticker` and `flask worker`, run in this process."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask

from app import create_app
from app.engine import ticker, worker
from app.models import Process
from app.settings import Settings
from app.wiring import redis
from app.wiring.extensions import db
from app.wiring.queue import QUEUE, RqQueue
from tests.conftest import close
from tests.engine import making
from tests.realtime.installation import until
from tests.realtime.servers import RedisServer
from tests.world.clock import FakeClock
from tests.world.receivers import HttpReceiver

pytestmark = pytest.mark.realtime


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    made = RedisServer(tmp_path)
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """Put the handlers back."""
    former = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)}
    yield
    for number, handler in former.items():
        signal.signal(number, handler)


def page(receiver: HttpReceiver) -> None:
    making.incident(making.service(), making.snapshot([making.target(making.user("ann", receiver.url("ann")))]))


def stop_when(happened: Callable[[], bool]) -> threading.Thread:
    """Send SIGTERM to ourselves as soon as something is true, or after a while."""

    def watch() -> None:
        try:
            until(happened, 20)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_the_ticker_alone_pages_and_stops_when_asked(app: Flask, receiver: HttpReceiver) -> None:
    page(receiver)
    stop = threading.Event()
    loop = threading.Thread(target=ticker.serve, args=(app, stop))
    loop.start()
    until(lambda: receiver.pages["ann"], 10)

    stop.set()
    loop.join(10)

    assert not loop.is_alive()
    assert not making.all_of(Process), "a clean end takes its row away"
    assert [delivery.state for delivery in making.deliveries()] == ["sent"]


def test_the_ticker_waits_for_a_database_that_is_away(app: Flask, settings: Settings, receiver: HttpReceiver, caplog: pytest.LogCaptureFixture) -> None:
    if not settings.is_sqlite:
        pytest.skip("a file is taken away more easily than a server")
    page(receiver)
    file = Path(settings.database_url.removeprefix("sqlite:///"))
    db.engine.dispose()
    file.rename(file.with_suffix(".away"))
    file.mkdir()
    stop = threading.Event()
    loop = threading.Thread(target=ticker.serve, args=(app, stop))
    loop.start()
    until(lambda: "nobody can be paged meanwhile" in caplog.text, 10)

    file.rmdir()
    file.with_suffix(".away").rename(file)
    until(lambda: receiver.pages["ann"], 10)
    stop.set()
    loop.join(10)

    assert not loop.is_alive()
    assert caplog.text.count("nobody can be paged meanwhile") == 1, "said once, not each second"


def test_the_ticker_stops_on_a_signal(app: Flask, receiver: HttpReceiver) -> None:
    page(receiver)
    watching = stop_when(lambda: bool(receiver.pages["ann"]))
    ticker.serve(app)
    watching.join()

    assert [delivery.state for delivery in making.deliveries()] == ["sent"]


def test_the_worker_does_jobs_until_it_is_asked_to_stop(
    make_settings: Callable[..., Settings], server: RedisServer, clock: FakeClock, receiver: HttpReceiver
) -> None:
    server.start()
    built = create_app(make_settings(REDIS_URL=server.url), clock)
    with built.app_context():
        page(receiver)
        link = redis.Link(server.url)
        RqQueue(link).put("app.engine.jobs.escalate_due", 2)
        watching = stop_when(lambda: bool(receiver.pages["ann"]) and link.client.llen(f"rq:queue:{QUEUE}") == 0)
        worker.serve(built)
        watching.join()

        (attempt,) = making.attempts()
        assert attempt.process.startswith("worker:")
        assert [delivery.state for delivery in making.deliveries()] == ["sent"]
        assert not list(link.client.scan_iter("rq:job:*")), "a job that is done leaves nothing"
        link.client.close()
        db.session.remove()
        close(built)


def test_the_worker_finds_a_redis_that_comes_later(
    make_settings: Callable[..., Settings], server: RedisServer, clock: FakeClock, receiver: HttpReceiver
) -> None:
    built = create_app(make_settings(REDIS_URL=server.url), clock)
    with built.app_context():
        page(receiver)

        def come_later() -> None:
            threading.Event().wait(1)
            server.start()
            link = redis.Link(server.url)
            RqQueue(link).put("app.engine.jobs.escalate_due", 1)
            link.client.close()

        coming = threading.Thread(target=come_later)
        coming.start()
        watching = stop_when(lambda: bool(receiver.pages["ann"]))
        worker.serve(built)
        watching.join()
        coming.join()

        assert [delivery.state for delivery in making.deliveries()] == ["sent"]
        db.session.remove()
        close(built)
