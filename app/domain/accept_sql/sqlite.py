"""Accept on SQLite: a few statements for each event, within the transaction of the process's committer."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from app.core.types import Action, Ignored, Reason
from app.domain import rows
from app.domain.accept_sql.values import JSON_COLUMNS, ignored, outcome_of, to_json
from app.domain.incidents import stamp
from app.domain.plans import LATE_WITHIN, REPEAT_WINDOW, Outcome, Plan, PlannedEvent
from app.models.base import to_iso


def config_version(cursor: sqlite3.Cursor) -> int:
    """The number of the present catalog."""
    version: int = cursor.execute("SELECT config_version FROM meta WHERE id = 1").fetchone()[0]
    return version


def accept(cursor: sqlite3.Cursor, plan: Plan) -> list[Outcome] | None:
    """Accept a plain plan within the writer's transaction.  None: nothing was stored, look closer."""
    if len(plan.events) == 1:
        outcomes = _apply_all(cursor, plan)
    else:
        cursor.execute("SAVEPOINT plan")
        outcomes = _apply_all(cursor, plan)
        if outcomes is None:
            cursor.execute("ROLLBACK TO plan")
        cursor.execute("RELEASE plan")
    if outcomes is not None:
        _store_receipt(cursor, plan, outcomes)
    return outcomes


def _apply_all(cursor: sqlite3.Cursor, plan: Plan) -> list[Outcome] | None:
    found: dict[int, Outcome] = {}
    for n, event in plan.in_lock_order():
        outcome = ignored(event) if isinstance(event, Ignored) else _apply(cursor, plan, event)
        if outcome is None:
            return None
        found[n] = outcome
    return [found[n] for n in range(len(plan.events))]


def _apply(cursor: sqlite3.Cursor, plan: Plan, event: PlannedEvent) -> Outcome | None:
    return _trigger(cursor, plan, event) if event.action is Action.TRIGGER else _resolve(cursor, plan, event)


def _store_receipt(cursor: sqlite3.Cursor, plan: Plan, outcomes: Sequence[Outcome]) -> None:
    receipt_id = _insert(cursor, "receipts", rows.receipt(plan, outcomes))
    if len(outcomes) > 1:
        for n, outcome in enumerate(outcomes):
            _insert(cursor, "receipt_events", {**rows.receipt_event(n, outcome), "receipt_id": receipt_id})


def _trigger(cursor: sqlite3.Cursor, plan: Plan, event: PlannedEvent) -> Outcome | None:
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
    if event.occurred_at is not None and _may_be_late(cursor, plan, event):
        return None
    incident_id = _insert(cursor, "incidents", rows.incident(plan, event))
    alert_id = _insert(cursor, "alerts", {**rows.alert(plan, event), "incident_id": incident_id})
    line = rows.timeline(plan, "opened", Reason.NEW_INCIDENT, summary=event.summary, dedup_key=event.dedup_key)
    _insert(cursor, "timeline", {**line, "incident_id": incident_id})
    return outcome_of(event, alert_id, incident_id, Reason.NEW_INCIDENT)


def _may_be_late(cursor: sqlite3.Cursor, plan: Plan, event: PlannedEvent) -> bool:
    """Whether the key was resolved within the last minutes; the general path then compares the times."""
    last = cursor.execute(
        "SELECT resolved_at FROM alerts WHERE service_id = ? AND dedup_key = ? ORDER BY id DESC LIMIT 1", (event.service.id, event.dedup_key)
    ).fetchone()
    return last is not None and last[0] is not None and last[0] >= to_iso(plan.now - LATE_WITHIN)


def _resolve(cursor: sqlite3.Cursor, plan: Plan, event: PlannedEvent) -> Outcome | None:
    found = cursor.execute(
        "SELECT a.id, a.incident_id, i.alert_count FROM alerts a JOIN incidents i ON i.id = a.incident_id"
        " WHERE a.dedup_key = ? AND a.state = 'firing' AND (a.integration_id = ? OR a.service_id = ?) LIMIT 2",
        (event.dedup_key, plan.integration.id, event.service.id),
    ).fetchall()
    if not found:
        return outcome_of(event, None, None, Reason.NOTHING_OPEN)
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
    return outcome_of(event, alert_id, incident_id, Reason.RESOLVED)


_INSERTS: dict[tuple[str, ...], str] = {}


def _insert(cursor: sqlite3.Cursor, table: str, row: Mapping[str, Any]) -> int:
    shape = (table, *row)
    statement = _INSERTS.get(shape)
    if statement is None:
        statement = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"  # noqa: S608 - our own names
        _INSERTS[shape] = statement
    cursor.execute(statement, [_for_sqlite(name, value) for name, value in row.items()])
    return cursor.lastrowid or 0


def _for_sqlite(name: str, value: Any) -> Any:
    kind = type(value)
    if kind is str and name != "custom_details":
        return value
    if kind is datetime:
        return to_iso(value)
    return to_json(value) if name in JSON_COLUMNS and value is not None else value
