"""Who may ask what: one row for each route of /api/v1, so that a route without a row fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from app.domain import access
from app.models import Delivery, Integration, Receipt, Service, Team, User
from tests.api.conftest import Firm

EVERYBODY = ("observer", "stranger", "member", "manager", "admin")
NOT_OBSERVERS = ("stranger", "member", "manager", "admin")
"""Reading is not bound to teams."""
ITS_RESPONDERS = ("member", "manager", "admin")
ITS_MANAGERS = ("manager", "admin")


@dataclass(frozen=True)
class Row:
    """A route with a thing of the team Platform, and who may use it."""

    verb: str
    allowed: tuple[str, ...]
    path: Callable[[Firm], str]
    body: dict[str, Any] = field(default_factory=dict)
    success: int = 200


def at(path: str) -> Callable[[Firm], str]:
    return lambda _firm: path


def at_group(action: str = "", after: str = "") -> Callable[[Firm], str]:
    return at_incident("alert_groups", action, after)


def at_incident(noun: str, action: str = "", after: str = "") -> Callable[[Firm], str]:
    def path(firm: Firm) -> str:
        number = firm.alert()
        if after:
            firm.post(f"incidents/{number}/{after}", {"for": "1h"})
        return f"{noun}/{number}/{action}"

    return path


def at_named(noun: str, model: Any, name: str) -> Callable[[Firm], str]:
    return lambda firm: f"{noun}/{firm.id_of(model, name)}"


def at_receipt(firm: Firm) -> str:
    firm.alert()
    return f"receipts/{firm.read(lambda session: session.scalars(select(Receipt.id)).one())}"


def at_delivery(firm: Firm) -> str:
    return f"deliveries/{made_delivery(firm)}"


def made_delivery(firm: Firm) -> str:
    """A delivery of an incident of the team Platform."""
    number = firm.alert()

    def work(session: Any) -> str:
        row = Delivery(public_id="V1", subject_kind="incident", subject_id=number, incident_id=number, channel="webhook", state="planned",
                       address={"url": "http://127.0.0.1/x", "secret": "sealed"}, due_at=firm.clock.now(), created_at=firm.clock.now())  # fmt: skip
        session.add(row)
        return "V1"

    return firm.write(work)


ROWS = {
    "GET alert_groups": Row("incidents:read", EVERYBODY, at("alert_groups")),
    "GET alert_groups/<ref>": Row("incidents:read", EVERYBODY, at_group()),
    "POST alert_groups/<ref>/acknowledge": Row("incidents:write", ITS_RESPONDERS, at_group("acknowledge")),
    "POST alert_groups/<ref>/unacknowledge": Row("incidents:write", ITS_RESPONDERS, at_group("unacknowledge", "acknowledge")),
    "POST alert_groups/<ref>/resolve": Row("incidents:write", ITS_RESPONDERS, at_group("resolve")),
    "POST alert_groups/<ref>/unresolve": Row("incidents:write", ITS_RESPONDERS, at_group("unresolve", "resolve")),
    "POST alert_groups/<ref>/silence": Row("incidents:write", ITS_RESPONDERS, at_group("silence"), {"delay": 60}),
    "POST alert_groups/<ref>/unsilence": Row("incidents:write", ITS_RESPONDERS, at_group("unsilence", "snooze")),
    "GET alerts": Row("incidents:read", EVERYBODY, at("alerts")),
    "GET integrations": Row("integrations:read", NOT_OBSERVERS, at("integrations")),
    "POST integrations": Row("integrations:write", ITS_MANAGERS, at("integrations"), {"type": "alertmanager", "service_id": "Web"}, 201),
    "GET integrations/<ref>": Row("integrations:read", NOT_OBSERVERS, at_named("integrations", Integration, "tool")),
    "PUT integrations/<ref>": Row("integrations:write", ITS_MANAGERS, at_named("integrations", Integration, "tool"), {"name": "new"}),
    "PATCH integrations/<ref>": Row("integrations:write", ITS_MANAGERS, at_named("integrations", Integration, "tool"), {"name": "new"}),
    "DELETE integrations/<ref>": Row("integrations:write", ITS_MANAGERS, at_named("integrations", Integration, "tool"), success=204),
    "GET users": Row("people:read", EVERYBODY, at("users")),
    "GET users/<ref>": Row("people:read", EVERYBODY, at_named("users", User, "Member")),
    "GET teams": Row("people:read", EVERYBODY, at("teams")),
    "GET teams/<ref>": Row("people:read", EVERYBODY, at_named("teams", Team, "Platform")),
    "GET incidents": Row("incidents:read", EVERYBODY, at("incidents")),
    "GET incidents/<ref>": Row("incidents:read", EVERYBODY, at_incident("incidents")),
    "POST incidents/<ref>/acknowledge": Row("incidents:write", ITS_RESPONDERS, at_incident("incidents", "acknowledge")),
    "POST incidents/<ref>/unacknowledge": Row("incidents:write", ITS_RESPONDERS, at_incident("incidents", "unacknowledge", "acknowledge")),
    "POST incidents/<ref>/resolve": Row("incidents:write", ITS_RESPONDERS, at_incident("incidents", "resolve")),
    "POST incidents/<ref>/unresolve": Row("incidents:write", ITS_RESPONDERS, at_incident("incidents", "unresolve", "resolve")),
    "POST incidents/<ref>/snooze": Row("incidents:write", ITS_RESPONDERS, at_incident("incidents", "snooze"), {"for": "1h"}),
    "POST incidents/<ref>/unsnooze": Row("incidents:write", ITS_RESPONDERS, at_incident("incidents", "unsnooze", "snooze")),
    "POST incidents/<ref>/reassign": Row("incidents:write", ITS_RESPONDERS, at_incident("incidents", "reassign"), {"user_ids": ["member@example.com"]}),
    "POST incidents/<ref>/note": Row("incidents:write", ITS_RESPONDERS, at_incident("incidents", "note"), {"text": "seen"}),
    "GET services": Row("services:read", EVERYBODY, at("services")),
    "POST services": Row("services:write", ITS_MANAGERS, at("services"), {"name": "New", "team_id": "Platform"}, 201),
    "GET services/<ref>": Row("services:read", EVERYBODY, at_named("services", Service, "Web")),
    "PUT services/<ref>": Row("services:write", ITS_MANAGERS, at_named("services", Service, "Web"), {"name": "New"}),
    "PATCH services/<ref>": Row("services:write", ITS_MANAGERS, at_named("services", Service, "Web"), {"name": "New"}),
    "GET receipts": Row("receipts:read", NOT_OBSERVERS, at("receipts")),
    "GET receipts/<ref>": Row("receipts:read", NOT_OBSERVERS, at_receipt),
    "GET unknown_key_requests": Row("receipts:read", NOT_OBSERVERS, at("unknown_key_requests")),
    "GET deliveries": Row("deliveries:read", EVERYBODY, at("deliveries")),
    "GET deliveries/<ref>": Row("deliveries:read", EVERYBODY, at_delivery),
}
FOR_ANYBODY = {"GET openapi.json"}


def routes(app: Flask) -> set[str]:
    """Every route below /api/v1, as the table names it."""
    rules = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/api/v1")]
    return {f"{method} {rule.rule.removeprefix('/api/v1/').strip('/')}" for rule in rules for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}


def body_of(row: Row, firm: Firm) -> dict[str, Any]:
    """The row's body, with the ids of what it names."""
    names: dict[str, Any] = {"service_id": Service, "team_id": Team}
    return {name: firm.id_of(names[name], value) if name in names else value for name, value in row.body.items()}


