"""/api/v1/alerts: what tools reported, in OnCall's shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Select, Text, cast, or_, select
from sqlalchemy.orm import Session, joinedload

from app.api import lookups, paging, showing
from app.api.asking import Ask, Filter
from app.api.endpoints import Endpoint, Shape
from app.models import Alert, Incident, Service
from app.wiring.transactions import reading

SHAPE: Shape = {"id": "string", "alert_group_id": "string", "created_at": "datetime", "payload": "object"}
FILTERS = (
    Filter("id", "One alert."),
    Filter("alert_group_id", "The alerts of one alert group."),
    Filter("search", "Words that its texts, key or custom details hold, in any case."),
)


def shown(alert: Alert, group_id: str) -> dict[str, Any]:
    """One alert; `payload` is what Tocsin keeps of the message, the same keys for every source."""
    return {
        "id": alert.public_id,
        "alert_group_id": group_id,
        "created_at": showing.iso(alert.opened_at),
        "payload": _payload(alert),
    }


def _payload(alert: Alert) -> Mapping[str, Any]:
    return {
        "summary": alert.summary,
        "details": alert.details,
        "severity": alert.severity,
        "state": alert.state,
        "dedup_key": alert.dedup_key,
        "count": alert.count,
        "labels": alert.labels,
        "links": alert.links,
        "source_link": alert.source_link,
        "custom_details": alert.custom_details,
    }


@reading
def index(session: Session, ask: Ask) -> dict[str, Any]:
    """The newest first."""
    page = paging.read(session, ask, Alert, _wanted(ask), load=(joinedload(Alert.incident),))
    return page.envelope([shown(alert, alert.incident.public_id) for alert in page.rows])


def _wanted(ask: Ask) -> Select[int]:
    wanted = select(Alert.id)
    if ask.one("id"):
        wanted = wanted.where(Alert.public_id == ask.one("id"))
    if ask.one("alert_group_id"):
        wanted = wanted.where(Alert.incident_id.in_(select(Incident.id).where(Incident.public_id == ask.one("alert_group_id"))))
    words = ask.one("search")
    if words:
        columns = (Alert.summary, Alert.details, Alert.dedup_key, cast(Alert.custom_details, Text))
        wanted = wanted.where(or_(*(column.icontains(words, autoescape=True) for column in columns)))
    visible = lookups.visible_to(ask.principal)
    return wanted if visible is None else wanted.where(Alert.service_id.in_(select(Service.id).where(visible)))


ENDPOINTS = (Endpoint("GET", "alerts", "incidents:read", index, "List alerts", FILTERS, shape=SHAPE, paged=True),)
