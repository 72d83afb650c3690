"""Accept on PostgreSQL: one statement with data-modifying CTEs for each event.

Everything hangs on `cfg`, so that a changed catalog stores nothing.  Alerts are locked before incidents, and a
duplicate never touches the incident.  A resolve is plain only while its alert is the only one of its incident.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import psycopg
from sqlalchemy import Boolean, Integer, LargeBinary, Table
from sqlalchemy.types import JSON

from app.core.types import Action, Ignored, Reason
from app.domain import rows
from app.domain.accept_sql.values import JSON_COLUMNS, ignored, outcome_of, to_json
from app.domain.incidents import stamp
from app.domain.plans import LATE_WITHIN, REPEAT_WINDOW, Outcome, Plan, PlannedEvent
from app.models import Alert, Incident, Receipt, ReceiptEvent, TimelineEntry
from app.models.base import UTCDateTime

Cursor = psycopg.Cursor[Any]
_ALERTS: Table = Alert.__table__  # type: ignore[assignment]  # declared as FromClause
_INCIDENTS: Table = Incident.__table__  # type: ignore[assignment]
_TIMELINE: Table = TimelineEntry.__table__  # type: ignore[assignment]
_RECEIPTS: Table = Receipt.__table__  # type: ignore[assignment]
_RECEIPT_EVENTS: Table = ReceiptEvent.__table__  # type: ignore[assignment]


_CONSTANT = {
    **{"a_state": "'firing'", "a_count": "1", "a_window_count": "1", "i_state": "'triggered'", "i_kind": "'alert'", "i_group_key": "NULL::text"},
    **{"i_alert_count": "1", "i_escalation_round": "1", "i_escalation_step": "0", "i_escalation_repeat": "0", "t_actor_kind": "'source'"},
    **{"r_verdict": "'accepted'", "r_error": "NULL::text", "r_event_count": "1", "r_repeats": "0"},
}
"""Columns that hold the same in every plain event: no parameter each."""


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
    return ", ".join(_CONSTANT.get(prefix + column) or f"%({prefix}{column})s::{_cast(table, column)}" for column in columns)


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

_CFG = "WITH cfg AS (SELECT 1 FROM meta WHERE id = 1 AND config_version = %(config_version)s::bigint)"
_ALONE = f"""
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
"""  # noqa: S608 - made of our own column names
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
"""  # noqa: S608 - made of our own column names
_IN_A_BATCH = "SELECT alert_id, incident_id, reason, keep_body FROM res"
_BATCH_RECEIPT_COLUMNS = (*_RECEIPT_COLUMNS, "body", "reason", "alert_id", "incident_id")
_BATCH_RECEIPT = f"INSERT INTO receipts ({', '.join(_BATCH_RECEIPT_COLUMNS)}) VALUES ({_values(_RECEIPTS, '', _BATCH_RECEIPT_COLUMNS)}) RETURNING id"  # noqa: S608
_EVENT_COLUMNS = ("receipt_id", "n", "action", "dedup_key", "verdict", "reason", "error", "alert_id", "incident_id")
_BATCH_EVENT = f"INSERT INTO receipt_events ({', '.join(_EVENT_COLUMNS)}) VALUES ({_values(_RECEIPT_EVENTS, '', _EVENT_COLUMNS)})"  # noqa: S608

_SAME = {
    **dict.fromkeys(("a_opened_at", "a_last_seen_at", "a_window_started_at", "i_opened_at", "i_changed_at", "t_at", "r_received_at"), "now"),
    **dict.fromkeys(("i_service_id", "service_id"), "a_service_id"),
    **dict.fromkeys(("i_integration_id", "r_integration_id", "t_actor_id"), "a_integration_id"),
    "i_severity": "a_severity",
    "i_title": "a_summary",
    "r_dedup_key": "a_dedup_key",
}
"""Columns of a new alert's rows that always hold one value."""


