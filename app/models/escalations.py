"""Escalation policies, their steps and targets, frozen snapshots, and destinations."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.models.base import Base, Json, UTCDateTime
from app.models.people import Team


class EscalationPolicy(Base):
    """Ordered steps of whom to page, and how long to wait for an answer."""

    __tablename__ = "escalation_policies"
    __table_args__ = (
        Index(
            "uq_escalation_policies_name_living", "name", unique=True,
            sqlite_where=text("archived_at IS NULL"), postgresql_where=text("archived_at IS NULL"),
        ),
    )  # fmt: skip
    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(20), unique=True)
    pagerduty_id: Mapped[str | None] = mapped_column(String(32), unique=True)
    name: Mapped[str] = mapped_column(String(255))
    team_id: Mapped[int | None] = mapped_column(ForeignKey("teams.id", ondelete="RESTRICT"), index=True)
    repeat: Mapped[int] = mapped_column(default=0)
    """How often the steps run again after the first round: 0 to 9."""
    snapshot_id: Mapped[int | None] = mapped_column(ForeignKey("policy_snapshots.id", ondelete="RESTRICT"), index=True)
    """The snapshot of the policy as it is now; an incident keeps the one that it started with."""
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    archived_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    team: Mapped[Team | None] = relationship()
    steps: Mapped[list[EscalationStep]] = relationship(back_populates="policy", order_by="EscalationStep.position", cascade="all, delete-orphan")


class EscalationStep(Base):
    """One step: page the targets, then wait."""

    __tablename__ = "escalation_steps"
    __table_args__ = (UniqueConstraint("policy_id", "position"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(20), unique=True)
    policy_id: Mapped[int] = mapped_column(ForeignKey("escalation_policies.id", ondelete="RESTRICT"))
    position: Mapped[int]
    wait_seconds: Mapped[int]
    policy: Mapped[EscalationPolicy] = relationship(back_populates="steps")
    targets: Mapped[list[EscalationTarget]] = relationship(back_populates="step", order_by="EscalationTarget.position", cascade="all, delete-orphan")


class EscalationTarget(Base):
    """What a step pages, by kind and id; `domain.oncall` resolves it to people and addresses."""

    __tablename__ = "escalation_targets"
    id: Mapped[int] = mapped_column(primary_key=True)
    step_id: Mapped[int] = mapped_column(ForeignKey("escalation_steps.id", ondelete="RESTRICT"), index=True)
    position: Mapped[int]
    kind: Mapped[str] = mapped_column(String(32))
    """user, team, destination; later schedule and outgoing webhook."""
    ref_id: Mapped[int]
    options: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    """For a team: {"who": "all" | "lead"}."""
    step: Mapped[EscalationStep] = relationship(back_populates="targets")


class PolicySnapshot(Base):
    """A policy as it was: immutable, shared by its content's hash."""

    __tablename__ = "policy_snapshots"
    id: Mapped[int] = mapped_column(primary_key=True)
    policy_id: Mapped[int | None] = mapped_column(index=True)
    """No foreign key: policies point at their snapshot, not the other way round."""
    content_hash: Mapped[str] = mapped_column(String(64), unique=True)
    content: Mapped[dict[str, Any]] = mapped_column(Json)
    """{policy_id, name, repeat, steps: [{wait, targets: [{kind, id, …options}]}]}; wait in seconds."""
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)


class Destination(Base):
    """A shared address on a channel, such as a room or a mailing list."""

    __tablename__ = "destinations"
    __table_args__ = (
        Index("uq_destinations_name_living", "name", unique=True, sqlite_where=text("archived_at IS NULL"), postgresql_where=text("archived_at IS NULL")),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(20), unique=True)
    name: Mapped[str] = mapped_column(String(255))
    channel: Mapped[str] = mapped_column(String(64))
    address: Mapped[dict[str, str]] = mapped_column(Json)
    team_id: Mapped[int | None] = mapped_column(ForeignKey("teams.id", ondelete="RESTRICT"), index=True)
    disabled_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    disabled_reason: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    archived_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
