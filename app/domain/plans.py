"""What shall be stored for a request, and what became of it: the values between `prepare` and `accept`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.core.types import Action, Actor, ActorKind, Ignored, Reason, Severity, Urgency
from app.domain.facts import IntegrationFacts, PolicyFacts, ServiceFacts


class StaleConfig(Exception):  # noqa: N818 - reads as what happened
    """The catalog changed since the facts were read: drop the cache and prepare again."""


@dataclass(frozen=True, slots=True)
class ReceiptFacts:
    """One inbound request as it is kept: secrets masked, a long body packed."""

    door: str
    method: str
    path: str
    headers: Mapping[str, str]
    remote: str
    body: bytes
    body_size: int
    body_packed: bool
    status: int
    """The code of the door's answer when all goes well."""
    token_id: int | None = None


@dataclass(frozen=True, slots=True)
class PlannedEvent:
    """One event with everything decided that can be decided without the database."""

    action: Action
    dedup_key: str
    service: ServiceFacts
    policy: PolicyFacts | None
    summary: str
    details: str
    severity: Severity
    urgency: Urgency
    occurred_at: datetime | None
    occurred_field: str
    group_key: str | None
    route_id: int | None
    source_link: str
    links: list[dict[str, str]]
    labels: dict[str, str]
    custom_details: Any
    kind: str = "alert"


@dataclass(frozen=True, slots=True)
class Plan:
    """What shall be stored for one request."""

    integration: IntegrationFacts
    events: tuple[PlannedEvent | Ignored, ...]
    receipt: ReceiptFacts
    now: datetime
    problem: str | None = None
    """Why the request could not be read; then `events` is the one that opens the "unrecognised payload" incident."""

    @property
    def is_plain(self) -> bool:
        """Whether the fast path can take it: ungrouped triggers and resolves, and nothing that was not understood."""
        events = [event for event in self.events if not isinstance(event, Ignored)]
        return bool(events) and self.problem is None and all(event.action is not Action.ACKNOWLEDGE and event.group_key is None for event in events)

    def in_lock_order(self) -> list[tuple[int, PlannedEvent | Ignored]]:
        """The events with their places, by service and key, so that two batches wait for each other instead of dying in a deadlock."""
        return sorted(enumerate(self.events), key=_lock_order)

    @property
    def actor(self) -> Actor:
        """The sender, as history names it."""
        return Actor(ActorKind.SOURCE, self.integration.name, self.integration.id)


def _lock_order(numbered: tuple[int, PlannedEvent | Ignored]) -> tuple[int, str, int]:
    n, event = numbered
    return (0, "", n) if isinstance(event, Ignored) else (event.service.id, event.dedup_key, n)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one event."""

    action: Action | None
    verdict: str
    """accepted, ignored or unrecognised."""
    reason: Reason
    dedup_key: str | None = None
    alert_id: int | None = None
    incident_id: int | None = None
    service: ServiceFacts | None = None
    why: str = ""
    keep_body: bool = True
    """False once an alert has had so many repeats within an hour that their bodies say nothing new."""

    @property
    def is_new(self) -> bool:
        """Whether this call opened the alert."""
        return self.reason in (Reason.NEW_INCIDENT, Reason.JOINED)


LATE_WITHIN = timedelta(minutes=10)
"""How long after a resolve an older trigger may still count as late rather than new."""
REPEAT_WINDOW = timedelta(hours=1)
"""The time over which an alert's repeats are counted for the receipts' bodies."""

NEEDS_THE_ENGINE = frozenset({Reason.NEW_INCIDENT, Reason.JOINED, Reason.UNRECOGNISED})
"""Outcomes after which something may be due at once."""
