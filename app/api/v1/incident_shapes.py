"""How /api/v1/incidents shows an incident, alone and with everything that belongs to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.api import lookups, showing
from app.api.endpoints import Shape
from app.models import Alert, Assignment, Incident, TimelineEntry, User

MOST_ALERTS = 200
MOST_LINES = 500
"""Of an incident that has more of them the newest are shown; /alerts lists all alerts."""

SHAPE: Shape = {
    "id": "string",
    "number": "integer",
    "title": "string",
    "state": "string",
    "severity": "string",
    "urgency": "string",
    "kind": "string",
    "service": "object",
    "integration": "object?",
    "team_id": "string?",
    "assignees": "list",
    "alert_count": "integer",
    "group_key": "string?",
    "opened_at": "datetime",
    "acknowledged_at": "datetime?",
    "acknowledged_by": "object?",
    "snoozed_at": "datetime?",
    "snoozed_until": "datetime?",
    "resolved_at": "datetime?",
    "resolved_by": "object?",
    "escalation": "object",
    "changed_at": "datetime",
    "url": "string",
}
WHOLE_SHAPE: Shape = {**SHAPE, "alerts": "list", "timeline": "list"}


def shown(session: Session, incidents: Sequence[Incident]) -> list[dict[str, Any]]:
    """These incidents, with the same few queries however many they are."""
    assigned = _assignees(session, [incident.id for incident in incidents])
    stamps = (user for each in incidents for user in showing.user_ids_in(each.acknowledged_by, each.resolved_by))
    users = lookups.public_ids(session, User, stamps)
    return [_one(incident, assigned.get(incident.id, []), users) for incident in incidents]


def shown_whole(session: Session, incident: Incident) -> dict[str, Any]:
    """One incident with its newest alerts and timeline lines, the oldest of them first."""
    alerts = session.scalars(select(Alert).where(Alert.incident_id == incident.id).order_by(Alert.id.desc()).limit(MOST_ALERTS))
    lines = session.scalars(select(TimelineEntry).where(TimelineEntry.incident_id == incident.id).order_by(TimelineEntry.id.desc()).limit(MOST_LINES))
    return {
        **shown(session, [incident])[0],
        "alerts": [_alert(alert) for alert in reversed(alerts.all())],
        "timeline": [_line(line) for line in reversed(lines.all())],
    }


def _one(incident: Incident, assignees: list[dict[str, Any]], users: Mapping[int, str]) -> dict[str, Any]:
    service, integration = incident.service, incident.integration
    return {
        "id": incident.public_id,
        "number": incident.id,
        "title": incident.title,
        "state": incident.state,
        "severity": incident.severity,
        "urgency": incident.urgency,
        "kind": incident.kind,
        "service": {"id": service.public_id, "name": service.name},
        "integration": {"id": integration.public_id, "name": integration.name} if integration else None,
        "team_id": service.team.public_id if service.team else None,
        "assignees": assignees,
        "alert_count": incident.alert_count,
        "group_key": incident.group_key,
        "opened_at": showing.iso(incident.opened_at),
        "acknowledged_at": showing.iso(incident.acknowledged_at),
        "acknowledged_by": _who(incident.acknowledged_by, users),
        "snoozed_at": showing.iso(incident.snoozed_at),
        "snoozed_until": showing.iso(incident.snoozed_until),
        "resolved_at": showing.iso(incident.resolved_at),
        "resolved_by": _who(incident.resolved_by, users),
        "escalation": _escalation(incident),
        "changed_at": showing.iso(incident.changed_at),
        "url": showing.page_of_incident(incident.id),
    }


def _escalation(incident: Incident) -> dict[str, Any]:
    """Where paging stands; `step` counts from 1, `idle_reason` says why there is no next step."""
    snapshot = incident.policy_snapshot
    return {
        "policy": snapshot.content.get("name") if snapshot else None,
        "step": incident.escalation_step + 1,
        "repeat": incident.escalation_repeat,
        "next_step_at": showing.iso(incident.next_step_at),
        "idle_reason": incident.idle_reason,
    }


def _who(stamp: Mapping[str, Any] | None, users: Mapping[int, str]) -> dict[str, Any] | None:
    return {"kind": stamp["kind"], "name": stamp["label"], "user_id": showing.user_in(stamp, users)} if stamp else None


def _assignees(session: Session, numbers: list[int]) -> dict[int, list[dict[str, Any]]]:
    query = select(Assignment.incident_id, User.public_id, User.name).join(User, User.id == Assignment.user_id)
    found: dict[int, list[dict[str, Any]]] = {}
    living = query.where(Assignment.incident_id.in_(numbers), Assignment.ended_at.is_(None)).order_by(Assignment.id)
    for number, public_id, name in session.execute(living) if numbers else ():
        found.setdefault(number, []).append({"id": public_id, "name": name})
    return found


def _alert(alert: Alert) -> dict[str, Any]:
    return {
        "id": alert.public_id,
        "state": alert.state,
        "severity": alert.severity,
        "summary": alert.summary,
        "last_summary": alert.last_summary,
        "details": alert.details,
        "dedup_key": alert.dedup_key,
        "count": alert.count,
        "labels": alert.labels,
        "links": alert.links,
        "source_link": alert.source_link,
        "custom_details": alert.custom_details,
        "opened_at": showing.iso(alert.opened_at),
        "last_seen_at": showing.iso(alert.last_seen_at),
        "resolved_at": showing.iso(alert.resolved_at),
        "resolved_by": alert.resolved_by,
    }


def _line(line: TimelineEntry) -> dict[str, Any]:
    actor = {"kind": line.actor_kind, "name": line.actor_label}
    return {"at": showing.iso(line.at), "kind": line.kind, "reason": line.reason, "actor": actor, "data": line.data}
