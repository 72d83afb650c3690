"""/api/v1/alert_groups: incidents in OnCall's shape, with OnCall's words for what cannot be done.

OnCall's silence is our snooze.  Where our rules allow what OnCall's API refuses, this door refuses, and its actions are
not idempotent: the second acknowledge is a 400.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.orm import Session, joinedload

from app.api import asking, auth, lookups, paging, showing
from app.api.asking import Ask, Filter, moment
from app.api.endpoints import Endpoint, Shape
from app.api.errors import BadRequest
from app.api.v1 import alerts
from app.core.errors import Conflict, Invalid
from app.domain import access, incidents
from app.domain.incidents import Change
from app.models import Alert, Incident, Integration, Route, Service, User
from app.models.incidents import OPEN
from app.wiring.transactions import reading, writing

SHAPE: Shape = {
    "id": "string",
    "integration_id": "string?",
    "team_id": "string?",
    "route_id": "string?",
    "alerts_count": "integer",
    "state": "string",
    "created_at": "datetime",
    "resolved_at": "datetime?",
    "resolved_by": "string?",
    "acknowledged_at": "datetime?",
    "acknowledged_by": "string?",
    "labels": "list",
    "title": "string",
    "permalinks": "object",
    "silenced_at": "datetime?",
    "last_alert": "object?",
}
FILTERS = (
    Filter("id", "One alert group."),
    Filter("route_id", "Those of a route."),
    Filter("integration_id", "Those of an integration."),
    Filter("team_id", "Those of a team's services; null: of services without a team."),
    Filter("state", "new, acknowledged, resolved or silenced."),
    Filter("started_at", "A range of UTC times, as 2026-01-31T09:00:00_2026-01-31T10:00:00."),
    Filter("label", "key:value, as often as you like: one of its alerts has the label."),
)
_STATES: dict[str, ColumnElement[bool]] = {
    "new": and_(OPEN, Incident.state == "triggered", Incident.snoozed_until.is_(None)),
    "acknowledged": and_(OPEN, Incident.state == "acknowledged"),
    "resolved": Incident.state == "resolved",
    "silenced": and_(OPEN, Incident.state == "triggered", Incident.snoozed_until.is_not(None)),
}
_SECONDS = re.compile(r"-?[0-9]{1,18}\Z")
_LOAD = (joinedload(Incident.service).joinedload(Service.team), joinedload(Incident.integration))


@reading
def index(session: Session, ask: Ask) -> dict[str, Any]:
    """The newest first."""
    page = paging.read(session, ask, Incident, _wanted(session, ask), load=_LOAD)
    return page.envelope(_shown(session, page.rows))


@reading
def get(session: Session, ask: Ask, ref: str) -> dict[str, Any]:
    """One alert group."""
    incident = incidents.find(session, ref)
    access.require(ask.principal, "incidents:read", incident.service.team_id)
    return _shown(session, [incident])[0]


@writing
def acknowledge(session: Session, ask: Ask, ref: str) -> None:
    """Somebody has it."""
    _act(session, ask, ref, incidents.acknowledge, {"resolved": "Can't acknowledge a resolved alert group"}, "Can't acknowledge an acknowledged alert group")


@writing
def unacknowledge(session: Session, ask: Ask, ref: str) -> None:
    """Nobody has it after all."""
    words = {"resolved": "Can't unacknowledge a resolved alert group"}
    _act(session, ask, ref, incidents.unacknowledge, words, "Can't unacknowledge an unacknowledged alert group")


@writing
def resolve(session: Session, ask: Ask, ref: str) -> None:
    """It is over."""
    _act(session, ask, ref, incidents.resolve, {}, "Can't resolve a resolved alert group")


@writing
def unresolve(session: Session, ask: Ask, ref: str) -> None:
    """It is not over."""
    words = dict.fromkeys(("triggered", "acknowledged"), "Can't unresolve an unresolved alert group")
    _act(session, ask, ref, incidents.unresolve, words, "")


@writing
def silence(session: Session, ask: Ask, ref: str) -> None:
    """Let it sleep for `delay` seconds, or for ever."""
    incident = _mine(session, ask, ref, lock=True)
    until = _end_of(ask)
    for state, article in (("resolved", "a"), ("acknowledged", "an")):
        if incident.state == state:
            raise BadRequest(f"Can't silence {article} {state} alert group")
    incidents.snooze(session, incident, until=until, actor=auth.actor(ask.principal), now=ask.now)


@writing
def unsilence(session: Session, ask: Ask, ref: str) -> None:
    """Wake it."""
    incident = _mine(session, ask, ref, lock=True)
    if incident.state == "acknowledged" and incident.snoozed_until is not None:
        raise BadRequest("Can't unsilence an acknowledged alert group")
    words = dict.fromkeys(("triggered", "acknowledged", "resolved"), "Can't unsilence an unsilenced alert group")
    _do(incident, lambda: incidents.unsnooze(session, incident, actor=auth.actor(ask.principal), now=ask.now), words, "")


def _act(session: Session, ask: Ask, ref: str, action: Callable[..., Change], conflicts: dict[str, str], unchanged: str) -> None:
    incident = _mine(session, ask, ref)
    _do(incident, lambda: action(session, incident, actor=auth.actor(ask.principal), now=ask.now), conflicts, unchanged)


def _do(incident: Incident, action: Callable[[], Change], conflicts: dict[str, str], unchanged: str) -> None:
    """Do it, and say OnCall's sentence when it cannot be done or is done already."""
    try:
        change = action()
    except Conflict as conflict:
        raise BadRequest(conflicts.get(incident.state) or unchanged or conflict.why) from conflict
    if not change.changed:
        raise BadRequest(unchanged or change.sentence)


