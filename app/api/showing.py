"""Small things that every noun shows: times, addresses of pages, who did it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.wiring.runtime import runtime


def iso(at: datetime | None) -> str | None:
    """A time as OnCall writes it: UTC, a Z at the end, microseconds when there are any."""
    return at.isoformat().replace("+00:00", "Z") if at else None


def page_of_incident(number: int) -> str:
    """The address of an incident's page."""
    return f"{runtime().settings.base_url}/incidents/{number}"


def user_ids_in(*stamps: Mapping[str, Any] | None) -> list[int | None]:
    """The row ids of the people in `acknowledged_by` and `resolved_by`."""
    return [stamp["user_id"] for stamp in stamps if stamp]


def user_in(stamp: Mapping[str, Any] | None, users: Mapping[int, str]) -> str | None:
    """The public id of the person in such a column."""
    return users.get(stamp["user_id"]) if stamp and stamp["user_id"] is not None else None
