"""/api/v1/receipts: every request that tools sent and what became of it; and those whose key nobody knows."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, or_, select, union
from sqlalchemy.orm import Session, defer

from app.api import lookups, paging, showing
from app.api.asking import Ask, Filter
from app.api.endpoints import Endpoint, Shape
from app.core.errors import Invalid, NotFound
from app.core.text import clean
from app.domain import access, incidents, receipts
from app.models import Alert, Integration, Receipt, ReceiptEvent, Service, UnknownKeyRequest
from app.wiring.transactions import reading

VERDICTS = ("accepted", "ignored", "unrecognised", "rejected")
SHAPE: Shape = {
    "id": "integer",
    "received_at": "datetime",
    "integration_id": "string?",
    "door": "string",
    "method": "string",
    "path": "string",
    "remote": "string",
    "status": "integer",
    "verdict": "string",
    "reason": "string",
    "error": "string?",
    "action": "string?",
    "dedup_key": "string?",
    "alert_id": "string?",
    "incident_number": "integer?",
    "event_count": "integer",
    "repeats": "integer",
    "body_size": "integer",
}
WHOLE_SHAPE: Shape = {**SHAPE, "headers": "object", "body": "string?", "body_encoding": "string?", "events": "list"}
UNKNOWN_SHAPE: Shape = {
    "id": "integer",
    "received_at": "datetime",
    "door": "string",
    "method": "string",
    "path": "string",
    "remote": "string",
    "key_hint": "string",
    "reason": "string",
    "body_size": "integer",
}
FILTERS = (
    Filter("integration", "Those of an integration, by its id."),
    Filter("verdict", "accepted, ignored, unrecognised or rejected."),
    Filter("incident", "Those that belong to an incident: its number, id or inc_…."),
)
_MOST_EVENTS = 2_000


@reading
def index(session: Session, ask: Ask) -> dict[str, Any]:
    """The newest first, without headers and bodies."""
    wanted = select(Receipt.id).where(*_conditions(session, ask))
    load = (defer(Receipt.body), defer(Receipt.headers))
    page = paging.read(session, ask, Receipt, wanted, load=load, count_up_to=paging.COUNT_OWN_UP_TO)
    return page.envelope(_shown(session, page.rows))


@reading
def get(session: Session, ask: Ask, ref: str) -> dict[str, Any]:
    """One receipt with its headers (secrets masked), its body while it is kept, and what became of each event."""
    receipt = session.get(Receipt, _number(ref))
    if receipt is None:
        raise NotFound(f"There is no receipt {ref}.")
    integration = session.get(Integration, receipt.integration_id) if receipt.integration_id else None
    access.require(ask.principal, "receipts:read", integration.service.team_id if integration else None)
    body = receipts.body_of(receipt)
    text, encoding = _readable(body) if body is not None else (None, None)
    more = {"headers": receipt.headers, "body": text, "body_encoding": encoding, "events": _events(session, receipt)}
    return {**_shown(session, [receipt])[0], **more}


@reading
def unknown_keys(session: Session, ask: Ask) -> dict[str, Any]:
    """The last 200, the newest first, and how many there ever were."""
    page = paging.read(session, ask, UnknownKeyRequest, select(UnknownKeyRequest.id), count_up_to=paging.COUNT_OWN_UP_TO)
    return page.envelope([_unknown(each) for each in page.rows], total_ever=receipts.unknown_count(session))


def _number(ref: str) -> int:
    if not (ref.isascii() and ref.isdigit() and len(ref) < 19):
        raise NotFound(f"There is no receipt {ref}.")
    return int(ref)


def _conditions(session: Session, ask: Ask) -> Iterable[ColumnElement[bool]]:
    if ask.one("integration"):
        yield Receipt.integration_id == _integration(session, ask.one("integration"))
    if ask.one("verdict"):
        if ask.one("verdict") not in VERDICTS:
            raise Invalid("verdict", f"Must be one of the following: {', '.join(VERDICTS)}.")
        yield Receipt.verdict == ask.one("verdict")
    if ask.one("incident"):
        try:
            number = incidents.find(session, ask.one("incident")).id
        except NotFound as error:
            raise Invalid("incident", error.why) from error
        whole, part = select(Receipt.id).where(Receipt.incident_id == number), select(ReceiptEvent.receipt_id).where(ReceiptEvent.incident_id == number)
        yield Receipt.id.in_(union(whole, part))
    visible = lookups.visible_to(ask.principal)
    if visible is not None:
        seen = select(Integration.id).join(Service, Service.id == Integration.service_id).where(visible)
        yield or_(Receipt.integration_id.is_(None), Receipt.integration_id.in_(seen))


def _integration(session: Session, ref: str) -> int:
    found = session.scalars(select(Integration.id).where(Integration.public_id == ref)).one_or_none()
    if found is None:
        raise Invalid("integration", f"There is no integration {ref}.")
    return found


def _shown(session: Session, rows: Iterable[Receipt]) -> list[dict[str, Any]]:
    """These receipts, with the same few queries however many they are."""
    wanted = list(rows)
    integrations = lookups.public_ids(session, Integration, (each.integration_id for each in wanted))
    alerts = lookups.public_ids(session, Alert, (each.alert_id for each in wanted))
    return [_one(each, integrations, alerts) for each in wanted]


def _one(receipt: Receipt, integrations: Mapping[int, str], alerts: Mapping[int, str]) -> dict[str, Any]:
    return {
        "id": receipt.id,
        "received_at": showing.iso(receipt.received_at),
        "integration_id": integrations.get(receipt.integration_id) if receipt.integration_id else None,
        "door": receipt.door,
        "method": receipt.method,
        "path": receipt.path,
        "remote": receipt.remote,
        "status": receipt.status,
        "verdict": receipt.verdict,
        "reason": receipt.reason,
        "error": receipt.error,
        "action": receipt.action,
        "dedup_key": receipt.dedup_key,
        "alert_id": alerts.get(receipt.alert_id) if receipt.alert_id else None,
        "incident_number": receipt.incident_id,
        "event_count": receipt.event_count,
        "repeats": receipt.repeats,
        "body_size": receipt.body_size,
    }


def _readable(body: bytes) -> tuple[str, str]:
    """A body as text when it is one, else as base64."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), "base64"
    return (text, "text") if clean(text) == text else (base64.b64encode(body).decode(), "base64")


