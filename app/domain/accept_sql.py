"""The fast path: one plain trigger or resolve in one statement (PostgreSQL) or a few (SQLite).

The one module that knows the SQL dialect.  On PostgreSQL everything hangs on `cfg`, so that a changed catalog stores
nothing.  No row back means a lost race, a changed catalog, or something that is not plain after all: the caller decides.
Alerts are locked before incidents; a duplicate never touches the incident.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Connection, Integer, LargeBinary, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from sqlalchemy.types import JSON

from app.core.types import Action, Reason
from app.domain import rows
from app.domain.incidents import stamp
from app.domain.plans import LATE_WITHIN, REPEAT_WINDOW, Outcome, Plan, PlannedEvent
from app.models import Alert, Incident, Receipt, TimelineEntry
from app.models.alerts import FIRING
from app.models.base import UTCDateTime, to_iso
from app.models.incidents import GROUPED_AND_OPEN

_ALERTS: Table = Alert.__table__  # type: ignore[assignment]  # declared as FromClause
_INCIDENTS: Table = Incident.__table__  # type: ignore[assignment]
_TIMELINE: Table = TimelineEntry.__table__  # type: ignore[assignment]
_RECEIPTS: Table = Receipt.__table__  # type: ignore[assignment]


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


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


def _cast(table: Table, column: str) -> str:
    kind = table.c[column].type
    if isinstance(kind, UTCDateTime):
        return "timestamptz"
    if isinstance(kind, JSON):
        return "jsonb"
    for known, name in ((Boolean, "boolean"), (LargeBinary, "bytea"), (Integer, "bigint")):
        if isinstance(kind, known):
            return name
    return "text"


def _values(table: Table, prefix: str, columns: Iterable[str]) -> str:
    """Parameters with their types said: a bare one would be text inside INSERT … SELECT."""
    return ", ".join(f"%({prefix}{column})s::{_cast(table, column)}" for column in columns)


_ALERT_COLUMNS = (
    "public_id", "service_id", "integration_id", "dedup_key", "state", "severity", "summary", "details", "source_link", "links", "labels",
    "custom_details", "count", "opened_at", "last_seen_at", "window_started_at", "window_count",
)  # fmt: skip
_INCIDENT_COLUMNS = (
    "public_id", "service_id", "integration_id", "route_id", "state", "title", "severity", "urgency", "kind", "group_key", "alert_count", "opened_at",
    "policy_snapshot_id", "escalation_round", "escalation_step", "escalation_repeat", "next_step_at", "idle_reason", "changed_at",
)  # fmt: skip
_TIMELINE_COLUMNS = ("at", "kind", "reason", "actor_kind", "actor_id", "actor_label", "data", "webhooks_planned_at")
_RECEIPT_COLUMNS = (
    "received_at", "integration_id", "token_id", "door", "method", "path", "headers", "remote", "body_size", "body_packed", "status", "verdict",
    "error", "action", "dedup_key", "event_count", "repeats",
)  # fmt: skip

_JSON_COLUMNS = frozenset({"links", "labels", "custom_details", "data", "headers"})

_CFG = "WITH cfg AS (SELECT 1 FROM meta WHERE id = 1 AND config_version = %(config_version)s::bigint)"
_STORE_RECEIPT = f"""
INSERT INTO receipts ({", ".join(_RECEIPT_COLUMNS)}, body, reason, alert_id, incident_id)
SELECT {_values(_RECEIPTS, "r_", _RECEIPT_COLUMNS)}, CASE WHEN res.keep_body THEN %(r_body)s::bytea END, res.reason, res.alert_id, res.incident_id FROM res
RETURNING alert_id, incident_id, reason"""  # noqa: S608 - made of our own column names
_LATE = """ AND NOT EXISTS (SELECT 1 FROM (
    SELECT state, integration_id, resolved_at, resolve_occurred_at, resolve_occurred_field FROM alerts
    WHERE service_id = %(a_service_id)s::bigint AND dedup_key = %(a_dedup_key)s::text ORDER BY id DESC LIMIT 1) last
  WHERE last.state = 'resolved' AND last.integration_id = %(a_integration_id)s::bigint AND last.resolve_occurred_field = %(occurred_field)s::text
    AND last.resolve_occurred_at > %(occurred_at)s AND last.resolved_at >= %(late_since)s)"""
_TRIGGER = f"""{_CFG},
dup AS (UPDATE alerts SET count = count + 1, last_seen_at = %(now)s, last_summary = %(a_summary)s::text,
    window_started_at = CASE WHEN window_started_at > %(window_since)s THEN window_started_at ELSE %(now)s END,
    window_count = CASE WHEN window_started_at > %(window_since)s THEN window_count + 1 ELSE 1 END
  WHERE service_id = %(a_service_id)s::bigint AND dedup_key = %(a_dedup_key)s::text AND state = 'firing' AND EXISTS (SELECT 1 FROM cfg)
  RETURNING id, incident_id, window_count),
