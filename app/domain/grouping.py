"""Which incident takes a new alert: the open one of its group, or one of its own."""

from __future__ import annotations

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from app.core.types import Action, Reason
from app.domain import accept_sql, rows
from app.domain.plans import Outcome, Plan, PlannedEvent
from app.models import Incident, TimelineEntry


def place(session: Session, plan: Plan, event: PlannedEvent) -> Outcome | None:
    """Store a new alert in its incident; None when another request stored the same alert (or group) first."""
    open_one = _open_incident_of_group(session, event)
    if open_one is not None:
        return _join(session, plan, event, open_one)
    return _open(session, plan, event)


def _open_incident_of_group(session: Session, event: PlannedEvent) -> int | None:
    if event.group_key is None:
        return None
    same = select(Incident.id).where(Incident.service_id == event.service.id, Incident.group_key == event.group_key, Incident.state != "resolved")
    return session.scalars(same).one_or_none()


def _join(session: Session, plan: Plan, event: PlannedEvent, incident_id: int) -> Outcome | None:
    """The alert first, then the incident: the lock order.  An incident that was resolved meanwhile takes no alert."""
    with session.begin_nested() as savepoint:
        alert_id = accept_sql.insert_open_alert(session, {**rows.alert(plan, event), "incident_id": incident_id})
        joined = (
            alert_id is not None
            and session.execute(
                update(Incident)
                .where(Incident.id == incident_id, Incident.state != "resolved")
                .values(alert_count=Incident.alert_count + 1, changed_at=plan.now)
                .returning(Incident.id)
                .execution_options(synchronize_session=False)
            ).one_or_none()
        )
        if not joined:
            savepoint.rollback()
            return None
    line = rows.timeline(plan, "joined", Reason.JOINED, summary=event.summary, dedup_key=event.dedup_key)
    session.execute(insert(TimelineEntry).values({**line, "incident_id": incident_id}))
    return Outcome(Action.TRIGGER, "accepted", Reason.JOINED, event.dedup_key, alert_id, incident_id, event.service)


def _open(session: Session, plan: Plan, event: PlannedEvent) -> Outcome | None:
    with session.begin_nested() as savepoint:
        incident_id = accept_sql.insert_open_incident(session, rows.incident(plan, event))
        alert_id = incident_id and accept_sql.insert_open_alert(session, {**rows.alert(plan, event), "incident_id": incident_id})
        if not incident_id or not alert_id:
            savepoint.rollback()
            return None
    line = rows.timeline(plan, "opened", Reason.NEW_INCIDENT, summary=event.summary, dedup_key=event.dedup_key)
    session.execute(insert(TimelineEntry).values({**line, "incident_id": incident_id}))
    return Outcome(Action.TRIGGER, "accepted", Reason.NEW_INCIDENT, event.dedup_key, alert_id, incident_id, event.service)
