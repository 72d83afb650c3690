"""The rows of a new alert, its incident, its first timeline line and its receipt.

Both ways of accepting write exactly these values, so that they cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.core.keys import new_public_id
from app.core.types import Reason
from app.domain.facts import PolicyFacts
from app.domain.plans import Outcome, Plan, PlannedEvent

Row = dict[str, Any]


def alert(plan: Plan, event: PlannedEvent) -> Row:
    """A new firing alert, but for its incident."""
    return {
        "public_id": new_public_id("A"),
        "service_id": event.service.id,
        "integration_id": plan.integration.id,
        "dedup_key": event.dedup_key,
        "state": "firing",
        "severity": str(event.severity),
        "summary": event.summary,
        "details": event.details,
        "source_link": event.source_link,
        "links": event.links,
        "labels": event.labels,
        "custom_details": event.custom_details,
        "count": 1,
        "opened_at": plan.now,
        "last_seen_at": plan.now,
        "window_started_at": plan.now,
        "window_count": 1,
    }


def incident(plan: Plan, event: PlannedEvent) -> Row:
    """A new incident: due for its first step at once, or with the reason why it has none."""
    idle = idle_reason(event.policy)
    return {
        "public_id": new_public_id("I"),
        "service_id": event.service.id,
        "integration_id": plan.integration.id,
        "route_id": event.route_id,
        "state": "triggered",
        "title": event.summary,
        "severity": str(event.severity),
        "urgency": str(event.urgency),
        "kind": event.kind,
        "group_key": event.group_key,
        "alert_count": 1,
        "opened_at": plan.now,
        "policy_snapshot_id": event.policy.snapshot_id if event.policy else None,
        "escalation_round": 1,
        "escalation_step": 0,
        "escalation_repeat": 0,
        "next_step_at": None if idle else plan.now,
        "idle_reason": idle,
        "changed_at": plan.now,
    }


def idle_reason(policy: PolicyFacts | None) -> str | None:
    """Why a new incident has no first step, if so."""
    if policy is None or policy.snapshot_id is None:
        return str(Reason.NO_POLICY)
    return None if policy.has_steps else str(Reason.EMPTY_POLICY)


def timeline(plan: Plan, kind: str, reason: Reason, **data: str) -> Row:
    """A line by the sender, but for its incident."""
    actor = plan.actor
    return {
        "at": plan.now,
        "kind": kind,
        "reason": str(reason),
        "actor_kind": str(actor.kind),
        "actor_id": actor.id,
        "actor_label": actor.label,
        "data": data,
        "webhooks_planned_at": None if plan.integration.has_webhooks else plan.now,
    }


def receipt(plan: Plan, outcomes: Sequence[Outcome]) -> Row:
    """The receipt; what became of each event of a batch is kept apart."""
    kept = plan.receipt
    outcome = outcomes[0] if len(outcomes) == 1 else None
    return {
        "received_at": plan.now,
        "integration_id": plan.integration.id,
        "token_id": kept.token_id,
        "door": kept.door,
        "method": kept.method,
        "path": kept.path,
        "headers": kept.headers,
        "remote": kept.remote,
        "body": kept.body if outcome is None or outcome.keep_body else None,
        "body_size": kept.body_size,
        "body_packed": kept.body_packed,
        "status": kept.status,
        "verdict": outcome.verdict if outcome else _verdict_of(outcomes),
        "reason": str(outcome.reason) if outcome else str(Reason.BATCH),
        "error": (outcome.why or None) if outcome else None,
        "action": str(outcome.action) if outcome and outcome.action else None,
        "dedup_key": outcome.dedup_key if outcome else None,
        "alert_id": outcome.alert_id if outcome else None,
        "incident_id": outcome.incident_id if outcome else None,
        "event_count": len(outcomes),
        "repeats": 0,
    }


def _verdict_of(outcomes: Sequence[Outcome]) -> str:
    return "accepted" if any(outcome.verdict == "accepted" for outcome in outcomes) else "ignored"


def receipt_event(n: int, outcome: Outcome) -> Row:
    """What became of one event of a batch, but for its receipt."""
    return {
        "n": n,
        "action": str(outcome.action) if outcome.action else "",
        "dedup_key": outcome.dedup_key,
        "verdict": outcome.verdict,
        "reason": str(outcome.reason),
        "error": outcome.why or None,
        "alert_id": outcome.alert_id,
        "incident_id": outcome.incident_id,
    }


BODY_KEPT_REPEATS = 100
"""Receipts keep the bodies of this many triggers of one alert within an hour."""
