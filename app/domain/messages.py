"""What a message says: a picture of an incident, the generic webhook payload, and the texts of templates/messages."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.core.text import clean_line, shorten
from app.core.types import Message
from app.models import Alert, Assignment, Delivery, Incident, User

FOLDER = Path(__file__).resolve().parents[2] / "templates" / "messages"
MAX_SUBJECT = 200
MAX_DETAILS = 8_000
_WORDS = {
    "incident.triggered": "needs somebody",
    "incident.acknowledged": "was acknowledged",
    "incident.resolved": "is resolved",
    "incident.sla_breached": "has missed its target time",
}


@dataclass(frozen=True, slots=True)
class Site:
    """Where people reach this installation, the domain that its mails are threaded under, and the key of its links."""

    base_url: str
    domain: str
    answer_key: bytes
    """What the links in messages are made from."""


@dataclass(frozen=True, slots=True)
class Named:
    """A thing's shown id and its name."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Picture:
    """An incident as a message tells of it; frozen, so that rendering needs no database."""

    number: int
    id: str
    title: str
    status: str
    """OPEN, ACKNOWLEDGED, RESOLVED or SNOOZED."""
    urgency: str
    """HIGH or LOW."""
    severity: str
    service: Named
    assignee: Named | None
    url: str
    opened_at: datetime
    alert_count: int
    details: str
    source_link: str
    links: tuple[tuple[str, str], ...]
    """(address, text) pairs."""


def pictures(session: Session, incidents: Collection[Incident], site: Site) -> dict[int, Picture]:
    """The incidents as they are now, each with the texts of its first alert; by their ids."""
    ids = {incident.id for incident in incidents}
    firsts = select(func.min(Alert.id)).where(Alert.incident_id.in_(ids)).group_by(Alert.incident_id)
    alerts = {alert.incident_id: alert for alert in session.scalars(select(Alert).where(Alert.id.in_(firsts)))}
    people = assignees(session, ids)
    return {incident.id: _picture(incident, alerts.get(incident.id), people.get(incident.id), site) for incident in incidents}


def _picture(incident: Incident, alert: Alert | None, person: User | None, site: Site) -> Picture:
    return Picture(
        number=incident.id,
        id=f"inc_{incident.public_id}",
        title=incident.title,
        status=status(incident),
        urgency=incident.urgency.upper(),
        severity=incident.severity,
        service=Named(f"svc_{incident.service.public_id}", incident.service.name),
        assignee=Named(f"usr_{person.public_id}", person.name) if person else None,
        url=f"{site.base_url}/incidents/inc_{incident.public_id}",
        opened_at=incident.opened_at,
        alert_count=incident.alert_count,
        details=shorten(alert.details, MAX_DETAILS) if alert else "",
        source_link=alert.source_link if alert else "",
        links=tuple((link["href"], link.get("text", "")) for link in alert.links) if alert else (),
    )


def status(incident: Incident) -> str:
    """The state in the four words of the generic payload."""
    if incident.state == "resolved":
        return "RESOLVED"
    if incident.snoozed_until is not None:
        return "SNOOZED"
    return "ACKNOWLEDGED" if incident.state == "acknowledged" else "OPEN"


def assignees(session: Session, incident_ids: Collection[int]) -> dict[int, User]:
    """Whoever has each incident: by assignment, else the first person paged at its latest step; nobody is left out."""
    paged = (
        select(Delivery.incident_id, User)
        .join(User, Delivery.user_id == User.id)
        .join(Incident, Delivery.incident_id == Incident.id)
        .where(Delivery.incident_id.in_(incident_ids), Delivery.subject_kind == "incident", Delivery.escalation_round == Incident.escalation_round)
        .order_by(Delivery.escalation_step, Delivery.id.desc())
    )
    held = (
        select(Assignment.incident_id, User)
        .join(User, Assignment.user_id == User.id)
        .where(Assignment.incident_id.in_(incident_ids), Assignment.ended_at.is_(None))
        .order_by(Assignment.id.desc())
    )
    return {incident_id: person for query in (paged, held) for incident_id, person in session.execute(query) if incident_id is not None}


def payload(seen: Picture, event: str, at: datetime) -> dict[str, Any]:
    """The generic webhook payload, its keys in the documented order."""
    return {
        "event": event,
        "timestamp": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "incident": {
            "id": seen.id,
            "title": seen.title,
            "status": seen.status,
            "urgency": seen.urgency,
            "service": {"id": seen.service.id, "name": seen.service.name},
            "assignee": {"id": seen.assignee.id, "name": seen.assignee.name} if seen.assignee else None,
            "url": seen.url,
        },
    }


def render(seen: Picture, event: str, at: datetime, *, delivery_id: str, answer_url: str, site: Site) -> Message:
    """The message of an event.  The subject says nothing of the state, so that mail programs keep one thread."""
    context = {"incident": seen, "what": _WORDS.get(event, event), "event": event, "at": at, "delivery_id": delivery_id, "answer_url": answer_url}
    return Message(
        delivery_id=delivery_id,
        subject=clean_line(f"[Tocsin] #{seen.number} {seen.title}", MAX_SUBJECT),
        text=_environment().get_template("incident.txt").render(context),
        html=_environment().get_template("incident.html").render(context),
        payload=payload(seen, event, at),
        thread=f"incident-{seen.number}@{site.domain}",
    )


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
