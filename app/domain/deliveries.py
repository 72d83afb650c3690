"""Deliveries: claim, begin, record.  The database is the queue; whoever sends claims right before.

The three are three transactions.  Killed before the claim: nothing has moved.  Between claim and begin: the lease ends,
it is sent once, later.  Between begin and record: the outcome is unknown, shown so, and it is sent again with the same
delivery id.  Lock order: the incident, then its deliveries.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.orm import Session, joinedload

from app.core.text import clean_line
from app.core.types import SYSTEM, Reason, Sent
from app.domain import links, messages, timeline
from app.domain.messages import Picture
from app.models import Attempt, Delivery, Destination, Incident, User

CLAIM_AT_MOST = 16
LEASE = timedelta(seconds=30)
"""Longer than a send may take, all together."""
RETRY_SECONDS = (5, 10, 20, 40, 60, 60, 120, 120, 300, 300, 300, 600, 600, 900, 900, 900, 900)
"""Waits after each attempt that may work later: given up after about an hour and a half, 18 attempts."""
MAX_RETRY_AFTER = 900.0
UNKNOWN = "The process stopped during the send, so nobody knows whether it arrived; it is sent again with the same delivery id."


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that this process may send until its lease ends."""

    id: int
    incident_id: int
    lane: str
    token: str


@dataclass(frozen=True, slots=True)
class Parcel:
    """All that a sender needs once the attempt is on record."""

    attempt_id: int
    claimed: Claimed
    public_id: str
    channel: str
    address: Mapping[str, str]
    """Secret fields are sealed."""
    event: str
    at: datetime
    """When the event happened: the same on every attempt."""
    picture: Picture
    answer_url: str
    """Where whoever gets the message may answer it."""


def backlog(session: Session, *, now: datetime, limit: int = 1_000) -> tuple[int, float]:
    """How many deliveries are due and unclaimed (counted up to `limit`), and for how many seconds the oldest has been."""
    found = select(Delivery.due_at).where(_is_due(now)).limit(limit).subquery()
    count, oldest = session.execute(select(func.count(), func.min(found.c.due_at))).one()
    return count, (now - oldest).total_seconds() if oldest else 0.0


def claim(session: Session, *, by: str, now: datetime, limit: int = CLAIM_AT_MOST, full_lanes: Collection[str] = ()) -> list[Claimed]:
    """Lease due deliveries to a process (its boot id); those that others are looking at are skipped, not waited for."""
    query = (
        select(Delivery.id, Delivery.incident_id, Delivery.lane, Delivery.attempt_count)
        .where(_is_due(now))
        .order_by(Delivery.priority, Delivery.due_at, Delivery.id)
    )
    if full_lanes:
        query = query.where(Delivery.lane.not_in(full_lanes))
    rows = session.execute(query.limit(min(limit, CLAIM_AT_MOST)).with_for_update(skip_locked=True)).all()
    if not rows:
        return []
    token = secrets.token_hex(16)
    ids = [row.id for row in rows]
    session.execute(
        update(Delivery).where(Delivery.id.in_(ids)).values(lease_token=token, lease_until=now + LEASE, leased_by=by),
        execution_options={"synchronize_session": False},
    )
    _mark_unknown(session, [row.id for row in rows if row.attempt_count], now)
    return [Claimed(row.id, row.incident_id, row.lane, token) for row in rows]


def release(session: Session, claimed: Sequence[Claimed]) -> None:
    """Give back what was claimed and not begun."""
    held = _held(claimed)
    session.execute(update(Delivery).where(held).values(**_NO_LEASE), execution_options={"synchronize_session": False})


