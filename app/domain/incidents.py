"""The state machine of incidents.

triggered → acknowledged → resolved, with a snooze from either open state.  Every origin (page, API, mail, chat, source)
calls these functions.  They are idempotent, say who was first, and may be run again as a whole after a lost race.
Lock order: alerts by id, then the incident.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.core.errors import Conflict, Invalid, NotFound
from app.core.text import clean_block
from app.core.types import Actor, ActorKind, Reason
from app.domain import escalation, timeline
from app.models import Alert, Assignment, Incident, User

FOREVER = datetime(9999, 12, 31, tzinfo=UTC)
"""The end of a snooze that has none."""
MAX_NOTE = 10_000


@dataclass(frozen=True, slots=True)
class Change:
    """What an action did: whether anything changed, why (not), and a sentence for whoever asked."""

    changed: bool
    reason: Reason
    sentence: str


def find(session: Session, ref: str | int, *, lock: bool = False) -> Incident:
    """The incident of a number, a public id, or `inc_` and a public id.

    Raises:
        NotFound: there is none.
    """
    text = str(ref).removeprefix("inc_")
    condition = Incident.id == int(text) if text.isascii() and text.isdigit() and len(text) < 19 else Incident.public_id == text
    query = select(Incident).where(condition)
    incident = session.scalars(query.with_for_update() if lock else query).one_or_none()
    if incident is None:
        raise NotFound(f"There is no incident {ref}.")
    return incident


def acknowledge(session: Session, incident: Incident, *, actor: Actor, now: datetime) -> Change:
    """Somebody has it: paging stops.  It also ends a snooze.

    Raises:
        Conflict: it is resolved.
    """
    _lock(session, incident)
    if incident.state == "resolved":
        raise Conflict(f"Incident {incident.id} is resolved; it cannot be acknowledged.")
    if incident.state == "acknowledged" and incident.snoozed_until is None:
        who = _name_of(incident.acknowledged_by)
        return Change(False, Reason.ALREADY_ACKNOWLEDGED, f"{who} acknowledged it first, at {_clock_time(incident.acknowledged_at)}.")
    if incident.state == "triggered":
        incident.state = "acknowledged"
        incident.acknowledged_at = now
        incident.acknowledged_by = stamp(actor)
    _wake(incident)
    escalation.stop(incident, Reason.ACKNOWLEDGED)
    if actor.user_id is not None and _assignee(session, incident) is None:
        session.add(Assignment(incident_id=incident.id, user_id=actor.user_id, via="acknowledge", assigned_at=now))
    return _record(session, incident, "acknowledged", actor, now, Reason.ACKNOWLEDGED, f"Acknowledged by {actor.label}.")


def unacknowledge(session: Session, incident: Incident, *, actor: Actor, now: datetime) -> Change:
    """Nobody has it after all: paging begins again at step 1.

    Raises:
        Conflict: it is not acknowledged.
    """
    _lock(session, incident)
    if incident.state != "acknowledged":
        raise Conflict(f"Incident {incident.id} is {incident.state}; only an acknowledged one can be unacknowledged.")
    _trigger_again(session, incident, now)
    return _record(session, incident, "unacknowledged", actor, now, _by(actor), f"Unacknowledged by {actor.label}; paging begins again.")


def snooze(session: Session, incident: Incident, *, until: datetime, actor: Actor, now: datetime) -> Change:
    """Let it sleep until a time: nobody is paged before.

    Raises:
        Invalid: the time is not in the future.
        Conflict: it is resolved.
    """
    if until <= now:
        raise Invalid("until", "The end of a snooze lies in the future.")
    _lock(session, incident)
    if incident.state == "resolved":
        raise Conflict(f"Incident {incident.id} is resolved; it cannot be snoozed.")
    incident.snoozed_at = now
    incident.snoozed_until = until
    escalation.stop(incident, Reason.SNOOZED)
    return _record(session, incident, "snoozed", actor, now, Reason.SNOOZED, f"Snoozed by {actor.label}.", until=until.isoformat())


def unsnooze(session: Session, incident: Incident, *, actor: Actor, now: datetime) -> Change:
    """End a snooze, by hand or because its time has come: paging begins again at step 1.

    Raises:
        Conflict: it is not snoozed.
    """
    _lock(session, incident)
    if incident.snoozed_until is None or incident.state == "resolved":
        raise Conflict(f"Incident {incident.id} is not snoozed.")
    _trigger_again(session, incident, now)
    reason = Reason.SNOOZE_ENDED if actor.kind == ActorKind.SYSTEM else _by(actor)
    return _record(session, incident, "unsnoozed", actor, now, reason, "The snooze has ended; paging begins again.")


def resolve(session: Session, incident: Incident, *, actor: Actor, now: datetime) -> Change:
    """It is over.  Its alerts are resolved too, else the next trigger would count as a repeat of something closed."""
    _lock_firing_alerts(session, incident)
    _lock(session, incident)
    if incident.state == "resolved":
        who = _name_of(incident.resolved_by)
        return Change(False, Reason.ALREADY_RESOLVED, f"{who} resolved it first, at {_clock_time(incident.resolved_at)}.")
    _lock_firing_alerts(session, incident)  # an alert may have joined while we waited for the incident
    session.execute(
        update(Alert)
        .where(Alert.incident_id == incident.id, Alert.state == "firing")
        .values(state="resolved", resolved_at=now, resolved_by="person")
        .execution_options(synchronize_session="fetch")
    )
    return _close(session, incident, actor, now, _by(actor))


def settle(session: Session, incident_id: int, *, actor: Actor, now: datetime) -> bool:
    """Resolve an incident whose last alert has just resolved; the caller holds that alert.  Whether it did."""
    incident = session.get(Incident, incident_id)
    if incident is None:
        return False
    _lock(session, incident)
    if incident.state == "resolved":
        return False
    still = session.scalars(select(Alert.id).where(Alert.incident_id == incident_id, Alert.state == "firing").limit(1)).first()
    if still is not None:
        return False
    _close(session, incident, actor, now, Reason.RESOLVED)
    return True


def unresolve(session: Session, incident: Incident, *, actor: Actor, now: datetime) -> Change:
    """It is not over: the alerts that were resolved with it fire again, and paging begins at step 1.

    Raises:
        Conflict: it is open, was merged, or its key or group is open in another incident (`link` names that one).
    """
    alerts = _lock_alerts_resolved_with(session, incident)
    _lock(session, incident)
    if incident.state != "resolved":
        raise Conflict(f"Incident {incident.id} is {incident.state}; only a resolved one can be unresolved.")
    if incident.merged_into_id is not None:
        raise Conflict(f"Incident {incident.id} was merged into {incident.merged_into_id}.", link=f"/incidents/{incident.merged_into_id}")
    _refuse_if_open_elsewhere(session, incident, alerts)
    for alert in alerts:
        alert.state, alert.resolved_at, alert.resolved_by = "firing", None, None
    incident.resolved_at = incident.resolved_by = None
    _trigger_again(session, incident, now)
    return _record(session, incident, "unresolved", actor, now, _by(actor), f"Unresolved by {actor.label}; paging begins again.")


def reassign(session: Session, incident: Incident, *, user_ids: Iterable[int], actor: Actor, now: datetime) -> Change:
    """Give it to other people, in place of those who have it.

    Raises:
        Invalid: nobody is named, or somebody unknown.
        Conflict: it is resolved.
    """
    wanted = list(dict.fromkeys(user_ids))
    people = list(session.scalars(select(User).where(User.id.in_(wanted), User.archived_at.is_(None)).order_by(User.id)))
    if not wanted or len(people) != len(wanted):
        raise Invalid("user_ids", "Name at least one user, by ids that exist.")
    _lock(session, incident)
    if incident.state == "resolved":
        raise Conflict(f"Incident {incident.id} is resolved; it cannot be reassigned.")
    present = {assignment.user_id: assignment for assignment in incident.assignments if assignment.ended_at is None}
    if set(present) == set(wanted):
        return Change(False, Reason.UNCHANGED, "They have it already.")
    for user_id, assignment in present.items():
        if user_id not in wanted:
            assignment.ended_at = now
    for user_id in wanted:
        if user_id not in present:
            session.add(Assignment(incident_id=incident.id, user_id=user_id, via="reassign", assigned_at=now))
    names = ", ".join(person.name for person in people)
    return _record(session, incident, "reassigned", actor, now, _by(actor), f"Reassigned to {names} by {actor.label}.", to=names)


def note(session: Session, incident: Incident, *, text: str, actor: Actor, now: datetime) -> Change:
    """Write something down on it, in any state.

    Raises:
        Invalid: the note is empty.
    """
    body = clean_block(text, MAX_NOTE)
    if not body:
        raise Invalid("text", "A note needs some text.")
    return _record(session, incident, "note", actor, now, _by(actor), "Noted.", text=body)


def holder(incident: Incident) -> str:
    """The name of whoever acknowledged or resolved it last; empty when it is nobody's."""
    stamped = incident.resolved_by if incident.state == "resolved" else incident.acknowledged_by
    return str(stamped["label"]) if stamped else ""


