"""The history of an incident; `add` is its only writer outside the accept statement."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from app.core.types import Actor, Reason
from app.models import TimelineEntry


def add(session: Session, incident_id: int, kind: str, *, actor: Actor, now: datetime, reason: Reason | None = None, **data: Any) -> TimelineEntry:
    """Write one line.  `kind` is what happened (opened, joined, acknowledged, …); `data` is what a sentence needs."""
    entry = TimelineEntry(
        incident_id=incident_id,
        at=now,
        kind=kind,
        reason=reason,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_label=actor.label,
        data={name: value for name, value in data.items() if value is not None},
    )
    session.add(entry)
    return entry
