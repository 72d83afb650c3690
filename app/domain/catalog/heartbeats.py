"""Heartbeat monitors: an expected regular sign of life on an integration."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict, Unpack

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.errors import Invalid
from app.core.keys import Vault, new_public_id
from app.core.types import Actor
from app.domain.catalog import checks, records, secrets
from app.domain.catalog.checks import Check
from app.domain.catalog.secrets import SealedKey
from app.models import HeartbeatMonitor, Integration

LONGEST = 366 * 86400
"""Seconds that may lie between two beats at most."""


class HeartbeatFields(TypedDict, total=False):
    """All that can be changed of a heartbeat monitor."""

    name: str
    interval_seconds: int
    grace_seconds: int


_TABLE: Mapping[str, Check] = {
    "name": checks.line(),
    "interval_seconds": checks.whole(10, LONGEST),
    "grace_seconds": checks.whole(0, LONGEST),
}


def check_heartbeat(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as they are stored; pure.

    Raises:
        Invalid: a value is wrong.
    """
    return checks.checked(fields, _TABLE)


def create_heartbeat(
    session: Session,
    vault: Vault,
    integration: Integration,
    *,
    name: str,
    interval_seconds: int,
    actor: Actor,
    now: datetime,
    grace_seconds: int = 0,
    key: str | SealedKey | None = None,
) -> tuple[HeartbeatMonitor, str]:
    """A new monitor and its key; the first beat arms it.

    Raises:
        Invalid: a value is wrong or taken.
    """
    sealed_key = secrets.as_key(vault, key)
    values = check_heartbeat({"name": name, "interval_seconds": interval_seconds, "grace_seconds": grace_seconds})
    records.refuse_taken(session, HeartbeatMonitor, "name", values["name"], HeartbeatMonitor.integration_id == integration.id)
    _refuse_taken_key(session, sealed_key)
    row = HeartbeatMonitor(
        public_id=new_public_id("H"), integration_id=integration.id, key_hash=sealed_key.hash, key_sealed=sealed_key.sealed, created_at=now, **values
    )
    return records.create(session, row, actor=actor, now=now), sealed_key.text


def update_heartbeat(session: Session, monitor: HeartbeatMonitor, *, actor: Actor, now: datetime, **fields: Unpack[HeartbeatFields]) -> bool:
    """Change a monitor; False when there is nothing to change.

    Raises:
        Invalid: a value is wrong or taken.
    """
    values = check_heartbeat(fields)
    if "name" in values:
        records.refuse_taken(session, HeartbeatMonitor, "name", values["name"], HeartbeatMonitor.integration_id == monitor.integration_id, but=monitor)
    return records.change(session, monitor, values, actor=actor, now=now)


def rekey_heartbeat(session: Session, monitor: HeartbeatMonitor, key: SealedKey, *, actor: Actor, now: datetime) -> None:
    """Give a monitor another key; the former one is unknown at once.

    Raises:
        Invalid: it is taken.
    """
    if monitor.key_hash == key.hash:
        return
    _refuse_taken_key(session, key)
    records.change(session, monitor, {"key_hash": key.hash, "key_sealed": key.sealed}, actor=actor, now=now)


def archive_heartbeat(session: Session, monitor: HeartbeatMonitor, *, actor: Actor, now: datetime) -> bool:
    """Put a monitor away; its key is unknown from now on, and free."""
    return records.archive(session, monitor, actor=actor, now=now, key_hash=f"archived:{monitor.public_id}", key_sealed="", due_at=None)


def _refuse_taken_key(session: Session, key: SealedKey) -> None:
    if session.scalars(select(HeartbeatMonitor.id).where(HeartbeatMonitor.key_hash == key.hash)).first() is not None:
        raise Invalid("key", "This key belongs to another heartbeat already.")
