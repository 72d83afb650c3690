"""While the database is away the API says so, and when to come back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app import create_app
from app.settings import Settings
from tests.world.clock import FakeClock


@pytest.mark.parametrize("url", ["sqlite:////nowhere/tocsin.db", "postgresql://nobody@127.0.0.1:1/nothing"])
def test_an_unreachable_database_is_a_503_in_json(make_settings: Callable[..., Settings], clock: FakeClock, url: str) -> None:
    client = create_app(make_settings(DATABASE_URL=url), clock).test_client()

    for method, path in [("GET", "alert_groups"), ("POST", "incidents/1/acknowledge"), ("POST", "integrations"), ("DELETE", "integrations/C1")]:
        response = client.open(f"/api/v1/{path}", method=method, json={}, headers={"Authorization": "sk_live_anything"})
        assert (response.status_code, response.headers["Retry-After"], response.mimetype) == (503, "5", "application/json")
        assert "database" in response.get_json()["detail"]


def test_what_needs_no_database_is_answered(make_settings: Callable[..., Settings], clock: FakeClock) -> None:
    client = create_app(make_settings(DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing"), clock).test_client()

    assert client.get("/api/v1/openapi.json").status_code == 200
    assert client.get("/api/v1/users").status_code == 403, "without a token nobody is looked for"
    assert client.get("/api/v1/nothing").status_code == 404
