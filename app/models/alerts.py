"""Receipts of what came in, and the alerts that were made of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.models.base import Base, Json, UTCDateTime
from app.models.incidents import Incident
from app.models.services import Integration, Service

FIRING = text("state = 'firing'")
PLACED = text("incident_id IS NOT NULL")
REJECTED = text("verdict = 'rejected'")


class Alert(Base):
    """One problem as its source names it: service and dedup key."""

    __tablename__ = "alerts"
    __table_args__ = (
        Index("uq_alerts_open", "service_id", "dedup_key", unique=True, sqlite_where=FIRING, postgresql_where=FIRING),
        Index("ix_alerts_resolving", "integration_id", "dedup_key", sqlite_where=FIRING, postgresql_where=FIRING),
        Index("ix_alerts_history", "service_id", "dedup_key", "id"),
        Index("ix_alerts_incident_id", "incident_id"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(20), unique=True)
    service_id: Mapped[int] = mapped_column(ForeignKey("services.id", ondelete="RESTRICT"))
    integration_id: Mapped[int | None] = mapped_column(ForeignKey("integrations.id", ondelete="RESTRICT"))
    """None: opened by a person."""
    incident_id: Mapped[int] = mapped_column(ForeignKey("incidents.id", ondelete="RESTRICT"))
    dedup_key: Mapped[str] = mapped_column(String(255))
    state: Mapped[str] = mapped_column(String(16))
    """firing or resolved; pending is reserved for thresholds."""
    severity: Mapped[str] = mapped_column(String(16))
    summary: Mapped[str] = mapped_column(Text)
    details: Mapped[str] = mapped_column(Text, default="")
    source_link: Mapped[str] = mapped_column(Text, default="")
    links: Mapped[list[dict[str, str]]] = mapped_column(Json, default=list)
    labels: Mapped[dict[str, str]] = mapped_column(Json, default=dict)
    custom_details: Mapped[Any] = mapped_column(Json, nullable=True)
    count: Mapped[int] = mapped_column(default=1)
    """How many triggers it stands for."""
    window_started_at: Mapped[datetime] = mapped_column(UTCDateTime)
    window_count: Mapped[int] = mapped_column(default=1)
    """Triggers within the hour from `window_started_at`: receipts drop their bodies after the 100th."""
    last_summary: Mapped[str | None] = mapped_column(Text)
    """The summary of the latest repeat, when it differs."""
    opened_at: Mapped[datetime] = mapped_column(UTCDateTime)
    last_seen_at: Mapped[datetime] = mapped_column(UTCDateTime)
    resolved_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    resolved_by: Mapped[str | None] = mapped_column(String(16))
    """source or person."""
    resolve_occurred_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    resolve_occurred_field: Mapped[str | None] = mapped_column(String(64))
    """When the resolve says that it happened, and by which field: the order rule compares with it."""
    incident: Mapped[Incident] = relationship(back_populates="alerts")
    service: Mapped[Service] = relationship()
    integration: Mapped[Integration | None] = relationship()


class Receipt(Base):
    """One inbound request and what became of it.  No foreign key leads out: it outlives what it names."""

    __tablename__ = "receipts"
    __table_args__ = (
        Index("ix_receipts_integration_id_id", "integration_id", "id"),
        Index("ix_receipts_rejected", "integration_id", "id", sqlite_where=REJECTED, postgresql_where=REJECTED),
        Index("ix_receipts_incident_id", "incident_id", sqlite_where=PLACED, postgresql_where=PLACED),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    received_at: Mapped[datetime] = mapped_column(UTCDateTime)
    integration_id: Mapped[int | None]
    token_id: Mapped[int | None]
    door: Mapped[str] = mapped_column(String(32))
    """Which URL shape took it, such as goalert or events."""
    method: Mapped[str] = mapped_column(String(8))
    path: Mapped[str] = mapped_column(Text)
    """With its query; secrets masked."""
    headers: Mapped[dict[str, str]] = mapped_column(Json, default=dict)
    """Secrets masked."""
    remote: Mapped[str] = mapped_column(String(64), default="")
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    body_size: Mapped[int] = mapped_column(default=0)
    body_packed: Mapped[bool] = mapped_column(default=False)
    """Whether `body` is zlib data."""
    status: Mapped[int]
    """The HTTP (or SMTP) code of the answer."""
    verdict: Mapped[str] = mapped_column(String(16))
    """accepted, ignored, unrecognised or rejected."""
    reason: Mapped[str] = mapped_column(String(32))
    error: Mapped[str | None] = mapped_column(Text)
    """What was wrong and what to do."""
    action: Mapped[str | None] = mapped_column(String(16))
    dedup_key: Mapped[str | None] = mapped_column(String(255))
    alert_id: Mapped[int | None]
    incident_id: Mapped[int | None]
    event_count: Mapped[int] = mapped_column(default=0)
    """Over 1: what became of each is in receipt_events."""
    repeats: Mapped[int] = mapped_column(default=0)
    """On a counting row: how many more rejects it stands for."""


class ReceiptEvent(Base):
    """What became of one event of a batch."""

    __tablename__ = "receipt_events"
    receipt_id: Mapped[int] = mapped_column(ForeignKey("receipts.id", ondelete="RESTRICT"), primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True)
    action: Mapped[str] = mapped_column(String(16))
    dedup_key: Mapped[str | None] = mapped_column(String(255))
    verdict: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(String(32))
    error: Mapped[str | None] = mapped_column(Text)
    alert_id: Mapped[int | None]
    incident_id: Mapped[int | None] = mapped_column(index=True)


class UnknownKeyRequest(Base):
    """A request whose key nobody knows.  The last 200 rows are kept; ids are never reused, so the newest is the count."""

    __tablename__ = "unknown_key_requests"
    id: Mapped[int] = mapped_column(primary_key=True)
    received_at: Mapped[datetime] = mapped_column(UTCDateTime)
    door: Mapped[str] = mapped_column(String(32))
    method: Mapped[str] = mapped_column(String(8))
    path: Mapped[str] = mapped_column(Text)
    remote: Mapped[str] = mapped_column(String(64), default="")
    key_hint: Mapped[str] = mapped_column(String(16), default="")
    """The first signs of what was sent as a key."""
    reason: Mapped[str] = mapped_column(String(32))
    body_size: Mapped[int] = mapped_column(default=0)
