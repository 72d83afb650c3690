"""Which route takes an event: its service, policy, severity and group.  Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.core import templating
from app.core.text import bounded_key, clean
from app.core.types import Event, Inbound, Severity
from app.domain.facts import IntegrationFacts, PolicyFacts, RouteFacts, ServiceFacts


@dataclass(frozen=True, slots=True)
class Choice:
    """Where an event goes."""

    service: ServiceFacts
    policy: PolicyFacts | None
    severity: Severity | None
    group_key: str | None
    route_id: int | None


def payload_of(integration: IntegrationFacts, inbound: Inbound) -> Any:
    """The whole request for templates, as JSON or as its parameters; None when the integration has no template to render."""
    if not integration.routes and integration.group_by != "template":
        return None
    try:
        return json.loads(inbound.body)
    except (ValueError, RecursionError):
        return {name: values[0] for name, values in {**inbound.query, **inbound.form}.items() if values}


def choose(integration: IntegrationFacts, event: Event, payload: Any) -> Choice:
    """The first route whose condition holds, else the integration's own service.

    Raises:
        TemplateFailed: a condition or group template cannot be rendered for this event.
    """
    seen = {"payload": payload, "alert": event.element, "labels": event.labels}
    route = next((route for route in integration.routes if not route.condition or templating.render_condition(route.condition, seen)), None)
    service = route.service if route and route.service else integration.service
    return Choice(
        service=service,
        policy=route.policy if route and route.policy else service.policy,
        severity=route.severity if route else None,
        group_key=_group_key(integration, route, event, seen),
        route_id=route.id if route else None,
    )


def _group_key(integration: IntegrationFacts, route: RouteFacts | None, event: Event, seen: Mapping[str, Any]) -> str | None:
    template = route.group_template if route and route.group_template else None
    if template is None and integration.group_by == "template":
        template = integration.group_template
    if template is not None:
        text = templating.render(template, seen, limit=4096)
    elif integration.group_by == "group":
        text = event.group_key or ""
    else:
        return None
    key = clean(text).strip()
    return bounded_key(f"{integration.id}:{route.id if route else 0}:{key}") if key else None