def _mine(session: Session, ask: Ask, ref: str, *, lock: bool = False) -> Incident:
    incident = incidents.find(session, ref, lock=lock)
    access.require(ask.principal, "incidents:write", incident.service.team_id)
    return incident


def _end_of(ask: Ask) -> datetime:
    """The end of a silence; 0 and -1 mean that it has none."""
    delay = ask.body.get("delay")
    if delay is None:
        raise BadRequest("delay is required")
    if not _SECONDS.match(delay) or int(delay) < -1:
        raise BadRequest("invalid delay value")
    try:
        return min(ask.now + timedelta(seconds=int(delay)), incidents.FOREVER) if int(delay) > 0 else incidents.FOREVER
    except OverflowError:
        return incidents.FOREVER


def _wanted(session: Session, ask: Ask) -> Select[int]:
    wanted = select(Incident.id).where(*_conditions(session, ask))
    visible = lookups.visible_to(ask.principal)
    return wanted if visible is None else wanted.where(Incident.service_id.in_(select(Service.id).where(visible)))


def _conditions(session: Session, ask: Ask) -> Iterable[ColumnElement[bool]]:
    if ask.one("id"):
        yield Incident.public_id == ask.one("id")
    if ask.one("route_id"):
        yield Incident.route_id.in_(select(Route.id).where(Route.public_id == ask.one("route_id")))
    if ask.one("integration_id"):
        yield Incident.integration_id.in_(select(Integration.id).where(Integration.public_id == ask.one("integration_id")))
    if ask.one("team_id"):
        yield Incident.service_id.in_(select(Service.id).where(lookups.of_team(session, ask.one("team_id"))))
    if ask.one("state"):
        if ask.one("state").lower() not in _STATES:
            raise Invalid("state", "Must be one of the following: new, acknowledged, resolved, silenced")
        yield _STATES[ask.one("state").lower()]
    if ask.one("started_at"):
        start, end = _range(ask.one("started_at"))
        yield Incident.opened_at.between(start, end)
    for label in ask.query.get("label", ()):
        yield _has_label(label)