class _Statement:
    """A statement with numbered parameters, for psycopg's RawCursor, which does not parse it again at each call."""

    def __init__(self, named: str) -> None:
        """Number the named parameters; equal values share a number."""
        numbers: dict[str, int] = {}

        def number(match: re.Match[str]) -> str:
            return f"${numbers.setdefault(_SAME.get(match[1], match[1]), len(numbers) + 1)}"

        self.text = re.sub(r"%\((\w+)\)s", number, named)
        self._names = tuple(numbers)

    def run(self, cursor: Cursor, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Execute it; the row that came back, or None."""
        return cursor.execute(self.text, self.parameters(values)).fetchone()

    def parameters(self, values: Mapping[str, Any]) -> list[Any]:
        """The values in the order of their numbers."""
        return [values[name] for name in self._names]


class _Kind:
    """The three statements that events need, with one ending."""

    def __init__(self, ending: str) -> None:
        """End each of them alike."""
        self.dated = _Statement(_TRIGGER.format(late=_LATE) + ending)
        self.undated = _Statement(_TRIGGER.format(late="") + ending)
        self.resolve = _Statement(_RESOLVE + ending)

    def run(self, cursor: Cursor, plan: Plan, event: PlannedEvent) -> tuple[Any, ...] | None:
        """Execute the one that an event needs."""
        if event.action is Action.RESOLVE:
            return self.resolve.run(cursor, _resolve_parameters(plan, event))
        statement = self.dated if event.occurred_at else self.undated
        return statement.run(cursor, _trigger_parameters(plan, event))


_SINGLE, _BATCHED = _Kind(_ALONE), _Kind(_IN_A_BATCH)
_RECEIPT, _EVENT = _Statement(_BATCH_RECEIPT), _Statement(_BATCH_EVENT)


def accept(cursor: Cursor, plan: Plan) -> list[Outcome] | None:
    """Accept a plain plan by a cursor that numbers its parameters, on a connection in autocommit mode.

    None: nothing was stored, look closer.
    """
    event = plan.events[0]
    if len(plan.events) == 1 and not isinstance(event, Ignored):
        row = _SINGLE.run(cursor, plan, event)
        return [outcome_of(event, row[0], row[1], Reason(row[2]))] if row else None
    return _accept_batch(cursor, plan)


def _accept_batch(cursor: Cursor, plan: Plan) -> list[Outcome] | None:
    """All events in one transaction, in the order of their keys; all of them, or none."""
    outcomes: dict[int, Outcome] = {}
    with cursor.connection.transaction():
        for n, event in plan.in_lock_order():
            if isinstance(event, Ignored):
                outcomes[n] = ignored(event)
                continue
            row = _BATCHED.run(cursor, plan, event)
            if row is None:
                raise psycopg.Rollback
            outcomes[n] = outcome_of(event, row[0], row[1], Reason(row[2]), keep_body=row[3])
        ordered = [outcomes[n] for n in range(len(plan.events))]
        _store_receipt(cursor, plan, ordered)
        return ordered
    return None


def _store_receipt(cursor: Cursor, plan: Plan, outcomes: Sequence[Outcome]) -> None:
    row: dict[str, Any] = {}
    _put(row, "", rows.receipt(plan, outcomes))
    (receipt_id,) = _RECEIPT.run(cursor, row) or (None,)
    events = []
    for n, outcome in enumerate(outcomes):
        values: dict[str, Any] = {"receipt_id": str(receipt_id)}
        _put(values, "", rows.receipt_event(n, outcome))
        events.append(_EVENT.parameters(values))
    cursor.executemany(_EVENT.text, events)


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
        text = to_json(value) if column in JSON_COLUMNS and value is not None else value
        parameters[prefix + column] = _text(text)


def _text(value: Any) -> Any:
    """Numbers as text, which the statement casts: psycopg would choose a type by size, and prepare one statement for each mixture."""
    return str(value) if type(value) is int else value


def _receipt(plan: Plan, event: PlannedEvent) -> rows.Row:
    return rows.receipt(plan, (outcome_of(event, None, None, Reason.NEW_INCIDENT),))
