"""Start, advance, stop: which step of its policy an incident is at.

A step is a conditional UPDATE with its deliveries in the same transaction; the unique key of deliveries is the second
guard.  So two processes never do one step twice, and a step that has begun is done.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select, update
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from app.core.types import SYSTEM, Reason
from app.domain import notifications, timeline
from app.domain.facts import PolicyFacts
from app.domain.oncall import Roster
from app.models import EscalationPolicy, Incident, Route

POSTPONED = timedelta(minutes=1)
"""How long a step waits that could not be run."""


def start(incident: Incident, policy: PolicyFacts | None, *, now: datetime) -> None:
    """Begin at step 1 with the policy frozen as it is now; or say why there is nothing to begin."""
    incident.escalation_round += 1
    incident.escalation_step = 0
    incident.escalation_repeat = 0
    if policy is None or policy.snapshot_id is None:
        stop(incident, Reason.NO_POLICY)
        return
    incident.policy_snapshot_id = policy.snapshot_id
    if not policy.has_steps:
        stop(incident, Reason.EMPTY_POLICY)
        return
    incident.next_step_at = now
    incident.idle_reason = None


def restart(session: Session, incident: Incident, *, now: datetime) -> None:
    """Begin again at step 1, with the policy of the incident's route or service as it is now."""
    route = session.get(Route, incident.route_id) if incident.route_id else None
    policy_id = (route.policy_id if route else None) or incident.service.policy_id
    policy = session.get(EscalationPolicy, policy_id) if policy_id else None
    start(incident, PolicyFacts(policy.id, policy.snapshot_id, bool(policy.steps)) if policy else None, now=now)


def stop(incident: Incident, reason: Reason) -> None:
    """No further step, and why."""
    incident.next_step_at = None
    incident.idle_reason = reason


def due(session: Session, *, now: datetime, limit: int) -> list[int]:
    """The incidents whose next step is due, longest first."""
    query = select(Incident.id).where(_is_due(now)).order_by(Incident.next_step_at, Incident.id).limit(limit)
    return list(session.scalars(query))


def backlog(session: Session, *, now: datetime, limit: int = 1_000) -> tuple[int, float]:
    """How many steps are due (counted up to `limit`), and for how many seconds the oldest has been."""
    found = select(Incident.next_step_at).where(_is_due(now)).order_by(Incident.next_step_at).limit(limit).subquery()
    count, oldest = session.execute(select(func.count(), func.min(found.c.next_step_at))).one()
    return count, (now - oldest).total_seconds() if oldest else 0.0


def advance(session: Session, incident_ids: Collection[int], *, now: datetime) -> int:
    """Run the steps that are due, each followed at once by the next when it came to nobody; how many incidents moved.

    Incidents that another process is at are skipped, not waited for.
    """
    query = select(Incident).where(Incident.id.in_(incident_ids), _is_due(now)).order_by(Incident.next_step_at, Incident.id)
    locked = query.with_for_update(skip_locked=True).execution_options(populate_existing=True)
    incidents = list(session.scalars(locked))
    roster = Roster(session, at=now)
    with session.no_autoflush:
        for incident in incidents:
            while incident.next_step_at is not None and incident.next_step_at <= now and _run_step(session, incident, roster, now):
                pass
    session.flush()
    return len(incidents)


def postpone(session: Session, incident_id: int, why: str, *, now: datetime) -> None:
    """Put off a step that could not be run, where people see it; it stops no other incident."""
    session.execute(update(Incident).where(Incident.id == incident_id, _is_due(now)).values(next_step_at=now + POSTPONED))
    timeline.add(session, incident_id, "step_failed", actor=SYSTEM, now=now, error=why)


def _run_step(session: Session, incident: Incident, roster: Roster, now: datetime) -> bool:
    """Do what the incident is at; whether it moved."""
    policy: dict[str, Any] = incident.policy_snapshot.content if incident.policy_snapshot else {"steps": []}
    steps = policy["steps"]
    if not steps:
        return _end(session, incident, Reason.EMPTY_POLICY, now)
    at = incident.escalation_step
    if at < len(steps):
        return _page(session, incident, policy, at, roster, now)
    if incident.escalation_repeat < policy.get("repeat", 0):
        return _move(session, incident, escalation_step=0, escalation_round=incident.escalation_round + 1, escalation_repeat=incident.escalation_repeat + 1)
    return _end(session, incident, Reason.POLICY_EXHAUSTED, now)


def _page(session: Session, incident: Incident, policy: dict[str, Any], at: int, roster: Roster, now: datetime) -> bool:
    """Take the step, then plan its deliveries; a step that came to nobody is followed by the next at once."""
    steps = policy["steps"]
    if not _move(session, incident, escalation_step=at + 1, next_step_at=now + timedelta(seconds=steps[at]["wait"]), changed_at=now):
        return False
    planned = notifications.plan(session, incident, at, steps[at]["targets"], roster=roster, now=now)
    timeline.add(
        session,
        incident.id,
        "escalated",
        actor=SYSTEM,
        now=now,
        reason=Reason.STEP_REACHED if planned.paged else Reason.NO_ONE_ON_CALL,
        step=at + 1,
        steps=len(steps),
        turn=incident.escalation_repeat + 1,
        policy=policy.get("name"),
        paged=planned.paged,
        missed=planned.missed or None,
    )
    if not planned.paged and at + 1 < len(steps):
        incident.next_step_at = now
    return True


def _move(session: Session, incident: Incident, **to: Any) -> bool:
    """Leave the present step, unless somebody else has; whether it was ours to leave."""
    present = and_(
        Incident.id == incident.id,
        Incident.state == "triggered",
        Incident.escalation_round == incident.escalation_round,
        Incident.escalation_step == incident.escalation_step,
    )
    statement = update(Incident).where(present).values(**to).returning(Incident.id).execution_options(synchronize_session=False)
    if session.scalars(statement).one_or_none() is None:
        return False
    for name, value in to.items():
        set_committed_value(incident, name, value)
    return True


def _end(session: Session, incident: Incident, reason: Reason, now: datetime) -> bool:
    """Nothing is left to do; the incident stays open, and says why nobody is paged any more."""
    stop(incident, reason)
    incident.changed_at = now
    timeline.add(session, incident.id, "escalation_ended", actor=SYSTEM, now=now, reason=reason)
    return False


def _is_due(now: datetime) -> ColumnElement[bool]:
    return and_(Incident.next_step_at <= now, Incident.state == "triggered", Incident.snoozed_until.is_(None))
