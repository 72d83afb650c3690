"""Frozen pictures of catalog rows: what accepting an event needs to know, safe to share between threads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.core.types import Severity, Urgency

_USUAL_URGENCY = {
    Severity.CRITICAL: Urgency.HIGH,
    Severity.ERROR: Urgency.HIGH,
    Severity.WARNING: Urgency.LOW,
    Severity.INFO: Urgency.LOW,
}


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """An escalation policy as it is now."""

    id: int
    snapshot_id: int | None
    has_steps: bool


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """A service."""

    id: int
    public_id: str
    uuid: str
    name: str
    team_id: int | None
    severity_urgency: Mapping[str, str]
    default_severity: Severity
    policy: PolicyFacts | None

    def urgency(self, severity: Severity) -> Urgency:
        """High or low, by the service's own map or the usual one."""
        own = self.severity_urgency.get(severity)
        return Urgency(own) if own else _USUAL_URGENCY[severity]


@dataclass(frozen=True, slots=True)
class RouteFacts:
    """A route, in the order of its integration."""

    id: int
    condition: str
    service: ServiceFacts | None
    policy: PolicyFacts | None
    severity: Severity | None
    group_template: str | None


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """A living integration key."""

    key_hash: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class IntegrationFacts:
    """An integration with all that accepting needs; `config_version` says which catalog it is a picture of."""

    id: int
    public_id: str
    name: str
    source: str
    enabled: bool
    is_builtin: bool
    options: Mapping[str, Any]
    templates: Mapping[str, Any]
    signature_secret: str | None
    signature_scheme: str | None
    require_key: bool
    rate_limit: int | None
    group_by: str
    group_template: str | None
    service: ServiceFacts
    routes: tuple[RouteFacts, ...]
    keys: tuple[KeyFacts, ...]
    has_webhooks: bool
    """Whether any outgoing webhook is enabled; when not, timeline entries need no planning."""
    config_version: int


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking: a user, by a token or a session."""

    user_id: int
    public_id: str
    name: str
    email: str
    role: str
    team_ids: frozenset[int]
    token_id: int | None = None
    token_name: str = ""
    scopes: frozenset[str] = frozenset({"*"})
    token_team_ids: frozenset[int] = frozenset()
    """Teams that the token is limited to; empty: not limited."""
    expires_at: datetime | None = None
    config_version: int = 0
