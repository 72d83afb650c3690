"""Integrations: one connection of a source to a service, with its keys."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict, Unpack

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from app import sources
from app.core.errors import Conflict, Invalid, InvalidFields
from app.core.keys import Vault, new_integration_key, new_public_id
from app.core.types import SYSTEM, Actor
from app.domain.catalog import checks, heartbeats, records, secrets
from app.domain.catalog.checks import Check
from app.domain.catalog.secrets import Sealed, SealedKey
from app.models import HeartbeatMonitor, Integration, IntegrationKey, OutgoingWebhook, Service

BUILTIN_NAME = "API"
BUILTIN_SOURCE = "api"
"""No source of the registry: the doors for API keys read their own format, and no other door takes it."""
GROUPINGS = ("alert", "group", "template")


class IntegrationOptions(TypedDict, total=False):
    """What an integration may have besides its name and source."""

    enabled: bool
    options: Mapping[str, Any]
    """The source's own, such as a field mapping."""
    templates: Mapping[str, Any]
    signature_secret: Sealed | None
    signature_scheme: str | None
    require_key: bool
    rate_limit: int | None
    """Requests a minute; None: the installation's; 0: no limit."""
    group_by: str
    group_template: str | None


class IntegrationFields(IntegrationOptions, total=False):
    """All that can be changed of an integration; its source cannot."""

    name: str


def _source(field: str, value: Any) -> str:
    """A source by its name or an alias, brought to its name."""
    if not isinstance(value, str):
        raise Invalid(field, "The source is a text.")
    kind = sources.get(value)
    if kind is None:
        known = sources.all()
        raise Invalid(field, checks.unknown("source", value, [each.name for each in known], [alias for each in known for alias in each.aliases]))
    return kind.name


def _sealed(field: str, value: Any) -> Sealed | None:
    if value is not None and not isinstance(value, Sealed):
        raise Invalid(field, "A secret is sealed before it is stored.")
    return value


_TABLE: Mapping[str, Check] = {
    "name": checks.line(),
    "source": _source,
    "enabled": checks.yes_or_no,
    "options": checks.json_object,
    "templates": checks.templates,
    "signature_secret": _sealed,
    "signature_scheme": checks.optional(checks.line(32)),
    "require_key": checks.yes_or_no,
    "rate_limit": checks.optional(checks.whole(0, 1_000_000)),
    "group_by": checks.one_of(*GROUPINGS),
    "group_template": checks.optional(checks.template),
}


