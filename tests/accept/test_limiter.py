"""A limit counts requests over all processes, and never depends on Redis being there."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask

from app.settings import Settings
from app.wiring.limiter import Limiter
from tests.accept.shop import START, Shop


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """A Redis server of this test's own."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server on this machine")
    socket = tmp_path / "r.sock"
    server = subprocess.Popen([program, "--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no"], stdout=subprocess.DEVNULL)
    while not socket.exists():
        time.sleep(0.01)
    yield f"unix://{socket}"
    server.kill()
    server.wait()


def test_the_121st_request_of_a_minute_waits_for_the_next(app: Flask, settings: Settings) -> None:
    facts, limiter = Shop(app).facts, Limiter(settings)
    verdicts = [limiter.seconds_to_wait(facts, None, START + timedelta(seconds=5)) for _ in range(121)]
    assert verdicts[:120] == [None] * 120
    assert verdicts[120] == 55
    assert limiter.seconds_to_wait(facts, None, START + timedelta(seconds=60)) is None


def test_a_limit_of_nought_is_none_and_an_own_limit_beats_the_usual_one(app: Flask, settings: Settings) -> None:
    facts, limiter = Shop(app).facts, Limiter(settings)
    assert all(limiter.seconds_to_wait(replace(facts, rate_limit=0), None, START) is None for _ in range(500))
    assert [limiter.seconds_to_wait(replace(facts, rate_limit=2), None, START) for _ in range(3)] == [None, None, 60]


def test_other_integrations_are_not_affected(app: Flask, settings: Settings) -> None:
    limited, free, limiter = Shop(app).facts, Shop(app).facts, Limiter(settings)
    for _ in range(130):
        limiter.seconds_to_wait(limited, None, START)
    assert limiter.seconds_to_wait(free, None, START) is None


@pytest.mark.parametrize("share", [1, 50, 90, 119])
def test_two_processes_count_together_however_uneven(app: Flask, make_settings: Callable[..., Settings], redis_url: str, share: int) -> None:
    settings = make_settings(REDIS_URL=redis_url, WEB_CONCURRENCY="2")
    facts, one, two = Shop(app).facts, Limiter(settings), Limiter(settings)
    assert all(one.seconds_to_wait(facts, None, START) is None for _ in range(share))
    time.sleep(0.2)  # the counts travel
    assert all(two.seconds_to_wait(facts, None, START) is None for _ in range(120 - share))
    assert two.seconds_to_wait(facts, None, START) is not None


def test_a_flushed_or_stopped_redis_only_makes_the_limit_looser(app: Flask, make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    settings = make_settings(REDIS_URL=f"unix://{tmp_path}/nobody-listens.sock", WEB_CONCURRENCY="2")
    facts, limiter = Shop(app).facts, Limiter(settings)
    started = time.monotonic()
    verdicts = [limiter.seconds_to_wait(facts, None, START) for _ in range(121)]
    assert verdicts == [None] * 120 + [60]
    assert time.monotonic() - started < 2
