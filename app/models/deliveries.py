"""Deliveries and their attempts; outgoing webhooks and the answers that they got."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.models.base import Base, Json, UTCDateTime

WAITING = text("state = 'planned'")


class Delivery(Base):
    """One message to one address or URL."""

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("incident_id", "escalation_round", "escalation_step", "target", "rule", name="uq_deliveries_step"),
        Index("ix_deliveries_due", "priority", "due_at", sqlite_where=WAITING, postgresql_where=WAITING),
        Index("ix_deliveries_lease", "lease_until", sqlite_where=WAITING, postgresql_where=WAITING),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(20), unique=True)
    """Sent as X-Tocsin-Delivery, the same for every attempt."""
    subject_kind: Mapped[str] = mapped_column(String(32))
    """incident, webhook, test, …"""
    subject_id: Mapped[int]
    incident_id: Mapped[int | None] = mapped_column(ForeignKey("incidents.id", ondelete="RESTRICT"), index=True)
    escalation_round: Mapped[int | None]
    escalation_step: Mapped[int | None]
    target: Mapped[str] = mapped_column(String(64), default="")
    """Whom it is for, as user:3 or destination:5."""
    rule: Mapped[str] = mapped_column(String(64), default="")
    """Which address of theirs, and by which rule, as method:7/0s."""
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="RESTRICT"), index=True)
    channel: Mapped[str] = mapped_column(String(64))
    address: Mapped[dict[str, str]] = mapped_column(Json)
    event: Mapped[str] = mapped_column(String(32), default="incident.triggered")
    state: Mapped[str] = mapped_column(String(16))
    """planned, sent, failed or dropped (not sent, for `reason`)."""
    reason: Mapped[str | None] = mapped_column(String(32))
    priority: Mapped[int] = mapped_column(default=5)
    due_at: Mapped[datetime] = mapped_column(UTCDateTime)
    attempt_count: Mapped[int] = mapped_column(default=0)
    lease_token: Mapped[str | None] = mapped_column(String(32))
    lease_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    leased_by: Mapped[str | None] = mapped_column(String(32))
    """Boot id of the process that holds the lease."""
    lane: Mapped[str] = mapped_column(String(64), default="")
    """Channel and host: so many sends at once at most, so that one that hangs holds up no other."""
    ordering_key: Mapped[str | None] = mapped_column(String(64))
    bundle_id: Mapped[str | None] = mapped_column(String(32))
    link_token_hash: Mapped[str | None] = mapped_column(String(64), index=True)
    link_expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    attempts: Mapped[list[Attempt]] = relationship(back_populates="delivery", order_by="Attempt.id")


class Attempt(Base):
    """One try to send a delivery; written before the socket opens."""

    __tablename__ = "attempts"
    id: Mapped[int] = mapped_column(primary_key=True)
    delivery_id: Mapped[int] = mapped_column(ForeignKey("deliveries.id", ondelete="RESTRICT"), index=True)
    n: Mapped[int]
    process: Mapped[str] = mapped_column(String(64))
    """Which process sent it, as worker:<boot id>."""
    lease_token: Mapped[str] = mapped_column(String(32))
    started_at: Mapped[datetime] = mapped_column(UTCDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    outcome: Mapped[str | None] = mapped_column(String(16))
    """ok, retry, refused; None while under way; unknown when the process stopped during the send."""
    status: Mapped[int | None]
    detail: Mapped[str] = mapped_column(Text, default="")
    provider_id: Mapped[str] = mapped_column(String(255), default="")
    delivery: Mapped[Delivery] = relationship(back_populates="attempts")


class OutgoingWebhook(Base):
    """A URL that is called on incident changes."""

    __tablename__ = "outgoing_webhooks"
    __table_args__ = (
        Index("uq_outgoing_webhooks_name_living", "name", unique=True, sqlite_where=text("archived_at IS NULL"), postgresql_where=text("archived_at IS NULL")),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(20), unique=True)
    name: Mapped[str] = mapped_column(String(100))
    enabled: Mapped[bool] = mapped_column(default=True)
    team_id: Mapped[int | None] = mapped_column(ForeignKey("teams.id", ondelete="RESTRICT"), index=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="RESTRICT"), index=True)
    trigger_type: Mapped[str] = mapped_column(String(32))
    http_method: Mapped[str] = mapped_column(String(8))
    url: Mapped[str] = mapped_column(Text)
    data: Mapped[str | None] = mapped_column(Text)
    headers: Mapped[str | None] = mapped_column(Text)
    trigger_template: Mapped[str | None] = mapped_column(Text)
    username: Mapped[str | None] = mapped_column(String(100))
    password: Mapped[str | None] = mapped_column(Text)
    """Sealed."""
    authorization_header: Mapped[str | None] = mapped_column(Text)
    """Sealed."""
    forward_all: Mapped[bool] = mapped_column(default=True)
    also_in_debug: Mapped[bool] = mapped_column(default=False)
    integration_filter: Mapped[list[str] | None] = mapped_column(Json)
    preset: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    archived_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class WebhookResponse(Base):
    """What one call of an outgoing webhook sent and got, per incident."""

    __tablename__ = "webhook_responses"
    __table_args__ = (Index("ix_webhook_responses_webhook_id_id", "webhook_id", "id"), Index("ix_webhook_responses_incident_id", "incident_id"))
    id: Mapped[int] = mapped_column(primary_key=True)
    webhook_id: Mapped[int] = mapped_column(ForeignKey("outgoing_webhooks.id", ondelete="RESTRICT"))
    incident_id: Mapped[int | None] = mapped_column(ForeignKey("incidents.id", ondelete="RESTRICT"))
    delivery_id: Mapped[int | None] = mapped_column(ForeignKey("deliveries.id", ondelete="RESTRICT"), index=True)
    trigger_type: Mapped[str] = mapped_column(String(32))
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    url: Mapped[str] = mapped_column(Text, default="")
    request_trigger: Mapped[str] = mapped_column(Text, default="")
    request_headers: Mapped[str] = mapped_column(Text, default="")
    request_data: Mapped[str] = mapped_column(Text, default="")
    status_code: Mapped[int | None]
    content: Mapped[str] = mapped_column(Text, default="")
    event_data: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