def begin(session: Session, claimed: Sequence[Claimed], *, process: str, site: messages.Site, now: datetime) -> list[Parcel]:
    """Put the attempts on record; commit before a socket opens.  Those whose lease is lost, or that shall not be sent any more, are left out."""
    incidents = _shared(session, [each.incident_id for each in claimed])
    started: dict[int, Attempt] = {}
    deliveries = _locked(session, claimed)
    for delivery in deliveries:
        reason = why_not(delivery, incidents[delivery.incident_id]) if delivery.incident_id else None
        if reason is not None:
            _finish(delivery, "dropped", now, reason)
            continue
        delivery.attempt_count += 1
        delivery.lease_until = now + LEASE
        started[delivery.id] = Attempt(
            delivery_id=delivery.id, n=delivery.attempt_count, process=process, lease_token=str(delivery.lease_token), started_at=now
        )
    session.add_all(started.values())
    session.flush()
    going = [delivery for delivery in deliveries if delivery.id in started]
    pictures = messages.pictures(session, [incidents[delivery.incident_id] for delivery in going if delivery.incident_id], site)
    by_id = {each.id: each for each in claimed}
    return [
        Parcel(
            attempt_id=started[delivery.id].id,
            claimed=by_id[delivery.id],
            public_id=delivery.public_id,
            channel=delivery.channel,
            address=delivery.address,
            event=delivery.event,
            at=delivery.created_at,
            picture=pictures[delivery.incident_id or 0],
            answer_url=_answer_url(delivery, site, now),
        )
        for delivery in going
    ]


def _answer_url(delivery: Delivery, site: messages.Site, now: datetime) -> str:
    token = links.link_token(site.answer_key, delivery.public_id)
    links.remember(delivery, token, now=now)
    return f"{site.base_url}/a/{token}"


def spoil(session: Session, claimed: Claimed, why: str, *, process: str, now: datetime) -> None:
    """Record an attempt that could not even begin, as one that may work later: what is broken must not be claimed for ever."""
    _shared(session, [claimed.incident_id])
    for delivery in _locked(session, [claimed]):
        delivery.attempt_count += 1
        attempt = Attempt(delivery_id=delivery.id, n=delivery.attempt_count, process=process, lease_token=claimed.token, started_at=now)
        attempt.outcome, attempt.detail, attempt.ended_at = "retry", why, now
        session.add(attempt)
        _settle(session, delivery, Sent.retry(why), now)
    session.flush()


def why_not(delivery: Delivery, incident: Incident) -> Reason | None:
    """Why a planned page is not sent any more: somebody has the incident, it is over, it sleeps, or paging began anew."""
    if delivery.subject_kind != "incident":
        return None
    if incident.state == "resolved":
        return Reason.RESOLVED
    if incident.snoozed_until is not None:
        return Reason.SNOOZED
    if incident.state == "acknowledged":
        return Reason.ACKNOWLEDGED
    first_round = incident.escalation_round - incident.escalation_repeat
    if delivery.escalation_round is not None and delivery.escalation_round < first_round:
        return Reason.NO_LONGER_TRIGGERED
    return None


def record(session: Session, outcomes: Sequence[tuple[Parcel, Sent]], *, now: datetime) -> None:
    """Write down what became of attempts; a delivery moves only while its lease is still ours."""
    _shared(session, [parcel.claimed.incident_id for parcel, _ in outcomes])
    deliveries = _locked(session, [parcel.claimed for parcel, _ in outcomes])
    session.execute(update(Attempt), [_ended(parcel, sent, now) for parcel, sent in outcomes])
    sent_by_id = {parcel.claimed.id: sent for parcel, sent in outcomes}
    with session.no_autoflush:
        for delivery in deliveries:
            _settle(session, delivery, sent_by_id[delivery.id], now)
    session.flush()


def _ended(parcel: Parcel, sent: Sent, now: datetime) -> dict[str, Any]:
    """The columns of an attempt that has ended."""
    return {
        "id": parcel.attempt_id,
        "outcome": sent.outcome,
        "status": sent.status,
        "detail": clean_line(sent.detail, 500),
        "provider_id": clean_line(sent.provider_id, 255),
        "ended_at": now,
    }


def _settle(session: Session, delivery: Delivery, sent: Sent, now: datetime) -> None:
    """What an outcome means for the delivery."""
    answer = clean_line(sent.detail, 500)
    if sent.outcome == "ok":
        _finish(delivery, "sent", now)
        _tell(session, delivery, "delivered", answer, now)
    elif sent.outcome == "retry" and delivery.attempt_count <= len(RETRY_SECONDS):
        delivery.due_at = now + timedelta(seconds=retry_seconds(delivery.attempt_count, sent.retry_after))
        _let_go(delivery)
    else:
        _finish(delivery, "failed", now, Reason.REFUSED if sent.outcome == "refused" else Reason.GAVE_UP)
        _tell(session, delivery, "delivery_failed", answer, now)


