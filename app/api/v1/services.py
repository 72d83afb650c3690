"""/api/v1/services: what is watched and owned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from app.api import auth, lookups, paging, showing
from app.api.asking import Ask, Field, Filter
from app.api.endpoints import Endpoint, Shape
from app.domain import access, catalog
from app.models import EscalationPolicy, Service, Team
from app.wiring.transactions import reading, writing

SHAPE: Shape = {
    "id": "string",
    "uuid": "string",
    "name": "string",
    "description": "string",
    "team_id": "string?",
    "escalation_policy_id": "string?",
    "default_severity": "string",
    "severity_urgency": "object",
    "created_at": "datetime",
}
FIELDS = (
    Field("name", required=True),
    Field("description"),
    Field("team_id", nullable=True, help="Its owner; null: no team."),
    Field("escalation_policy_id", nullable=True, help="Who is paged; null: nobody."),
    Field("default_severity", help="For alerts whose source states none: critical, error, warning or info."),
    Field("severity_urgency", "object", help="Exceptions, as {warning: high}."),
)
_LOAD = (joinedload(Service.team), joinedload(Service.policy))


@reading
def index(session: Session, ask: Ask) -> dict[str, Any]:
    """The oldest first."""
    wanted = select(Service.id).where(Service.archived_at.is_(None))
    if ask.one("name"):
        wanted = wanted.where(Service.name == ask.one("name"))
    visible = lookups.visible_to(ask.principal)
    if visible is not None:
        wanted = wanted.where(visible)
    page = paging.read(session, ask, Service, wanted, load=_LOAD, newest_first=False, count_up_to=paging.COUNT_OWN_UP_TO)
    return page.envelope([_shown(service) for service in page.rows])


@reading
def get(session: Session, ask: Ask, ref: str) -> dict[str, Any]:
    """One service, by its id, `svc_…`, UUID or PagerDuty id."""
    service = access.find_service(session, ref)
    access.require(ask.principal, "services:read", service.team_id)
    return _shown(service)


def create(ask: Ask) -> dict[str, Any]:
    """A new service."""
    return _look(_create(ask))


def update(ask: Ask, ref: str) -> dict[str, Any]:
    """Change what is given."""
    return _look(_update(ask, ref))


@reading
def _look(session: Session, ref: str) -> dict[str, Any]:
    """What was just written: whoever may write it may see it."""
    return _shown(access.find_service(session, ref))


@writing
def _create(session: Session, ask: Ask) -> str:
    values = _values(session, ask.body)
    access.require(ask.principal, "services:write", values.get("team_id"))
    return catalog.create_service(session, actor=auth.actor(ask.principal), now=ask.now, **values).public_id


@writing
def _update(session: Session, ask: Ask, ref: str) -> str:
    service = access.find_service(session, ref)
    access.require(ask.principal, "services:write", service.team_id)
    values = _values(session, ask.body)
    if "team_id" in values:
        access.require(ask.principal, "services:write", values["team_id"])
    catalog.update_service(session, service, actor=auth.actor(ask.principal), now=ask.now, **values)
    return service.public_id


def _values(session: Session, body: Mapping[str, Any]) -> dict[str, Any]:
    """The body in the catalog's words: row ids for public ids."""
    values = {name: value for name, value in body.items() if name not in ("team_id", "escalation_policy_id")}
    if "team_id" in body:
        values["team_id"] = lookups.living_id(session, Team, "team_id", body["team_id"])
    if "escalation_policy_id" in body:
        values["policy_id"] = lookups.living_id(session, EscalationPolicy, "escalation_policy_id", body["escalation_policy_id"])
    return values


def _shown(service: Service) -> dict[str, Any]:
    return {
        "id": service.public_id,
        "uuid": service.uuid,
        "name": service.name,
        "description": service.description,
        "team_id": service.team.public_id if service.team else None,
        "escalation_policy_id": service.policy.public_id if service.policy else None,
        "default_severity": service.default_severity,
        "severity_urgency": service.severity_urgency,
        "created_at": showing.iso(service.created_at),
    }


ENDPOINTS = (
    Endpoint("GET", "services", "services:read", index, "List services", (Filter("name", "The service of this name."),), shape=SHAPE, paged=True),
    Endpoint("POST", "services", "services:write", create, "Create a service", body=FIELDS, shape=SHAPE, success=201),
    Endpoint("GET", "services/<ref>", "services:read", get, "Get a service", shape=SHAPE),
    Endpoint("PUT", "services/<ref>", "services:write", update, "Change a service", body=FIELDS, shape=SHAPE),
    Endpoint("PATCH", "services/<ref>", "services:write", update, "Change a service", body=FIELDS, shape=SHAPE),
)
