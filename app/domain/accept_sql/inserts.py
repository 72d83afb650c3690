"""Inserts that give way to a row that is there already."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.domain import rows
from app.models import Alert, Incident
from app.models.alerts import FIRING
from app.models.incidents import GROUPED_AND_OPEN

_ALERTS: Table = Alert.__table__  # type: ignore[assignment]  # declared as FromClause
_INCIDENTS: Table = Incident.__table__  # type: ignore[assignment]


def insert_open_alert(session: Session, row: rows.Row) -> int | None:
    """Insert a firing alert; None when its key is firing already (it waits for an uncommitted other one)."""
    return _insert_if_free(session, _ALERTS, row, ["service_id", "dedup_key"], FIRING)


def insert_open_incident(session: Session, row: rows.Row) -> int | None:
    """Insert an incident; None when its group is open already."""
    return _insert_if_free(session, _INCIDENTS, row, ["service_id", "group_key"], GROUPED_AND_OPEN)


def _insert_if_free(session: Session, table: Table, row: rows.Row, columns: list[str], where: Any) -> int | None:
    make = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    statement = make(table).values(row).on_conflict_do_nothing(index_elements=columns, index_where=where).returning(table.c.id)
    new_id: int | None = session.execute(statement).scalar_one_or_none()
    return new_id
