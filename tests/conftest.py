"""What every test may ask for: `settings`, `clock`, `app`, `client`, `session`, `world`.

TOCSIN_TEST_DATABASE_URL (a PostgreSQL server, as postgresql://postgres@127.0.0.1:5432) and TOCSIN_TEST_REDIS_URL (a
Redis database that may be flushed) choose where the tests run; without them: SQLite and no Redis.

Do not mix `session` with `client` or `world` in one test: an open writing session holds SQLite's write lock.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from app import create_app
from app.settings import Settings, load
from app.wiring import transactions
from app.wiring.extensions import db
from tests import house
from tests.world import World, guards
from tests.world import databases as database_kinds
from tests.world.clock import FakeClock
from tests.world.databases import Databases
from tests.world.receivers import HttpReceiver, MailServer

guards.install()
hypothesis.settings.register_profile("tocsin", derandomize=True, deadline=None, database=None, print_blob=True)
hypothesis.settings.load_profile("tocsin")

SECONDS_PER_TEST = 60
SECONDS_PER_REALTIME_TEST = 300


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of our own."""
    parser.addoption("--update-golden", action="store_true", help="write what the sources make of their payloads as what is expected")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what has grown past the guide lines."""
    found = list(house.long_things())
    if found:
        terminalreporter.section("past the guide lines (a module 300 lines, a function 40)")
        for line in found:
            terminalreporter.line(line)


HAS_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember how a test went, so that leaving its world does not complain a second time."""
    report = yield
    if call.when == "call":
        item.stash[HAS_FAILED] = report.failed
    return report


@pytest.fixture(autouse=True)
def _guards(request: pytest.FixtureRequest) -> Iterator[None]:
    """Loopback only, and no test hangs."""
    slow = request.node.get_closest_marker("realtime") or request.node.get_closest_marker("alertmanager")
    guards.violations.clear()
    with guards.time_limit(SECONDS_PER_REALTIME_TEST if slow else SECONDS_PER_TEST):
        yield
    assert not guards.violations, f"the test reached beyond this machine: {guards.violations}"


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Where databases come from; `databases.make(folder)` gives one of your own."""
    with database_kinds.opened(os.environ.get("TOCSIN_TEST_DATABASE_URL", ""), tmp_path_factory.mktemp("databases")) as kind:
        yield kind


@pytest.fixture
def environment() -> dict[str, str]:
    """Settings that differ from the tests' usual ones; override it in a module or class."""
    return {}


@pytest.fixture
def make_settings(databases: Databases, tmp_path: Path) -> Callable[..., Settings]:
    """Settings with a fresh database: `make_settings(RATE_LIMIT="5")`."""

    def make(**overrides: str) -> Settings:
        usual = {
            "DATA_DIR": str(tmp_path),
            "DATABASE_URL": databases.shared(tmp_path),
            "REDIS_URL": _clean_redis(),
            "SECRET_KEY": database_kinds.SECRET_KEY,
            "OUTBOUND_ALLOW": "127.0.0.0/8",
            "BASE_URL": "http://tocsin.test",
        }
        return load({**usual, **overrides})

    return make


@pytest.fixture
def settings(make_settings: Callable[..., Settings], environment: dict[str, str]) -> Settings:
    """The settings of this test."""
    return make_settings(**environment)


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands at Monday, 2026-01-05 09:00 UTC until the test moves it."""
    return FakeClock()


@pytest.fixture
def app(settings: Settings, clock: FakeClock) -> Iterator[Flask]:
    """The real app in a pushed context."""
    built = create_app(settings, clock)
    with built.app_context():
        yield built
        db.session.remove()
        close(built)


def close(app: Flask) -> None:
    """End what an app has running in this process and let go of its connections."""
    runtime: Any = app.extensions["tocsin"]
    if hasattr(runtime, "close"):
        runtime.close()
    db.engine.dispose()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Asks the app over HTTP, without a socket."""
    return app.test_client()


@pytest.fixture(scope="session")
def _outside() -> Iterator[tuple[HttpReceiver, MailServer]]:
    """The receivers of the whole run."""
    receiver, mail = HttpReceiver(), MailServer()
    yield receiver, mail
    receiver.stop()
    mail.stop()


@pytest.fixture
def world(
    request: pytest.FixtureRequest,
    make_settings: Callable[..., Settings],
    environment: dict[str, str],
    clock: FakeClock,
    _outside: tuple[HttpReceiver, MailServer],
) -> Iterator[World]:
    """A whole world; leaving it with an unexpected message, or with a delivery under way, fails the test."""
    receiver, mail = _outside
    receiver.clear()
    mail.clear()
    to_mail = {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(mail.port), "SMTP_TLS": "none"}
    built = create_app(make_settings(**{**to_mail, **environment}), clock)
    with built.app_context():
        made = World(built, clock, receiver, mail)
        yield made
        try:
            if not request.node.stash.get(HAS_FAILED, False):
                made.leave()
        finally:
            made.stop()
            db.session.remove()
            close(built)


@pytest.fixture
def session(app: Flask) -> Iterator[Session]:
    """A session in a writing transaction that is rolled back."""
    transactions.set_mode("write")
    with Session(db.engine, expire_on_commit=False) as opened:
        yield opened
        opened.rollback()


def _clean_redis() -> str:
    url = os.environ.get("TOCSIN_TEST_REDIS_URL", "")
    if url:
        with redis.Redis.from_url(url) as connection:
            connection.flushdb()
    return url
