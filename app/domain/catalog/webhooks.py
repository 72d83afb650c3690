"""Outgoing webhooks: URLs that are called on incident changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict, Unpack

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.errors import Invalid
from app.core.keys import new_public_id
from app.core.types import Actor
from app.domain.catalog import checks, records, secrets
from app.domain.catalog.checks import Check
from app.domain.catalog.secrets import Sealed
from app.models import Integration, OutgoingWebhook, Team, User

TRIGGER_TYPES = (
    "escalation",
    "alert group created",
    "acknowledge",
    "resolve",
    "silence",
    "unsilence",
    "unresolve",
    "unacknowledge",
    "status change",
    "personal notification",
)
"""Grafana OnCall's words (seed 003); its silence is our snooze."""
HTTP_METHODS = ("GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")


class WebhookOptions(TypedDict, total=False):
    """What an outgoing webhook may have besides what it needs."""

    enabled: bool
    team_id: int | None
    user_id: int | None
    data: str | None
    headers: str | None
    trigger_template: str | None
    username: str | None
    password: Sealed | None
    authorization_header: Sealed | None
    forward_all: bool
    also_in_debug: bool
    integration_filter: Sequence[str] | None
    """Public ids of integrations; None: all."""
    preset: str | None


class WebhookFields(WebhookOptions, total=False):
    """All that can be changed of an outgoing webhook."""

    name: str
    url: str
    http_method: str
    trigger_type: str


def _secret(field: str, value: Any) -> Sealed | None:
    if value is not None and not isinstance(value, Sealed):
        raise Invalid(field, "A secret is sealed before it is stored.")
    return value


def _filter(field: str, value: Any) -> list[str] | None:
    if value is None:
        return None
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise Invalid(field, "The integration filter is a list of integrations.")
    return sorted({str(each) for each in value}) or None


_TABLE: Mapping[str, Check] = {
    "name": checks.line(100),
    "url": checks.url,
    "http_method": checks.one_of(*HTTP_METHODS),
    "trigger_type": checks.one_of(*TRIGGER_TYPES),
    "enabled": checks.yes_or_no,
    "team_id": checks.row_id,
    "user_id": checks.row_id,
    "data": checks.optional(checks.template),
    "headers": checks.optional(checks.template),
    "trigger_template": checks.optional(checks.template),
    "username": checks.optional(checks.line(100)),
    "password": _secret,
    "authorization_header": _secret,
    "forward_all": checks.yes_or_no,
    "also_in_debug": checks.yes_or_no,
    "integration_filter": _filter,
    "preset": checks.optional(checks.line(64)),
}


def check_webhook(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as they are stored, but for the secrets; pure.

    Raises:
        Invalid: a value is wrong.
    """
    return checks.checked(fields, _TABLE)


def create_webhook(
    session: Session, *, name: str, url: str, http_method: str, trigger_type: str, actor: Actor, now: datetime, **fields: Unpack[WebhookOptions]
) -> OutgoingWebhook:
    """A new outgoing webhook.

    Raises:
        Invalid: a value is wrong or taken.
    """
    values = check_webhook({"name": name, "url": url, "http_method": http_method, "trigger_type": trigger_type, **fields})
    _check_against_others(session, values, None)
    return records.create(session, OutgoingWebhook(public_id=new_public_id("WH"), created_at=now, **_stored(values)), actor=actor, now=now)


def update_webhook(session: Session, webhook: OutgoingWebhook, *, actor: Actor, now: datetime, **fields: Unpack[WebhookFields]) -> bool:
    """Change an outgoing webhook; False when there is nothing to change.

    Raises:
        Invalid: a value is wrong or taken.
    """
    values = check_webhook(fields)
    _check_against_others(session, values, webhook)
    return records.change(session, webhook, _stored(values), actor=actor, now=now)


def archive_webhook(session: Session, webhook: OutgoingWebhook, *, actor: Actor, now: datetime) -> bool:
    """Put an outgoing webhook away."""
    return records.archive(session, webhook, actor=actor, now=now)


def _stored(values: dict[str, Any]) -> dict[str, Any]:
    return {name: secrets.text_of(value) if name in ("password", "authorization_header") else value for name, value in values.items()}


def _check_against_others(session: Session, values: Mapping[str, Any], webhook: OutgoingWebhook | None) -> None:
    if "name" in values:
        records.refuse_taken(session, OutgoingWebhook, "name", values["name"], but=webhook)
    records.require_living(session, Team, "team_id", values.get("team_id"))
    records.require_living(session, User, "user_id", values.get("user_id"))
    wanted = values.get("integration_filter") or []
    known = set(session.scalars(select(Integration.public_id).where(Integration.public_id.in_(wanted), Integration.archived_at.is_(None))))
    for public_id in wanted:
        if public_id not in known:
            raise Invalid("integration_filter", f"There is no integration {public_id}.")
