"""What was changed by whom, and the rows by which Tocsin watches itself."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Json, UTCDateTime


class Meta(Base):
    """One row, id 1: facts about the installation."""

    __tablename__ = "meta"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    config_version: Mapped[int] = mapped_column(default=1)
    """Raised by every change of the catalog; accepting starts from it."""


class AuditEntry(Base):
    """Who changed what, with what it was before and after."""

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_noun_noun_id", "noun", "noun_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    actor_kind: Mapped[str] = mapped_column(String(16))
    actor_id: Mapped[int | None]
    actor_label: Mapped[str] = mapped_column(String(255))
    verb: Mapped[str] = mapped_column(String(32))
    noun: Mapped[str] = mapped_column(String(32))
    noun_id: Mapped[int | None]
    noun_label: Mapped[str] = mapped_column(String(255), default="")
    before: Mapped[dict[str, Any] | None] = mapped_column(Json)
    after: Mapped[dict[str, Any] | None] = mapped_column(Json)


class Process(Base):
    """A running process and its last sign of life."""

    __tablename__ = "processes"
    boot_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    """web, worker, ticker or smtp."""
    pid: Mapped[int]
    host: Mapped[str] = mapped_column(String(255))
    version: Mapped[str] = mapped_column(String(32))
    started_at: Mapped[datetime] = mapped_column(UTCDateTime)
    heartbeat_at: Mapped[datetime] = mapped_column(UTCDateTime)


class ManagerRun(Base):
    """The last run of one manager of the ticker."""

    __tablename__ = "manager_runs"
    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    ran_at: Mapped[datetime] = mapped_column(UTCDateTime)
    duration_ms: Mapped[int]
    done: Mapped[int] = mapped_column(default=0)
    lag_seconds: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None] = mapped_column(Text)
    failed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class StoredSetting(Base):
    """A setting made in the browser; the environment beats it."""

    __tablename__ = "settings"
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(Text)
    """Sealed when the setting is secret."""
    changed_at: Mapped[datetime] = mapped_column(UTCDateTime)
