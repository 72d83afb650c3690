"""Incidents, who they are assigned to, and their timeline."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.models.base import Base, Json, UTCDateTime
from app.models.escalations import PolicySnapshot
from app.models.services import Integration, Service

if TYPE_CHECKING:
    from app.models.alerts import Alert

GROUPED_AND_OPEN = text("state <> 'resolved' AND group_key IS NOT NULL")
DUE = text("next_step_at IS NOT NULL")
SLEEPING = text("snoozed_until IS NOT NULL")
UNPLANNED = text("webhooks_planned_at IS NULL")
OPEN = text("state <> 'resolved'")


class Incident(Base):
    """What people are paged for; one or more alerts."""

    __tablename__ = "incidents"
    __table_args__ = (
        Index("uq_incidents_group", "service_id", "group_key", unique=True, sqlite_where=GROUPED_AND_OPEN, postgresql_where=GROUPED_AND_OPEN),
        Index("ix_incidents_next_step_at", "next_step_at", sqlite_where=DUE, postgresql_where=DUE),
        Index("ix_incidents_snoozed_until", "snoozed_until", sqlite_where=SLEEPING, postgresql_where=SLEEPING),
        Index("ix_incidents_open", "id", sqlite_where=OPEN, postgresql_where=OPEN),
        Index("ix_incidents_service_id_id", "service_id", "id"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    """GoAlert's AlertID."""
    public_id: Mapped[str] = mapped_column(String(20), unique=True)
    service_id: Mapped[int] = mapped_column(ForeignKey("services.id", ondelete="RESTRICT"))
    integration_id: Mapped[int | None] = mapped_column(ForeignKey("integrations.id", ondelete="RESTRICT"))
    route_id: Mapped[int | None]
    """No foreign key: a deleted route stays named."""
    state: Mapped[str] = mapped_column(String(16))
    """triggered, acknowledged or resolved."""
    title: Mapped[str] = mapped_column(Text)
    severity: Mapped[str] = mapped_column(String(16))
    urgency: Mapped[str] = mapped_column(String(8))
    kind: Mapped[str] = mapped_column(String(16), default="alert")
    """alert, unrecognised, maintenance, limited or test."""
    group_key: Mapped[str | None] = mapped_column(String(255))
    alert_count: Mapped[int] = mapped_column(default=1)
    opened_at: Mapped[datetime] = mapped_column(UTCDateTime)
    acknowledged_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    acknowledged_by: Mapped[dict[str, Any] | None] = mapped_column(Json)
    """{kind, label, id, user_id} of the actor."""
    resolved_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    resolved_by: Mapped[dict[str, Any] | None] = mapped_column(Json)
    snoozed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    snoozed_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    policy_snapshot_id: Mapped[int | None] = mapped_column(ForeignKey("policy_snapshots.id", ondelete="RESTRICT"))
    escalation_round: Mapped[int] = mapped_column(default=0)
    """Counts restarts and repeats, so that one step of one round happens once."""
    escalation_step: Mapped[int] = mapped_column(default=0)
    """The step, from 0, that runs at `next_step_at`."""
    escalation_repeat: Mapped[int] = mapped_column(default=0)
    """How often the steps have been repeated since the last start."""
    next_step_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    idle_reason: Mapped[str | None] = mapped_column(String(32))
    """Why there is no next step, when there is none."""
    maintenance_window_id: Mapped[int | None]
    merged_into_id: Mapped[int | None] = mapped_column(ForeignKey("incidents.id", ondelete="RESTRICT"))
    custom: Mapped[dict[str, Any] | None] = mapped_column(Json)
    """Reserved for custom fields."""
    changed_at: Mapped[datetime] = mapped_column(UTCDateTime)
    alerts: Mapped[list[Alert]] = relationship(back_populates="incident", order_by="Alert.id")
    service: Mapped[Service] = relationship()
    integration: Mapped[Integration | None] = relationship()
    policy_snapshot: Mapped[PolicySnapshot | None] = relationship()
    timeline: Mapped[list[TimelineEntry]] = relationship(back_populates="incident", order_by="TimelineEntry.id")
    assignments: Mapped[list[Assignment]] = relationship(back_populates="incident", order_by="Assignment.id")


class Assignment(Base):
    """A person who has an incident, and how they came to it."""

    __tablename__ = "assignments"
    id: Mapped[int] = mapped_column(primary_key=True)
    incident_id: Mapped[int] = mapped_column(ForeignKey("incidents.id", ondelete="RESTRICT"), index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="RESTRICT"), index=True)
    via: Mapped[str] = mapped_column(String(32))
    """reassign, acknowledge or step."""
    assigned_at: Mapped[datetime] = mapped_column(UTCDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    incident: Mapped[Incident] = relationship(back_populates="assignments")


class TimelineEntry(Base):
    """One line of an incident's history, and the outbox that outgoing webhooks are planned from."""

    __tablename__ = "timeline"
    __table_args__ = (
        Index("ix_timeline_incident_id_id", "incident_id", "id"),
        Index("ix_timeline_unplanned", "id", sqlite_where=UNPLANNED, postgresql_where=UNPLANNED),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    incident_id: Mapped[int] = mapped_column(ForeignKey("incidents.id", ondelete="RESTRICT"))
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    kind: Mapped[str] = mapped_column(String(32))
    reason: Mapped[str | None] = mapped_column(String(32))
    actor_kind: Mapped[str] = mapped_column(String(16))
    actor_id: Mapped[int | None]
    actor_label: Mapped[str] = mapped_column(String(255))
    data: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    webhooks_planned_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    """When outgoing webhooks were planned from it; set at once when there are none."""
    incident: Mapped[Incident] = relationship(back_populates="timeline")
