"""/api/v1/services, and the people and teams that own them."""

from __future__ import annotations

from typing import Any

import pytest

from app.models import EscalationPolicy, Service, Team, User
from tests.api.conftest import Firm


def test_a_service_is_made_changed_and_found_by_each_of_its_ids(firm: Firm) -> None:
    team, policy = firm.id_of(Team, "Platform"), firm.id_of(EscalationPolicy, "Default")

    shown = firm.post(
        "services",
        {"name": "Mail", "description": "post", "team_id": team, "escalation_policy_id": policy, "severity_urgency": {"warning": "high"}},
        status=201,
    )

    assert {name: value for name, value in shown.items() if name not in ("id", "uuid")} == {
        "name": "Mail",
        "description": "post",
        "team_id": team,
        "escalation_policy_id": policy,
        "default_severity": "error",
        "severity_urgency": {"warning": "high"},
        "created_at": "2026-01-05T09:00:00Z",
    }
    for ref in (shown["id"], f"svc_{shown['id']}", shown["uuid"], shown["uuid"].upper()):
        assert firm.get(f"services/{ref}") == shown
    changed = firm.ask("PATCH", f"services/{shown['id']}", json={"team_id": None, "default_severity": "info"}).get_json()
    assert changed == {**shown, "team_id": None, "default_severity": "info"}
    assert firm.ask("PUT", f"services/{shown['id']}", json=changed).get_json() == changed


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["name"]),
        ({"name": "Web"}, ["name"]),
        ({"name": "  "}, ["name"]),
        ({"name": "x" * 300}, ["name"]),
        ({"name": "A", "team_id": "T1", "escalation_policy_id": "P1"}, ["team_id"]),
        ({"name": "A", "escalation_policy_id": "P1"}, ["escalation_policy_id"]),
        ({"name": "A", "default_severity": "fatal"}, ["default_severity"]),
        ({"name": "A", "default_severity": "fatal", "severity_urgency": {"bad": "high"}}, ["default_severity", "severity_urgency"]),
        ({"name": None, "description": None}, ["name", "description"]),
    ],
)
def test_what_is_wrong_is_named_by_field(firm: Firm, body: dict[str, Any], fields: list[str]) -> None:
    assert list(firm.post("services", body, status=400)) == fields


def test_a_service_is_given_only_to_a_team_of_ones_own(firm: Firm) -> None:
    web, other = firm.id_of(Service, "Web"), firm.id_of(Team, "Other")

    assert firm.ask("POST", "services", by="manager", json={"name": "A", "team_id": other}).status_code == 403
    assert firm.ask("PATCH", f"services/{web}", by="manager", json={"team_id": other}).status_code == 403
    assert firm.ask("PATCH", f"services/{firm.id_of(Service, 'Shop')}", by="manager", json={"name": "Mine"}).status_code == 403
    assert firm.ask("PATCH", f"services/{web}", by="admin", json={"team_id": other}).status_code == 200


def test_services_are_listed_and_found_by_name(firm: Firm) -> None:
    assert [each["name"] for each in firm.get("services")["results"]] == ["Web", "Shop"]
    assert [each["name"] for each in firm.get("services?name=Shop")["results"]] == ["Shop"]


def test_users_in_oncalls_shape(firm: Firm) -> None:
    expected = {
        "id": firm.id_of(User, "Member"),
        "email": "member@example.com",
        "slack": None,
        "username": "Member",
        "role": "responder",
        "is_phone_number_verified": False,
        "timezone": "Europe/Berlin",
        "teams": [firm.id_of(Team, "Platform")],
    }

    assert firm.get("users/current", by="member") == expected
    assert firm.get(f"users/{expected['id']}") == firm.get(f"users/usr_{expected['id']}") == expected
    page = firm.get("users")
    assert (page["page_size"], page["count"], [each["username"] for each in page["results"]]) == (
        100,
        5,
        ["Admin", "Manager", "Member", "Observer", "Stranger"],
    )
    for query in ("username=Member", "username=member@example.com", "email=MEMBER@example.com"):
        assert firm.get(f"users?{query}")["results"] == [expected]
    assert firm.get("users?username=member")["results"] == []
    assert list(firm.get("users?short=true")["results"][0]) == ["id", "email", "username", "role", "is_phone_number_verified"]


def test_teams_in_oncalls_shape(firm: Firm) -> None:
    expected = {"id": firm.id_of(Team, "Platform"), "grafana_id": None, "name": "Platform", "email": "", "avatar_url": ""}

    assert firm.get(f"teams/{expected['id']}") == expected
    assert firm.get("teams?name=Platform")["results"] == [expected]
    assert [each["name"] for each in firm.get("teams")["results"]] == ["Platform", "Other"]
