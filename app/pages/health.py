"""`/healthz` (this process), `/readyz` (all of Tocsin) and `/metrics` (Prometheus)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response, jsonify
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.core.version import VERSION
from app.domain import receipts
from app.models import Delivery, Incident, ManagerRun
from app.models.deliveries import WAITING
from app.models.incidents import OPEN
from app.wiring import processes, transactions, vitals
from app.wiring.runtime import runtime
from app.wiring.transactions import DatabaseAway
from app.wiring.vitals import Level

blueprint = Blueprint("health", __name__)
STATUS = {Level.OK: "ready", Level.DEGRADED: "degraded", Level.DOWN: "unavailable"}


@blueprint.get("/healthz")
def healthz() -> Response:
    """Say that this process answers; nothing else is asked.  For load balancers: alerts must come in even when the ticker is late."""
    return jsonify(status="ok", version=VERSION)


@blueprint.get("/readyz")
def readyz() -> tuple[Response, int]:
    """The database, Redis and the ticker; 503 when pages cannot go out or alerts cannot come in.  For whoever watches Tocsin."""
    findings = vitals.look()
    level = vitals.worst(findings)
    checks = {f.part: {"status": f.level.value, "summary": f.summary, **({"advice": f.advice} if f.advice else {})} for f in findings}
    return jsonify(status=STATUS[level], version=VERSION, checks=checks), 503 if level is Level.DOWN else 200


@blueprint.get("/metrics")
def metrics() -> Response:
    """Prometheus's text format.  All figures come from the database, so any web process gives the same."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected())
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class _Collected:
    """A collector whose metrics are read when they are asked for."""

    def collect(self) -> Iterator[Metric]:
        """Read the figures; when the database is away, say only that."""
        yield InfoMetricFamily("tocsin", "The version of Tocsin.", value={"version": VERSION})
        findings = {finding.part: finding for finding in vitals.look()}
        up = GaugeMetricFamily("tocsin_up", "1: fully working, 0.5: degraded, 0: down; by part.", labels=["part"])
        for part, finding in findings.items():
            up.add_metric([part], {Level.OK: 1.0, Level.DEGRADED: 0.5, Level.DOWN: 0.0}[finding.level])
        yield up
        try:
            yield from transactions.run(_figures, "read")
        except DatabaseAway:
            return


def _figures(session: Session) -> list[Metric]:
    """Counts that an index answers; none grows with history."""
    return [_incidents(session), *_deliveries(session), _processes(session), *_managers(session), _unknown_keys(session)]


def _incidents(session: Session) -> Metric:
    family = GaugeMetricFamily("tocsin_incidents_open", "Incidents that are not resolved.", labels=["state"])
    counts = dict(session.execute(select(Incident.state, func.count()).where(OPEN).group_by(Incident.state)).all())
    for state in ("triggered", "acknowledged"):
        family.add_metric([state], counts.get(state, 0))
    return family


def _deliveries(session: Session) -> tuple[Metric, Metric]:
    now = runtime().now()
    due = session.execute(select(func.count(), func.min(Delivery.due_at)).where(WAITING, Delivery.due_at <= now)).one()
    waiting = GaugeMetricFamily("tocsin_deliveries_due", "Messages that should have left already.", value=due[0])
    age = (now - due[1]).total_seconds() if due[1] else 0.0
    return waiting, GaugeMetricFamily("tocsin_deliveries_oldest_due_seconds", "How long the oldest of them has been due.", value=age)


def _processes(session: Session) -> Metric:
    family = GaugeMetricFamily("tocsin_processes", "Processes with a fresh heartbeat.", labels=["kind"])
    for kind in ("web", "worker", "ticker", "smtp"):
        family.add_metric([kind], processes.fresh(session, kind, now=runtime().now()))
    return family


def _managers(session: Session) -> tuple[Metric, ...]:
    ran = GaugeMetricFamily("tocsin_manager_last_run_timestamp_seconds", "When a part of the ticker last ran.", labels=["manager"])
    took = GaugeMetricFamily("tocsin_manager_duration_seconds", "How long its last run took.", labels=["manager"])
    lag = GaugeMetricFamily("tocsin_manager_lag_seconds", "How late its oldest work was.", labels=["manager"])
    failing = GaugeMetricFamily("tocsin_manager_failing", "1: its last run failed.", labels=["manager"])
    values: Any = session.scalars(select(ManagerRun).order_by(ManagerRun.name))
    for row in values:
        ran.add_metric([row.name], row.ran_at.timestamp())
        took.add_metric([row.name], row.duration_ms / 1000)
        lag.add_metric([row.name], row.lag_seconds)
        failing.add_metric([row.name], int(row.error is not None))
    return ran, took, lag, failing


def _unknown_keys(session: Session) -> Metric:
    count = receipts.unknown_count(session)
    return CounterMetricFamily("tocsin_requests_with_unknown_key", "Requests whose integration key nobody has.", value=count)