def retry_seconds(attempts: int, asked: float | None) -> float:
    """How long to wait after so many attempts; the other side may ask for longer, up to a quarter of an hour."""
    return max(RETRY_SECONDS[attempts - 1], min(asked or 0.0, MAX_RETRY_AFTER))


def free_leases(session: Session, boot_ids: Collection[str], *, now: datetime) -> int:
    """Take the leases of processes that have gone silent; what they were sending has an unknown outcome."""
    held = select(Delivery.id).where(Delivery.state == "planned", Delivery.leased_by.in_(boot_ids)).limit(1_000)
    ids = list(session.scalars(held.with_for_update(skip_locked=True)))
    if ids:
        session.execute(update(Delivery).where(Delivery.id.in_(ids)).values(**_NO_LEASE), execution_options={"synchronize_session": False})
        _mark_unknown(session, ids, now)
    return len(ids)


def _is_due(now: datetime) -> ColumnElement[bool]:
    return and_(Delivery.state == "planned", Delivery.due_at <= now, or_(Delivery.lease_until.is_(None), Delivery.lease_until <= now))


def _mark_unknown(session: Session, delivery_ids: Sequence[int], now: datetime) -> None:
    if delivery_ids:
        session.execute(
            update(Attempt)
            .where(Attempt.delivery_id.in_(delivery_ids), Attempt.outcome.is_(None))
            .values(outcome="unknown", ended_at=now, detail=UNKNOWN)
            .execution_options(synchronize_session=False)
        )


def _shared(session: Session, incident_ids: Collection[int]) -> dict[int, Incident]:
    """Incidents held against change: an acknowledgement comes before this transaction or after it, not in between."""
    query = select(Incident).where(Incident.id.in_(incident_ids)).order_by(Incident.id).options(joinedload(Incident.service, innerjoin=True))
    locked = query.with_for_update(read=True, of=Incident).execution_options(populate_existing=True)
    return {incident.id: incident for incident in session.scalars(locked)}


def _locked(session: Session, claimed: Sequence[Claimed]) -> list[Delivery]:
    """Those of the claimed deliveries that are still ours, in the order of the claim."""
    query = select(Delivery).where(_held(claimed), Delivery.state == "planned").order_by(Delivery.priority, Delivery.due_at, Delivery.id)
    return list(session.scalars(query.with_for_update().execution_options(populate_existing=True)))


def _held(claimed: Sequence[Claimed]) -> ColumnElement[bool]:
    return and_(Delivery.id.in_([each.id for each in claimed]), Delivery.lease_token.in_({each.token for each in claimed}))


def _finish(delivery: Delivery, state: str, now: datetime, reason: Reason | None = None) -> None:
    delivery.state = state
    delivery.reason = reason
    delivery.finished_at = now
    _let_go(delivery)


def _let_go(delivery: Delivery) -> None:
    for name, value in _NO_LEASE.items():
        setattr(delivery, name, value)


def _tell(session: Session, delivery: Delivery, kind: str, answer: str, now: datetime) -> None:
    """Say on the timeline who was told, how, and what the other side answered."""
    if delivery.incident_id is None:
        return
    timeline.add(
        session,
        delivery.incident_id,
        kind,
        actor=SYSTEM,
        now=now,
        reason=Reason(delivery.reason) if delivery.reason else None,
        who=name_of_target(session, delivery.target),
        channel=delivery.channel,
        delivery=delivery.public_id,
        step=delivery.escalation_step + 1 if delivery.escalation_step is not None else None,
        attempts=delivery.attempt_count,
        answer=answer,
    )


def name_of_target(session: Session, target: str) -> str:
    """The name of whom a delivery is for, as `user:3` or `destination:5` says it."""
    kind, _, ref = target.partition(":")
    if not ref.isdigit():
        return target
    found = session.get(User, int(ref)) if kind == "user" else session.get(Destination, int(ref))
    return found.name if found else target


_NO_LEASE: dict[str, Any] = {"lease_token": None, "lease_until": None, "leased_by": None}