def stamp(actor: Actor) -> dict[str, Any]:
    """How an actor is kept on a row, with the name as it was."""
    return {"kind": str(actor.kind), "label": actor.label, "id": actor.id, "user_id": actor.user_id}


def _lock(session: Session, incident: Incident) -> None:
    session.refresh(incident, with_for_update=True)


def _lock_firing_alerts(session: Session, incident: Incident) -> None:
    session.execute(select(Alert.id).where(Alert.incident_id == incident.id, Alert.state == "firing").order_by(Alert.id).with_for_update())


def _lock_alerts_resolved_with(session: Session, incident: Incident) -> list[Alert]:
    query = select(Alert).where(Alert.incident_id == incident.id, Alert.state == "resolved", Alert.resolved_at == incident.resolved_at)
    return list(session.scalars(query.order_by(Alert.id).with_for_update().execution_options(populate_existing=True)))


def _refuse_if_open_elsewhere(session: Session, incident: Incident, alerts: list[Alert]) -> None:
    for alert in alerts:
        elsewhere = select(Alert.incident_id).where(Alert.service_id == alert.service_id, Alert.dedup_key == alert.dedup_key, Alert.state == "firing")
        other = session.scalars(elsewhere).first()
        if other is not None:
            raise Conflict(f"The same alert is open in incident {other}; work on that one.", link=f"/incidents/{other}")
    if incident.group_key is not None:
        same_group = select(Incident.id).where(
            Incident.service_id == incident.service_id, Incident.group_key == incident.group_key, Incident.state != "resolved"
        )
        other = session.scalars(same_group).first()
        if other is not None:
            raise Conflict(f"The same group is open in incident {other}; work on that one.", link=f"/incidents/{other}")


