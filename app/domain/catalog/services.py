"""Services: what is watched and owned."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict, Unpack
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.errors import Invalid
from app.core.keys import new_public_id
from app.core.types import SYSTEM, Actor, Severity, Urgency
from app.domain.catalog import checks, integrations, records
from app.domain.catalog.checks import Check
from app.models import EscalationPolicy, Incident, Integration, Route, Service, Team

DEFAULT_NAME = "Default"


class ServiceOptions(TypedDict, total=False):
    """What a service may have besides its name."""

    description: str
    team_id: int | None
    policy_id: int | None
    severity_urgency: Mapping[str, str]
    """Exceptions from: critical and error are high, warning and info are low."""
    default_severity: str
    pagerduty_id: str | None


class ServiceFields(ServiceOptions, total=False):
    """All that can be changed of a service."""

    name: str


def _severity_urgency(field: str, value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise Invalid(field, "Write urgencies by severity, as {warning: high}.")
    for severity in value:
        if severity not in list(Severity):
            raise Invalid(field, checks.unknown("severity", severity, Severity))
    return {str(severity): checks.one_of(*Urgency)(f"{field}.{severity}", urgency) for severity, urgency in value.items()}


_TABLE: Mapping[str, Check] = {
    "name": checks.line(),
    "description": checks.block(),
    "team_id": checks.row_id,
    "policy_id": checks.row_id,
    "severity_urgency": _severity_urgency,
    "default_severity": checks.one_of(*Severity),
    "pagerduty_id": checks.optional(checks.foreign_id),
    "uuid": checks.uuid,
}


def check_service(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as they are stored; pure.

    Raises:
        Invalid: a value is wrong.
    """
    return checks.checked(fields, _TABLE)


def create_service(session: Session, *, name: str, actor: Actor, now: datetime, uuid: str | None = None, **fields: Unpack[ServiceOptions]) -> Service:
    """A new service; `uuid` carries GoAlert's ServiceID over.

    Raises:
        Invalid: a value is wrong or taken.
    """
    values = check_service({"name": name, "uuid": uuid or str(uuid4()), **fields})
    _check_against_others(session, values, None)
    records.refuse_taken(session, Service, "uuid", values["uuid"])
    return records.create(session, Service(public_id=new_public_id("S"), created_at=now, **values), actor=actor, now=now)


def update_service(session: Session, service: Service, *, actor: Actor, now: datetime, **fields: Unpack[ServiceFields]) -> bool:
    """Change a service; False when there is nothing to change.

    Raises:
        Invalid: a value is wrong or taken.
    """
    values = check_service(fields)
    _check_against_others(session, values, service)
    return records.change(session, service, values, actor=actor, now=now)


def archive_service(session: Session, service: Service, *, actor: Actor, now: datetime) -> bool:
    """Put a service away, and its integrations with it; its name, UUID and PagerDuty id are free again.

    Raises:
        Conflict: an incident is open on it, or a route of another service's integration leads to it.
    """
    records.hold(session)
    open_incidents = session.scalars(select(Incident.id).where(Incident.service_id == service.id, Incident.state != "resolved").order_by(Incident.id).limit(6))
    records.refuse_used(service, [f"the open incident {number}" for number in open_incidents], "Resolve what is open first.")
    leading = session.scalars(
        select(Integration)
        .join(Route, Route.integration_id == Integration.id)
        .where(Route.service_id == service.id, Integration.service_id != service.id, Integration.archived_at.is_(None))
        .distinct()
    )
    records.refuse_used(service, [f"a route of the integration {integration.name}" for integration in leading])
    for integration in living_integrations(session, service):
        integrations.archive_integration(session, integration, actor=actor, now=now)
    return records.archive(session, service, actor=actor, now=now, pagerduty_id=None, uuid=str(uuid4()))


def default_service(session: Session, *, now: datetime) -> Service:
    """The service "Default", for whoever names none; made on first use."""
    found = session.scalars(select(Service).where(Service.name == DEFAULT_NAME, Service.archived_at.is_(None))).one_or_none()
    return found or create_service(session, name=DEFAULT_NAME, actor=SYSTEM, now=now)


def living_integrations(session: Session, service: Service) -> list[Integration]:
    """The integrations of a service that are not archived."""
    return list(session.scalars(select(Integration).where(Integration.service_id == service.id, Integration.archived_at.is_(None)).order_by(Integration.id)))


def _check_against_others(session: Session, values: Mapping[str, Any], service: Service | None) -> None:
    if "name" in values:
        records.refuse_taken(session, Service, "name", values["name"], but=service)
    if values.get("pagerduty_id"):
        records.refuse_taken(session, Service, "pagerduty_id", values["pagerduty_id"], but=service)
    records.require_living(session, Team, "team_id", values.get("team_id"))
    records.require_living(session, EscalationPolicy, "policy_id", values.get("policy_id"))
