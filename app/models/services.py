"""Services, integrations and their keys, routes, heartbeat monitors, maintenance windows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.models.base import Base, Json, UTCDateTime
from app.models.escalations import EscalationPolicy
from app.models.people import Team


class Service(Base):
    """What is watched and owned; alerts belong to it."""

    __tablename__ = "services"
    __table_args__ = (
        Index("uq_services_name_living", "name", unique=True, sqlite_where=text("archived_at IS NULL"), postgresql_where=text("archived_at IS NULL")),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(20), unique=True)
    uuid: Mapped[str] = mapped_column(String(36), unique=True)
    """GoAlert's ServiceID."""
    pagerduty_id: Mapped[str | None] = mapped_column(String(32), unique=True)
    name: Mapped[str] = mapped_column(String(255))
    description: Mapped[str] = mapped_column(Text, default="")
    team_id: Mapped[int | None] = mapped_column(ForeignKey("teams.id", ondelete="RESTRICT"), index=True)
    policy_id: Mapped[int | None] = mapped_column(ForeignKey("escalation_policies.id", ondelete="RESTRICT"), index=True)
    severity_urgency: Mapped[dict[str, str]] = mapped_column(Json, default=dict)
    """Exceptions from: critical and error are high, warning and info are low."""
    default_severity: Mapped[str] = mapped_column(String(16), default="error")
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    archived_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    team: Mapped[Team | None] = relationship()
    policy: Mapped[EscalationPolicy | None] = relationship()
    integrations: Mapped[list[Integration]] = relationship(back_populates="service", order_by="Integration.id")


class Integration(Base):
    """One connection of a source to a service."""

    __tablename__ = "integrations"
    __table_args__ = (
        Index(
            "uq_integrations_service_name_living", "service_id", "name", unique=True,
            sqlite_where=text("archived_at IS NULL"), postgresql_where=text("archived_at IS NULL"),
        ),
    )  # fmt: skip
    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(20), unique=True)
    intake_id: Mapped[str] = mapped_column(String(32), unique=True)
    """The random `integrationId` of the intake URL; a capability, shown only to people who may see the key."""
    service_id: Mapped[int] = mapped_column(ForeignKey("services.id", ondelete="RESTRICT"))
    name: Mapped[str] = mapped_column(String(255))
    source: Mapped[str] = mapped_column(String(64))
    enabled: Mapped[bool] = mapped_column(default=True)
    is_builtin: Mapped[bool] = mapped_column(default=False)
    """The service's own "API" integration, which events by API key go to."""
    options: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    """The source's options, such as a field mapping."""
    templates: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    signature_secret: Mapped[str | None] = mapped_column(Text)
    """Sealed."""
    signature_scheme: Mapped[str | None] = mapped_column(String(32))
    require_key: Mapped[bool] = mapped_column(default=False)
    """Refuse requests that bring only the integrationId."""
    rate_limit: Mapped[int | None]
    """Requests a minute; None: the installation's; 0: no limit."""
    group_by: Mapped[str] = mapped_column(String(16), default="alert")
    """alert, group (the vendor's group key) or template."""
    group_template: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    archived_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    service: Mapped[Service] = relationship(back_populates="integrations")
    keys: Mapped[list[IntegrationKey]] = relationship(back_populates="integration", order_by="IntegrationKey.id")
    routes: Mapped[list[Route]] = relationship(back_populates="integration", order_by="Route.position")


class IntegrationKey(Base):
    """A secret that names an integration; two may live at once while one is rotated."""

    __tablename__ = "integration_keys"
    id: Mapped[int] = mapped_column(primary_key=True)
    integration_id: Mapped[int] = mapped_column(ForeignKey("integrations.id", ondelete="RESTRICT"), index=True)
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    key_sealed: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    integration: Mapped[Integration] = relationship(back_populates="keys")


class Route(Base):
    """An ordered condition on an integration: which service, policy, severity and group."""

    __tablename__ = "routes"
    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(20), unique=True)
    integration_id: Mapped[int] = mapped_column(ForeignKey("integrations.id", ondelete="RESTRICT"), index=True)
    position: Mapped[int]
    condition: Mapped[str] = mapped_column(Text)
    """A template that renders to true or 1; empty: always."""
    service_id: Mapped[int | None] = mapped_column(ForeignKey("services.id", ondelete="RESTRICT"), index=True)
    policy_id: Mapped[int | None] = mapped_column(ForeignKey("escalation_policies.id", ondelete="RESTRICT"), index=True)
    severity: Mapped[str | None] = mapped_column(String(16))
    group_template: Mapped[str | None] = mapped_column(Text)
    integration: Mapped[Integration] = relationship(back_populates="routes")
    service: Mapped[Service | None] = relationship()
    policy: Mapped[EscalationPolicy | None] = relationship()


class HeartbeatMonitor(Base):
    """An expected regular sign of life on an integration."""

    __tablename__ = "heartbeat_monitors"
    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(20), unique=True)
    integration_id: Mapped[int] = mapped_column(ForeignKey("integrations.id", ondelete="RESTRICT"), index=True)
    name: Mapped[str] = mapped_column(String(255))
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    key_sealed: Mapped[str] = mapped_column(Text)
    interval_seconds: Mapped[int]
    grace_seconds: Mapped[int] = mapped_column(default=0)
    state: Mapped[str] = mapped_column(String(16), default="new")
    """new (never beat), alive, missing or paused."""
    last_beat_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    due_at: Mapped[datetime | None] = mapped_column(UTCDateTime, index=True)
    incident_id: Mapped[int | None] = mapped_column(ForeignKey("incidents.id", ondelete="RESTRICT"), index=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    archived_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class MaintenanceWindow(Base):
    """Planned quiet time of one integration or service, with a start and an end."""

    __tablename__ = "maintenance_windows"
    __table_args__ = (CheckConstraint("(integration_id IS NULL) <> (service_id IS NULL)", name="ck_maintenance_windows_one_subject"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(20), unique=True)
    integration_id: Mapped[int | None] = mapped_column(ForeignKey("integrations.id", ondelete="RESTRICT"), index=True)
    service_id: Mapped[int | None] = mapped_column(ForeignKey("services.id", ondelete="RESTRICT"), index=True)
    mode: Mapped[str] = mapped_column(String(16))
    """debug or maintenance."""
    title: Mapped[str] = mapped_column(String(255), default="")
    starts_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
    ends_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
    started_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    recurrence: Mapped[str | None] = mapped_column(Text)
    """An RFC 5545 RRULE."""
    incident_id: Mapped[int | None] = mapped_column(ForeignKey("incidents.id", ondelete="RESTRICT"), index=True)
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="RESTRICT"), index=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