def check_integration(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as they are stored, but for the secret; pure.  With the source its options are looked at too.

    Raises:
        Invalid: a value is wrong.
    """
    values = checks.checked(fields, _TABLE)
    if values.get("source") and values.get("options"):
        _check_options(values["source"], values["options"])
    return values


def create_integration(
    session: Session,
    vault: Vault,
    service: Service,
    *,
    name: str,
    source: str,
    actor: Actor,
    now: datetime,
    key: str | SealedKey | None = None,
    **fields: Unpack[IntegrationOptions],
) -> tuple[Integration, str]:
    """A new integration and its key; without `key` one is generated, a foreign one can be carried over.

    Raises:
        Invalid: a value is wrong or taken.
    """
    sealed_key = secrets.as_key(vault, key)
    values = check_integration({"name": name, "source": source, **fields})
    _require_group_template(values.get("group_by"), values.get("group_template"))
    return _create(session, service, sealed_key, values, actor, now), sealed_key.text


def builtin_integration(session: Session, vault: Vault, service: Service, *, now: datetime) -> Integration:
    """The integration "API" of a service, which events by API key go to; made on first use."""
    found = session.scalars(
        select(Integration).where(Integration.service_id == service.id, Integration.is_builtin, Integration.archived_at.is_(None)).limit(1)
    ).first()
    if found is not None:
        return found
    taken = set(session.scalars(select(Integration.name).where(Integration.service_id == service.id, Integration.archived_at.is_(None))))
    name = next(name for n in range(1, len(taken) + 2) if (name := BUILTIN_NAME if n == 1 else f"{BUILTIN_NAME} {n}") not in taken)
    values = {"name": name, "source": BUILTIN_SOURCE, "is_builtin": True}
    return _create(session, service, secrets.seal_key(vault), values, SYSTEM, now)


def update_integration(session: Session, integration: Integration, *, actor: Actor, now: datetime, **fields: Unpack[IntegrationFields]) -> bool:
    """Change an integration; False when there is nothing to change.

    Raises:
        Invalid: a value is wrong or taken.
    """
    values = check_integration(fields)
    if values.get("options"):
        _check_options(integration.source, values["options"])
    if "group_by" in values or "group_template" in values:
        _require_group_template(values.get("group_by", integration.group_by), values.get("group_template", integration.group_template))
    if "name" in values:
        records.refuse_taken(session, Integration, "name", values["name"], Integration.service_id == integration.service_id, but=integration)
    if "signature_secret" in values:
        values["signature_secret"] = secrets.text_of(values["signature_secret"])
    return records.change(session, integration, values, actor=actor, now=now)


def archive_integration(session: Session, integration: Integration, *, actor: Actor, now: datetime) -> bool:
    """Put an integration away; its keys and heartbeats' keys are unknown from now on, and free.

    Raises:
        Conflict: an outgoing webhook is limited to it.
    """
    records.hold(session)
    if integration.archived_at is not None:
        return False
    webhooks = session.scalars(select(OutgoingWebhook).where(OutgoingWebhook.archived_at.is_(None)).order_by(OutgoingWebhook.name))
    using = [f"the outgoing webhook {webhook.name}" for webhook in webhooks if integration.public_id in (webhook.integration_filter or [])]
    records.refuse_used(integration, using)
    monitors = session.scalars(select(HeartbeatMonitor).where(HeartbeatMonitor.integration_id == integration.id, HeartbeatMonitor.archived_at.is_(None)))
    for monitor in monitors:
        heartbeats.archive_heartbeat(session, monitor, actor=actor, now=now)
    archived = records.archive(session, integration, actor=actor, now=now)
    session.execute(delete(IntegrationKey).where(IntegrationKey.integration_id == integration.id))
    session.expire(integration, ["keys"])
    return archived


def rotate_key(
    session: Session, vault: Vault, integration: Integration, *, old_valid_until: datetime, actor: Actor, now: datetime, key: str | SealedKey | None = None
) -> str:
    """A new key; the former ones work until `old_valid_until` (now: no longer).

    Raises:
        Invalid: `key` has not the form of a key or is taken.
        Conflict: the integration is archived.
    """
    if integration.archived_at is not None:
        raise Conflict(f"The integration {integration.name} is archived.")
    sealed_key = secrets.as_key(vault, key)
    living = living_keys(session, integration, now)
    _refuse_taken_key(session, sealed_key, integration, now)
    until = {"old_key_valid_until": old_valid_until.isoformat()}
    records.note(session, "key rotated", integration, None, until, actor=actor, now=now)
    for row in living:
        if row.key_hash == sealed_key.hash or old_valid_until <= now:
            session.delete(row)
        elif row.expires_at is None or row.expires_at > old_valid_until:
            row.expires_at = old_valid_until
    session.flush()
    _add_key(session, integration, sealed_key, now)
    return sealed_key.text


def living_keys(session: Session, integration: Integration, now: datetime) -> list[IntegrationKey]:
    """The keys that work, the newest last."""
    query = select(IntegrationKey).where(
        IntegrationKey.integration_id == integration.id, or_(IntegrationKey.expires_at.is_(None), IntegrationKey.expires_at > now)
    )
    return list(session.scalars(query.order_by(IntegrationKey.id)))


def _create(session: Session, service: Service, key: SealedKey, values: dict[str, Any], actor: Actor, now: datetime) -> Integration:
    if service.archived_at is not None:
        raise Conflict(f"The service {service.name} is archived.")
    records.refuse_taken(session, Integration, "name", values["name"], Integration.service_id == service.id)
    _refuse_taken_key(session, key, None, now)
    values["signature_secret"] = secrets.text_of(values.get("signature_secret"))
    row = Integration(public_id=new_public_id("C"), intake_id=new_integration_key(), service_id=service.id, created_at=now, **values)
    records.create(session, row, actor=actor, now=now)
    _add_key(session, row, key, now)
    return row


def _add_key(session: Session, integration: Integration, key: SealedKey, now: datetime) -> None:
    session.add(IntegrationKey(integration_id=integration.id, key_hash=key.hash, key_sealed=key.sealed, created_at=now))
    session.flush()
    session.expire(integration, ["keys"])


def _refuse_taken_key(session: Session, key: SealedKey, own: Integration | None, now: datetime) -> None:
    """Keys are unique; one that has run out is free again."""
    holder = session.scalars(select(IntegrationKey).where(IntegrationKey.key_hash == key.hash)).one_or_none()
    if holder is None:
        return
    if holder.expires_at is not None and holder.expires_at <= now:
        session.delete(holder)
        session.flush()
    elif own is None or holder.integration_id != own.id:
        raise Invalid("key", "This key belongs to another integration already.")


def _check_options(source: str, options: Mapping[str, Any]) -> None:
    kind = sources.get(source)
    known = [option.name for option in kind.options] if kind else []
    problems = [(f"options.{name}", checks.unknown(f"option of the source {source}", name, known)) for name in options if name not in known]
    if problems:
        raise InvalidFields(problems)


def _require_group_template(group_by: str | None, group_template: str | None) -> None:
    if group_by == "template" and not group_template:
        raise Invalid("group_template", "To group by a template, give the template.")
