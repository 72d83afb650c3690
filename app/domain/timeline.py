"""The history of an incident; `add` is its only writer outside the accept statement."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.types import Actor, Reason
from app.models import OutgoingWebhook, TimelineEntry


def add(session: Session, incident_id: int, kind: str, *, actor: Actor, now: datetime, reason: Reason | None = None, **data: Any) -> TimelineEntry:
    """Write one line.  `kind` is what happened (opened, joined, acknowledged, …); `data` is what a sentence needs.

    A line is also the outbox that outgoing webhooks are planned from; while there are none, it counts as planned.
    """
    entry = TimelineEntry(
        incident_id=incident_id,
        at=now,
        kind=kind,
        reason=reason,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_label=actor.label,
        data={name: value for name, value in {**data, "via": actor.via or None}.items() if value is not None},
        webhooks_planned_at=None if _any_webhook(session) else now,
    )
    session.add(entry)
    return entry


def _any_webhook(session: Session) -> bool:
    """Asked once a transaction (a session lives for one)."""
    if _ASKED not in session.info:
        living = select(OutgoingWebhook.id).where(OutgoingWebhook.enabled, OutgoingWebhook.archived_at.is_(None)).limit(1)
        session.info[_ASKED] = session.scalars(living).first() is not None
    return bool(session.info[_ASKED])


_ASKED = "timeline: is there an outgoing webhook"
