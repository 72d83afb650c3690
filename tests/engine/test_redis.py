"""Redis as it is in life: there, gone, hung, flushed.  Nobody waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis as redis_library
from flask import Flask

from app.engine import ticker
from app.settings import Settings
from app.wiring import redis
from app.wiring.queue import KNOCK, QUEUE, Knock, RqQueue, job_queue
from tests.realtime.installation import until
from tests.realtime.servers import RedisServer

pytestmark = pytest.mark.realtime


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    made = RedisServer(tmp_path)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def with_redis(make_settings: Callable[..., Settings], server: RedisServer) -> Settings:
    return make_settings(REDIS_URL=server.url)


def elapsed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def test_a_knock_reaches_redis_and_many_become_one(with_redis: Settings, server: RedisServer) -> None:
    knock = Knock(with_redis)
    client = redis.connect(server.url)
    for _ in range(1_000):
        knock.ring()

    until(lambda: client.llen(KNOCK) == 1, 2)
    calls = client.info("commandstats")["cmdstat_lpush"]["calls"]
    assert calls <= 2
    knock.ring()
    until(lambda: client.info("commandstats")["cmdstat_lpush"]["calls"] > calls, 2)
    assert client.llen(KNOCK) == 1
    client.close()


def test_ringing_costs_next_to_nothing_even_when_redis_hangs(with_redis: Settings, server: RedisServer) -> None:
    knock = Knock(with_redis)
    knock.ring()
    server.hang()

    def ring() -> None:
        for _ in range(100_000):
            knock.ring()

    assert elapsed(ring) < 3, "one call to a Redis that hangs takes 0.3 s; these are 100,000"


def test_without_redis_a_knock_is_no_fault(make_settings: Callable[..., Settings]) -> None:
    knock = Knock(make_settings(REDIS_URL=""))
    knock.ring()
    until(lambda: not knock.event.is_set(), 2)


def test_a_hung_redis_is_asked_once_and_then_left_alone(with_redis: Settings, server: RedisServer) -> None:
    link = redis.link(with_redis)
    assert link is not None
    assert link.is_up()
    server.hang()

    assert elapsed(lambda: link.attempt(lambda client: client.ping())) < 0.6
    assert elapsed(lambda: link.attempt(lambda client: client.ping())) < 0.01
    assert not redis.is_up(with_redis)


def test_a_redis_that_is_gone_is_found_again(with_redis: Settings, server: RedisServer) -> None:
    assert redis.is_up(with_redis)
    server.stop()
    assert elapsed(lambda: redis.is_up(with_redis)) < 0.3
    assert not redis.is_up(with_redis)

    server.start()
    until(lambda: redis.is_up(with_redis), 4)


def test_the_embedded_redis_is_found_by_its_socket(make_settings: Callable[..., Settings], server: RedisServer, tmp_path: Path) -> None:
    settings = make_settings(REDIS_URL="")

    assert server.socket == settings.redis_socket
    assert redis.is_up(settings)
    server.stop()
    server.socket.unlink(missing_ok=True)
    assert redis.client(settings) is None


def test_jobs_leave_nothing_in_the_queue_but_themselves(with_redis: Settings, server: RedisServer) -> None:
    link = redis.link(with_redis)
    assert link is not None
    queue = RqQueue(link)

    assert queue.put("app.engine.jobs.deliver_due", 3)
    assert queue.waiting() == 3
    server.flush()
    assert queue.waiting() == 0
    server.stop()
    assert not queue.put("app.engine.jobs.deliver_due", 1)
    assert queue.waiting() == 0


def test_the_queue_is_rqs_own(with_redis: Settings, server: RedisServer) -> None:
    link = redis.link(with_redis)
    assert link is not None
    RqQueue(link).put("app.engine.jobs.deliver_due", 1)
    client = redis.connect(server.url)
    (job,) = list(client.scan_iter("rq:job:*"))

    assert client.llen(f"rq:queue:{QUEUE}") == 1
    assert client.hget(job, "result_ttl") == b"0"
    assert client.hget(job, "failure_ttl") == b"3600"
    client.close()


def test_without_redis_there_is_no_queue(app: Flask, make_settings: Callable[..., Settings]) -> None:
    assert job_queue(app, make_settings(REDIS_URL="")) is None


def test_the_tickers_sleep_ends_with_a_knock(app: Flask, with_redis: Settings) -> None:
    app.extensions["tocsin"].settings = with_redis
    loop = ticker.Ticker(app, threading.Event())
    assert 0.8 < elapsed(loop._sleep) < 2
    Knock(with_redis).ring()
    assert elapsed(loop._sleep) < 0.5


def test_the_tickers_sleep_is_short_when_redis_hangs(app: Flask, with_redis: Settings, server: RedisServer) -> None:
    app.extensions["tocsin"].settings = with_redis
    loop = ticker.Ticker(app, threading.Event())
    server.hang()

    assert elapsed(loop._sleep) < 2.5
    assert elapsed(loop._sleep) < 1, "it does not ask again for 2 s"


def test_no_client_retries(with_redis: Settings, server: RedisServer) -> None:
    server.stop()
    client = redis.connect(server.url)

    def ask() -> None:
        with pytest.raises(redis_library.ConnectionError):
            client.ping()

    assert elapsed(ask) < 0.2
