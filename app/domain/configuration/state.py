"""The catalog as the database has it, in the values of the configuration file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from app.core.errors import LostKey
from app.core.keys import Vault
from app.domain import access, catalog
from app.domain.configuration.noun import Entry, Values
from app.domain.configuration.shape import LOST
from app.models import (
    ContactMethod,
    Destination,
    EscalationPolicy,
    EscalationStep,
    EscalationTarget,
    HeartbeatMonitor,
    Integration,
    OutgoingWebhook,
    Route,
    Service,
    Team,
    TeamMember,
    Token,
    User,
)


@dataclass(frozen=True)
class State:
    """Everything that the file can say, at one version of the catalog."""

    version: int
    sections: Mapping[str, Mapping[str, Entry]]
    """Section to key to entry."""


def load(session: Session, vault: Vault, *, now: datetime) -> State:
    """Read it all; archived things, expired keys and built-in integrations are not part of it."""
    version = access.config_version(session)
    reading = _Reading(session, vault, now)
    return State(
        version,
        {
            "users": reading.users(),
            "teams": reading.teams(),
            "destinations": reading.destinations(),
            "escalation_policies": reading.policies(),
            "services": reading.services(),
            "outgoing_webhooks": reading.webhooks(),
        },
    )


class _Reading:
    """One reading of the database: names of rows by their ids, and secrets opened."""

    def __init__(self, session: Session, vault: Vault, now: datetime) -> None:
        self._session = session
        self._vault = vault
        self._now = now
        self._names: dict[tuple[type[Any], int], str] = {}
        for model in (Team, Destination, EscalationPolicy, Service):
            self._names |= {(model, row_id): name for row_id, name in session.execute(select(model.id, model.name))}
        self._names |= {(User, row_id): email for row_id, email in session.execute(select(User.id, User.email))}

    def _name(self, model: type[Any], row_id: int | None) -> str | None:
        return None if row_id is None else self._names[(model, row_id)]

    def _open(self, sealed: str | None) -> Any:
        return None if sealed is None else self._or_lost(lambda: self._vault.open(sealed))

    def _or_lost(self, opening: Callable[[], Any]) -> Any:
        try:
            return opening()
        except LostKey:
            return LOST

    def _address(self, row: ContactMethod | Destination) -> Values:
        return {"channel": row.channel, "address": self._or_lost(lambda: catalog.open_address(self._vault, row.channel, row.address))}

    def users(self) -> dict[str, Entry]:
        query = select(User).where(User.archived_at.is_(None)).order_by(User.id)
        options = (selectinload(User.contact_methods), selectinload(User.notification_rules), selectinload(User.tokens).selectinload(Token.team_limits))
        return {user.email: self._user(user) for user in self._session.scalars(query.options(*options))}

    def _user(self, user: User) -> Entry:
        methods = {method.id: method for method in user.contact_methods if method.archived_at is None}
        rules: dict[str, list[tuple[str, int]]] = {}
        for rule in user.notification_rules:
            if rule.contact_method_id in methods:
                rules.setdefault(rule.urgency, []).append((methods[rule.contact_method_id].name, rule.after_seconds))
        values = {
            "email": user.email,
            "name": user.name,
            "role": user.role,
            "kind": user.kind,
            "timezone": user.timezone,
            "password": user.password_hash,
            "disabled": user.disabled_at is not None,
            "pagerduty_id": user.pagerduty_id,
            "notification_rules": {urgency: sorted(each, key=lambda rule: (rule[1], rule[0])) for urgency, each in sorted(rules.items())},
        }
        return Entry(
            values,
            {
                "contact_methods": {method.name: Entry({"name": method.name, **self._address(method)}) for method in methods.values()},
                "tokens": {token.name: self._token(token) for token in user.tokens if token.revoked_at is None},
            },
        )

    def _token(self, token: Token) -> Entry:
        values = {
            "name": token.name,
            "value": token.token_hash,
            "scopes": sorted(token.scopes),
            "expires_at": token.expires_at,
            "teams": sorted(str(self._name(Team, limit.team_id)) for limit in token.team_limits),
        }
        return Entry(values, is_past=access.is_expired(token.expires_at, self._now))

    def teams(self) -> dict[str, Entry]:
        query = select(Team).where(Team.archived_at.is_(None)).order_by(Team.id).options(selectinload(Team.members).joinedload(TeamMember.user))
        return {
            team.name: Entry({"name": team.name, "members": {member.user.email: member.role for member in team.members}})
            for team in self._session.scalars(query)
        }

    def destinations(self) -> dict[str, Entry]:
        query = select(Destination).where(Destination.archived_at.is_(None)).order_by(Destination.id)
        return {row.name: Entry({"name": row.name, **self._address(row), "team": self._name(Team, row.team_id)}) for row in self._session.scalars(query)}

    def policies(self) -> dict[str, Entry]:
        query = select(EscalationPolicy).where(EscalationPolicy.archived_at.is_(None)).order_by(EscalationPolicy.id)
        rows = self._session.scalars(query.options(selectinload(EscalationPolicy.steps).selectinload(EscalationStep.targets)))
        return {policy.name: Entry(self._policy(policy)) for policy in rows}

    def _policy(self, policy: EscalationPolicy) -> Values:
        return {
            "name": policy.name,
            "team": self._name(Team, policy.team_id),
            "repeat": policy.repeat,
            "pagerduty_id": policy.pagerduty_id,
            "steps": [{"wait": step.wait_seconds, "targets": [self._target(target) for target in step.targets]} for step in policy.steps],
        }

    def _target(self, target: EscalationTarget) -> Values:
        name = self._name(catalog.TARGET_KINDS[target.kind], target.ref_id) if target.kind in catalog.TARGET_KINDS else str(target.ref_id)
        return {"kind": target.kind, "name": name, **target.options}

    def services(self) -> dict[str, Entry]:
        query = select(Service).where(Service.archived_at.is_(None)).order_by(Service.id)
        options = (
            selectinload(Service.integrations).selectinload(Integration.keys),
            selectinload(Service.integrations).selectinload(Integration.routes),
        )
        monitors: dict[int, list[HeartbeatMonitor]] = {}
        for monitor in self._session.scalars(select(HeartbeatMonitor).where(HeartbeatMonitor.archived_at.is_(None)).order_by(HeartbeatMonitor.id)):
            monitors.setdefault(monitor.integration_id, []).append(monitor)
        return {service.name: self._service(service, monitors) for service in self._session.scalars(query.options(*options))}

    def _service(self, service: Service, monitors: Mapping[int, list[HeartbeatMonitor]]) -> Entry:
        values = {
            "name": service.name,
            "description": service.description,
            "team": self._name(Team, service.team_id),
            "escalation_policy": self._name(EscalationPolicy, service.policy_id),
            "default_severity": service.default_severity,
            "severity_urgency": service.severity_urgency,
            "pagerduty_id": service.pagerduty_id,
            "uuid": service.uuid,
        }
        living = [each for each in service.integrations if each.archived_at is None and not each.is_builtin]
        return Entry(values, {"integrations": {each.name: self._integration(each, monitors.get(each.id, [])) for each in living}})

    def _integration(self, row: Integration, monitors: list[HeartbeatMonitor]) -> Entry:
        plain = ("name", "source", "enabled", "signature_scheme", "require_key", "rate_limit", "group_by", "group_template", "templates")
        values = {
            **{name: getattr(row, name) for name in plain},
            "mapping": row.options,
            "key": tuple(key.key_hash for key in row.keys if not access.is_expired(key.expires_at, self._now)),
            "signature_secret": self._open(row.signature_secret),
            "routes": [self._route(route) for route in row.routes],
        }
        return Entry(values, {"heartbeats": {monitor.name: Entry(_heartbeat(monitor)) for monitor in monitors}})

    def _route(self, route: Route) -> Values:
        values = {
            "condition": route.condition,
            "service": self._name(Service, route.service_id),
            "escalation_policy": self._name(EscalationPolicy, route.policy_id),
            "severity": route.severity,
            "group_template": route.group_template,
        }
        return {name: value for name, value in values.items() if value}

    def webhooks(self) -> dict[str, Entry]:
        paths = {
            public_id: (service, name)
            for public_id, service, name in self._session.execute(
                select(Integration.public_id, Service.name, Integration.name).join(Service, Integration.service_id == Service.id)
            )
        }
        query = select(OutgoingWebhook).where(OutgoingWebhook.archived_at.is_(None)).order_by(OutgoingWebhook.id)
        return {row.name: Entry(self._webhook(row, paths)) for row in self._session.scalars(query)}

    def _webhook(self, row: OutgoingWebhook, paths: Mapping[str, tuple[str, str]]) -> Values:
        plain = ("name", "trigger_type", "url", "http_method", "enabled", "data", "headers", "trigger_template", "username", "forward_all", "also_in_debug")
        return {
            **{name: getattr(row, name) for name in plain},
            "team": self._name(Team, row.team_id),
            "password": self._open(row.password),
            "authorization_header": self._open(row.authorization_header),
            "integration_filter": sorted(paths[public_id] for public_id in row.integration_filter or [] if public_id in paths),
        }


def _heartbeat(monitor: HeartbeatMonitor) -> Values:
    return {"name": monitor.name, "interval": monitor.interval_seconds, "grace": monitor.grace_seconds, "key": (monitor.key_hash,)}