ids AS (SELECT nextval('incidents_id_seq') AS id FROM cfg WHERE NOT EXISTS (SELECT 1 FROM dup){{late}}),
al AS (INSERT INTO alerts ({", ".join(_ALERT_COLUMNS)}, incident_id)
  SELECT {_values(_ALERTS, "a_", _ALERT_COLUMNS)}, ids.id FROM ids
  ON CONFLICT (service_id, dedup_key) WHERE state = 'firing' DO NOTHING RETURNING id, incident_id),
inc AS (INSERT INTO incidents (id, {", ".join(_INCIDENT_COLUMNS)})
  SELECT al.incident_id, {_values(_INCIDENTS, "i_", _INCIDENT_COLUMNS)} FROM al RETURNING id),
tl AS (INSERT INTO timeline (incident_id, {", ".join(_TIMELINE_COLUMNS)}) SELECT inc.id, {_values(_TIMELINE, "t_", _TIMELINE_COLUMNS)} FROM inc),
res AS (SELECT id AS alert_id, incident_id, 'duplicate' AS reason, window_count <= {rows.BODY_KEPT_REPEATS} AS keep_body FROM dup
  UNION ALL SELECT id, incident_id, 'new_incident', true FROM al)
{_STORE_RECEIPT}"""  # noqa: S608 - made of our own column names
_RESOLVE = f"""{_CFG},
held AS (SELECT id, incident_id FROM alerts
  WHERE dedup_key = %(a_dedup_key)s::text AND state = 'firing' AND (integration_id = %(a_integration_id)s::bigint OR service_id = %(a_service_id)s::bigint)
    AND EXISTS (SELECT 1 FROM cfg) ORDER BY id FOR UPDATE),
own AS (SELECT i.id, held.id AS alert_id FROM incidents i JOIN held ON i.id = held.incident_id
  WHERE i.alert_count = 1 AND i.state <> 'resolved' AND (SELECT count(*) FROM held) = 1 FOR UPDATE OF i),
al AS (UPDATE alerts a SET state = 'resolved', resolved_at = %(now)s, resolved_by = 'source', resolve_occurred_at = %(occurred_at)s::timestamptz,
    resolve_occurred_field = %(occurred_field)s::text FROM own WHERE a.id = own.alert_id RETURNING a.id, a.incident_id),
inc AS (UPDATE incidents i SET state = 'resolved', resolved_at = %(now)s, resolved_by = %(stamp)s::jsonb, snoozed_at = NULL, snoozed_until = NULL,
    next_step_at = NULL, idle_reason = 'resolved', changed_at = %(now)s FROM al WHERE i.id = al.incident_id RETURNING i.id),
tl AS (INSERT INTO timeline (incident_id, {", ".join(_TIMELINE_COLUMNS)}) SELECT inc.id, {_values(_TIMELINE, "t_", _TIMELINE_COLUMNS)} FROM inc),
res AS (SELECT id AS alert_id, incident_id, 'resolved' AS reason, true AS keep_body FROM al
  UNION ALL SELECT NULL, NULL, 'nothing_open', true FROM cfg WHERE NOT EXISTS (SELECT 1 FROM held))
{_STORE_RECEIPT}"""  # noqa: S608 - made of our own column names


class _Statement:
    """A statement with numbered parameters, for psycopg's RawCursor, which does not parse it again at each call."""

    def __init__(self, named: str) -> None:
        """Number the named parameters; equal values share a number."""
        numbers: dict[str, int] = {}

        def number(match: re.Match[str]) -> str:
            return f"${numbers.setdefault(_SAME.get(match[1], match[1]), len(numbers) + 1)}"

        self._text = re.sub(r"%\((\w+)\)s", number, named)
        self._names = tuple(numbers)

    def run(self, connection: Connection, values: Mapping[str, Any]) -> Any:
        """Execute it; the row that came back, or None."""
        return connection.exec_driver_sql(self._text, tuple([values[name] for name in self._names])).one_or_none()


