"""/api/v1/deliveries: every message that was to leave Tocsin, and each try to send it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session, joinedload, selectinload

from app.api import lookups, paging, showing
from app.api.asking import Ask, Filter
from app.api.endpoints import Endpoint, Shape
from app.core.errors import Invalid, NotFound
from app.domain import access, catalog, incidents
from app.models import Attempt, Delivery, Incident, Service, User
from app.wiring.transactions import reading

STATES = ("planned", "sent", "failed", "dropped")
SHAPE: Shape = {
    "id": "string",
    "incident_id": "string?",
    "incident_number": "integer?",
    "subject": "string",
    "event": "string",
    "user_id": "string?",
    "channel": "string",
    "address": "object",
    "state": "string",
    "reason": "string?",
    "step": "integer?",
    "due_at": "datetime",
    "attempt_count": "integer",
    "created_at": "datetime",
    "finished_at": "datetime?",
}
WHOLE_SHAPE: Shape = {**SHAPE, "attempts": "list"}
FILTERS = (
    Filter("incident", "Those of an incident: its number, id or inc_…."),
    Filter("state", "planned, sent, failed or dropped."),
    Filter("channel", "Those by a channel."),
)


@reading
def index(session: Session, ask: Ask) -> dict[str, Any]:
    """The newest first."""
    wanted = select(Delivery.id).where(*_conditions(session, ask))
    page = paging.read(session, ask, Delivery, wanted, count_up_to=paging.COUNT_OWN_UP_TO)
    return page.envelope(_shown(session, list(page.rows)))


@reading
def get(session: Session, ask: Ask, ref: str) -> dict[str, Any]:
    """One delivery with its attempts."""
    delivery = session.scalars(select(Delivery).where(Delivery.public_id == ref).options(selectinload(Delivery.attempts))).one_or_none()
    if delivery is None:
        raise NotFound(f"There is no delivery {ref}.")
    incident = session.get(Incident, delivery.incident_id, options=[joinedload(Incident.service)]) if delivery.incident_id else None
    access.require(ask.principal, "deliveries:read", incident.service.team_id if incident else None)
    return {**_shown(session, [delivery])[0], "attempts": [_attempt(attempt) for attempt in delivery.attempts]}


def _conditions(session: Session, ask: Ask) -> Iterable[ColumnElement[bool]]:
    if ask.one("incident"):
        try:
            yield Delivery.incident_id == incidents.find(session, ask.one("incident")).id
        except NotFound as error:
            raise Invalid("incident", error.why) from error
    if ask.one("state"):
        if ask.one("state") not in STATES:
            raise Invalid("state", f"Must be one of the following: {', '.join(STATES)}.")
        yield Delivery.state == ask.one("state")
    if ask.one("channel"):
        yield Delivery.channel == ask.one("channel")
    visible = lookups.visible_to(ask.principal)
    if visible is not None:
        seen = select(Incident.id).join(Service, Service.id == Incident.service_id).where(visible)
        yield or_(Delivery.incident_id.is_(None), Delivery.incident_id.in_(seen))


def _shown(session: Session, deliveries: list[Delivery]) -> list[dict[str, Any]]:
    """These deliveries, with the same few queries however many they are."""
    groups = lookups.public_ids(session, Incident, (each.incident_id for each in deliveries))
    users = lookups.public_ids(session, User, (each.user_id for each in deliveries))
    return [_one(each, groups, users) for each in deliveries]


def _one(delivery: Delivery, incidents_by_number: dict[int, str], users: dict[int, str]) -> dict[str, Any]:
    return {
        "id": delivery.public_id,
        "incident_id": incidents_by_number.get(delivery.incident_id) if delivery.incident_id else None,
        "incident_number": delivery.incident_id,
        "subject": delivery.subject_kind,
        "event": delivery.event,
        "user_id": users.get(delivery.user_id) if delivery.user_id else None,
        "channel": delivery.channel,
        "address": catalog.masked(delivery.channel, delivery.address),
        "state": delivery.state,
        "reason": delivery.reason,
        "step": delivery.escalation_step + 1 if delivery.escalation_step is not None else None,
        "due_at": showing.iso(delivery.due_at),
        "attempt_count": delivery.attempt_count,
        "created_at": showing.iso(delivery.created_at),
        "finished_at": showing.iso(delivery.finished_at),
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.n,
        "started_at": showing.iso(attempt.started_at),
        "ended_at": showing.iso(attempt.ended_at),
        "outcome": attempt.outcome,
        "status": attempt.status,
        "detail": attempt.detail,
        "process": attempt.process,
    }


ENDPOINTS = (
    Endpoint("GET", "deliveries", "deliveries:read", index, "List deliveries", FILTERS, shape=SHAPE, paged=True),
    Endpoint("GET", "deliveries/<ref>", "deliveries:read", get, "Get a delivery with its attempts", shape=WHOLE_SHAPE),
)
