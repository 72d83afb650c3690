"""A real Tocsin for the bench: a migrated database, configured by a configuration file, served by granian."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import seeding
from bench.cases import Stored
from bench.seeding import Subject
from bench.servers import ROOT
from bench.stores import Store

RATE_LIMIT = 1_000_000
"""Requests a minute that each integration may send: never reached, but counted for every request."""
_TABLES = ("receipts", "alerts", "incidents", "timeline")


class NotConfigured(Exception):  # noqa: N818 - reads as what happened
    """`flask apply` refused the configuration; the text is its own."""


@dataclass(frozen=True)
class Door:
    """Where a tool posts, with its credentials."""

    path: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass
class Installation:
    """One database with its integrations."""

    store: Store
    url: str
    folder: Path
    stored: int
    """Old alerts in it."""
    doors: dict[str, Door] = field(default_factory=dict)
    subject: Subject = field(default_factory=lambda: Subject(0, 0))
    _marks: dict[str, int] = field(default_factory=dict)

    @property
    def environment(self) -> Mapping[str, str]:
        """The settings of its processes."""
        return {
            "DATA_DIR": str(self.folder),
            "DATABASE_URL": self.url,
            "SECRET_KEY": "the-bench-keeps-no-secret",
            "OUTBOUND_ALLOW": "127.0.0.0/8",
            "REDIS_URL": "",
            "LOG_LEVEL": "WARNING",
        }

    def mark(self) -> None:
        """Remember the last row of each table: `counted` looks at what comes after."""
        with contextlib.closing(self.store.connect(self.url)) as connection:
            self._marks = {table: _number(connection, f"SELECT max(id) FROM {table}") for table in _TABLES}

    def open_keys(self, prefix: str, total: int) -> None:
        """Open alerts for a round of resolves."""
        with contextlib.closing(self.store.connect(self.url)) as connection:
            seeding.open_alerts(connection, self.store, self.subject, prefix, total)
        self.store.settle(self.url)

    def counted(self, prefix: str) -> Stored:
        """What was stored since the mark, once requests that a generator left unread are through."""
        with contextlib.closing(self.store.connect(self.url)) as connection:
            last, seen = -1, self._newest(connection)
            while seen != last:
                time.sleep(0.1)
                last, seen = seen, self._newest(connection)
            since = self._marks
            low, high = f"prometheus:{prefix}00000000", f"prometheus:{prefix}ffffffff"
            resolved = (
                f"SELECT count(*) FROM alerts WHERE service_id = {self.subject.service_id} AND dedup_key BETWEEN '{low}' AND '{high}' AND state = 'resolved'"
            )
            return Stored(
                receipts=_number(connection, f"SELECT count(*) FROM receipts WHERE id > {since['receipts']}"),
                bad_receipts=_number(connection, f"SELECT count(*) FROM receipts WHERE id > {since['receipts']} AND (status < 200 OR status > 299)"),
                alerts=_number(connection, f"SELECT count(*) FROM alerts WHERE id > {since['alerts']}"),
                triggers=_number(connection, f"SELECT sum(count) FROM alerts WHERE id > {since['alerts']}"),
                incidents=_number(connection, f"SELECT count(*) FROM incidents WHERE id > {since['incidents']}"),
                timeline=_number(connection, f"SELECT count(*) FROM timeline WHERE id > {since['timeline']}"),
                batch_events=_number(connection, f"SELECT count(*) FROM receipt_events WHERE receipt_id > {since['receipts']}"),
                resolved=_number(connection, resolved),
            )

    def _newest(self, connection: Any) -> int:
        return _number(connection, "SELECT max(id) FROM receipts")


def _number(connection: Any, query: str) -> int:
    return int(connection.execute(query).fetchone()[0] or 0)


def make(store: Store, folder: Path, stored: int, *, name: str = "", hook: str = "http://127.0.0.1:9/hook") -> Installation:
    """Migrate, configure and fill a database; `hook` is where its pages go once an engine runs."""
    name = name or f"tocsin{stored}"
    made = Installation(store, store.make(name), folder / f"data-{store.name}-{name}", stored)
    made.folder.mkdir()
    _migrate(made)
    keys = {name: secrets.token_hex(16) for name in ("alertmanager", "routed", "generic", "events")}
    _apply(made, configuration(keys, hook))
    with contextlib.closing(store.connect(made.url)) as connection:
        found = {row[0]: row[1:] for row in connection.execute("SELECT name, intake_id, id, service_id FROM integrations").fetchall()}
        made.subject = Subject(*found["alertmanager"][1:])
        if stored:
            seeding.store_alerts(connection, store, made.subject, stored)
    if stored:
        store.settle(made.url)
    made.doors = {
        "alertmanager": Door(f"/api/integrations/prometheus?integrationId={found['alertmanager'][0]}&key={keys['alertmanager']}"),
        "routed": Door(f"/api/integrations/prometheus?integrationId={found['routed'][0]}&key={keys['routed']}"),
        "generic": Door(f"/api/v2/generic/incoming?token={keys['generic']}"),
        "events": Door("/api/events", (("Authorization", f"Token token={keys['events']}"),)),
    }
    return made


def configuration(keys: Mapping[str, str], hook: str) -> dict[str, Any]:
    """A configuration file with one service, one policy and the integrations; JSON is YAML too."""

    def integration(name: str, source: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "source": source, "key": keys[name], "rate_limit": RATE_LIMIT, **more}

    route = {"condition": "{{ payload.commonLabels.severity == 'critical' and alert.labels.cluster == 'fra-1' }}", "severity": "error"}
    return {
        "version": 1,
        "destinations": [{"name": "room", "channel": "webhook", "address": hook}],
        "escalation_policies": [{"name": "Default", "steps": [{"targets": [{"destination": "room"}], "wait": "5m"}]}],
        "services": [
            {
                "name": "Bench",
                "escalation_policy": "Default",
                "integrations": [
                    integration("alertmanager", "prometheus"),
                    integration("routed", "prometheus", routes=[route]),
                    integration("generic", "generic"),
                    integration("events", "events-v2"),
                ],
            }
        ],
    }


def _migrate(made: Installation) -> None:
    from app import create_app
    from app.settings import load
    from app.wiring import schema
    from app.wiring.extensions import db

    app = create_app(load(made.environment))
    schema.bring_up_to_date(app)
    with app.app_context():
        db.engine.dispose()


def _apply(made: Installation, wanted: dict[str, Any]) -> None:
    file = made.folder / "tocsin.yaml"
    file.write_text(json.dumps(wanted, indent=1))
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "apply", str(file)]
    ran = subprocess.run(command, cwd=ROOT, env={**os.environ, **made.environment}, capture_output=True, text=True, timeout=120, check=False)
    if ran.returncode != 0:
        raise NotConfigured(ran.stdout[-2000:] + ran.stderr[-4000:])
