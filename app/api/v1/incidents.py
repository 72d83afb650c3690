"""/api/v1/incidents: incidents in our own words, with their alerts and timeline, and everything that can be done to them.

Actions are idempotent: each answers the incident as it is now, whether anything changed and, if not, who was first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, select
from sqlalchemy.orm import Session, joinedload

from app.api import auth, lookups, paging
from app.api.asking import Ask, Field, Filter, moment
from app.api.endpoints import Endpoint, Shape
from app.api.v1 import incident_shapes
from app.core.errors import Invalid
from app.core.text import parse_duration
from app.domain import access, incidents
from app.domain.incidents import Change
from app.models import Incident, Service, User
from app.models.incidents import OPEN
from app.wiring.transactions import reading, writing

FILTERS = (
    Filter("state", "triggered, acknowledged, resolved, snoozed, or open (all but resolved)."),
    Filter("service", "Those of a service: its id, svc_… or UUID."),
)
ACTION_SHAPE: Shape = {"changed": "boolean", "reason": "string", "message": "string", "incident": "object"}
_STATES: dict[str, ColumnElement[bool]] = {
    "triggered": and_(OPEN, Incident.state == "triggered"),
    "acknowledged": and_(OPEN, Incident.state == "acknowledged"),
    "resolved": Incident.state == "resolved",
    "snoozed": and_(OPEN, Incident.snoozed_until.is_not(None)),
    "open": and_(OPEN),
}
_LOAD = (joinedload(Incident.service).joinedload(Service.team), joinedload(Incident.integration), joinedload(Incident.policy_snapshot))


@reading
def index(session: Session, ask: Ask) -> dict[str, Any]:
    """The newest first."""
    page = paging.read(session, ask, Incident, _wanted(session, ask), load=_LOAD, count_up_to=paging.COUNT_OWN_UP_TO)
    return page.envelope(incident_shapes.shown(session, page.rows))


@reading
def get(session: Session, ask: Ask, ref: str) -> dict[str, Any]:
    """One incident with its alerts and its timeline."""
    incident = incidents.find(session, ref)
    access.require(ask.principal, "incidents:read", incident.service.team_id)
    return incident_shapes.shown_whole(session, incident)


def acknowledge(ask: Ask, ref: str) -> dict[str, Any]:
    """Somebody has it."""
    return _act(ask, ref, incidents.acknowledge)


def unacknowledge(ask: Ask, ref: str) -> dict[str, Any]:
    """Nobody has it after all."""
    return _act(ask, ref, incidents.unacknowledge)


def resolve(ask: Ask, ref: str) -> dict[str, Any]:
    """It is over."""
    return _act(ask, ref, incidents.resolve)


def unresolve(ask: Ask, ref: str) -> dict[str, Any]:
    """It is not over."""
    return _act(ask, ref, incidents.unresolve)


def snooze(ask: Ask, ref: str) -> dict[str, Any]:
    """Let it sleep until a time, or for a while."""
    return _act(ask, ref, incidents.snooze, until=_end_of(ask))


def unsnooze(ask: Ask, ref: str) -> dict[str, Any]:
    """Wake it."""
    return _act(ask, ref, incidents.unsnooze)


def note(ask: Ask, ref: str) -> dict[str, Any]:
    """Write something down on it."""
    return _act(ask, ref, incidents.note, text=ask.body["text"])


def reassign(ask: Ask, ref: str) -> dict[str, Any]:
    """Give it to other people."""

    def action(session: Session, incident: Incident, **who_and_when: Any) -> Change:
        return incidents.reassign(session, incident, user_ids=_people(session, ask.body["user_ids"]), **who_and_when)

    return _act(ask, ref, action)


def _act(ask: Ask, ref: str, action: Callable[..., Change], **arguments: Any) -> dict[str, Any]:
    """Do it in one transaction, show it in the next: nothing is rendered while others wait to write."""
    number, change = _do(ask, ref, action, arguments)
    return {"changed": change.changed, "reason": str(change.reason), "message": change.sentence, "incident": _look(number)}


@writing
def _do(session: Session, ask: Ask, ref: str, action: Callable[..., Change], arguments: dict[str, Any]) -> tuple[int, Change]:
    incident = incidents.find(session, ref)
    access.require(ask.principal, "incidents:write", incident.service.team_id)
    return incident.id, action(session, incident, **arguments, actor=auth.actor(ask.principal), now=ask.now)


@reading
def _look(session: Session, number: int) -> dict[str, Any]:
    return incident_shapes.shown_whole(session, incidents.find(session, number))


def _end_of(ask: Ask) -> datetime:
    until, duration = ask.body.get("until"), ask.body.get("for")
    if (until is None) == (duration is None):
        raise Invalid("until", "Give either until (a time) or for (a duration, as 30m or 2h).")
    if until is not None:
        return moment("until", until)
    try:
        return min(ask.now + timedelta(seconds=parse_duration(duration or "")), incidents.FOREVER)
    except OverflowError:
        return incidents.FOREVER
    except ValueError as error:
        raise Invalid("for", "Write a duration as 30s, 5m, 2h or 1d.") from error


def _people(session: Session, refs: list[Any]) -> list[int]:
    """The row ids of users, by id (with `usr_` or without) or by e-mail address."""
    wanted = {str(ref).strip().removeprefix("usr_") for ref in refs[:100] if isinstance(ref, str)}
    found = session.scalars(
        select(User).where(User.archived_at.is_(None), User.public_id.in_(wanted) | User.email.in_({word.lower() for word in wanted}))
    ).all()
    known = {user.public_id for user in found} | {user.email for user in found}
    unknown = sorted(word for word in wanted if word not in known and word.lower() not in known)
    if unknown or not wanted or len(refs) > 100 or not all(isinstance(ref, str) for ref in refs):
        raise Invalid("user_ids", f"There is no user {unknown[0][:100]}." if unknown else "Name 1 to 100 users, by their ids or e-mail addresses.")
    return [user.id for user in found]


def _wanted(session: Session, ask: Ask) -> Select[int]:
    return select(Incident.id).where(*_conditions(session, ask))


def _conditions(session: Session, ask: Ask) -> Iterable[ColumnElement[bool]]:
    state = ask.one("state").lower()
    if state:
        if state not in _STATES:
            raise Invalid("state", f"Must be one of the following: {', '.join(_STATES)}.")
        yield _STATES[state]
    if ask.one("service"):
        yield Incident.service_id == lookups.service_of(session, "service", ask.one("service")).id
    visible = lookups.visible_to(ask.principal)
    if visible is not None:
        yield Incident.service_id.in_(select(Service.id).where(visible))


def _action(name: str, view: Callable[..., Any], summary: str, *body: Field) -> Endpoint:
    return Endpoint("POST", f"incidents/<ref>/{name}", "incidents:write", view, summary, body=body, shape=ACTION_SHAPE)


_UNTIL = (Field("until", nullable=True, help="A time, as 2026-01-31T09:00:00Z."), Field("for", nullable=True, help="A duration, as 30s, 5m, 2h or 1d."))
ENDPOINTS = (
    Endpoint("GET", "incidents", "incidents:read", index, "List incidents", FILTERS, shape=incident_shapes.SHAPE, paged=True),
    Endpoint("GET", "incidents/<ref>", "incidents:read", get, "Get an incident with its alerts and timeline", shape=incident_shapes.WHOLE_SHAPE),
    _action("acknowledge", acknowledge, "Acknowledge"),
    _action("unacknowledge", unacknowledge, "Take an acknowledgement back; paging begins again"),
    _action("resolve", resolve, "Resolve, and its alerts with it"),
    _action("unresolve", unresolve, "Open again; paging begins again"),
    _action("snooze", snooze, "Let it sleep until a time", *_UNTIL),
    _action("unsnooze", unsnooze, "Wake it; paging begins again"),
    _action("reassign", reassign, "Give it to other people", Field("user_ids", "list", required=True, help="Ids or e-mail addresses.")),
    _action("note", note, "Write something down on it", Field("text", required=True)),
)
