"""Start, advance, stop: which step of its policy an incident is at."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from app.core.types import Reason
from app.domain.facts import PolicyFacts
from app.models import EscalationPolicy, Incident


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
    """Begin again at step 1, with the service's policy as it is now."""
    policy = session.get(EscalationPolicy, incident.service.policy_id) if incident.service.policy_id else None
    start(incident, PolicyFacts(policy.id, policy.snapshot_id, bool(policy.steps)) if policy else None, now=now)


def stop(incident: Incident, reason: Reason) -> None:
    """No further step, and why."""
    incident.next_step_at = None
    incident.idle_reason = reason
