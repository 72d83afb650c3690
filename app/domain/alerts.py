"""Dedup: at most one open alert per service and key.  The general path, one event at a time."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, and_, case, literal, or_, select, update
from sqlalchemy.orm import Session

from app.core.types import Action, Ignored, Reason
from app.domain import grouping, incidents, rows, timeline
from app.domain.plans import LATE_WITHIN, REPEAT_WINDOW, Outcome, Plan, PlannedEvent
from app.models import Alert, Incident
from app.models.base import UTCDateTime

MAX_TRIES = 5


def lock_firing(session: Session, plan: Plan) -> None:
    """Lock the open alerts that this request may touch, by id, before any incident is locked."""
    events = [event for event in plan.events if not isinstance(event, Ignored)]
    if len(events) > 1:
        keys = {event.dedup_key for event in events}
        mine = or_(Alert.integration_id == plan.integration.id, Alert.service_id.in_({event.service.id for event in events}))
        session.execute(select(Alert.id).where(Alert.dedup_key.in_(keys), Alert.state == "firing", mine).order_by(Alert.id).with_for_update())


def apply(session: Session, plan: Plan, event: PlannedEvent) -> Outcome:
    """Do what one event asks for."""
    if event.action is Action.TRIGGER:
        return _trigger(session, plan, event)
    if event.action is Action.RESOLVE:
        return _resolve(session, plan, event)
    return _acknowledge(session, plan, event)


def _trigger(session: Session, plan: Plan, event: PlannedEvent) -> Outcome:
    for _ in range(MAX_TRIES):
        repeated = _repeat(session, plan, event)
        if repeated is not None:
            return repeated
        late = _stale(session, plan, event)
        if late is not None:
            return late
        placed = grouping.place(session, plan, event)
        if placed is not None:
            return placed
    raise AssertionError(f"lost {MAX_TRIES} races for one alert")  # each lost race means that another one was stored


def _repeat(session: Session, plan: Plan, event: PlannedEvent) -> Outcome | None:
    """Count a trigger of an alert that is open already; it never undoes an acknowledgement and never pages again."""
    in_window = Alert.window_started_at > plan.now - REPEAT_WINDOW
    changed = session.execute(
        update(Alert)
        .where(Alert.service_id == event.service.id, Alert.dedup_key == event.dedup_key, Alert.state == "firing")
        .values(
            count=Alert.count + 1,
            last_seen_at=plan.now,
            last_summary=event.summary,
            window_started_at=case((in_window, Alert.window_started_at), else_=literal(plan.now, UTCDateTime())),
            window_count=case((in_window, Alert.window_count + 1), else_=1),
        )
        .returning(Alert.id, Alert.incident_id, Alert.window_count)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if changed is None:
        return None
    keep_body = changed.window_count <= rows.BODY_KEPT_REPEATS
    return Outcome(Action.TRIGGER, "accepted", Reason.DUPLICATE, event.dedup_key, changed.id, changed.incident_id, event.service, keep_body=keep_body)


def _stale(session: Session, plan: Plan, event: PlannedEvent) -> Outcome | None:
    """A trigger that its sender dates before the resolve that came first: shown, but nobody is paged.

    Only when both times come from the same field of the same integration, and within ten minutes; in any doubt it pages.
    """
    if event.occurred_at is None:
        return None
    last = session.scalars(
        select(Alert).where(Alert.service_id == event.service.id, Alert.dedup_key == event.dedup_key).order_by(Alert.id.desc()).limit(1)
    ).one_or_none()
    if last is None or not _came_before(last, plan, event):
        return None
    timeline.add(session, last.incident_id, "stale", actor=plan.actor, now=plan.now, reason=Reason.STALE, summary=event.summary)
    return Outcome(Action.TRIGGER, "accepted", Reason.STALE, event.dedup_key, last.id, last.incident_id, event.service)


def _came_before(last: Alert, plan: Plan, event: PlannedEvent) -> bool:
    comparable = last.integration_id == plan.integration.id and last.resolve_occurred_field == event.occurred_field
    if last.state != "resolved" or not comparable or last.resolved_at is None or last.resolve_occurred_at is None or event.occurred_at is None:
        return False
    return event.occurred_at < last.resolve_occurred_at and _within(last.resolved_at, plan.now)


def _within(resolved_at: datetime, now: datetime) -> bool:
    return now - resolved_at <= LATE_WITHIN


def open_alerts_of(plan: Plan, event: PlannedEvent) -> ColumnElement[bool]:
    """Which open alerts a resolve or acknowledge means: this integration's (so that an edited route orphans none), or the service's."""
    mine = or_(Alert.integration_id == plan.integration.id, Alert.service_id == event.service.id)
    return and_(Alert.dedup_key == event.dedup_key, Alert.state == "firing", mine)


def _resolve(session: Session, plan: Plan, event: PlannedEvent) -> Outcome:
    found = list(session.scalars(select(Alert).where(open_alerts_of(plan, event)).order_by(Alert.id).with_for_update()))
    if not found:
        return Outcome(Action.RESOLVE, "accepted", Reason.NOTHING_OPEN, event.dedup_key, service=event.service)
    for alert in found:
        alert.state, alert.resolved_at, alert.resolved_by = "resolved", plan.now, "source"
        alert.resolve_occurred_at, alert.resolve_occurred_field = event.occurred_at, event.occurred_field if event.occurred_at else None
    session.flush()
    for incident_id in sorted({alert.incident_id for alert in found}):
        if not incidents.settle(session, incident_id, actor=plan.actor, now=plan.now):
            timeline.add(session, incident_id, "alert_resolved", actor=plan.actor, now=plan.now, reason=Reason.BY_SOURCE, summary=event.summary)
    return Outcome(Action.RESOLVE, "accepted", Reason.RESOLVED, event.dedup_key, found[0].id, found[0].incident_id, event.service)


def _acknowledge(session: Session, plan: Plan, event: PlannedEvent) -> Outcome:
    found = list(session.scalars(select(Alert).where(open_alerts_of(plan, event)).order_by(Alert.id).with_for_update()))
    if not found:
        return Outcome(Action.ACKNOWLEDGE, "accepted", Reason.NOTHING_OPEN, event.dedup_key, service=event.service)
    change = None
    for incident_id in sorted({alert.incident_id for alert in found}):
        incident = session.get_one(Incident, incident_id)
        change = incidents.acknowledge(session, incident, actor=plan.actor, now=plan.now)
    reason = change.reason if change else Reason.NOTHING_OPEN
    return Outcome(Action.ACKNOWLEDGE, "accepted", reason, event.dedup_key, found[0].id, found[0].incident_id, event.service)
