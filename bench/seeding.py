"""Writes stored alerts in bulk: each with its incident, one timeline line and one receipt with a body of about 950 bytes.

Plain SQL that makes the rows inside the database: a million takes about a minute and a half.  The dialects differ in how
they count, print hexadecimal and make random text; all else is one statement for both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench import traffic
from bench.stores import Store

CHUNK = 50_000
OPEN_ONE_IN = 10
"""Of the stored alerts every tenth is still firing, its incident acknowledged: it waits for nobody."""
LONG_AGO = "2026-01-05T09:00:00.000000Z"


@dataclass(frozen=True)
class Subject:
    """Whose alerts they are."""

    integration_id: int
    service_id: int


@dataclass(frozen=True)
class Dialect:
    """The expressions that differ."""

    count: str
    hex8: str
    random: str
    bytes: str
    time: str


SQLITE = Dialect(
    "WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last})",
    "printf('%08x', i)",
    "hex(randomblob(8))",
    "CAST({} AS BLOB)",
    "'{}'",
)
POSTGRESQL = Dialect(
    "WITH n(i) AS (SELECT generate_series({first}::bigint, {last}::bigint))",
    "lpad(to_hex(i), 8, '0')",
    "upper(substr(md5(random()::text || i), 1, 16))",
    "convert_to({}, 'UTF8')",
    "'{}'::timestamptz",
)

_INCIDENTS = """{count} INSERT INTO incidents (id, public_id, service_id, integration_id, state, title, severity, urgency, kind, alert_count, opened_at,
  resolved_at, escalation_round, escalation_step, escalation_repeat, idle_reason, changed_at)
SELECT {incident} + i, 'I' || {random}, {service}, {integration}, CASE WHEN {open} THEN 'acknowledged' ELSE 'resolved' END, 'Filesystem is almost full',
  'critical', 'high', 'alert', 1, {at}, CASE WHEN {open} THEN NULL ELSE {at} END, 1, 1, 0, CASE WHEN {open} THEN 'acknowledged' ELSE 'resolved' END, {at}
FROM n"""
_ALERTS = """{count} INSERT INTO alerts (id, public_id, service_id, integration_id, incident_id, dedup_key, state, severity, summary, details, source_link,
  links, labels, count, window_started_at, window_count, opened_at, last_seen_at, resolved_at, resolved_by)
SELECT {alert} + i, 'A' || {random}, {service}, {integration}, {incident} + i, '{key}' || {hex8}, CASE WHEN {open} THEN 'firing' ELSE 'resolved' END,
  'critical', 'Filesystem is almost full', '/var/lib/postgresql has 3.1% left.', 'http://prometheus.example.com:9090/graph', '[]',
  '{{"alertname": "NodeFilesystemAlmostFull", "cluster": "fra-1", "instance": "db-02.example.com:9100", "job": "node", "severity": "critical"}}',
  1, {at}, 1, {at}, {at}, CASE WHEN {open} THEN NULL ELSE {at} END, CASE WHEN {open} THEN NULL ELSE 'source' END
FROM n"""
_TIMELINE = """{count} INSERT INTO timeline (incident_id, at, kind, reason, actor_kind, actor_id, actor_label, data, webhooks_planned_at)
SELECT {incident} + i, {at}, 'opened', 'new_incident', 'source', {integration}, 'alertmanager',
  '{{"summary": "Filesystem is almost full", "dedup_key": "bench"}}', {at} FROM n"""
_RECEIPTS = """{count} INSERT INTO receipts (received_at, integration_id, door, method, path, headers, remote, body, body_size, body_packed, status, verdict,
  reason, action, dedup_key, alert_id, incident_id, event_count, repeats)
SELECT {at}, {integration}, 'native', 'POST', '/api/integrations/prometheus?integrationId=********&key=********',
  '{{"content-type": "application/json", "host": "127.0.0.1", "user-agent": "Alertmanager/0.27"}}', '127.0.0.1', {body}, {body_size}, false, 202, 'accepted',
  'new_incident', 'trigger', '{key}' || {hex8}, {alert} + i, {incident} + i, 1, 0 FROM n"""


def store_alerts(connection: Any, store: Store, subject: Subject, total: int) -> None:
    """Store so many old alerts, most of them resolved."""
    _store(
        connection, store, subject, total, key="prometheus:5eed5eed", is_open=f"i % {OPEN_ONE_IN} = 0", statements=(_INCIDENTS, _ALERTS, _TIMELINE, _RECEIPTS)
    )


def open_alerts(connection: Any, store: Store, subject: Subject, prefix: str, total: int) -> None:
    """Store firing alerts for the keys of one round, from 0 on, so that the round can resolve them."""
    _store(connection, store, subject, total, key=f"prometheus:{prefix}", is_open="0 = 0", statements=(_INCIDENTS, _ALERTS))


def _store(connection: Any, store: Store, subject: Subject, total: int, *, key: str, is_open: str, statements: tuple[str, ...]) -> None:
    is_sqlite = store.name == "sqlite"
    dialect = SQLITE if is_sqlite else POSTGRESQL
    if is_sqlite:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA cache_size=-400000")
    body = traffic.SLOT.sub(traffic.key("5eed5eed", 0), traffic.alertmanager())
    incident, alert = _last_id(connection, "incidents") + 1, _last_id(connection, "alerts") + 1
    for first in range(0, total, CHUNK):
        words = {
            "count": dialect.count.format(first=first, last=min(first + CHUNK, total) - 1),
            "hex8": dialect.hex8,
            "random": dialect.random,
            "body": dialect.bytes.format(f"'{body}'"),
            "body_size": len(body),
            "service": subject.service_id,
            "integration": subject.integration_id,
            "incident": incident,
            "alert": alert,
            "key": key,
            "open": is_open,
            "at": dialect.time.format(LONG_AGO),
        }
        connection.execute("BEGIN IMMEDIATE" if is_sqlite else "BEGIN")
        for statement in statements:
            connection.execute(statement.format(**words))
        connection.execute("COMMIT")
    if not is_sqlite:
        for table in ("incidents", "alerts"):
            connection.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))")


def _last_id(connection: Any, table: str) -> int:
    last: int | None = connection.execute(f"SELECT max(id) FROM {table}").fetchone()[0]
    return last or 0