def test_every_route_has_a_row(app: Flask) -> None:
    assert routes(app) == set(ROWS) | FOR_ANYBODY


@pytest.mark.parametrize("name", ROWS)
def test_who_may_ask(firm: Firm, name: str) -> None:
    row, method = ROWS[name], name.partition(" ")[0]
    path, body = row.path(firm), body_of(row, firm)

    def status(**who: str) -> int:
        return firm.ask(method, path, json=body, **who).status_code

    anonymous = firm.app.test_client().open(f"/api/v1/{path}", method=method, json=body)
    assert (anonymous.status_code, anonymous.get_json()) == (403, {"detail": "Invalid token."})
    assert status(token="sk_live_unknown-unknown-unknown") == 403
    other = next(scope for scope in access.SCOPES[1:] if scope != row.verb)
    unscoped = firm.ask(method, path, json=body, token=firm.token("admin", other))
    assert (unscoped.status_code, unscoped.get_json()) == (403, {"detail": f"This API key lacks the scope {row.verb}."})
    for person in EVERYBODY:
        if person not in row.allowed:
            assert status(by=person) == 403, person
    statuses = [firm.ask(method, path, json=body, token=firm.token(row.allowed[0], row.verb)).status_code, *(status(by=person) for person in row.allowed)]
    assert statuses[0] == row.success, "the scope alone is enough"
    assert 403 not in statuses
    assert all(each < 500 for each in statuses)


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.verb.endswith(":write")])
def test_a_token_that_is_limited_to_another_team_changes_nothing(firm: Firm, name: str) -> None:
    row, method = ROWS[name], name.partition(" ")[0]
    path, body = row.path(firm), body_of(row, firm)

    assert firm.ask(method, path, json=body, token=firm.token("admin", "*", teams=("Other",))).status_code == 403
    assert firm.ask(method, path, json=body, token=firm.token("admin", "*", teams=("Platform",))).status_code == row.success
