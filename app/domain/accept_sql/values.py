"""Values as both databases take them."""

from __future__ import annotations

import json
from typing import Any

from app.core.types import Ignored, Reason
from app.domain.plans import Outcome, PlannedEvent

JSON_COLUMNS = frozenset({"links", "labels", "custom_details", "data", "headers"})
_EMPTY: dict[type, str] = {dict: "{}", list: "[]"}


def to_json(value: Any) -> str:
    """The JSON text of a value."""
    return json.dumps(value) if value else _EMPTY.get(type(value)) or json.dumps(value)


def outcome_of(event: PlannedEvent, alert_id: int | None, incident_id: int | None, reason: Reason, *, keep_body: bool = True) -> Outcome:
    """What became of a plain event."""
    return Outcome(event.action, "accepted", reason, event.dedup_key, alert_id, incident_id, event.service, keep_body=keep_body)


def ignored(event: Ignored) -> Outcome:
    """What became of a message that is no event."""
    return Outcome(None, "ignored", Reason.IGNORED, why=event.why)
