"""The rules of users, teams, contact methods, notification rules, API keys and passwords."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.core import passwords
from app.core.errors import Conflict, Invalid
from app.core.keys import hash_token
from app.domain import access, catalog, people
from app.models import ContactMethod, LoginSession, NotificationRule, TeamMember, Token
from tests.catalog.conftest import Company

# Users


def test_an_address_is_lower_case_and_unique_among_the_living(company: Company) -> None:
    cy = people.create_user(company.session, email=" Cy@Example.COM ", name="Cy", **company.by)

    assert (cy.email, cy.role) == ("cy@example.com", "responder")
    assert people.find_user(company.session, "CY@example.com") is cy
    with pytest.raises(Invalid, match="already a user"):
        people.create_user(company.session, email="cy@example.com", name="Cy", **company.by)
    people.archive_user(company.session, cy, **company.by)
    assert people.create_user(company.session, email="cy@example.com", name="Cy", **company.by).id != cy.id


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("email", {"email": "cy"}),
        ("email", {"email": "a b@example.com"}),
        ("role", {"role": "boss"}),
        ("kind", {"kind": "robot"}),
        ("timezone", {"timezone": "Europe/Berln"}),
        ("name", {"name": " "}),
        ("password", {"password_hash": "plain"}),
    ],
)
def test_what_a_user_cannot_be_is_refused_at_its_field(company: Company, field: str, values: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refused:
        people.create_user(company.session, **{"email": "cy@example.com", "name": "Cy", **values}, **company.by)
    assert refused.value.field == field


def test_a_time_zone_is_guessed(company: Company) -> None:
    with pytest.raises(Invalid, match="did you mean Europe/Berlin"):
        people.update_user(company.session, company.ann, timezone="Europe/Berln", **company.by)


@pytest.mark.parametrize(
    "leave",
    [
        lambda c: people.disable_user(c.session, c.ann, **c.by),
        lambda c: people.update_user(c.session, c.ann, role="manager", **c.by),
        lambda c: people.update_user(c.session, c.ann, kind="service_account", **c.by),
        lambda c: people.archive_user(c.session, c.ann, **c.by),
    ],
)
def test_the_last_admin_cannot_leave(company: Company, leave: Any) -> None:
    catalog.replace_policy(company.session, company.policy, steps=[], **company.by)
    robot = people.create_user(company.session, email="robot@example.com", name="Robot", role="admin", kind="service_account", **company.by)

    with pytest.raises(Conflict, match="last admin"):
        leave(company)

    people.update_user(company.session, company.bob, role="admin", **company.by)
    assert leave(company)
    assert people.disable_user(company.session, robot, **company.by)


def test_an_archived_user_leaves_teams_rules_tokens_and_browsers(company: Company) -> None:
    address = catalog.prepare_address(company.vault, "email", "bob@example.com")
    method = people.add_contact_method(company.session, company.bob, name="mail", address=address, **company.by)
    people.set_notification_rules(company.session, company.bob, urgency="high", rules=[(method.id, 0)], **company.by)
    people.set_members(company.session, company.team, {company.bob.id: "member"}, **company.by)
    _, plain = people.create_token(company.session, company.bob, name="api", scopes=["*"], **company.by)
    log_in(company)

    people.archive_user(company.session, company.bob, **company.by)

    assert company.session.scalars(select(TeamMember)).all() == []
    assert company.session.scalars(select(NotificationRule)).all() == []
    assert company.session.scalars(select(ContactMethod.archived_at)).all() == [company.now]
    assert company.session.scalars(select(LoginSession.revoked_at)).all() == [company.now]
    assert access.principal_by_token(company.session, hash_token(plain)) is None


def test_a_user_who_is_paged_is_not_archived(company: Company) -> None:
    people.update_user(company.session, company.bob, role="admin", **company.by)

    with pytest.raises(Conflict, match=r"The user Ann is in use by the escalation policy Default\. Page somebody else there first\."):
        people.archive_user(company.session, company.ann, **company.by)


def log_in(company: Company) -> None:
    company.session.add(
        LoginSession(user_id=company.bob.id, token_hash="x", created_at=company.now, last_seen_at=company.now, expires_at=company.now + timedelta(days=1))
    )
    company.session.flush()


def test_a_new_password_ends_the_browsers_sessions(company: Company) -> None:
    log_in(company)

    people.set_password(company.session, company.bob, password_hash=passwords.make_hash("correct horse"), **company.by)

    assert company.session.scalars(select(LoginSession.revoked_at)).all() == [company.now]
    assert passwords.verify("correct horse", company.bob.password_hash)


# Teams


def test_members_are_replaced_as_a_whole(company: Company) -> None:
    people.set_members(company.session, company.team, {company.ann.id: "lead", company.bob.id: "member"}, **company.by)
    people.set_members(company.session, company.team, {company.bob.id: "lead"}, **company.by)

    assert [(member.user_id, member.role) for member in company.team.members] == [(company.bob.id, "lead")]
    with pytest.raises(Invalid, match="role in a team"):
        people.set_members(company.session, company.team, {company.bob.id: "boss"}, **company.by)
    with pytest.raises(Invalid, match="no such user"):
        people.set_members(company.session, company.team, {9999: "lead"}, **company.by)


def test_a_team_that_owns_or_is_paged_is_not_archived(company: Company) -> None:
    catalog.update_service(company.session, company.service, team_id=company.team.id, **company.by)
    catalog.replace_policy(company.session, company.policy, steps=[catalog.Step([catalog.Target("team", company.team.id)])], **company.by)
    people.create_token(company.session, company.ann, name="api", scopes=["*"], team_ids=[company.team.id], **company.by)

    with pytest.raises(Conflict) as refused:
        people.archive_team(company.session, company.team, **company.by)

    assert str(refused.value) == "The team Platform is in use by the service Web, the steps of the escalation policy Default and the API key api."


# Contact methods and rules


def test_a_contact_method_in_use_is_not_archived(company: Company) -> None:
    method = people.add_contact_method(
        company.session, company.ann, name="mail", address=catalog.prepare_address(company.vault, "email", "a@b.c"), **company.by
    )
    people.set_notification_rules(company.session, company.ann, urgency="high", rules=[(method.id, 300)], **company.by)

    with pytest.raises(Conflict, match="in use by the notification rule high after 5m"):
        people.archive_contact_method(company.session, method, **company.by)

    people.set_notification_rules(company.session, company.ann, urgency="high", rules=[], **company.by)
    assert people.archive_contact_method(company.session, method, **company.by)
    with pytest.raises(Invalid, match="no such contact method"):
        people.set_notification_rules(company.session, company.ann, urgency="high", rules=[(method.id, 300)], **company.by)


def test_a_changed_address_has_to_be_verified_anew(company: Company) -> None:
    address = catalog.prepare_address(company.vault, "email", "a@b.c")
    method = people.add_contact_method(company.session, company.ann, name="mail", address=address, verified=True, **company.by)

    people.update_contact_method(company.session, method, address=catalog.prepare_address(company.vault, "email", "d@e.f"), **company.by)

    assert method.verified_at is None


@pytest.mark.parametrize(("urgency", "rules"), [("middle", []), ("high", [(1, 0), (1, 0)]), ("high", [(1, -1)]), ("low", [(9999, 0)])])
def test_wrong_rules_are_refused(company: Company, urgency: str, rules: list[tuple[int, int]]) -> None:
    with pytest.raises(Invalid):
        people.set_notification_rules(company.session, company.ann, urgency=urgency, rules=rules, **company.by)


# API keys


def test_an_api_key_is_kept_as_a_hash_and_shown_once(company: Company) -> None:
    token, plain = people.create_token(company.session, company.ann, name="api", scopes=["events:write", "*"], **company.by)

    assert plain.startswith("sk_live_")
    assert plain not in [str(getattr(token, column.key)) for column in Token.__table__.columns]
    assert token.hint == plain[:12] + "…"
    principal = access.principal_by_token(company.session, hash_token(plain))
    assert principal is not None
    assert (principal.email, principal.scopes) == ("ann@example.com", frozenset({"*", "events:write"}))


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("name", {"name": ""}),
        ("scopes", {"scopes": []}),
        ("scopes", {"scopes": ["event:write"]}),
        ("value", {"value": "short"}),
        ("value", {"value": "has a space in its middle"}),
        ("expires_at", {"expires_at": datetime(2020, 1, 1)}),  # noqa: DTZ001 - without a zone on purpose
        ("team_ids", {"team_ids": [9999]}),
    ],
)
def test_what_an_api_key_cannot_be_is_refused_at_its_field(company: Company, field: str, values: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refused:
        people.create_token(company.session, company.ann, **{"name": "api", "scopes": ["*"], **values}, **company.by)
    assert refused.value.field == field


def test_an_api_key_that_has_run_out_before_it_begins_is_refused(company: Company) -> None:
    with pytest.raises(Invalid, match="run out"):
        people.create_token(company.session, company.ann, name="api", scopes=["*"], expires_at=company.now, **company.by)


def test_a_revoked_api_key_is_dead_its_name_free_and_its_value_spent(company: Company) -> None:
    token, plain = people.create_token(company.session, company.ann, name="api", scopes=["*"], value="value-of-a-key-0123", **company.by)
    with pytest.raises(Invalid, match="already"):
        people.create_token(company.session, company.ann, name="api", scopes=["*"], **company.by)

    assert people.revoke_token(company.session, token, **company.by)
    assert not people.revoke_token(company.session, token, **company.by)

    assert access.principal_by_token(company.session, hash_token(plain)) is None
    with pytest.raises(Invalid, match="is, or was"):
        people.create_token(company.session, company.ann, name="api", scopes=["*"], value=plain, **company.by)
    assert people.create_token(company.session, company.ann, name="api", scopes=["*"], **company.by)


def test_a_disabled_user_gets_no_api_key(company: Company) -> None:
    people.disable_user(company.session, company.bob, **company.by)

    with pytest.raises(Conflict):
        people.create_token(company.session, company.bob, name="api", scopes=["*"], **company.by)


# Passwords


def test_a_password_fits_its_hash_and_nothing_else_does() -> None:
    stored = passwords.make_hash("correct horse")

    assert passwords.verify("correct horse", stored)
    assert not passwords.verify("correct horsE", stored)
    assert not passwords.verify("correct horse", None)
    assert not passwords.verify("correct horse", "scrypt$nonsense")
    assert stored != passwords.make_hash("correct horse")
    assert len(stored) <= 255


def test_one_password_written_in_two_ways_of_unicode_is_one() -> None:
    assert passwords.verify("Zu\u0308rich-2026", passwords.make_hash("Zürich-2026"))


def test_the_cost_stands_in_the_hash_so_that_it_can_be_raised() -> None:
    cheap = "scrypt$ln=4,r=8,p=1$" + passwords.make_hash("x" * 8).split("$", 2)[2]

    assert passwords.is_outdated(cheap)
    assert not passwords.is_outdated(passwords.make_hash("x" * 8))
    assert not passwords.verify("x" * 8, cheap)


@pytest.mark.parametrize("password", ["", "seven77", "x" * 257])
def test_a_password_is_neither_short_nor_endless(password: str) -> None:
    with pytest.raises(Invalid):
        passwords.check(password)