def _range(text: str) -> tuple[datetime, datetime]:
    start, separator, end = text.partition("_")
    try:
        if not separator:
            raise Invalid("started_at", "")
        return moment("started_at", start), moment("started_at", end)
    except Invalid as error:
        raise BadRequest("Invalid range value") from error


def _has_label(label: str) -> ColumnElement[bool]:
    key, separator, value = label.partition(":")
    if not key or not separator or '"' in key or "\\" in key:
        raise Invalid("label", "Write a label as key:value.")
    return Incident.id.in_(select(Alert.incident_id).where(Alert.labels[key].as_string() == value))


def _shown(session: Session, rows: Iterable[Incident]) -> list[dict[str, Any]]:
    """These incidents, with the same few queries however many they are."""
    groups = list(rows)
    users = lookups.public_ids(session, User, (user for each in groups for user in showing.user_ids_in(each.acknowledged_by, each.resolved_by)))
    routes = lookups.public_ids(session, Route, (each.route_id for each in groups))
    newest = select(func.max(Alert.id)).where(Alert.incident_id.in_([each.id for each in groups])).group_by(Alert.incident_id)
    last = {alert.incident_id: alert for alert in session.scalars(select(Alert).where(Alert.id.in_(newest)))} if groups else {}
    return [_one(each, users, routes, last.get(each.id)) for each in groups]


def _one(incident: Incident, users: dict[int, str], routes: dict[int, str], last: Alert | None) -> dict[str, Any]:
    return {
        "id": incident.public_id,
        "integration_id": incident.integration.public_id if incident.integration else None,
        "team_id": incident.service.team.public_id if incident.service.team else None,
        "route_id": routes.get(incident.route_id) if incident.route_id else None,
        "alerts_count": incident.alert_count,
        "state": state_of(incident),
        "created_at": showing.iso(incident.opened_at),
        "resolved_at": showing.iso(incident.resolved_at),
        "resolved_by": showing.user_in(incident.resolved_by, users),
        "acknowledged_at": showing.iso(incident.acknowledged_at),
        "acknowledged_by": showing.user_in(incident.acknowledged_by, users),
        "labels": [{"key": _twice(key), "value": _twice(value)} for key, value in (last.labels if last else {}).items()],
        "title": incident.title,
        "permalinks": {"slack": None, "slack_app": None, "telegram": None, "web": showing.page_of_incident(incident.id)},
        "silenced_at": showing.iso(incident.snoozed_at),
        "last_alert": alerts.shown(last, incident.public_id) if last else None,
    }


def state_of(incident: Incident) -> str:
    """OnCall's word for the state."""
    if incident.state != "triggered":
        return incident.state
    return "silenced" if incident.snoozed_until is not None else "firing"


def _twice(text: str) -> dict[str, str]:
    return {"id": text, "name": text}


def _action(name: str, view: Callable[..., Any], summary: str, **more: Any) -> Endpoint:
    return Endpoint("POST", f"alert_groups/<ref>/{name}", "incidents:write", view, summary, **more)


_DELAY = asking.Field("delay", nullable=True, help="Seconds; 0 and -1: for ever.")
ENDPOINTS = (
    Endpoint("GET", "alert_groups", "incidents:read", index, "List alert groups", FILTERS, shape=SHAPE, paged=True),
    Endpoint("GET", "alert_groups/<ref>", "incidents:read", get, "Get an alert group", shape=SHAPE),
    _action("acknowledge", acknowledge, "Acknowledge"),
    _action("unacknowledge", unacknowledge, "Take an acknowledgement back; paging begins again"),
    _action("resolve", resolve, "Resolve"),
    _action("unresolve", unresolve, "Open again; paging begins again"),
    _action("silence", silence, "Let it sleep", body=(_DELAY,)),
    _action("unsilence", unsilence, "Wake it; paging begins again"),
)
