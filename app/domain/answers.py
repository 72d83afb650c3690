"""Answers by the link in a message: who holds the link of a delivery may see its incident and acknowledge it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.errors import Conflict, NotFound
from app.core.keys import hash_token
from app.core.types import Actor, ActorKind, Reason
from app.domain import incidents
from app.domain.incidents import Change
from app.models import Delivery, Incident, User


@dataclass(frozen=True, slots=True)
class Seen:
    """What the holder of a link is shown."""

    number: int
    title: str
    service: str
    severity: str
    state: str
    opened_at: datetime
    holder: str
    """Who acknowledged or resolved it; empty when nobody did."""
    is_waiting: bool
    """Whether an acknowledgement would change anything."""
    actor: Actor
    """In whose name the link answers."""


def look(session: Session, token: str, *, now: datetime) -> Seen:
    """What a link leads to.  Changes nothing.

    Raises:
        NotFound: nobody was sent this link, or it has run out.
    """
    incident, actor = _find(session, token, now)
    return _seen(incident, actor)


def acknowledge(session: Session, token: str, *, now: datetime) -> tuple[Seen, Change]:
    """Acknowledge by link.  A second one, or one that comes after the end, says so instead.

    Raises:
        NotFound: nobody was sent this link, or it has run out.
    """
    incident, actor = _find(session, token, now)
    try:
        change = incidents.acknowledge(session, incident, actor=actor, now=now)
    except Conflict:
        change = Change(False, Reason.ALREADY_RESOLVED, f"{incidents.holder(incident) or 'Somebody'} has resolved it already.")
    return _seen(incident, actor), change


def _find(session: Session, token: str, now: datetime) -> tuple[Incident, Actor]:
    delivery = session.scalars(select(Delivery).where(Delivery.link_token_hash == hash_token(token))).one_or_none()
    if delivery is None or delivery.incident_id is None:
        raise NotFound("Tocsin does not know this link.")
    if delivery.link_expires_at is None or delivery.link_expires_at <= now:
        raise NotFound("This link has run out. Open Tocsin itself.")
    return session.get_one(Incident, delivery.incident_id), _actor(session, delivery)


def _actor(session: Session, delivery: Delivery) -> Actor:
    user = session.get(User, delivery.user_id) if delivery.user_id else None
    via = "the link in a message"
    if user is None:
        return Actor(ActorKind.CHANNEL, "Somebody who got the message", via=via)
    return Actor(ActorKind.USER, user.name, user.id, user.id, via=via)


def _seen(incident: Incident, actor: Actor) -> Seen:
    asleep = incident.snoozed_until is not None and incident.state != "resolved"
    return Seen(
        number=incident.id,
        title=incident.title,
        service=incident.service.name,
        severity=incident.severity,
        state=incident.state,
        opened_at=incident.opened_at,
        holder=incidents.holder(incident),
        is_waiting=incident.state == "triggered" or asleep,
        actor=actor,
    )
