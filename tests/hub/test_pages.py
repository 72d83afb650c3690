"""The status page and what machines ask about Tocsin's health."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from app.core.version import VERSION
from app.models import Base, ManagerRun, Team, User
from app.settings import Settings
from app.wiring import transactions, vitals
from app.wiring.vitals import Finding, Level
from tests.conftest import close
from tests.hub.running import free_port
from tests.world.clock import FakeClock


def store(row: Base) -> None:
    transactions.run(lambda session: session.merge(row))


def ran(at: datetime, *, name: str = "escalation", error: str | None = None) -> ManagerRun:
    return ManagerRun(name=name, ran_at=at, duration_ms=12, done=0, lag_seconds=0, error=error)


def reported(client: FlaskClient) -> tuple[int, dict[str, str]]:
    answer = client.get("/readyz")
    return answer.status_code, {part: check["status"] for part, check in answer.json["checks"].items()}


@pytest.fixture
def make_client(make_settings: Callable[..., Settings], clock: FakeClock) -> Iterator[Callable[..., FlaskClient]]:
    """Clients of apps with settings of their own."""
    made: list[Flask] = []

    def make(**settings: str) -> FlaskClient:
        made.append(create_app(make_settings(**settings), clock))
        return made[-1].test_client()

    yield make
    for app in made:
        with app.app_context():
            close(app)


@pytest.fixture
def away(make_client: Callable[..., FlaskClient]) -> FlaskClient:
    """An app whose database is a port where nobody listens."""
    return make_client(DATABASE_URL=f"postgresql://postgres@127.0.0.1:{free_port()}/nobody")


class TestHealthz:
    def test_it_answers_without_a_database(self, away: FlaskClient) -> None:
        answer = away.get("/healthz")

        assert (answer.status_code, answer.json) == (200, {"status": "ok", "version": VERSION})


class TestReadyz:
    def test_it_is_unavailable_until_the_ticker_has_run(self, client: FlaskClient) -> None:
        assert reported(client)[0] == 503
        assert "has not run yet" in client.get("/readyz").json["checks"]["ticker"]["summary"]

    def test_it_is_fine_while_the_ticker_runs(self, client: FlaskClient, clock: FakeClock) -> None:
        store(ran(clock.now()))

        status, checks = reported(client)

        assert status == 200
        assert (checks["database"], checks["ticker"]) == ("ok", "ok")

    def test_it_is_unavailable_when_the_ticker_is_late(self, client: FlaskClient, clock: FakeClock) -> None:
        store(ran(clock.now() - vitals.LATE_AFTER - timedelta(seconds=1)))

        assert reported(client)[0] == 503
        assert client.get("/readyz").json["checks"]["ticker"]["summary"] == "late: last pass 16 s ago"

    def test_a_failing_manager_is_named_and_stops_nothing(self, client: FlaskClient, clock: FakeClock) -> None:
        store(ran(clock.now()))
        store(ran(clock.now(), name="webhooks", error="KeyError: 'url'"))

        status, checks = reported(client)

        assert (status, checks["ticker"]) == (200, "degraded")
        assert client.get("/readyz").json["checks"]["ticker"]["summary"] == "failing: webhooks"

    def test_no_redis_is_degraded_and_says_what_it_means(self, make_client: Callable[..., FlaskClient], clock: FakeClock) -> None:
        client = make_client(REDIS_URL="")
        with client.application.app_context():
            store(ran(clock.now()))

        assert reported(client) == (200, {"database": "ok", "redis": "degraded", "ticker": "ok"})
        assert "pages go out through the ticker" in client.get("/readyz").json["checks"]["redis"]["advice"]

    def test_a_redis_that_is_away_is_degraded_only(self, make_client: Callable[..., FlaskClient], clock: FakeClock) -> None:
        client = make_client(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
        with client.application.app_context():
            store(ran(clock.now()))

        assert reported(client) == (200, {"database": "ok", "redis": "degraded", "ticker": "ok"})

    def test_a_database_that_is_away_is_unavailable(self, away: FlaskClient) -> None:
        status, checks = reported(away)

        assert (status, checks["database"]) == (503, "down")


class TestMetrics:
    def test_it_counts_what_is_open_and_when_the_ticker_ran(self, client: FlaskClient, clock: FakeClock) -> None:
        store(ran(clock.now()))

        text = client.get("/metrics").text

        assert f'tocsin_info{{version="{VERSION}"}} 1.0' in text
        assert 'tocsin_up{part="database"} 1.0' in text
        assert 'tocsin_incidents_open{state="triggered"} 0.0' in text
        assert "tocsin_deliveries_due 0.0" in text
        assert 'tocsin_manager_duration_seconds{manager="escalation"} 0.012' in text

    def test_it_says_that_the_database_is_away(self, away: FlaskClient) -> None:
        answer = away.get("/metrics")

        assert answer.status_code == 200
        assert 'tocsin_up{part="database"} 0.0' in answer.text
        assert "tocsin_incidents_open" not in answer.text


class TestStatusPage:
    def test_it_says_what_to_do_first(self, client: FlaskClient, clock: FakeClock) -> None:
        store(ran(clock.now()))

        page = client.get("/").text

        assert "Make the first administrator" in page
        assert "curl -X POST 'http://tocsin.test/api/v2/generic/incoming?token=KEY'" in page
        assert ">Done<" not in page

    def test_steps_tick_themselves(self, client: FlaskClient, clock: FakeClock) -> None:
        store(User(public_id="UTEST", email="ann@example.com", name="Ann", role="admin", created_at=clock.now()))

        assert client.get("/").text.count(">Done<") == 1

    def test_it_names_no_person_and_no_secret(self, client: FlaskClient, clock: FakeClock, settings: Settings) -> None:
        store(User(public_id="UTEST", email="ann@example.com", name="Ann", role="admin", created_at=clock.now()))
        store(Team(public_id="TTEST", name="Platform", created_at=clock.now()))

        page = client.get("/").text

        for secret in ("ann@example.com", "Platform", settings.secret_key, settings.database_url, str(settings.data_dir)):
            assert secret not in page

    def test_it_says_that_the_database_is_away(self, away: FlaskClient) -> None:
        answer = away.get("/")

        assert answer.status_code == 503
        assert "Tocsin needs your help." in answer.text
        assert "The database cannot be reached" in answer.text

    def test_the_browser_may_run_and_frame_nothing_foreign(self, client: FlaskClient) -> None:
        answer = client.get("/")

        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert not re.search(r"<script|<style|\sstyle=|\son\w+=", answer.text)

    def test_every_link_and_asset_of_the_page_is_there(self, client: FlaskClient, clock: FakeClock) -> None:
        store(ran(clock.now()))
        targets = set(re.findall(r'(?:href|src)="(/[^"]*)"', client.get("/").text))

        assert {"/static/tocsin.css", "/static/icon.svg", "/readyz"} <= targets
        for target in sorted(targets):
            with client.get(target) as answer:
                assert answer.status_code == 200, target


def test_the_worst_finding_decides() -> None:
    ok, degraded, down = (Finding("part", level, "") for level in Level)

    assert vitals.worst(()) is Level.OK
    assert vitals.worst((ok, degraded)) is Level.DEGRADED
    assert vitals.worst((down, ok, degraded)) is Level.DOWN
