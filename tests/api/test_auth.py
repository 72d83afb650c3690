"""Who is asking: where a token may stand, and when it no longer counts."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from app.core.types import SYSTEM
from app.domain import people
from tests.api.conftest import Firm

INVALID = (403, {"detail": "Invalid token."})


@pytest.mark.parametrize("header", ["{}", "Bearer {}", "bearer {}", "Token {}", "Token token={}", 'Token token="{}"', "  {}  "])
def test_a_token_may_stand_raw_or_after_a_scheme(firm: Firm, header: str) -> None:
    response = firm.app.test_client().get("/api/v1/users/current", headers={"Authorization": header.format(firm.tokens["member"])})

    assert response.get_json()["email"] == "member@example.com"


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YWxhZGRpbjpvcGVuc2VzYW1l", "Token token=", "x" * 5000, "sk_live_\u00fc", "Bearer null"])
def test_anything_else_is_no_token(firm: Firm, header: str) -> None:
    response = firm.app.test_client().get("/api/v1/users", headers={"Authorization": header})

    assert (response.status_code, response.get_json()) == INVALID


def test_a_token_ends_with_its_time(firm: Firm) -> None:
    token = firm.token("admin", expires_at=firm.clock.now() + timedelta(hours=1))
    assert firm.ask("GET", "users", token=token).status_code == 200

    firm.clock.advance(hours=1)

    assert (firm.ask("GET", "users", token=token).status_code, firm.ask("GET", "users", token=token).get_json()) == INVALID


def test_a_revoked_token_is_refused_at_once_even_when_it_was_used_a_moment_ago(firm: Firm) -> None:
    token = firm.token("admin")
    assert firm.ask("GET", "users", token=token).status_code == 200

    firm.revoke(token)

    assert firm.ask("GET", "users", token=token).get_json() == INVALID[1]


def test_the_tokens_of_a_disabled_user_are_refused(firm: Firm) -> None:
    assert firm.ask("GET", "users", by="member").status_code == 200

    def disable(session: Session) -> None:
        person = people.find_user(session, "member@example.com")
        assert person is not None
        people.disable_user(session, person, actor=SYSTEM, now=firm.clock.now())

    firm.write(disable)

    assert firm.ask("GET", "users", by="member").get_json() == INVALID[1]


def test_a_role_that_was_taken_away_is_gone_at_once(firm: Firm) -> None:
    number = firm.alert()
    firm.post(f"incidents/{number}/note", {"text": "mine"}, by="member")

    def demote(session: Session) -> None:
        person = people.find_user(session, "member@example.com")
        assert person is not None
        people.update_user(session, person, role="observer", actor=SYSTEM, now=firm.clock.now())

    firm.write(demote)

    assert firm.ask("POST", f"incidents/{number}/note", by="member", json={"text": "still mine?"}).status_code == 403


def test_answers_are_kept_by_no_cache(firm: Firm) -> None:
    assert firm.ask("GET", "integrations").headers["Cache-Control"] == "no-store"


def test_a_token_in_the_query_is_no_token(firm: Firm) -> None:
    assert firm.app.test_client().get(f"/api/v1/users?token={firm.tokens['admin']}").status_code == 403
