"""Which messages a step means for its people and destinations: planned as deliveries in the step's own transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.orm import Session

from app import channels
from app.core.keys import new_public_id
from app.core.types import Reason, Urgency
from app.domain.oncall import Roster
from app.models import ContactMethod, Delivery, Destination, Incident, User

HIGH, LOW = 3, 7
"""Priorities of pages; lower goes first."""


@dataclass
class Planned:
    """What became of one step's targets."""

    paged: list[str] = field(default_factory=list)
    """Names of those to whom something will be sent."""
    missed: list[dict[str, str]] = field(default_factory=list)
    """{who, reason} of those to whom nothing can be."""


def plan(session: Session, incident: Incident, step: int, targets: Iterable[Mapping[str, Any]], *, roster: Roster, now: datetime) -> Planned:
    """Write the deliveries of a step (counted from 0); a person or destination that is named twice gets them once."""
    planned = Planned()
    people: dict[int, User] = {}
    destinations: dict[int, Destination] = {}
    for target in targets:
        found = roster.on_call(target)
        if not found.people and not found.destinations:
            planned.missed.append({"who": found.label, "reason": str(Reason.NO_ONE_ON_CALL)})
        people.update({user.id: user for user in found.people})
        destinations.update({destination.id: destination for destination in found.destinations})
    for user in people.values():
        _page_user(session, incident, step, user, planned, now)
    for destination in destinations.values():
        _page_destination(session, incident, step, destination, planned, now)
    return planned


def _page_user(session: Session, incident: Incident, step: int, user: User, planned: Planned, now: datetime) -> None:
    uses = list(_uses(user, incident.urgency))
    if not uses:
        planned.missed.append({"who": user.name, "reason": str(Reason.NO_CONTACT_METHOD)})
        return
    planned.paged.append(user.name)
    for method, after in uses:
        session.add(
            _page(
                incident,
                step,
                target=f"user:{user.id}",
                rule=f"method:{method.id}/{after}s",
                channel=method.channel,
                address=method.address,
                due_at=now + timedelta(seconds=after),
                user_id=user.id,
                now=now,
            )
        )


def _page_destination(session: Session, incident: Incident, step: int, destination: Destination, planned: Planned, now: datetime) -> None:
    planned.paged.append(destination.name)
    session.add(
        _page(
            incident,
            step,
            target=f"destination:{destination.id}",
            rule="",
            channel=destination.channel,
            address=destination.address,
            due_at=now,
            user_id=None,
            now=now,
        )
    )


def _page(
    incident: Incident,
    step: int,
    *,
    target: str,
    rule: str,
    channel: str,
    address: Mapping[str, str],
    due_at: datetime,
    user_id: int | None,
    now: datetime,
) -> Delivery:
    """A page for a step of an incident's escalation."""
    return Delivery(
        public_id=new_public_id("V"),
        subject_kind="incident",
        subject_id=incident.id,
        incident_id=incident.id,
        escalation_round=incident.escalation_round,
        escalation_step=step,
        target=target,
        rule=rule,
        user_id=user_id,
        channel=channel,
        address=dict(address),
        lane=lane_of(channel, address),
        state="planned",
        priority=HIGH if incident.urgency == Urgency.HIGH else LOW,
        due_at=due_at,
        created_at=now,
    )


def lane_of(channel_name: str, address: Mapping[str, str]) -> str:
    """Channel and host: what hangs together, and shall hold up nothing else."""
    channel = channels.get(channel_name)
    first = channel.fields[0] if channel else None
    text = address.get(first.name, "") if first and not first.secret else ""
    try:
        host = urlsplit(text).netloc.rpartition("@")[2]
    except ValueError:
        host = ""
    return f"{channel_name}:{host}"[:64]


def _uses(user: User, urgency: str) -> Iterator[tuple[ContactMethod, int]]:
    """The person's rules of this urgency; with none that leads anywhere, every contact method at once: a page must arrive."""
    rules = [(rule.contact_method, rule.after_seconds) for rule in user.notification_rules if rule.urgency == urgency and _is_usable(rule.contact_method)]
    yield from rules or [(method, 0) for method in user.contact_methods if _is_usable(method)]


def _is_usable(method: ContactMethod) -> bool:
    return method.archived_at is None and method.disabled_at is None