def _events(session: Session, receipt: Receipt) -> list[dict[str, Any]]:
    rows = session.scalars(select(ReceiptEvent).where(ReceiptEvent.receipt_id == receipt.id).order_by(ReceiptEvent.n).limit(_MOST_EVENTS)).all()
    alerts = lookups.public_ids(session, Alert, (row.alert_id for row in rows))
    return [
        {
            "n": row.n,
            "action": row.action,
            "dedup_key": row.dedup_key,
            "verdict": row.verdict,
            "reason": row.reason,
            "error": row.error,
            "alert_id": alerts.get(row.alert_id) if row.alert_id else None,
            "incident_number": row.incident_id,
        }
        for row in rows
    ]


def _unknown(row: UnknownKeyRequest) -> dict[str, Any]:
    return {
        "id": row.id,
        "received_at": showing.iso(row.received_at),
        "door": row.door,
        "method": row.method,
        "path": row.path,
        "remote": row.remote,
        "key_hint": row.key_hint,
        "reason": row.reason,
        "body_size": row.body_size,
    }


ENDPOINTS = (
    Endpoint("GET", "receipts", "receipts:read", index, "List requests that tools sent", FILTERS, shape=SHAPE, paged=True),
    Endpoint("GET", "receipts/<ref>", "receipts:read", get, "Get a request and what became of it", shape=WHOLE_SHAPE),
    Endpoint("GET", "unknown_key_requests", "receipts:read", unknown_keys, "List requests whose key nobody knows", shape=UNKNOWN_SHAPE, paged=True),
)
