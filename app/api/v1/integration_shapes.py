"""How /api/v1/integrations shows an integration: OnCall's keys, then ours."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app import sources
from app.api.endpoints import Shape
from app.core.errors import LostKey
from app.domain import access
from app.models import Integration
from app.wiring.runtime import runtime

SHAPE: Shape = {
    "maintenance_mode": "string?",
    "maintenance_started_at": "datetime?",
    "maintenance_end_at": "datetime?",
    "id": "string",
    "name": "string",
    "description_short": "string?",
    "team_id": "string?",
    "link": "string?",
    "inbound_email": "string?",
    "type": "string",
    "default_route": "object",
    "templates": "object",
    "heartbeat": "object?",
    "service_id": "string",
    "enabled": "boolean",
    "rate_limit": "integer?",
}
_ONCALL_WORDS = ("alertmanager", "grafana_alerting", "webhook", "formatted_webhook", "inbound_email", "zabbix", "elastalert", "kapacitor", "grafana")
"""OnCall's words for kinds of tools; the first that a source answers to is the word that its integrations are shown with."""
_APPEARANCE = {
    "slack": ("title", "message", "image_url"),
    "web": ("title", "message", "image_url"),
    "sms": ("title",),
    "phone_call": ("title",),
    "telegram": ("title", "message", "image_url"),
    "email": ("title", "message"),
    "msteams": ("title", "message", "image_url"),
}
_BEHAVIOUR = ("grouping_key", "resolve_signal", "acknowledge_signal", "source_link")


def shown(integration: Integration, now: datetime) -> dict[str, Any]:
    """One integration; null stands for what is not set, as with OnCall."""
    service = integration.service
    kind = word_for(integration.source)
    key = _key_of(integration, now)
    return {
        "maintenance_mode": None,
        "maintenance_started_at": None,
        "maintenance_end_at": None,
        "id": integration.public_id,
        "name": integration.name,
        "description_short": None,
        "team_id": service.team.public_id if service.team else None,
        "link": _link(integration, kind, key),
        "inbound_email": f"{key}@{runtime().settings.email_domain}" if key and kind == "inbound_email" else None,
        "type": kind,
        "default_route": _default_route(service.policy.public_id if service.policy else None),
        "templates": _templates(integration),
        "heartbeat": None,
        "service_id": service.public_id,
        "enabled": integration.enabled,
        "rate_limit": integration.rate_limit,
    }


def word_for(source_name: str) -> str:
    """OnCall's word for a source, or its own name."""
    source = sources.get(source_name)
    return next((word for word in _ONCALL_WORDS if source is not None and sources.get(word) is source), source_name)


def is_empty(value: Any) -> bool:
    """Whether a template, or a group of them, sets nothing."""
    return all(map(is_empty, value.values())) if isinstance(value, dict) else value in (None, "")


def _link(integration: Integration, kind: str, key: str | None) -> str | None:
    """Where to post, with the key in it; the built-in integration's door takes its key in a header."""
    base = runtime().settings.base_url
    if integration.is_builtin:
        return f"{base}/api/events"
    return f"{base}/integrations/v1/{kind}/{key}/" if key else None


def _key_of(integration: Integration, now: datetime) -> str | None:
    """The newest key that works; None when none does, or SECRET_KEY has changed since."""
    living = [key for key in integration.keys if not access.is_expired(key.expires_at, now)]
    try:
        return runtime().vault.open(living[-1].key_sealed) if living else None
    except LostKey:
        return None


def _default_route(policy_id: str | None) -> dict[str, Any]:
    return {
        "id": None,
        "escalation_chain_id": policy_id,
        "slack": {"channel_id": None, "enabled": False},
        "telegram": {"id": None, "enabled": False},
    }


def _templates(integration: Integration) -> dict[str, Any]:
    behaviour: dict[str, Any] = dict.fromkeys(_BEHAVIOUR)
    behaviour["grouping_key"] = integration.group_template if integration.group_by == "template" else None
    return {**behaviour, **{channel: dict.fromkeys(parts) for channel, parts in _APPEARANCE.items()}}
