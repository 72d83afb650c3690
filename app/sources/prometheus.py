"""Prometheus Alertmanager's webhook, version 4, and what speaks it: Grafana, Mimir, Thanos, vmalert.

Facts: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config and Alertmanager's template.Data.  The
top `status` is "firing" while one alert of the group fires, so each element's own is read.  `groupKey` names the group
and `{}:{}` names none, so a problem is known by its fingerprint, else by its labels.  `severity` is only a habit among
labels.  Alertmanager drops a notification for good on every 4xx, so nothing readable is refused here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.core.errors import NotUnderstood
from app.core.times import time_of
from app.core.types import Action, Event, Ignored, Inbound, Source
from app.sources._reading import bullets, hash_of, labels_of, lines, links_of, mapping_of, severity_of, text_at, text_of, web_address

_SHOWN_ELSEWHERE = frozenset({"summary", "description", "message", "runbook_url", "runbook", "dashboard_url"})


def parse(inbound: Inbound, _options: Mapping[str, Any]) -> list[Event | Ignored]:
    """One event per element of `alerts`."""
    body = inbound.json_object()
    alerts = body.get("alerts")
    if not isinstance(alerts, list):
        raise NotUnderstood("it has no list of alerts: this URL is for Alertmanager's webhook_configs")
    if not alerts:
        return [Ignored("the list of alerts is empty")]
    return [_event(body, alert, n) for n, alert in enumerate(alerts)]


def _event(body: Mapping[str, Any], alert: Any, n: int) -> Event:
    labels = labels_of(mapping_of(alert).get("labels"))
    fingerprint = text_at(alert, "fingerprint")
    notes = labels_of(mapping_of(alert).get("annotations"))
    if not (labels or notes or fingerprint):
        raise NotUnderstood(f"alerts[{n}] says nothing: it has no labels, no annotations and no fingerprint")
    status = text_at(alert, "status") or text_at(body, "status")
    return Event(
        action=Action.RESOLVE if status.lower() == "resolved" else Action.TRIGGER,
        dedup_key=fingerprint or ("labels:" + hash_of(labels) if labels else None),
        summary=_title(labels, notes, fingerprint),
        details=_details(body, alert, notes),
        severity=severity_of(labels.get("severity")),
        occurred_at=time_of(alert.get("startsAt")),
        occurred_field="startsAt",
        group_key=text_at(body, "groupKey") or None,
        source_link=web_address(alert.get("generatorURL")),
        links=links_of(
            (notes.get("runbook_url") or notes.get("runbook"), "Runbook"),
            (notes.get("dashboard_url") or alert.get("dashboardURL"), "Dashboard"),
            (alert.get("panelURL"), "Panel"),
            (alert.get("silenceURL"), "Silence"),
            (body.get("externalURL"), "Alertmanager"),
        ),
        labels=labels,
        element=alert,
    )


def _title(labels: Mapping[str, str], notes: Mapping[str, str], fingerprint: str) -> str:
    """`Name: what is wrong`; without an annotation `Name on instance`."""
    name, said = labels.get("alertname", ""), text_at(notes, "summary", "title", "message", "description")
    if not said:
        where = labels.get("instance") or labels.get("job")
        return f"{name or 'Alert'} on {where}" if where else name or f"Alert {fingerprint}".strip()
    return said if name in said else f"{name}: {said}"


def _details(body: Mapping[str, Any], alert: Mapping[str, Any], notes: Mapping[str, str]) -> str:
    left_out = text_of(body.get("truncatedAlerts"))
    return lines(
        text_at(notes, "description", "message"),
        bullets({name: text for name, text in notes.items() if name not in _SHOWN_ELSEWHERE}),
        text_at(alert, "valueString"),
        f"Alertmanager left out {left_out} more alerts of this group (max_alerts)." if left_out not in ("", "0") else "",
    )


source = Source(
    name="prometheus",
    title="Prometheus Alertmanager",
    parse=parse,
    docs_url="https://prometheus.io/docs/alerting/latest/configuration/#webhook_config",
    aliases=("alertmanager", "prometheusAlertmanager"),
    test_payload='{"version": "4", "status": "firing", "alerts": [{"status": "firing", "labels": {"alertname": "TocsinTest", "severity": "info"}, '
    '"annotations": {"summary": "Test alert from Tocsin"}, "fingerprint": "70c5170c5170c517"}]}',
)