_SAME = {
    **dict.fromkeys(("a_opened_at", "a_last_seen_at", "a_window_started_at", "i_opened_at", "i_changed_at", "t_at", "r_received_at"), "now"),
    **dict.fromkeys(("i_service_id", "service_id"), "a_service_id"),
    **dict.fromkeys(("i_integration_id", "r_integration_id", "t_actor_id"), "a_integration_id"),
    "i_severity": "a_severity",
    "i_title": "a_summary",
    "r_dedup_key": "a_dedup_key",
}
"""Columns of a new alert's rows that always hold one value."""
_TRIGGER_DATED, _TRIGGER_UNDATED = _Statement(_TRIGGER.format(late=_LATE)), _Statement(_TRIGGER.format(late=""))
_RESOLVE_PLAIN = _Statement(_RESOLVE)


def accept_postgresql(connection: Connection, plan: Plan, event: PlannedEvent) -> Outcome | None:
    """Accept on an AUTOCOMMIT connection: one statement is one transaction.  None: nothing was stored, look closer."""
    if event.action is Action.TRIGGER:
        statement = _TRIGGER_DATED if event.occurred_at else _TRIGGER_UNDATED
        parameters = _trigger_parameters(plan, event)
    else:
        statement = _RESOLVE_PLAIN
        parameters = _resolve_parameters(plan, event)
    row = statement.run(connection, parameters)
    return _outcome(event, row.alert_id, row.incident_id, Reason(row.reason)) if row else None


def _trigger_parameters(plan: Plan, event: PlannedEvent) -> dict[str, Any]:
    parameters = {
        "now": plan.now,
        "config_version": _text(plan.integration.config_version),
        "window_since": plan.now - REPEAT_WINDOW,
        "late_since": plan.now - LATE_WITHIN,
        "occurred_at": event.occurred_at,
        "occurred_field": event.occurred_field,
    }
    _put(parameters, "a_", rows.alert(plan, event))
    _put(parameters, "i_", rows.incident(plan, event))
    _put(parameters, "t_", rows.timeline(plan, "opened", Reason.NEW_INCIDENT, summary=event.summary, dedup_key=event.dedup_key))
    _put(parameters, "r_", _receipt(plan, event))
    return parameters


def _resolve_parameters(plan: Plan, event: PlannedEvent) -> dict[str, Any]:
    parameters = {
        "now": plan.now,
        "config_version": _text(plan.integration.config_version),
        "a_service_id": _text(event.service.id),
        "a_integration_id": _text(plan.integration.id),
        "a_dedup_key": event.dedup_key,
        "occurred_at": event.occurred_at,
        "occurred_field": event.occurred_field if event.occurred_at else None,
        "stamp": json.dumps(stamp(plan.actor)),
    }
    _put(parameters, "t_", rows.timeline(plan, "resolved", Reason.RESOLVED))
    _put(parameters, "r_", _receipt(plan, event))
    return parameters


def _put(parameters: dict[str, Any], prefix: str, row: Mapping[str, Any]) -> None:
    for column, value in row.items():
        if column in _JSON_COLUMNS and value is not None:
            value = _json(value)
        parameters[prefix + column] = _text(value)


def _text(value: Any) -> Any:
    """Numbers as text, which the statement casts: psycopg would choose a type by size, and prepare one statement for each mixture."""
    return str(value) if type(value) is int else value


def _json(value: Any) -> str:
    return json.dumps(value) if value else _EMPTY.get(type(value)) or json.dumps(value)


_EMPTY: dict[type, str] = {dict: "{}", list: "[]"}


def _receipt(plan: Plan, event: PlannedEvent) -> rows.Row:
    return rows.receipt(plan, (_outcome(event, None, None, Reason.NEW_INCIDENT),))


def _outcome(event: PlannedEvent, alert_id: int | None, incident_id: int | None, reason: Reason) -> Outcome:
    return Outcome(event.action, "accepted", reason, event.dedup_key, alert_id, incident_id, event.service)


# --- SQLite -----------------------------------------------------------------------------------------------------------


def sqlite_config_version(cursor: sqlite3.Cursor) -> int:
    """The number of the present catalog."""
    version: int = cursor.execute("SELECT config_version FROM meta WHERE id = 1").fetchone()[0]
    return version


def accept_sqlite(cursor: sqlite3.Cursor, plan: Plan, event: PlannedEvent) -> Outcome | None:
    """Accept within the writer's transaction.  None: nothing was stored, the general path must look closer."""
    outcome = _trigger_sqlite(cursor, plan, event) if event.action is Action.TRIGGER else _resolve_sqlite(cursor, plan, event)
    if outcome is not None:
        _insert(cursor, "receipts", rows.receipt(plan, (outcome,)))
    return outcome