def _trigger_again(session: Session, incident: Incident, now: datetime) -> None:
    incident.state = "triggered"
    incident.acknowledged_at = incident.acknowledged_by = None
    _wake(incident)
    escalation.restart(session, incident, now=now)


def _wake(incident: Incident) -> None:
    incident.snoozed_at = incident.snoozed_until = None


def _close(session: Session, incident: Incident, actor: Actor, now: datetime, reason: Reason) -> Change:
    incident.state = "resolved"
    incident.resolved_at = now
    incident.resolved_by = stamp(actor)
    _wake(incident)
    escalation.stop(incident, Reason.RESOLVED)
    return _record(session, incident, "resolved", actor, now, reason, f"Resolved by {actor.label}.")


def _record(session: Session, incident: Incident, kind: str, actor: Actor, now: datetime, reason: Reason, sentence: str, **data: Any) -> Change:
    incident.changed_at = now
    timeline.add(session, incident.id, kind, actor=actor, now=now, reason=reason, **data)
    session.flush()
    return Change(True, reason, sentence)


def _by(actor: Actor) -> Reason:
    return Reason.BY_SOURCE if actor.kind == ActorKind.SOURCE else Reason.BY_PERSON


def _assignee(session: Session, incident: Incident) -> int | None:
    return session.scalars(select(Assignment.user_id).where(Assignment.incident_id == incident.id, Assignment.ended_at.is_(None)).limit(1)).first()


def _name_of(stamped: dict[str, Any] | None) -> str:
    return str(stamped["label"]) if stamped else "Somebody"


def _clock_time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else "an unknown time"