def _trigger_sqlite(cursor: sqlite3.Cursor, plan: Plan, event: PlannedEvent) -> Outcome | None:
    now, window = to_iso(plan.now), to_iso(plan.now - REPEAT_WINDOW)
    repeated = cursor.execute(
        "UPDATE alerts SET count = count + 1, last_seen_at = :now, last_summary = :summary,"
        " window_started_at = CASE WHEN window_started_at > :window THEN window_started_at ELSE :now END,"
        " window_count = CASE WHEN window_started_at > :window THEN window_count + 1 ELSE 1 END"
        " WHERE service_id = :service AND dedup_key = :key AND state = 'firing' RETURNING id, incident_id, window_count",
        {"now": now, "summary": event.summary, "window": window, "service": event.service.id, "key": event.dedup_key},
    ).fetchone()
    if repeated is not None:
        keep_body = repeated[2] <= rows.BODY_KEPT_REPEATS
        return Outcome(Action.TRIGGER, "accepted", Reason.DUPLICATE, event.dedup_key, repeated[0], repeated[1], event.service, keep_body=keep_body)
    if event.occurred_at is not None and _may_be_late_sqlite(cursor, plan, event):
        return None
    incident_id = _insert(cursor, "incidents", rows.incident(plan, event))
    alert_id = _insert(cursor, "alerts", {**rows.alert(plan, event), "incident_id": incident_id})
    line = rows.timeline(plan, "opened", Reason.NEW_INCIDENT, summary=event.summary, dedup_key=event.dedup_key)
    _insert(cursor, "timeline", {**line, "incident_id": incident_id})
    return _outcome(event, alert_id, incident_id, Reason.NEW_INCIDENT)


def _may_be_late_sqlite(cursor: sqlite3.Cursor, plan: Plan, event: PlannedEvent) -> bool:
    """Whether the key was resolved within the last minutes; the general path then compares the times."""
    last = cursor.execute(
        "SELECT resolved_at FROM alerts WHERE service_id = ? AND dedup_key = ? ORDER BY id DESC LIMIT 1", (event.service.id, event.dedup_key)
    ).fetchone()
    return last is not None and last[0] is not None and last[0] >= to_iso(plan.now - LATE_WITHIN)


def _resolve_sqlite(cursor: sqlite3.Cursor, plan: Plan, event: PlannedEvent) -> Outcome | None:
    found = cursor.execute(
        "SELECT a.id, a.incident_id, i.alert_count FROM alerts a JOIN incidents i ON i.id = a.incident_id"
        " WHERE a.dedup_key = ? AND a.state = 'firing' AND (a.integration_id = ? OR a.service_id = ?) LIMIT 2",
        (event.dedup_key, plan.integration.id, event.service.id),
    ).fetchall()
    if not found:
        return _outcome(event, None, None, Reason.NOTHING_OPEN)
    alert_id, incident_id, alert_count = found[0]
    if len(found) > 1 or alert_count != 1:
        return None
    now = to_iso(plan.now)
    occurred = to_iso(event.occurred_at) if event.occurred_at else None
    cursor.execute(
        "UPDATE alerts SET state = 'resolved', resolved_at = ?, resolved_by = 'source', resolve_occurred_at = ?, resolve_occurred_field = ? WHERE id = ?",
        (now, occurred, event.occurred_field if occurred else None, alert_id),
    )
    cursor.execute(
        "UPDATE incidents SET state = 'resolved', resolved_at = :now, resolved_by = :stamp, snoozed_at = NULL, snoozed_until = NULL,"
        " next_step_at = NULL, idle_reason = 'resolved', changed_at = :now WHERE id = :id",
        {"now": now, "stamp": json.dumps(stamp(plan.actor)), "id": incident_id},
    )
    _insert(cursor, "timeline", {**rows.timeline(plan, "resolved", Reason.RESOLVED), "incident_id": incident_id})
    return _outcome(event, alert_id, incident_id, Reason.RESOLVED)


_INSERTS: dict[tuple[str, int], str] = {}


def _insert(cursor: sqlite3.Cursor, table: str, row: Mapping[str, Any]) -> int:
    statement = _INSERTS.get((table, len(row)))
    if statement is None:
        names = ", ".join(row)
        statement = f"INSERT INTO {table} ({names}) VALUES ({', '.join(':' + name for name in row)})"  # noqa: S608 - our own names
        _INSERTS[(table, len(row))] = statement
    cursor.execute(statement, {name: _for_sqlite(name, value) for name, value in row.items()})
    return cursor.lastrowid or 0


def _for_sqlite(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _JSON_COLUMNS:
        return _json(value)
    return to_iso(value) if isinstance(value, datetime) else value
